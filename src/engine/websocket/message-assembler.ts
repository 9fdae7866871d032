/** Joins the pieces of a message, or passes each piece to the visitor if the decoder streams. */

import type { MessageBytes } from "../../base/bytes.ts";
import type { DecoderLimits, Message, Visitor } from "../protocol.ts";
import { textBytes } from "../text-bytes.ts";
import { MessageBuffer } from "./message-buffer.ts";
import { strictDecoder, Utf8Validator } from "./utf8.ts";

/** The methods of a visitor that receive messages and errors. */
export type MessageVisitor = Pick<Visitor, "message" | "piece" | "fail">;

/**
 * Assembles one message at a time. The sequence of calls is `begin`, any number of `append`, then `finish` or `finishWith`; or
 * `deliverWhole` alone. The caller checks the size before it passes bytes. Each method returns the result of the visitor. It
 * returns false after it has called `visitor.fail` because a text is not UTF-8; `failed` is then true.
 */
export class MessageAssembler {
  readonly #clause: string;
  readonly #streaming: boolean;
  /** True if whole texts are delivered as bytes. */
  readonly #textAsBytes: boolean;
  readonly #validator = new Utf8Validator();
  readonly #buffer = new MessageBuffer();
  #size = 0;
  #text: boolean = false;
  #active: boolean = false;
  #failed: boolean = false;

  /** `clause` is the clause that a text violates if it is not UTF-8. */
  constructor(limits: DecoderLimits, clause: string) {
    this.#clause = clause;
    this.#streaming = limits.streaming;
    this.#textAsBytes = limits.messageType === "bytes";
  }

  /** The number of payload bytes of this message so far; 0 between messages. */
  get size(): number {
    return this.#size;
  }

  /** The memory that the message takes, in bytes. */
  get heldBytes(): number {
    return this.#buffer.heldBytes;
  }

  /** True if a message has begun and not ended. */
  get active(): boolean {
    return this.#active;
  }

  /** True after a call of `visitor.fail`. No method may be called after that. */
  get failed(): boolean {
    return this.#failed;
  }

  begin(text: boolean): void {
    this.#active = true;
    this.#text = text;
    if (text) this.#validator.reset();
  }

  /** Sets the size of the whole message in bytes. Called as soon as the size is known. */
  expect(size: number): void {
    this.#buffer.expect(size);
  }

  /** Adds the bytes `from` to `to` of the chunk. Checks at once whether text is UTF-8. */
  append(chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    if (from === to) return true;
    if (this.#text && !this.#check(chunk, from, to, visitor)) return false;
    this.#size += to - from;
    if (this.#streaming) return visitor.piece(this.#text ? "text" : "binary", copyRange(chunk, from, to), false);
    this.#buffer.append(chunk, from, to);
    return true;
  }

  /** Ends the message. Delivers the whole message, or an empty last piece when streaming. */
  finish(visitor: MessageVisitor): boolean {
    if (this.#text && !this.#checkEnd(visitor)) return false;
    const text = this.#text;
    const data = text && !this.#textAsBytes ? strictDecoder.decode(this.#buffer.bytes) : this.#buffer.take();
    this.clear();
    if (this.#streaming) return visitor.piece(text ? "text" : "binary", new Uint8Array(), true);
    return visitor.message(text && typeof data !== "string" ? textBytes(data) : data);
  }

  /** `append` and `finish` with one visitor call: the visitor may return false, and must not be called again after that. */
  finishWith(chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    if (!this.#streaming) return this.append(chunk, from, to, visitor) && this.finish(visitor);
    const text = this.#text;
    if (text && !(this.#check(chunk, from, to, visitor) && this.#checkEnd(visitor))) return false;
    this.clear();
    return visitor.piece(text ? "text" : "binary", copyRange(chunk, from, to), true);
  }

  /** Delivers a message that lies completely in the chunk, with one copy. */
  deliverWhole(text: boolean, chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    if (!this.#streaming) {
      if (!text) return visitor.message(copyRange(chunk, from, to));
      const decoded = this.#textAsBytes ? this.#wholeText(chunk, from, to) : decode(chunk, from, to);
      if (decoded !== undefined) return visitor.message(decoded);
      // TextDecoder does not report the position of the invalid byte. The validator in `finishWith` does.
    }
    this.begin(text);
    return this.finishWith(chunk, from, to, visitor);
  }

  /** Releases the stored bytes, and discards an unfinished message. */
  clear(): void {
    this.#active = false;
    this.#size = 0;
    this.#buffer.clear();
  }

  /** Copies the bytes of a text. Returns undefined if they are not UTF-8. */
  #wholeText(chunk: Uint8Array, from: number, to: number): Message | undefined {
    const validator = this.#validator;
    validator.reset();
    const valid = validator.push(chunk, from, to) < 0 && validator.complete;
    return valid ? textBytes(copyRange(chunk, from, to)) : undefined;
  }

  #check(chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    const at = this.#validator.push(chunk, from, to);
    if (at < 0) return true;
    const byte = (chunk[at] as number).toString(16).padStart(2, "0");
    return this.#fail(`byte 0x${byte} at ${this.#size + at - from} of a text is not UTF-8`, visitor);
  }

  #checkEnd(visitor: MessageVisitor): boolean {
    return this.#validator.complete || this.#fail("a text ends inside a UTF-8 character", visitor);
  }

  #fail(problem: string, visitor: MessageVisitor): false {
    this.clear();
    this.#failed = true;
    visitor.fail({ closeCode: 1007, reason: "invalid-utf8", clause: this.#clause, problem });
    return false;
  }
}

/** Decodes the bytes `from` to `to`. Returns undefined if they are not UTF-8. */
function decode(bytes: Uint8Array, from: number, to: number): string | undefined {
  try {
    return strictDecoder.decode(bytes.subarray(from, to));
  } catch {
    return undefined;
  }
}

/** Copies the bytes `from` to `to` into a new array of exactly that size. */
export function copyRange(bytes: Uint8Array, from: number, to: number): MessageBytes {
  return Uint8Array.prototype.slice.call(plainBytes(bytes), from, to) as MessageBytes;
}

/**
 * The same bytes as a plain `Uint8Array`, not as an instance of a subclass. A copy of a part of a `Buffer` is a `Buffer`: without
 * this function, the class of a message depends on how the network splits it. V8 also runs code faster that meets only one class.
 */
export function plainBytes(bytes: Uint8Array): Uint8Array {
  return Object.getPrototypeOf(bytes) === Uint8Array.prototype
    ? bytes
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
