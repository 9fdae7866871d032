/** A process of its own, that serves or visits as it is told, and can be killed, stopped and starved as any other. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Answers, Order, PartyReport } from "./party-program.js";

const PROGRAM = fileURLToPath(new URL("./party-program.js", import.meta.url));

/** No test takes so long. One that waits for what never comes is to say what there was instead. */
const PATIENCE = 120_000;

export interface PartyOptions {
  /** What to start it with: a program that runs another. */
  readonly by?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** Flags for Node. */
  readonly node?: readonly string[];
}

export class Party implements AsyncDisposable {
  readonly pid: number;
  /** Resolves when it is gone: with its status, or the signal that ended it. */
  readonly gone: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #waiting: Map<number, (answer: unknown) => void> = new Map();
  #asked = 0;

  private constructor(child: ChildProcess, pid: number, gone: Promise<number | string>) {
    this.#child = child;
    this.pid = pid;
    this.gone = gone;
    child.on("message", ({ id, answer }: { readonly id: number; readonly answer: unknown }) => {
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
  }

  static async start({ by = [], env = {}, node = [] }: PartyOptions = {}): Promise<Party> {
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
    const line = [...by, process.execPath, "--expose-gc", ...node, PROGRAM];
    const child = spawn(line[0] ?? "", line.slice(1), {
      env: { ...inherited, ...env },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const gone = new Promise<number | string>((resolve, reject) => {
      child.once("error", reject).once("exit", (status, signal) => resolve(signal ?? status ?? -1));
    });
    const ready = once(child, "message") as Promise<[{ readonly pid: number }]>;
    const first = await Promise.race([ready, gone]);
    if (!Array.isArray(first)) throw new Error(`it did not start: ${first}`);
    // Not that of the program which started it.
    return new Party(child, first[0].pid, gone);
  }

  /** Has one thing done, and waits until it says that it is. */
  async tell<O extends Order>(order: O): Promise<Answers[O["do"]]> {
    this.#asked += 1;
    const id = this.#asked;
    const answered = new Promise<unknown>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, order });
    const answer = await Promise.race([
      answered,
      this.gone.then((how) => {
        throw new Error(`it is gone (${how}), and was to ${JSON.stringify(order)}`);
      }),
    ]);
    if (typeof answer === "object" && answer !== null && "failed" in answer) throw new Error(String(answer.failed));
    return answer as Answers[O["do"]];
  }

  report(collect: boolean = false): Promise<PartyReport> {
    return this.tell({ do: "report", collect });
  }

  /** Asks again and again until it says so; with pauses, since whoever is asked all the time does little else. */
  async until(condition: (report: PartyReport) => boolean): Promise<PartyReport> {
    for (const since = performance.now(); ; ) {
      const report = await this.report();
      if (condition(report)) return report;
      if (performance.now() - since > PATIENCE) {
        const { ends, ...rest } = report;
        throw new Error(`it never came to that: ${JSON.stringify(rest)}, ends: ${JSON.stringify(ends.slice(-5))}`);
      }
      await pause(20);
    }
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    try {
      this.signal("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.gone;
  }
}

/**
 * A free port for a server that goes and comes again. From 32,768 on Linux gives ports to any client: one of those could be given
 * away meanwhile, if only to a client who looks for its server there, and would find itself.
 */
export async function quietPort(): Promise<number> {
  for (;;) {
    const port = 16_384 + Math.floor(Math.random() * 16_384);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}
