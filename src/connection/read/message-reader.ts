/** Reads one message in pieces, for messages that are too large to hold in memory. */

import { concat, type MessageBytes } from "../../base/bytes.ts";
import { LimitError } from "../../base/errors.ts";
import { judgeNumber } from "../../base/judge.ts";
import type { Message } from "../../engine/protocol.ts";
import { isText, textBytes } from "../../engine/text-bytes.ts";
import type { MessageReader, WaitOptions } from "../contract.ts";
import type { InboxItem, Piece } from "./inbox.ts";

/** Takes the next piece. */
export type NextPiece = (options?: WaitOptions) => Promise<InboxItem>;

export class PieceReader implements MessageReader {
  readonly type: "text" | "binary";
  readonly #next: NextPiece;
  readonly #textAsBytes: boolean;
  readonly #onEnd: () => void;
  #piece: Piece | undefined;
  #reading = false;
  #ended = false;
  /** Pieces that `collect` has read so far. */
  #collected: MessageBytes[] = [];
  #collectedSize = 0;

  /** `textAsBytes`: `collect` returns a text as bytes. */
  constructor(first: InboxItem, next: NextPiece, onEnd: () => void, textAsBytes: boolean) {
    const piece = asPiece(first);
    this.type = piece.type;
    this.#piece = piece;
    this.#next = next;
    this.#textAsBytes = textAsBytes;
    this.#onEnd = onEnd;
  }

  async read(options?: WaitOptions): Promise<MessageBytes | undefined> {
    // If the first call reads the last piece, a second pending call would take the first piece of the next message.
    if (this.#reading) throw new TypeError("Cannot read: another read of this message is under way");
    this.#reading = true;
    try {
      while (!this.#ended) {
        const piece = this.#piece ?? asPiece(await this.#next(options));
        this.#piece = undefined;
        if (piece.last) {
          this.#ended = true;
          this.#onEnd();
        }
        if (piece.bytes.length > 0) return piece.bytes;
      }
      return undefined;
    } finally {
      this.#reading = false;
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<MessageBytes, void, undefined> {
    try {
      for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) yield bytes;
    } finally {
      // A loop that is left early does not need the rest, and the next message is behind it.
      while (!this.#ended && (await this.read().catch(() => undefined)) !== undefined);
    }
  }

  stream(): ReadableStream<MessageBytes> {
    let pulled: Promise<MessageBytes | undefined> = Promise.resolve(undefined);
    return new ReadableStream<MessageBytes>(
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

  async collect(maximum: number): Promise<Message> {
    // Without this check, `undefined` and NaN would be no limit at all.
    judgeNumber("maximum", maximum, { least: 0, infinity: "no limit" });
    for (let bytes = await this.read(); bytes !== undefined; bytes = await this.read()) {
      this.#collected.push(bytes);
      this.#collectedSize += bytes.length;
      const actual = this.#collectedSize;
      if (actual > maximum) {
        this.#collected = [];
        throw new LimitError({ operation: "receive", limit: "maximum", maximum, actual });
      }
    }
    return joinPieces(this.type, this.#collected, this.#textAsBytes);
  }
}

/** Joins the pieces of a message. `textAsBytes`: a text is returned as bytes. */
export function joinPieces(type: "text" | "binary", pieces: readonly MessageBytes[], textAsBytes: boolean): Message {
  const bytes = concat(pieces);
  if (type === "text" && textAsBytes) return textBytes(bytes);
  return type === "text" ? new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes) : bytes;
}

/** A whole message is a single piece that is first and last. */
export function asPiece(item: InboxItem): Piece {
  if (typeof item === "string") return { type: "text", bytes: new TextEncoder().encode(item), last: true };
  if (ArrayBuffer.isView(item)) return { type: isText(item) ? "text" : "binary", bytes: item, last: true };
  return item as Piece;
}
