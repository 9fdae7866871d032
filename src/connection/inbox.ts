/** What has arrived and nobody has taken: in order, bounded, with those who wait for more. */

import type { Data } from "../engine/protocol.js";
import { BoundedQueue } from "../engine/queue.js";
import type { Wait } from "./waits.js";

/** A piece of a message that is being streamed. */
export interface Piece {
  readonly type: "text" | "binary";
  readonly bytes: Uint8Array;
  /** Whether it ends its message. */
  readonly last: boolean;
}

/** What the inbox holds: whole messages, or with `streaming` their pieces. */
export type Item = Data | Piece;

interface Stored {
  readonly item: Item;
  readonly size: number;
}

/** A call that takes an item, whatever its promise makes of it. */
export type Taker = Pick<Wait<Item>, "resolve" | "reject">;

// Shared by all inboxes for which nobody waits, and never written to: as the ring of an empty queue.
const NOBODY: Taker[] = [];

export class Inbox {
  readonly #maxBytes: number;
  readonly #maxItems: number;
  // The bounds are kept by pausing and not by refusing, as what has been read cannot be handed back to the peer.
  readonly #stored: BoundedQueue<Stored> = new BoundedQueue(Infinity, Infinity);
  #waiting: Taker[] = NOBODY;
  #ended: { readonly error: unknown } | undefined;

  constructor(maxBytes: number, maxItems: number) {
    this.#maxBytes = maxBytes;
    this.#maxItems = maxItems;
  }

  get length(): number {
    return this.#stored.length;
  }

  get empty(): boolean {
    return this.#stored.length === 0;
  }

  /** Whether it is as it was made. */
  get atRest(): boolean {
    return this.empty && !this.awaited && this.#ended === undefined;
  }

  /** Whether reading must pause. The item that reached the bound is kept, so it is passed by one item at the most. */
  get full(): boolean {
    return this.#stored.bytes >= this.#maxBytes || this.#stored.length >= this.#maxItems;
  }

  /** Whether reading may go on after a pause: at half of each bound, so that it does not flutter. */
  get hasRoom(): boolean {
    return this.#stored.bytes * 2 <= this.#maxBytes && this.#stored.length * 2 <= this.#maxItems;
  }

  /** Whether somebody waits for an item right now. */
  get awaited(): boolean {
    return this.#waiting.length > 0;
  }

  /** The error that later takers get; the item inside is undefined until the inbox has ended. */
  get ended(): { readonly error: unknown } | undefined {
    return this.#ended;
  }

  /** Gives `item` to whoever has waited longest, or keeps it. */
  push(item: Item): void {
    const waiting = this.#waiting;
    const taker = waiting[0];
    if (taker === undefined) this.#stored.offer({ item, size: sizeOf(item) });
    else {
      if (waiting.length === 1) this.#waiting = NOBODY;
      else waiting.shift();
      taker.resolve(item);
    }
  }

  take(): Item | undefined {
    return this.#stored.take()?.item;
  }

  /** Puts `taker` behind those who wait already. */
  wait(taker: Taker): void {
    if (this.#waiting.length === 0) this.#waiting = [taker];
    else this.#waiting.push(taker);
  }

  withdraw(taker: Taker): void {
    const index = this.#waiting.indexOf(taker);
    if (index === -1) return;
    if (this.#waiting.length === 1) this.#waiting = NOBODY;
    else this.#waiting.splice(index, 1);
  }

  /** Nothing more arrives. What is stored can still be taken; behind it every taker gets `error`. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    const waiting = this.#waiting;
    this.#waiting = NOBODY;
    for (const taker of waiting) taker.reject(error);
  }
}

function sizeOf(item: Item): number {
  // A string is held as one or two bytes a character; the larger is charged.
  if (typeof item === "string") return item.length * 2;
  return item instanceof Uint8Array ? item.length : item.bytes.length;
}
