/** The send queue: bounded, in the order of the calls, with an overflow policy for messages that do not fit. */

import { BoundedQueue, type Offer, type Sized } from "./bounded-queue.ts";

/**
 * The policy for a message that does not fit in the send queue. The `send` call of a refused or dropped message rejects with
 * LimitError.
 *
 * - `"wait"`: a call of `send` waits for room; `trySend` refuses the message.
 * - `"reject"`: the message is refused.
 * - `"drop-newest"`: the message is dropped and counted.
 * - `"drop-oldest"`: the oldest messages are dropped until there is room, if nothing of them is written. If that does not make
 *   enough room, the message is refused.
 * - `"coalesce"`: the message replaces a queued message with the same `key`, even if there is room. If there is no such message
 *   and no room, the message is refused.
 * - `"close"`: the message is refused, and the connection closes with code 1013.
 */
export type Overflow = "wait" | "reject" | "drop-newest" | "drop-oldest" | "coalesce" | "close";

/**
 * The number of bytes that each queued message counts in addition to its payload. Measured on Node 20: a message of `send` uses
 * 620 bytes of heap as text and 790 as bytes, including its promise. A message of `trySend` uses 145 and 320.
 */
export const MESSAGE_OVERHEAD = 512;

/**
 * The limit for calls that wait for room, as a multiple of `maxQueuedBytes`. By default, a hundred producers that each await the
 * send of a 300 KB message have room, but the sends of a loop that does not await are refused before they use up the memory.
 */
export const WAITING_SHARE = 32;

/** The properties of a message that the queue uses. */
export interface Queueable extends Sized {
  /** With `coalesce`, a later message with the same key replaces this one. */
  readonly key: string | undefined;
  /** True if the message may be dropped: no byte of it was passed to the transport, and its call is not resolved. */
  readonly droppable: boolean;
  /** True if a call waits for the message. Such a call can also wait for room. */
  readonly awaited: boolean;
}

export interface OverflowQueueBounds {
  readonly maxQueuedBytes: number;
  readonly maxQueuedMessages: number;
}

/** The limit that a message exceeds. */
export interface Excess {
  readonly limit: "overflow" | "maxQueuedBytes" | "maxQueuedMessages";
  readonly maximum: number;
  readonly actual: number;
  readonly problem?: string;
}

/** The policy for which a message was lost. */
export type LossPolicy = Exclude<Overflow, "wait">;

/**
 * A send queue. A message has a place in the queue, or its call waits for a place. Each of the two groups has limits of its own.
 * Waiting calls get places in their order, and no later message gets a place before them.
 */
export class OverflowQueue<T extends Queueable> implements Iterable<T> {
  readonly #bounds: OverflowQueueBounds;
  readonly #lost: (item: T, policy: LossPolicy, excess: Excess) => void;
  readonly #queue: BoundedQueue<T>;
  readonly #waiting: BoundedQueue<T>;
  /** The number of messages lost with `drop-newest`, `drop-oldest` and `coalesce`. */
  dropped = 0;
  /** The number of messages that were refused because there was no room. */
  refused = 0;

  /** `lost` is called for each message that is dropped or refused, after it has left the queue. */
  constructor(bounds: OverflowQueueBounds, lost: (item: T, policy: LossPolicy, excess: Excess) => void) {
    const { maxQueuedBytes, maxQueuedMessages } = bounds;
    this.#bounds = bounds;
    this.#lost = lost;
    this.#queue = new BoundedQueue(maxQueuedBytes, maxQueuedMessages, MESSAGE_OVERHEAD);
    this.#waiting = new BoundedQueue(WAITING_SHARE * maxQueuedBytes, maxQueuedMessages, MESSAGE_OVERHEAD);
  }

  /** The bytes that the messages with a place count: their payload, and the overhead of each. */
  get bytes(): number {
    return this.#queue.bytes;
  }

  /** The bytes of all messages, also of those whose calls wait for a place, without what they share with other queues. */
  get ownBytes(): number {
    return this.#queue.ownBytes + this.#waiting.ownBytes;
  }

  /** The payload of the messages with a place, in bytes. */
  get payloadBytes(): number {
    return this.#queue.bytes - this.#queue.length * MESSAGE_OVERHEAD;
  }

  /** The number of messages with a place. */
  get length(): number {
    return this.#queue.length;
  }

  /** The number of calls that wait for a place. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** True if the queue is in its initial state. */
  get isInitial(): boolean {
    return this.length === 0 && this.waiting === 0 && this.dropped === 0 && this.refused === 0;
  }

  /** The message at `index` among those with a place, counted from the oldest. */
  at(index: number): T {
    return this.#queue.at(index);
  }

  /** Returns the oldest message and does not remove it. */
  peek(): T | undefined {
    return this.#queue.peek();
  }

  /** Removes and returns the oldest message. Call `admitWaiting` after it. */
  take(): T | undefined {
    return this.#queue.take();
  }

