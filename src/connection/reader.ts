/** One message read in pieces, for those too large to hold. */

import { concat } from "../base/bytes.js";
import { LimitError } from "../base/errors.js";
import type { Data } from "../engine/protocol.js";
import type { Item, Piece } from "./inbox.js";
import type { WaitOptions } from "./waits.js";

/** Where the pieces come from. */
export type NextPiece = (options?: WaitOptions) => Promise<Item>;

/**
 * A message whose pieces are taken as they arrive. While they are not taken, reading from the peer pauses.
 * It must be read to its end (or left with `break`, which reads and discards the rest) before the next message can be read.
 */
export class MessageReader implements AsyncIterable<Uint8Array> {
  readonly type: "text" | "binary";
  readonly #next: NextPiece;
  readonly #done: () => void;
  #piece: Piece | undefined;
  #reading = false;
  #ended = false;
  /** What `collect` has put together so far. */
  #collected: Uint8Array[] = [];
  #collectedSize = 0;

  constructor(first: Item, next: NextPiece, done: () => void) {
    const piece = asPiece(first);
    this.type = piece.type;
    this.#piece = piece;
    this.#next = next;
    this.#done = done;
  }

  /**
   * The next bytes, in pieces as the network brought them; undefined behind the last. The bytes of a text are valid UTF-8
   * as a whole, not in each piece. One call at a time.
   */
  async read(options?: WaitOptions): Promise<Uint8Array | undefined> {
    // Its wait would still stand when the other has read the last piece, and take the next message's first.
    if (this.#reading) throw new TypeError("Cannot read: another read of this message is under way");
    this.#reading = true;
    try {
      while (!this.#ended) {
        const piece = this.#piece ?? asPiece(await this.#next(options));
        this.#piece = undefined;
        if (piece.last) {
          this.#ended = true;
          this.#done();
        }
        if (piece.bytes.length > 0) return piece.bytes;
      }
      return undefined;
    } finally {
      this.#reading = false;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) yield bytes;
    } finally {
      // Whoever leaves the loop early does not want the rest, and the next message stands behind it.
      while (!this.#ended && (await this.read().catch(() => undefined)) !== undefined);
    }
  }

  /** The same as a WHATWG stream of bytes. */
  stream(): ReadableStream<Uint8Array> {
    let pulled: Promise<Uint8Array | undefined> = Promise.resolve(undefined);
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          pulled = this.read();
          const bytes = await pulled;
          if (bytes === undefined) controller.close();
          else controller.enqueue(bytes);
        },
        cancel: async () => {
          // A stream may be cancelled while it pulls.
          await pulled;
          while ((await this.read()) !== undefined);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /**
   * The whole message; a LimitError if it has more than `maximum` bytes, with the rest still to be read. What has come is
   * kept when a deadline is reached, so that the call may be made again.
   */
  async collect(maximum: number): Promise<Data> {
    for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) {
      this.#collected.push(bytes);
      this.#collectedSize += bytes.length;
      const actual = this.#collectedSize;
      if (actual > maximum) {
        this.#collected = [];
        throw new LimitError({ operation: "receive", limit: "maximum", maximum, actual });
      }
    }
    return whole(this.type, this.#collected);
  }
}

/** The message that these bytes are. */
export function whole(type: "text" | "binary", pieces: readonly Uint8Array[]): Data {
  const bytes = concat(pieces);
  return type === "text" ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) : bytes;
}

/** A whole message is a piece that is first and last at once. */
export function asPiece(item: Item): Piece {
  if (typeof item === "string") return { type: "text", bytes: new TextEncoder().encode(item), last: true };
  return item instanceof Uint8Array ? { type: "binary", bytes: item, last: true } : item;
}
