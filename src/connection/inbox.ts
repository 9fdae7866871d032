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

export class Inbox {
  readonly #maxBytes: number;
  readonly #maxItems: number;
  // The bounds are kept by pausing and not by refusing, as what has been read cannot be handed back to the peer.
  readonly #stored: BoundedQueue<Stored> = new BoundedQueue(Infinity, Infinity);
  readonly #waiting: Wait<Item>[] = [];
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
    const wait = this.#waiting.shift();
    if (wait === undefined) this.#stored.offer({ item, size: sizeOf(item) });
    else wait.resolve(item);
  }

  take(): Item | undefined {
    return this.#stored.take()?.item;
  }

  /** Puts `wait` behind those who wait already. */
  wait(wait: Wait<Item>): void {
    this.#waiting.push(wait);
  }

  withdraw(wait: Wait<Item>): void {
    const index = this.#waiting.indexOf(wait);
    if (index !== -1) this.#waiting.splice(index, 1);
  }

  /** Nothing more arrives. What is stored can still be taken; behind it every taker gets `error`. */
  end(error: unknown): void {
    if (this.#ended !== undefined) return;
    this.#ended = { error };
    for (const wait of this.#waiting.splice(0)) wait.reject(error);
  }
}

function sizeOf(item: Item): number {
  // A string is held as one or two bytes a character; the larger is charged.
  if (typeof item === "string") return item.length * 2;
  return item instanceof Uint8Array ? item.length : item.bytes.length;
}
