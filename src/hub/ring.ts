/** The latest entries of a topic in the memory of a hub, from which members that are behind are served. */

import { between, type Instant } from "../base/time.ts";
import type { HistoryLimits } from "../broker/broker.ts";
import type { KeptEntry } from "./entry.ts";
import { type BudgetedRing, costOf, type HistoryBudget } from "./history-budget.ts";

/** The log, as its ring uses it. */
export interface RingOwner {
  /** The oldest entry was removed, because of the limits of the topic or of the hub. */
  entryRemoved(entry: KeptEntry): void;
  /** It was removed because of the limit of the hub: the log of the broker may still have it. */
  entryEvicted(): void;
}

/** The entries are adjacent: each has the offset of the one before it in `previous`. */
export class Ring implements BudgetedRing {
  readonly #limits: HistoryLimits;
  readonly #owner: RingOwner;
  readonly #budget: HistoryBudget;
  readonly #least: 0 | 1;
  #inUse = false;
  /** Entries that were removed at the front stay in the array until they are half of it. */
  #entries: (KeptEntry | undefined)[] = [];
  #start = 0;
  #bytes = 0;

  /** `least`: the number of the newest entries that stay beyond `limits`. */
  constructor(limits: HistoryLimits, budget: HistoryBudget, owner: RingOwner, least: 0 | 1 = 0) {
    this.#limits = limits;
    this.#budget = budget;
    this.#owner = owner;
    this.#least = least;
  }

  get inUse(): boolean {
    return this.#inUse;
  }

  get size(): number {
    return this.#entries.length - this.#start;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get first(): KeptEntry | undefined {
    return this.#entries[this.#start];
  }

  get last(): KeptEntry | undefined {
    return this.size === 0 ? undefined : this.#entries.at(-1);
  }

  /** Adds the entry behind the last one. */
  push(entry: KeptEntry): void {
    this.#entries.push(entry);
    this.#bytes += entry.bytes.length;
    this.#budget.add(this, costOf(entry.bytes.length));
    this.trim(entry.at);
    this.#budget.enforce(this, 1);
  }

  /** Adds older entries before the first one, as many as there is room for. They are adjacent, the oldest is the first. */
  unshift(older: readonly KeptEntry[]): void {
    const kept = this.#entries.slice(this.#start);
    let [count, cost] = [0, 0];
    while (count < older.length) {
      const { length } = (older[older.length - 1 - count] as KeptEntry).bytes;
      if (kept.length + count >= this.#limits.messages || this.#bytes + length > this.#limits.bytes) break;
      this.#bytes += length;
      cost += costOf(length);
      count += 1;
    }
    this.#entries = [...older.slice(older.length - count), ...kept];
    this.#start = 0;
    if (count === 0) return;
    this.#budget.add(this, cost);
    this.#budget.enforce(this, this.size);
  }

  clear(): void {
    const cost = this.#bytes + this.size * costOf(0);
    this.#entries = [];
    this.#start = 0;
    this.#bytes = 0;
    this.#budget.remove(this, cost);
  }

  /** Members are behind, and read from it. */
  use(): void {
    this.#inUse = true;
  }

  /** No member is behind. */
  release(): void {
    this.#inUse = false;
    this.#budget.enforce(this, 1);
  }

  /** Removes what is beyond the limits. */
  trim(now: Instant): void {
    const { messages, bytes, age } = this.#limits;
    for (let first = this.first; first !== undefined; first = this.first) {
      if (this.size <= this.#least) break;
      if (this.size <= messages && this.#bytes <= bytes && between(first.at, now) < age) break;
      this.#removeFirst(first);
    }
  }

  evictFirst(): void {
    const { first } = this;
    if (first === undefined) return;
    this.#removeFirst(first);
    this.#owner.entryEvicted();
  }

  #removeFirst(first: KeptEntry): void {
    this.#entries[this.#start] = undefined;
    this.#start += 1;
    this.#bytes -= first.bytes.length;
    this.#owner.entryRemoved(first);
    this.#budget.remove(this, costOf(first.bytes.length));
    if (this.#start > 32 && this.#start * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#start);
      this.#start = 0;
    }
  }

  /** The entry with this offset. */
  at(offset: number): KeptEntry | undefined {
    const entry = this.#entries[this.#indexAfter(offset - 1)];
    return entry?.offset === offset ? entry : undefined;
  }

  /** The first entry behind this offset. */
  after(offset: number): KeptEntry | undefined {
    return this.#entries[this.#indexAfter(offset)];
  }

  /** The entry that is `count` entries before the end, or the first one if there are fewer. */
  fromEnd(count: number): KeptEntry | undefined {
    return this.#entries[Math.max(this.#entries.length - count, this.#start)];
  }

  /** The number of entries behind this offset. */
  countAfter(offset: number): number {
    return this.#entries.length - this.#indexAfter(offset);
  }

  *[Symbol.iterator](): Generator<KeptEntry, undefined> {
    for (let index = this.#start; index < this.#entries.length; index += 1) yield this.#entries[index] as KeptEntry;
  }

  /** The index of the first entry behind `offset`. */
  #indexAfter(offset: number): number {
    const { first } = this;
    if (first === undefined || offset < first.offset) return this.#start;
    // Nearly all offsets are contiguous, so this is nearly always the index. Otherwise the offset is at it, or before it.
    let [low, high] = [this.#start, Math.min(this.#start + offset - first.offset + 1, this.#entries.length)];
    if ((this.#entries[high - 1] as KeptEntry).offset <= offset) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as KeptEntry).offset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
