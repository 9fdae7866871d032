/** Messages framed by rules of the user's own. */

import { utf8Length } from "../../base/bytes.js";
import type { Progress } from "../../base/errors.js";
import { plain } from "../assembler.js";
import type { Data, Decoder, DecoderLimits, Visitor } from "../protocol.js";
import { bytesOf, FramingEncoder } from "./encoder.js";

/** A message that `decode` found, and how many of the pending bytes it took. */
export interface Decoded {
  readonly message: Data;
  readonly size: number;
}

/**
 * A framing of your own. One object serves every connection that is given it, so it keeps nothing between calls.
 * Its messages are not written in parts, and are read whole before they are given in pieces.
 */
export interface CustomFraming {
  /** The bytes that stand for a message: at least one, in an array that is not written to afterwards. What it throws, `send` throws. */
  encode(message: Data): Uint8Array;
  /**
   * The first message in the bytes that have come and the number of bytes it takes with all that frames it, or
   * undefined while it is not whole. Called once for each chunk that comes and once behind each message, with everything
   * that is pending; it answers as soon as it can, from the first bytes, or a slow peer makes it slow. `pending` is to be
   * read only, during the call only; a part of it may be returned. What it throws ends the connection.
   * Neither the bytes of a message, framing included, nor the message may exceed `maxMessageSize`.
   */
  decode(pending: Uint8Array): Decoded | undefined;
}

const CLAUSE = "custom framing";

const EMPTY = new Uint8Array();
const SMALLEST_STORE = 64;

export class CustomDecoder implements Decoder {
  readonly #framing: CustomFraming;
  readonly #maxMessageSize: number;
  readonly #streaming: boolean;
  /** The beginning of a message, and room. */
  #store: Uint8Array = EMPTY;
  #stored = 0;
  #failed = false;

  constructor(framing: CustomFraming, limits: DecoderLimits) {
    this.#framing = framing;
    this.#maxMessageSize = limits.maxMessageSize;
    this.#streaming = limits.streaming;
  }

  get partial(): Progress {
    return { received: this.#failed ? 0 : this.#stored, expected: undefined };
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    let at = from;
    while (at < chunk.length && !this.#failed) {
      const stored = this.#stored;
      if (stored > 0) this.#keep(chunk, at);
      const pending = stored > 0 ? viewOf(this.#store, 0, this.#stored) : viewOf(chunk, at, chunk.length);
      const decoded = this.#decode(pending, visitor);
      if (decoded === undefined) {
        if (this.#failed) this.#store = EMPTY;
        else if (stored === 0) this.#keep(chunk, at);
        break;
      }
      const { message, size } = decoded;
      // What lies in the pending bytes is lent: they are about to change.
      const lent = typeof message !== "string" && message.buffer === pending.buffer;
      const data = lent ? plain(message).slice() : message;
      // A framing that looks ahead may find that a message had ended in what was stored before this chunk.
      at += Math.max(size - stored, 0);
      this.#stored = Math.max(stored - size, 0);
      if (this.#stored > 0) this.#store.copyWithin(0, size, stored);
      else this.#store = EMPTY;
      if (!this.#deliver(data, visitor)) return at;
    }
    return chunk.length;
  }

  /** What the user's code makes of the bytes; undefined when it needs more, or when the visitor was told to fail. */
  #decode(pending: Uint8Array, visitor: Visitor): Decoded | undefined {
    let decoded: Decoded | undefined;
    try {
      const answer = this.#framing.decode(pending);
      // A copy, judged and used: a getter may answer something else the second time.
      if (answer !== undefined) decoded = { message: answer.message, size: answer.size };
    } catch (error) {
      this.#fail(`decode threw ${error instanceof Error ? `${error.name}: ${error.message}` : typeof error}`, visitor);
      return undefined;
    }
    if (decoded === undefined) {
      this.#bound(pending.length, visitor);
      return undefined;
    }
    const { message, size } = decoded;
    if (!Number.isSafeInteger(size) || size < 1 || size > pending.length) {
      const given = typeof size === "number" ? size : `of type ${typeof size}`;
      this.#fail(`decode answered a size ${given}: expected 1 to ${pending.length}, the bytes pending`, visitor);
    } else if (typeof message !== "string" && !(message instanceof Uint8Array)) {
      this.#fail(`decode answered a message of type ${typeof message}: expected a string or a Uint8Array`, visitor);
    } else {
      this.#bound(Math.max(size, this.#sizeOf(message)), visitor);
    }
    return this.#failed ? undefined : decoded;
  }

  #sizeOf(message: Data): number {
    // No UTF-16 unit takes more than three bytes: most strings need not be counted.
    return typeof message === "string" && message.length * 3 > this.#maxMessageSize
      ? utf8Length(message)
      : message.length;
  }

  #bound(size: number, visitor: Visitor): void {
    const maximum = this.#maxMessageSize;
    if (size <= maximum) return;
    this.#failed = true;
    visitor.fail({
      closeCode: 1009,
      clause: CLAUSE,
      problem: `a message takes ${size} bytes, and maxMessageSize is ${maximum}`,
      limit: { name: "maxMessageSize", maximum, actual: size },
    });
  }

  #fail(problem: string, visitor: Visitor): void {
    this.#failed = true;
    visitor.fail({ closeCode: 1002, clause: CLAUSE, problem });
  }

  #deliver(data: Data, visitor: Visitor): boolean {
    if (!this.#streaming) return visitor.message(data);
    return visitor.piece(typeof data === "string" ? "text" : "binary", bytesOf(data), true);
  }

  #keep(chunk: Uint8Array, from: number): void {
    const size = this.#stored + chunk.length - from;
    if (size > this.#store.length) {
      const store = new Uint8Array(Math.max(size, this.#store.length * 2, SMALLEST_STORE));
      store.set(this.#store.subarray(0, this.#stored));
      this.#store = store;
    }
    this.#store.set(chunk.subarray(from), this.#stored);
    this.#stored = size;
  }
}

// Never a Buffer, whose `slice` is a view where an array's is a copy.
const viewOf = (bytes: Uint8Array, from: number, to: number): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);

export class CustomEncoder extends FramingEncoder {
  readonly #framing: CustomFraming;

  constructor(framing: CustomFraming) {
    super();
    this.#framing = framing;
  }

  payload(data: Data): Data {
    const bytes: unknown = this.#framing.encode(data);
    if (!(bytes instanceof Uint8Array)) {
      throw new TypeError(
        `Cannot send: encode answered ${bytes === null ? "null" : typeof bytes}, expected a Uint8Array`,
      );
    }
    if (bytes.length === 0) throw new RangeError("Cannot send: encode answered no bytes, which nobody can receive");
    return bytes;
  }
}
