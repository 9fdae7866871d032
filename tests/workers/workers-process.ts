/** The program with workers as a process, and clients of it. */

import { fileURLToPath } from "node:url";
import { type Connection, connect } from "../../src/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import type { Script } from "./worker-program.ts";

const programOf = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url));

/** A line of the program's output. */
export interface Fact {
  readonly type: string;
  readonly worker: number;
  readonly pid: number;
  readonly [name: string]: unknown;
}

export class WorkersProcess implements AsyncDisposable {
  /** The status, when it and all its workers have ended: they share its stdout. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProgram;
  readonly #facts: Fact[] = [];
  #read = 0;

  /** `program` is the name of a file in this folder. */
  constructor(script: Script, program = "worker-program") {
    this.#child = new ChildProgram(programOf(program), [JSON.stringify(script)], { stderr: "kept" });
    this.ended = this.#child.exit.then(({ status }) => status);
  }

  /** The facts so far. */
  get facts(): readonly Fact[] {
    const { stdout } = this.#child;
    const end = stdout.lastIndexOf("\n") + 1;
    for (const line of stdout.slice(this.#read, end).split("\n").slice(0, -1)) this.#facts.push(JSON.parse(line));
    this.#read = Math.max(this.#read, end);
    return this.#facts;
  }

  get stderr(): string {
    return this.#child.stderr;
  }

  /** Resolves when all workers serve. */
  static async start(script: Script = {}, program?: string): Promise<WorkersProcess> {
    const scene = new WorkersProcess({ workers: 2, ...script }, program);
    await scene.until((facts) => facts.some(({ type }) => type === "urls"));
    return scene;
  }

  /** Resolves once the facts are as `condition` wants them; fails if the program ends before. */
  until(condition: (facts: readonly Fact[]) => boolean): Promise<void> {
    return this.#child.until(() => condition(this.facts));
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
    this.#child.signal(signal);
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

/** A connection, and the worker that serves it. */
export interface Client {
  readonly connection: Connection;
  readonly id: number;
  readonly pid: number;
  readonly fast: boolean;
}
