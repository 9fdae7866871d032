/** A machine of the test network: a process in its namespace that carries out orders and reports. */

import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import type { Load } from "./load.ts";
import type { Action } from "./machine-actions.ts";
import type { Network, Side } from "./network.ts";

export interface Order {
  readonly id: number;
  /** `return` is a ReconnectingConnection with the longest pauses that its backoff allows. */
  readonly kind: "listen" | "connect" | "return";
  readonly url: string;
  /** `null` for `Infinity`. */
  readonly options: object;
  readonly does: Action;
  readonly load?: Load;
}

/** Stops an order that runs until it is stopped. */
export interface Enough {
  readonly id: number;
  readonly kind: "enough";
}

/** The fields of an error. */
export type Facts = Readonly<Record<string, unknown>>;

export type Report =
  | { readonly what: "ready" | "open" }
  | { readonly what: "listening"; readonly url: string }
  | { readonly what: "counted"; readonly number: number }
  /** The whole load was received. */
  | { readonly what: "summed"; readonly number: number; readonly digest: string }
  /** The kernel has accepted a load or a long message. */
  | { readonly what: "poured" }
  /** A Ping was answered. */
  | { readonly what: "answered"; readonly number: number; readonly roundTrip: number }
  /** The numbers of the received messages, over all connections; NaN for a message that is not part of the load. */
  | { readonly what: "collected"; readonly numbers: readonly (number | null)[] }
  /** The results of the sent messages over all connections: their numbers, by the code of the error that each ended with. */
  | { readonly what: "accounts"; readonly sent: readonly number[]; readonly failed: Readonly<Record<string, number[]>> }
  /** How many prices were sent, how many of them were replaced, and how many bytes are in flight. */
  | {
      readonly what: "published";
      readonly sent: number;
      readonly dropped: number;
      readonly inFlight?: number | undefined;
    }
  /** The ages of the received prices in milliseconds, from the lowest to the highest. */
  | { readonly what: "aged"; readonly prices: number; readonly ages: readonly number[] }
  | { readonly what: "state"; readonly name: string; readonly states: readonly StateFacts[] }
  | ({ readonly what: "closed" | "failed" } & Facts);

/** What a connection reports during its life, and not after its end. */
const ENDING: readonly Report["what"][] = ["counted", "summed", "poured", "answered", "published", "aged"];

/** A state of a reconnecting connection, as reported. */
export interface StateFacts {
  readonly name: string;
  readonly attempt?: number;
  /** The pause in milliseconds. */
  readonly pause?: number;
  /** The phase that the failed attempt had reached. */
  readonly phase?: string;
  readonly error?: Facts;
}

const PROGRAM = fileURLToPath(new URL("./machine-program.js", import.meta.url));

export class Machine implements AsyncDisposable {
  readonly side: Side;
  readonly pid: number;
  readonly #child: ChildProgram;
  readonly #parts: Map<number, Part> = new Map();

  private constructor(side: Side, child: ChildProgram) {
    this.side = side;
    this.pid = child.process.pid ?? 0;
    this.#child = child;
    child.onMessage = (message) => {
      const { id, ...report } = message as { readonly id: number } & Report;
      this.#parts.get(id)?.tell(report);
    };
  }

  static async start(network: Pick<Network, "on">, side: Side): Promise<Machine> {
    const child = new ChildProgram(PROGRAM, [], { by: network.on(side), channel: true });
    await child.message();
    return new Machine(side, child);
  }

  /** Gives one order. */
  do(order: Omit<Order, "id">): Part {
    const id = this.#parts.size + 1;
    const part = new Part(() => this.#child.process.send({ id, kind: "enough" } satisfies Enough));
    this.#parts.set(id, part);
    this.#child.process.send({ id, ...order });
    return part;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

/** One order, and the reports about it. */
export class Part {
  readonly #reports: Report[] = [];
  #waiting: (() => void)[] = [];
  /** Stops the order. */
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

  /** The number of reports of this kind. */
  count(what: Report["what"]): number {
    return this.#reports.filter((report) => report.what === what).length;
  }

  /** Resolves with a report of this kind that satisfies `condition`; rejects when no such report can follow. */
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
