/** Bounded queue of received items, in order, with the pending calls that wait for the next item. */

import type { MessageBytes } from "../../base/bytes.ts";
import type { Message } from "../../engine/protocol.ts";
import { BoundedQueue } from "../../engine/queue/bounded-queue.ts";
import { DecodedValue } from "../codec.ts";
import type { PendingCall } from "../time/pending-calls.ts";

// What the objects of one item take beside its bytes: measured on Node 20, 60 bytes for a short text and 260 for binary data.
const ITEM_OVERHEAD = 256;

/** A piece of a streamed message. */
export interface Piece {
  readonly type: "text" | "binary";
  readonly bytes: MessageBytes;
  /** True for the last piece of its message. */
  readonly last: boolean;
}

/** Whole messages, their pieces with `streaming`, or their values with a codec. */
export type InboxItem = Message | Piece | DecodedValue;

interface Stored {
  readonly item: InboxItem;
  readonly size: number;
}

/** A pending call for an item. Its promise may resolve with a converted item. */
export type PendingReceive = Pick<PendingCall<InboxItem>, "resolve" | "reject">;

// Shared by all inboxes without a pending call, and never modified, like the ring of an empty queue.
const NO_CALLS: PendingReceive[] = [];

export class Inbox {
  readonly #maxBytes: number;
  readonly #maxItems: number;
  // Unbounded: the limits pause reading instead of refusing items, because received bytes cannot be returned to the peer.
  readonly #stored: BoundedQueue<Stored> = new BoundedQueue(Infinity, Infinity);
  #calls: PendingReceive[] = NO_CALLS;
  #closed: { readonly error: unknown } | undefined;

  constructor(maxBytes: number, maxItems: number) {
    this.#maxBytes = maxBytes;
    this.#maxItems = maxItems;
  }

  get length(): number {
    return this.#stored.length;
  }

  /** The size of the items, as `maxInboxBytes` counts it. */
  get bytes(): number {
    return this.#stored.bytes;
  }

  /** The memory that the items take, in bytes. */
  get heldBytes(): number {
    return this.#stored.bytes + this.#stored.length * ITEM_OVERHEAD;
  }

  get empty(): boolean {
    return this.#stored.length === 0;
  }

  /** True if this object is in its initial state. */
  get isInitial(): boolean {
    return this.empty && !this.awaited && this.#closed === undefined;
  }

  /** True if reading must pause. The item that reaches a limit is kept, so the limit is exceeded by one item at most. */
  get full(): boolean {
    return this.#stored.bytes >= this.#maxBytes || this.#stored.length >= this.#maxItems;
  }

  /** True if reading may continue after a pause: at half of each limit, so that it does not start and stop rapidly. */
  get hasRoom(): boolean {
    return this.#stored.bytes * 2 <= this.#maxBytes && this.#stored.length * 2 <= this.#maxItems;
  }

  /** True if a call is pending. */
  get awaited(): boolean {
    return this.#calls.length > 0;
  }

  /** The error of later calls. Undefined while the inbox accepts items. */
  get closed(): { readonly error: unknown } | undefined {
    return this.#closed;
  }

  /** Resolves the oldest pending call with `item`, or stores it if there is none. */
  push(item: InboxItem): void {
    const calls = this.#calls;
    const call = calls[0];
    if (call === undefined) this.#stored.offer({ item, size: inboxSizeOf(item) });
    else {
      if (calls.length === 1) this.#calls = NO_CALLS;
      else calls.shift();
      call.resolve(item);
    }
  }

  /** Drops all items. */
  discard(): void {
    while (this.#stored.take() !== undefined);
  }

  shift(): InboxItem | undefined {
    return this.#stored.take()?.item;
  }

  /** Appends `call` to the pending calls. */
  addCall(call: PendingReceive): void {
    if (this.#calls.length === 0) this.#calls = [call];
    else this.#calls.push(call);
  }

  removeCall(call: PendingReceive): void {
    const index = this.#calls.indexOf(call);
    if (index === -1) return;
    if (this.#calls.length === 1) this.#calls = NO_CALLS;
    else this.#calls.splice(index, 1);
  }

  /** No more items arrive. Stored items can still be taken. After them every call rejects with `error`. */
  close(error: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = { error };
    const calls = this.#calls;
    this.#calls = NO_CALLS;
    for (const call of calls) call.reject(error);
  }
}

function inboxSizeOf(item: InboxItem): number {
  // V8 stores one or two bytes per character of a string. The larger size is counted.
  if (typeof item === "string") return item.length * 2;
  if (ArrayBuffer.isView(item)) return item.length;
  return item instanceof DecodedValue ? item.size : item.bytes.length;
}
