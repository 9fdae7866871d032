/** The program with workers as a process of its own, and clients of it. */

import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Connection, connect } from "../../src/index.js";
import type { Script } from "./worker-program.js";

const PROGRAM = fileURLToPath(new URL("worker-program.js", import.meta.url));

/** A line that the program has said. */
export interface Fact {
  readonly type: string;
  readonly worker: number;
  readonly pid: number;
  readonly [name: string]: unknown;
}

export class Scene implements AsyncDisposable {
  readonly process: ChildProcess;
  readonly facts: Fact[] = [];
  stderr = "";
  /** When it and all its workers have ended: they share its stdout. */
  readonly ended: Promise<number | null>;
  #changed: () => void = () => undefined;
  #over = false;

  constructor(script: Script) {
    // It is no test of the runner that runs us.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(script)], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process = child;
    let said = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      const lines = (said + text).split("\n");
      said = lines.pop() ?? "";
      for (const line of lines) this.facts.push(JSON.parse(line));
      this.#changed();
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (status) => {
        this.#over = true;
        this.#changed();
        resolve(status);
      });
    });
  }

  /** Resolves when all workers serve. */
  static async start(script: Script = {}): Promise<Scene> {
    const scene = new Scene({ workers: 2, ...script });
    await scene.until((facts) => facts.some(({ type }) => type === "urls"));
    return scene;
  }

  /** Resolves once what it has said is as `condition` wants it; fails if it ends before. */
  async until(condition: (facts: readonly Fact[]) => boolean): Promise<void> {
    while (!condition(this.facts)) {
      if (this.#over) throw new Error(`the program ended: ${this.stderr} ${JSON.stringify(this.facts)}`);
      await new Promise<void>((resolve) => {
        this.#changed = resolve;
      });
    }
  }

  get url(): string {
    const fact = this.facts.find(({ type }) => type === "urls");
    return (fact?.["urls"] as string[] | undefined)?.[0] ?? "";
  }

  /** Facts of one kind. */
  of(type: string): Fact[] {
    return this.facts.filter((fact) => fact.type === type);
  }

  async client(): Promise<Client> {
    const connection = await connect(this.url, {
      maxConnecting: Infinity,
      maxInboxMessages: 100_000,
      maxInboxBytes: 64 * 1024 * 1024,
    });
    const hello = JSON.parse(String(await connection.receive()));
    return { connection, ...hello };
  }

  /** A client of each worker. */
  async clients(workers: number): Promise<Client[]> {
    const found: Client[] = [];
    while (found.length < workers) {
      const client = await this.client();
      if (found.some(({ id }) => id === client.id)) await client.connection.close();
      else found.push(client);
    }
    return found.sort((one, other) => one.id - other.id);
  }

  signal(signal: NodeJS.Signals): void {
    this.process.kill(signal);
  }

  /** The workers of a first process that is killed end by themselves. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { pid } of this.of("serving")) cont(pid);
    this.signal("SIGCONT");
    this.signal("SIGKILL");
    await this.ended;
  }
}

function cont(pid: number): void {
  try {
    process.kill(pid, "SIGCONT");
  } catch {
    // It has ended.
  }
}

/** A connection, and who serves it. */
export interface Client {
  readonly connection: Connection;
  readonly id: number;
  readonly pid: number;
  readonly lane: boolean;
}
