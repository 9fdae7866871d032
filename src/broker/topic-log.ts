/** The log of one topic in the memory of this process: its entries, the ids of its messages, and its fences. */

import { between, type Instant } from "../base/time.ts";
import { type BrokerEntry, type HistoryLimits, ONCE_WINDOW, type ReadRequest, type Slice } from "./broker.ts";

/** What an entry, an id or a fence uses in addition to its bytes, in bytes. */
const OVERHEAD = 128;
/** Most ids, and most fences, of one topic. Beyond it the oldest are forgotten. */
const MAX_MARKS = 100_000;

interface Kept {
  readonly message: Uint8Array;
  readonly at: Instant;
}

export class TopicLog {
  #epoch: string;
  #top = 0;
  /** The entries that are kept are the last ones. Removed entries stay in the array until they are half of it. */
  #entries: (Kept | undefined)[] = [];
  #start = 0;
  #bytes = 0;
  #ids: Map<string, { readonly offset: number; readonly at: Instant }> | undefined;
  #fences: Map<string, number> | undefined;
  /** The limits of the last publication. */
  #limits: HistoryLimits | undefined;
  #usedAt: Instant;

  constructor(epoch: string, now: Instant) {
    this.#epoch = epoch;
    this.#usedAt = now;
  }

  get epoch(): string {
    return this.#epoch;
  }

  /** The number of entries that are kept. */
  get length(): number {
    return this.#entries.length - this.#start;
  }

  /** About how much memory the log uses, in bytes. */
  get size(): number {
    const marks = (this.#ids?.size ?? 0) + (this.#fences?.size ?? 0);
    return this.#bytes + OVERHEAD * (this.length + marks);
  }

  /** How long nothing was published or read. */
  idleFor(now: Instant): number {
    return between(this.#usedAt, now);
  }

  append(message: Uint8Array, id: string | undefined, limits: HistoryLimits, now: Instant): BrokerEntry {
    this.#usedAt = now;
    this.#limits = limits;
    this.#top += 1;
    this.#entries.push({ message, at: now });
    this.#bytes += message.length;
    if (id !== undefined) {
      this.#ids ??= new Map();
      this.#ids.set(id, { offset: this.#top, at: now });
    }
    this.trim(now);
    return this.#entryOf(message, this.#top);
  }

  /** The offset of the message that was published with this id before. */
  offsetOf(id: string): number | undefined {
    return this.#ids?.get(id)?.offset;
  }

  /** True if a higher attempt of the producer was claimed. */
  isFenced(producer: string, attempt: number): boolean {
    return attempt < (this.#fences?.get(producer) ?? 0);
  }

  claim(producer: string, attempt: number, now: Instant): boolean {
    this.#usedAt = now;
    if (this.isFenced(producer, attempt)) return false;
    this.#fences ??= new Map();
    this.#fences.delete(producer);
    this.#fences.set(producer, attempt);
    removeOldest(this.#fences);
    return true;
  }

  renew(epoch: string): void {
    this.#epoch = epoch;
  }

  read(request: ReadRequest, now: Instant): Slice {
    this.#usedAt = now;
    const { after = 0, before = Infinity, reverse = false, messages, bytes, history } = request;
    const { first, top } = { first: this.#firstWithin(history, now), top: this.#top };
    const [low, high] = [Math.max(first, after + 1), Math.min(top, before - 1)];
    const entries: BrokerEntry[] = [];
    let size = 0;
    for (let count = 0; count < Math.min(messages, high - low + 1); count += 1) {
      const offset = reverse ? high - count : low + count;
      const { message } = this.#keptAt(offset);
      size += message.length;
      if (count > 0 && size > bytes) break;
      entries.push(this.#entryOf(message, offset));
    }
    return { epoch: this.#epoch, first, top, entries };
  }

  /** Removes what is beyond the limits of the last publication, and old ids. */
  trim(now: Instant): void {
    const { messages, bytes, age } = this.#limits ?? { messages: Infinity, bytes: Infinity, age: Infinity };
    for (let oldest = this.#entries[this.#start]; oldest !== undefined; oldest = this.#entries[this.#start]) {
      if (this.length <= messages && this.#bytes <= bytes && between(oldest.at, now) < age) break;
      this.removeFirst();
    }
    for (const [id, { at }] of this.#ids ?? []) {
      if (between(at, now) < ONCE_WINDOW) break;
      this.#ids?.delete(id);
    }
    removeOldest(this.#ids);
  }

  /** Removes the oldest entry. */
  removeFirst(): void {
    this.#bytes -= this.#entries[this.#start]?.message.length ?? 0;
    this.#entries[this.#start] = undefined;
    this.#start += 1;
    if (this.#start < 32 || this.#start * 2 < this.#entries.length) return;
    this.#entries = this.#entries.slice(this.#start);
    this.#start = 0;
  }

  /** The offset of the oldest entry that is kept and within `limits`. The top + 1 if there is none. */
  #firstWithin({ messages, bytes, age }: HistoryLimits, now: Instant): number {
    const last = this.#limits;
    if (last !== undefined && messages === last.messages && bytes === last.bytes && age === last.age) this.trim(now);
    const kept = this.#top - this.length + 1;
    if (last !== undefined && messages >= last.messages && bytes >= last.bytes && age >= last.age) return kept;
    let [first, size] = [this.#top + 1, 0];
    while (first > kept && this.#top - first + 1 < messages) {
      const { message, at } = this.#keptAt(first - 1);
      size += message.length;
      if (size > bytes || between(at, now) >= age) break;
      first -= 1;
    }
    return first;
  }

  #keptAt(offset: number): Kept {
    return this.#entries[this.#entries.length - 1 - (this.#top - offset)] as Kept;
  }

  #entryOf(message: Uint8Array, offset: number): BrokerEntry {
    return { epoch: this.#epoch, offset, previous: undefined, message };
  }
}

function removeOldest(marks: Map<string, unknown> | undefined): void {
  if (marks === undefined || marks.size <= MAX_MARKS) return;
  for (const oldest of marks.keys()) {
    marks.delete(oldest);
    return;
  }
}
