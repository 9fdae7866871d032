/** A machine of the network: a process in its namespace, which is told what to do and reports. */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Deed } from "./deeds.js";
import type { Load } from "./load.js";
import type { Network, Side } from "./network.js";

export interface Order {
  readonly id: number;
  /** `return` is a ReconnectingConnection, whose pauses are the longest that its backoff allows. */
  readonly kind: "listen" | "connect" | "return";
  readonly url: string;
  /** `null` for `Infinity`. */
  readonly options: object;
  readonly does: Deed;
  readonly load?: Load;
}

/** Ends what an order began, where that goes on until it is told. */
export interface Enough {
  readonly id: number;
  readonly kind: "enough";
}

/** What is known of an error: its fields. */
export type Facts = Readonly<Record<string, unknown>>;

export type Report =
  | { readonly what: "ready" | "open" }
  | { readonly what: "listening"; readonly url: string }
  | { readonly what: "counted"; readonly number: number }
  /** All of a load has come. */
  | { readonly what: "summed"; readonly number: number; readonly digest: string }
  /** A load is with the kernel, or a long message is. */
  | { readonly what: "poured" }
  /** A Ping was answered. */
  | { readonly what: "answered"; readonly number: number; readonly roundTrip: number }
  /** The numbers of the messages that came, over all connections; NaN for one that is none of the load. */
  | { readonly what: "collected"; readonly numbers: readonly (number | null)[] }
  /** What became of the messages that were sent over all connections: their numbers, by the code of the error that they ended with. */
  | { readonly what: "accounts"; readonly sent: readonly number[]; readonly failed: Readonly<Record<string, number[]>> }
  | { readonly what: "state"; readonly name: string; readonly states: readonly StateFacts[] }
  | ({ readonly what: "closed" | "failed" } & Facts);

/** What a connection reports while it lives, and not behind its end. */
const ENDING: readonly Report["what"][] = ["counted", "summed", "poured", "answered"];

/** A state of a connection that comes back, as it was told. */
export interface StateFacts {
  readonly name: string;
  readonly attempt?: number;
  /** How long it waits. */
  readonly pause?: number;
  /** How far what ended had come. */
  readonly phase?: string;
  readonly error?: Facts;
}

const PROGRAM = fileURLToPath(new URL("./machine-program.js", import.meta.url));

export class Machine implements AsyncDisposable {
  readonly side: Side;
  readonly pid: number;
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #parts: Map<number, Part> = new Map();

  private constructor(side: Side, child: ChildProcess) {
    this.side = side;
    this.pid = child.pid ?? 0;
    this.#child = child;
    this.#exited = once(child, "exit");
    child.on("message", ({ id, ...report }: { readonly id: number } & Report) => this.#parts.get(id)?.tell(report));
  }

  static async start(network: Pick<Network, "on">, side: Side): Promise<Machine> {
    const [command, ...args] = network.on(side);
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(command, [...args, process.execPath, PROGRAM], {
      env,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    await once(child, "message");
    return new Machine(side, child);
  }

  /** Has one thing done. */
  do(order: Omit<Order, "id">): Part {
    const id = this.#parts.size + 1;
    const part = new Part(() => this.#child.send({ id, kind: "enough" } satisfies Enough));
    this.#parts.set(id, part);
    this.#child.send({ id, ...order });
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }
}

/** One thing that a machine does, and what it reports of it. */
export class Part {
  readonly #reports: Report[] = [];
  #waiting: (() => void)[] = [];
  /** Tells it to come to an end. */
  readonly enough: () => void;

  constructor(enough: () => void) {
    this.enough = enough;
  }

  tell(report: Report): void {
    this.#reports.push(report);
    for (const look of this.#waiting.splice(0)) look();
  }

  /** The latest report of this kind; undefined while there is none. */
  latest<What extends Report["what"]>(what: What): Extract<Report, { what: What }> | undefined {
    return this.#reports.findLast((report): report is Extract<Report, { what: What }> => report.what === what);
  }

  /** How often it has reported so. */
  count(what: Report["what"]): number {
    return this.#reports.filter((report) => report.what === what).length;
  }

  /** Resolves with a report of this kind that is as it should be; fails when there can be none any more. */
  async until<What extends Report["what"]>(
    what: What,
    condition: (report: Extract<Report, { what: What }>) => boolean = () => true,
  ): Promise<Extract<Report, { what: What }>> {
    for (;;) {
      const report = this.latest(what);
      if (report !== undefined && condition(report)) return report;
      const failed = this.latest("failed");
      const end = failed ?? (ENDING.includes(what) ? this.latest("closed") : undefined);
      if (end !== undefined) throw new Error(`there is no ${what}: ${JSON.stringify(end)}`);
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}
