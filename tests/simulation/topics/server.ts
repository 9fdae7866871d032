/** The server of the brokers, with a record of all histories that its log has had. */

import type { Published, Slice } from "../../../src/broker/broker.ts";
import type { Position } from "../../../src/index.ts";
import type { FaultyCall } from "../../broker/faulty-link.ts";
import { type FaultyOptions, FaultyServer } from "../../broker/faulty-server.ts";
import type { Grown, Histories } from "../../hub/clients.ts";

export class RecordedServer extends FaultyServer implements Histories {
  readonly contiguous = true;
  readonly all: Grown[] = [];
  /** The newest entry of the log. */
  tip: Grown | undefined;
  /** How often the server has forgotten entries. */
  losses = 0;
  /** True while reads of the log may fail. */
  failing = false;
  /** The epochs that a hub has caused. */
  readonly renewed: Set<string> = new Set();
  /** The newest entry behind each call. */
  #tips: (Grown | undefined)[] = [];
  /** The entries by epoch and offset. */
  readonly #places = new Map<string, Set<Grown>>();
  readonly #firsts = new Map<string, string>();
  /** The highest offset that the log has ever had, by epoch. */
  readonly #highest = new Map<string, number>();
  readonly #executed: (call: FaultyCall) => void;

  readonly #fails: () => boolean;

  constructor(options: FaultyOptions, fails: () => boolean, executed: (call: FaultyCall) => void) {
    super(options);
    this.#fails = fails;
    this.#executed = executed;
  }

  override execute(call: FaultyCall): Published | Slice | string | boolean {
    if (call.ask === "read" && this.failing && this.#fails()) throw new Error("the read has failed");
    const result = super.execute(call);
    if (call.ask === "renew") {
      this.renewed.add(result as string);
      if (result !== call.epoch && !this.#firsts.has(result as string))
        this.#firsts.set(result as string, this.#first(call.epoch));
      for (let entry = this.tip; entry !== undefined; entry = entry.parent) this.#place(result as string, entry);
      this.#highest.set(result as string, Math.max(this.tip?.offset ?? 0, this.highest(result as string)));
    }
    if (call.ask === "publish") {
      const { epoch, offset, duplicate } = result as Published;
      if (!duplicate) {
        this.tip = { offset, parent: this.tip, message: call.message };
        this.all.push(this.tip);
        this.#place(epoch, this.tip);
        this.#highest.set(epoch, Math.max(offset, this.highest(epoch)));
      }
    }
    this.#tips.push(this.tip);
    this.#executed(call);
    return result;
  }

  wasAt({ epoch, offset }: Position, entry: Grown | undefined, later: Position): boolean {
    if (entry === undefined) return offset === 0 && this.#first(epoch) === this.#first(later.epoch);
    return this.#places.get(`${offset} ${epoch}`)?.has(entry) === true;
  }

  /** The highest offset that the log has had in this epoch. */
  highest(epoch: string): number {
    return this.#highest.get(epoch) ?? 0;
  }

  /** The first epoch of the history that has this one. */
  #first(epoch: string): string {
    return this.#firsts.get(epoch) ?? epoch;
  }

  #place(epoch: string, entry: Grown): void {
    const key = `${entry.offset} ${epoch}`;
    this.#places.set(key, (this.#places.get(key) ?? new Set()).add(entry));
  }

  override rollBack(calls: number): void {
    this.losses += 1;
    this.#tips = this.#tips.slice(0, Math.max(this.#tips.length - calls, 0));
    this.tip = this.#tips.at(-1);
    super.rollBack(calls);
  }

  /** Forgets the newest entries, and all calls since the one before them. Returns the entry that is the newest then. */
  forget(entries: number): Grown | undefined {
    let newest = this.tip;
    for (let count = 0; count < entries; count += 1) newest = newest?.parent;
    this.rollBack(this.#tips.length - 1 - this.#tips.lastIndexOf(newest));
    return newest;
  }

  override empty(): void {
    this.losses += 1;
    this.#tips = [];
    this.tip = undefined;
    super.empty();
  }
}
