/** A Node program in another process: its output, its messages, its signals and its end. */

import { type ChildProcess, type Serializable, spawn } from "node:child_process";

export interface ChildOptions {
  /** The command that runs the program, with its arguments. @default Node */
  readonly runtime?: readonly string[];
  /** Flags for Node. */
  readonly node?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  /** A command that starts Node, with its arguments; those of Node follow. */
  readonly by?: readonly string[];
  /** Whether the program has a channel for `message` and `ask`. The channel is a socket of this process. */
  readonly channel?: boolean;
  /** "piped" is for a test that writes it. By default it is at its end at once. */
  readonly stdin?: "piped" | "ignored";
  /** "kept" is for a test that looks at it. By default it goes to the stderr of the test. */
  readonly stderr?: "kept" | "inherited";
}

/** How a process ended. */
export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export class ChildProgram implements AsyncDisposable {
  readonly process: ChildProcess;
  /** Resolves when the process has ended and its output was read. */
  readonly exit: Promise<Exit>;
  /** The output so far. */
  stdout = "";
  stderr = "";
  /** Called with each message, which `message` then does not return. */
  onMessage: ((message: unknown) => void) | undefined;
  #ended: Exit | undefined;
  /** Where the next line starts. */
  #read = 0;
  readonly #messages: unknown[] = [];
  readonly #waiting: Set<() => void> = new Set();

  /** `program` is the path of a compiled file, or starts with a flag of Node that takes its place. */
  constructor(
    program: string,
    args: readonly string[] = [],
    {
      runtime = [process.execPath],
      node = [],
      env = {},
      by = [],
      channel = false,
      stdin = "ignored",
      stderr = "inherited",
    }: ChildOptions = {},
  ) {
    // Node's test runner sets it: the child would report as if it were a test file.
    const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
    const [command = "", ...rest] = [...by, ...runtime, ...node, program, ...args];
    this.process = spawn(command, rest, {
      env: { ...inherited, ...env },
      stdio: [
        stdin === "piped" ? "pipe" : "ignore",
        "pipe",
        stderr === "kept" ? "pipe" : "inherit",
        ...(channel ? (["ipc"] as const) : []),
      ],
    });
    // A program that has ended does not read what the test still writes.
    this.process.stdin?.on("error", () => undefined);
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.stdout += text;
      this.#changed();
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.stderr += text;
      this.#changed();
    });
    this.process.on("message", (message) => {
      if (this.onMessage === undefined) this.#messages.push(message);
      else this.onMessage(message);
      this.#changed();
    });
    const exited = new Promise<Pick<Exit, "status" | "signal">>((resolve, reject) => {
      this.process.once("error", reject).once("exit", (status, signal) => resolve({ status, signal }));
    });
    // Not "close", which Node does not emit for a process whose channel this side has closed.
    const closed = [this.process.stdout, this.process.stderr].map(
      (stream) => stream && new Promise((resolve) => stream.once("close", resolve)),
    );
    // The channel is freed a little later than the process.
    const disconnected = channel && new Promise((resolve) => this.process.once("disconnect", resolve));
    this.exit = Promise.all([exited, disconnected, ...closed]).then(([how]) => {
      this.#ended = { ...how, stdout: this.stdout, stderr: this.stderr };
      this.#changed();
      return this.#ended;
    });
    // A failed start is reported by the functions that wait for it.
    this.exit.catch(() => undefined);
  }

  /** Runs a program to its end. */
  static run(program: string, args: readonly string[] = [], options: ChildOptions = {}): Promise<Exit> {
    return new ChildProgram(program, args, options).exit;
  }

  /** Resolves once the output is as `condition` wants it; fails if the process ends before. */
  until(condition: (stdout: string, stderr: string) => boolean): Promise<void> {
    return this.#until(() => condition(this.stdout, this.stderr));
  }

  /** The next line of stdout. */
  async line(): Promise<string> {
    await this.#until(() => this.stdout.includes("\n", this.#read));
    return this.#nextLine();
  }

  /** The lines of stdout that were not read yet, to the end of the process. */
  async *lines(): AsyncGenerator<string, void> {
    for (;;) {
      const more = (): boolean => this.stdout.includes("\n", this.#read);
      await this.#until(() => more() || this.#ended !== undefined);
      if (!more()) return;
      yield this.#nextLine();
    }
  }

  /** The next message that the program sends. */
  async message<T>(): Promise<T> {
    await this.#until(() => this.#messages.length > 0);
    return this.#messages.shift() as T;
  }

  /** Sends a message, and returns the next one that the program sends. */
  ask<T>(order: Serializable | object): Promise<T> {
    this.process.send(order as Serializable);
    return this.message<T>();
  }

  /** Writes to the stdin that is piped. */
  write(text: string | Uint8Array): void {
    this.process.stdin?.write(text);
  }

  /** Ends the stdin that is piped. */
  end(text: string | Uint8Array = ""): void {
    this.process.stdin?.end(text);
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.exit;
  }

  #nextLine(): string {
    const from = this.#read;
    const end = this.stdout.indexOf("\n", from);
    this.#read = end + 1;
    return this.stdout.slice(from, end);
  }

  async #until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      if (this.#ended !== undefined) throw new Error(`the process has ended: ${JSON.stringify(this.#ended)}`);
      await Promise.race([new Promise<void>((resolve) => this.#waiting.add(resolve)), this.exit]);
    }
  }

  #changed(): void {
    for (const look of this.#waiting) look();
    this.#waiting.clear();
  }
}
