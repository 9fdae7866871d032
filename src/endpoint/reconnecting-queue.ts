/** The messages that wait for a connection or for room on it: in order, bounded, with a policy for what does not fit. */

import { type Data, LimitError, type Overflow } from "../index.js";
import type { Call } from "./reconnecting-call.js";

/** What may become of a message for which there is no room. `close` is not among them: a new connection brings no room. */
export type QueueOverflow = Exclude<Overflow, "close">;

/** One message on its way. */
export interface Entry {
  readonly data: Data;
  /** Bytes of payload. */
  readonly size: number;
  readonly key: string | undefined;
  /** Whether it is to be compressed, if somebody has said so. */
  readonly compress: boolean | undefined;
  /** Whoever waits for it; undefined for `trySend`. */
  readonly call: Call<void> | undefined;
  /** Bytes of it may be with a peer: it cannot be taken back, nor dropped. */
  tried: boolean;
}

export class ReconnectingQueue {
  readonly maxBytes: number;
  readonly maxMessages: number;
  /** Messages lost to `drop-newest`, `drop-oldest` and `coalesce`. */
  dropped = 0;
  /** Those that have a place and wait, from the oldest to the newest. */
  #waiting = new Set<Entry>();
  /** Those that were taken and are not done: they keep their places. */
  readonly #taken = new Set<Entry>();
  /** Calls of `send` for which there is no room yet. */
  readonly #callers = new Set<Entry>();
  #bytes = 0;

  constructor(maxBytes: number, maxMessages: number) {
    this.maxBytes = maxBytes;
    this.maxMessages = maxMessages;
  }

  /** Bytes of all that have a place. */
  get bytes(): number {
    return this.#bytes;
  }

  get length(): number {
    return this.#waiting.size + this.#taken.size;
  }

  get empty(): boolean {
    return this.length + this.#callers.size === 0;
  }

  /** Gives `entry` a place, lets its call wait for one, or refuses it, as `overflow` says. */
  add(entry: Entry, overflow: QueueOverflow): "queued" | "waiting" | "refused" {
    if (overflow === "coalesce" && this.#supersede(entry)) return "queued";
    if (overflow === "drop-oldest") this.#makeRoom(entry);
    if (this.#callers.size === 0 && this.#fits(entry)) {
      this.#place(entry);
      return "queued";
    }
    const excess = this.#excess(entry);
    if (overflow === "wait" && entry.call !== undefined && entry.size <= this.maxBytes) {
      if (this.#callers.size < this.maxMessages) {
        this.#callers.add(entry);
        return "waiting";
      }
      refuse(entry, { ...excess, problem: `${this.#callers.size} calls already wait for room` });
    } else if (overflow === "drop-newest") this.#drop(entry, excess);
    else refuse(entry, excess);
    return "refused";
  }

  /** The oldest that waits, which keeps its place until it is `done`. */
  take(): Entry | undefined {
    const [oldest] = this.#waiting;
    if (oldest === undefined) return undefined;
    this.#waiting.delete(oldest);
    this.#taken.add(oldest);
    return oldest;
  }

  /** `entry` was taken, and needs its place no more; false if it has lost it already. */
  done(entry: Entry): boolean {
    if (!this.#taken.delete(entry)) return false;
    this.#leave(entry);
    return true;
  }

  /** Takes `entry` back if it still waits. */
  withdraw(entry: Entry): boolean {
    if (this.#callers.delete(entry)) return true;
    if (!this.#waiting.delete(entry)) return false;
    this.#leave(entry);
    return true;
  }

  /** All that were taken and are not done wait again, before those that came later. */
  putBack(): void {
    this.#waiting = new Set([...this.#taken, ...this.#waiting]);
    this.#taken.clear();
  }

  /** All that were taken and are not done: they lose their places. */
  giveUpTaken(): readonly Entry[] {
    const given = [...this.#taken];
    for (const entry of given) this.done(entry);
    return given;
  }

  /** All of it, in order: nothing is left. */
  clear(): readonly Entry[] {
    const all = [...this.#taken, ...this.#waiting, ...this.#callers];
    this.#taken.clear();
    this.#waiting.clear();
    this.#callers.clear();
    this.#bytes = 0;
    return all;
  }

  #place(entry: Entry): void {
    this.#waiting.add(entry);
    this.#bytes += entry.size;
  }

  #leave({ size }: Entry): void {
    this.#bytes -= size;
    for (const caller of this.#callers) {
      if (!this.#fits(caller)) return;
      this.#callers.delete(caller);
      this.#place(caller);
    }
  }

  #fits({ size }: Entry): boolean {
    return this.#bytes + size <= this.maxBytes && this.length < this.maxMessages;
  }

  /** Puts `entry` in the place of one that waits and has the same key. */
  #supersede(entry: Entry): boolean {
    if (entry.key === undefined) return false;
    for (const old of this.#waiting) {
      if (old.key !== entry.key || old.tried) continue;
      if (this.#bytes - old.size + entry.size > this.maxBytes) return false;
      this.#waiting = new Set(Array.from(this.#waiting, (one) => (one === old ? entry : one)));
      this.#bytes += entry.size - old.size;
      const problem = `a later message with the key ${entry.key} took its place`;
      this.#drop(old, { limit: "overflow", maximum: 1, actual: 2, problem });
      return true;
    }
    return false;
  }

  /** Drops the oldest that wait until `entry` fits; none if it would not fit without all of them either. */
  #makeRoom(entry: Entry): void {
    let droppable = 0;
    for (const { size, tried } of this.#waiting) if (!tried) droppable += size;
    if (this.#bytes - droppable + entry.size > this.maxBytes) return;
    for (const oldest of this.#waiting) {
      if (this.#fits(entry)) return;
      if (oldest.tried) continue;
      const excess = this.#excess(entry);
      this.#waiting.delete(oldest);
      this.#bytes -= oldest.size;
      this.#drop(oldest, excess);
    }
  }

  #drop(entry: Entry, excess: Excess): void {
    this.dropped += 1;
    refuse(entry, excess);
  }

  /** Which bound `entry` goes beyond. */
  #excess({ size }: Entry): Excess {
    const bytes = this.#bytes + size;
    if (bytes > this.maxBytes) return { limit: "maxQueuedBytes", maximum: this.maxBytes, actual: bytes };
    const actual = this.length + this.#callers.size + 1;
    return { limit: "maxQueuedMessages", maximum: this.maxMessages, actual };
  }
}

interface Excess {
  readonly limit: "overflow" | "maxQueuedBytes" | "maxQueuedMessages";
  readonly maximum: number;
  readonly actual: number;
  readonly problem?: string;
}

/** Hands the message back to whoever sent it. */
function refuse({ call, data }: Entry, excess: Excess): void {
  call?.reject(new LimitError({ operation: "send", ...excess, refused: data }));
}