  /** True if a message of `size` bytes gets a place now without the loss of another message. */
  hasRoom(size: number): boolean {
    const { maxQueuedBytes, maxQueuedMessages } = this.#bounds;
    const { bytes, length } = this.#queue;
    if (this.#waiting.length > 0) return false;
    if (length === 0) return size <= maxQueuedBytes;
    return length < maxQueuedMessages && bytes + size + MESSAGE_OVERHEAD <= maxQueuedBytes;
  }

  /** Adds `item` to the queue. If there is no room, `overflow` decides: the call waits for a place, or a message is lost. */
  add(item: T, overflow: Overflow): "queued" | "waiting" | "refused" {
    if (overflow === "coalesce" && this.#replaceByKey(item)) return "queued";
    let offer = this.#offer(item);
    while (offer === "full" && overflow === "drop-oldest" && this.#fitsWithoutDroppable(item)) {
      const excess = this.#excess(item);
      const oldest = this.#queue.dropOldest(isDroppable);
      if (oldest === undefined) break;
      this.#drop(oldest, "drop-oldest", excess);
      // Waiting calls come before `item`. After they have got places, their messages can also be dropped for `item`.
      this.admitWaiting();
      offer = this.#offer(item);
    }
    if (offer === "queued") return "queued";
    if (offer === "full" && overflow === "wait" && item.awaited) {
      if (this.#waiting.offer(item) === "queued") return "waiting";
      this.#refuse(item, "reject", this.#excessOfWaiting(item));
    } else if (overflow === "drop-newest") this.#drop(item, "drop-newest", this.#excess(item));
    else this.#refuse(item, overflow === "close" ? "close" : "reject", this.#excess(item));
    return "refused";
  }

  /** Gives places to the waiting calls, in their order, as long as there is room. */
  admitWaiting(): void {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (this.#queue.offer(next) !== "queued") return;
      this.#waiting.take();
    }
  }

  /** Removes `item`, with or without a place. Returns false if it is in neither group. Call `admitWaiting` after it. */
  remove(item: T): boolean {
    return this.#waiting.remove(item) || this.#queue.remove(item);
  }

  /** Removes and returns the oldest message with a place for which `matches` returns true. Call `admitWaiting` after it. */
  removeOldest(matches: (item: T) => boolean): T | undefined {
    return this.#queue.dropOldest(matches);
  }

  /** Removes and returns the message whose call has waited longest for a place. */
  takeWaiting(): T | undefined {
    return this.#waiting.take();
  }

  /**
   * Iterates over the messages with a place, then over those of waiting calls. The queue must not change during the iteration.
   */
  *[Symbol.iterator](): Generator<T, void, undefined> {
    yield* this.#queue;
    yield* this.#waiting;
  }

  #offer(item: T): Offer {
    if (this.#waiting.length > 0) return item.size > this.#bounds.maxQueuedBytes ? "never" : "full";
    return this.#queue.offer(item);
  }

  /**
   * Replaces a droppable message that has the same key with `item`, at the same position. Returns false if there is none or no
   * room.
   */
  #replaceByKey(item: T): boolean {
    const { key } = item;
    if (key === undefined) return false;
    const superseded = this.#queue.replace((queued) => queued.key === key && queued.droppable, item);
    if (typeof superseded === "string") return false;
    const problem = `a later message with the key ${key} took its place`;
    this.#drop(superseded as T, "coalesce", { limit: "overflow", maximum: 1, actual: 2, problem });
    return true;
  }

  #drop(item: T, policy: "drop-newest" | "drop-oldest" | "coalesce", excess: Excess): void {
    this.dropped += 1;
    this.#lost(item, policy, excess);
  }

  #refuse(item: T, policy: "reject" | "close", excess: Excess): void {
    this.refused += 1;
    this.#lost(item, policy, excess);
  }

  /**
   * True if `item` fits after all droppable messages are dropped. Counts from the oldest message and stops as soon as there is
   * enough room, because under a flood this runs for each message.
   */
  #fitsWithoutDroppable({ size }: T): boolean {
    const { maxQueuedBytes, maxQueuedMessages } = this.#bounds;
    let bytes = this.#queue.bytes + this.#waiting.bytes + size + MESSAGE_OVERHEAD - maxQueuedBytes;
    let messages = this.#queue.length + this.#waiting.length + 1 - maxQueuedMessages;
    let all = true;
    for (let index = 0; index < this.#queue.length + this.#waiting.length; index += 1) {
      if (bytes <= 0 && messages <= 0) return true;
      const behind = index - this.#queue.length;
      const other = behind < 0 ? this.#queue.at(index) : this.#waiting.at(behind);
      if (other.droppable) {
        bytes -= other.size + MESSAGE_OVERHEAD;
        messages -= 1;
      } else all = false;
    }
    // If all messages are droppable, the queue becomes empty, and an item always fits in an empty queue, with any overhead.
    return all || (bytes <= 0 && messages <= 0);
  }

  /** The limit that `item` exceeds, together with all messages before it. */
  #excess(item: T): Excess {
    const items = this.#queue.length + this.#waiting.length;
    return this.#excessOver(item, this.#bounds.maxQueuedBytes, this.#queue.bytes + this.#waiting.bytes, items);
  }

  #excessOfWaiting(item: T): Excess {
    const { bytes, length } = this.#waiting;
    const maximum = WAITING_SHARE * this.#bounds.maxQueuedBytes;
    return {
      ...this.#excessOver(item, maximum, bytes, length),
      problem: `${length} calls with ${bytes} bytes already wait for room`,
    };
  }

  #excessOver({ size }: T, maximum: number, before: number, items: number): Excess {
    // In an empty queue the overhead does not count, so the payload alone exceeds the limit.
    const bytes = items === 0 ? size : before + size + MESSAGE_OVERHEAD;
    if (bytes > maximum) return { limit: "maxQueuedBytes", maximum, actual: bytes };
    return { limit: "maxQueuedMessages", maximum: this.#bounds.maxQueuedMessages, actual: items + 1 };
  }
}

function isDroppable({ droppable }: Queueable): boolean {
  return droppable;
}
