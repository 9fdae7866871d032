/** A process with servers and clients of this library, which a test can kill, stop and starve. */

import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type ChildOptions, ChildProgram } from "../kit/child-process.ts";
import type { Answers, EchoProcessReport, Order } from "./echo-process-program.ts";

const PROGRAM = fileURLToPath(new URL("./echo-process-program.js", import.meta.url));

/** Longer than any test. A test that waits in vain reports the last state instead. */
const PATIENCE = 120_000;

export class EchoProcess implements AsyncDisposable {
  readonly pid: number;
  /** Resolves when the process has ended, with its status or the signal that ended it. */
  readonly gone: Promise<number | string>;
  readonly #child: ChildProgram;
  readonly #waiting: Map<number, (answer: unknown) => void> = new Map();
  #asked = 0;

  private constructor(child: ChildProgram, pid: number) {
    this.#child = child;
    this.pid = pid;
    this.gone = child.exit.then(({ status, signal }) => signal ?? status ?? -1);
    child.onMessage = (message) => {
      const { id, answer } = message as { readonly id: number; readonly answer: unknown };
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    };
  }

  static async start({ node = [], ...options }: Omit<ChildOptions, "channel"> = {}): Promise<EchoProcess> {
    const child = new ChildProgram(PROGRAM, [], { ...options, node: ["--expose-gc", ...node], channel: true });
    const { pid } = await child.message<{ readonly pid: number }>();
    // Without the test context of the parent process.
    return new EchoProcess(child, pid);
  }

  /** Sends one order, and waits for its completion. */
  async tell<O extends Order>(order: O): Promise<Answers[O["do"]]> {
    this.#asked += 1;
    const id = this.#asked;
    const answered = new Promise<unknown>((resolve) => this.#waiting.set(id, resolve));
    this.#child.process.send({ id, order });
    const answer = await Promise.race([
      answered,
      this.gone.then((how) => {
        throw new Error(`the process has ended (${how}) before it answered ${JSON.stringify(order)}`);
      }),
    ]);
    if (typeof answer === "object" && answer !== null && "failed" in answer) throw new Error(String(answer.failed));
    return answer as Answers[O["do"]];
  }

  report(collect: boolean = false): Promise<EchoProcessReport> {
    return this.tell({ do: "report", collect });
  }

  /** Asks repeatedly until the report satisfies `condition`, with pauses: continuous requests would use most of the process's time. */
  async until(condition: (report: EchoProcessReport) => boolean): Promise<EchoProcessReport> {
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
    this.#child.signal("SIGKILL");
    try {
      this.signal("SIGKILL");
    } catch {
      // The process has ended by itself.
    }
    await this.gone;
  }
}

/**
 * A free port for a server that restarts. It is below 32,768: Linux gives higher ports to any client. Such a client could get
 * this port in the meantime, and a client of this port would then connect to itself.
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
