/** The queue of messages that wait for a connection or for room on it, with a record of those that are on their way. */

import { LimitError, type PreparedMessage } from "../core.ts";
import {
  type Excess,
  type LossPolicy,
  type Overflow,
  OverflowQueue,
  type Queueable,
} from "../engine/queue/overflow-queue.ts";
import type { ReconnectingCall } from "./call.ts";

/** The policy for a message for which the queue has no room. `close` is not available, because a new connection makes no room. */
export type QueueOverflow = Exclude<Overflow, "close">;

/** One message of the queue. */
export class Entry implements Queueable {
  readonly prepared: PreparedMessage;
  readonly size: number;
  readonly key: string | undefined;
  /** Whether to compress the message. If undefined, the connection decides. */
  readonly compress: boolean | undefined;
  /** The pending call of the message. Undefined for `trySend`. */
  readonly call: ReconnectingCall<void> | undefined;
  /** True if a peer may have received bytes of the message. It cannot be withdrawn or dropped then. */
  started = false;
  /** True if the message was passed to the current connection and is not done. */
  taken = false;

  constructor(
    prepared: PreparedMessage,
    { key, compress }: { readonly key?: string | undefined; readonly compress?: boolean | undefined },
    call: ReconnectingCall<void> | undefined,
  ) {
    this.prepared = prepared;
    const { message } = prepared;
    this.size = typeof message === "string" ? Buffer.byteLength(message) : message.length;
    this.key = key;
    this.compress = compress;
    this.call = call;
  }

  get droppable(): boolean {
    return !this.started;
  }

  get awaited(): boolean {
    return this.call !== undefined;
  }
}

/** A `SendQueue` whose entries can be taken. Taken entries keep their places, before all others, until they are done. */
export class ReconnectingQueue {
  readonly #queue: OverflowQueue<Entry>;
  /** The number of taken entries, which are the first ones. */
  #taken = 0;

  constructor(maxQueuedBytes: number, maxQueuedMessages: number) {
    this.#queue = new OverflowQueue<Entry>({ maxQueuedBytes, maxQueuedMessages }, rejectLost);
  }

  /** The bytes that all entries with a place count: their payload, and the overhead of each. */
  get bytes(): number {
    return this.#queue.bytes;
  }

  get length(): number {
    return this.#queue.length;
  }

  get empty(): boolean {
    return this.#queue.length + this.#queue.waiting === 0;
  }

  /** The number of messages lost to `drop-newest`, `drop-oldest` and `coalesce`. */
  get dropped(): number {
    return this.#queue.dropped;
  }

  /** The number of messages that were refused because there was no room. */
  get refused(): number {
    return this.#queue.refused;
  }

  /** Adds `entry`. If there is no room, `overflow` decides: the call waits for a place, or a message is lost. */
  add(entry: Entry, overflow: QueueOverflow): "queued" | "waiting" | "refused" {
    return this.#queue.add(entry, overflow);
  }

  /** Takes and returns the oldest entry that is not taken. Undefined if there is none. */
  take(): Entry | undefined {
    if (this.#taken === this.#queue.length) return undefined;
    const oldest = this.#queue.at(this.#taken);
    oldest.taken = true;
    this.#taken += 1;
    return oldest;
  }

  /** Removes `entry`, which was taken. Returns false if it is not taken any more. */
  done(entry: Entry): boolean {
    if (!entry.taken) return false;
    entry.taken = false;
    this.#taken -= 1;
    return this.#remove(entry);
  }

  /** Removes `entry` if it is not taken. Returns false if it was not removed. */
  withdraw(entry: Entry): boolean {
    return !entry.taken && this.#remove(entry);
  }

  /** Makes all taken entries wait again, before later entries. */
  putBack(): void {
    for (let index = 0; index < this.#taken; index += 1) this.#queue.at(index).taken = false;
    this.#taken = 0;
  }

  /** Removes all taken entries, and returns them in order. */
  removeTaken(): readonly Entry[] {
    const given = Array.from({ length: this.#taken }, (_, index) => this.#queue.at(index));
    for (const entry of given) this.done(entry);
    return given;
  }

  /** Removes all entries, and returns them in order. Those of calls that wait for a place are included. */
  clear(): readonly Entry[] {
    const all = [...this.#queue];
    this.#taken = 0;
    for (const entry of all) {
      entry.taken = false;
      this.#queue.remove(entry);
    }
    return all;
  }

  #remove(entry: Entry): boolean {
    if (!this.#queue.remove(entry)) return false;
    this.#queue.admitWaiting();
    return true;
  }
}

/** Rejects the call of a lost message. The error contains the message. */
function rejectLost({ call, prepared: { message } }: Entry, _policy: LossPolicy, excess: Excess): void {
  call?.reject(new LimitError({ operation: "send", ...excess, returned: message }));
}
