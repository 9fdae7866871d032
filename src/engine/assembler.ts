/** Joins the pieces of a message, or passes them on. */

import type { DecoderLimits, Visitor } from "./protocol.js";
import { Store } from "./store.js";
import { Utf8Validator } from "./utf8.js";

// A byte order mark is part of the message: what was sent is what is received.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The part of a visitor that messages go to. */
export type MessageVisitor = Pick<Visitor, "message" | "piece" | "fail">;

/**
 * One message at a time: `begin`, any number of `take`, then `finish` or `last`; or `whole` alone. Sizes are the
 * caller's to judge, before it gives bytes. Each answer is the visitor's, or false after the visitor was told that
 * a text is not UTF-8, which `failed` tells apart.
 */
export class Assembler {
  readonly #clause: string;
  readonly #streaming: boolean;
  readonly #validator = new Utf8Validator();
  readonly #store = new Store();
  #size = 0;
  #text: boolean = false;
  #active: boolean = false;
  #failed: boolean = false;

  /** `clause` is what a text that is not UTF-8 breaks. */
  constructor(limits: DecoderLimits, clause: string) {
    this.#clause = clause;
    this.#streaming = limits.streaming;
  }

  /** Payload bytes taken of this message so far; 0 between messages. */
  get size(): number {
    return this.#size;
  }

  /** Whether a message has begun and not ended. */
  get active(): boolean {
    return this.#active;
  }

  /** Whether the visitor was told to fail. Nothing may be given to it after that. */
  get failed(): boolean {
    return this.#failed;
  }

  begin(text: boolean): void {
    this.#active = true;
    this.#text = text;
    if (text) this.#validator.reset();
  }

  /** What the whole message will measure, as soon as that is known. */
  expect(size: number): void {
    this.#store.expect(size);
  }

  /** Takes the bytes `from` to `to` of the chunk. Text is checked as it comes. */
  take(chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    if (from === to) return true;
    if (this.#text && !this.#check(chunk, from, to, visitor)) return false;
    this.#size += to - from;
    if (this.#streaming) return visitor.piece(this.#text ? "text" : "binary", copyOf(chunk, from, to), false);
    this.#store.append(chunk, from, to);
    return true;
  }

  /** Ends the message: delivers it, or its end when streaming. */
  finish(visitor: MessageVisitor): boolean {
    if (this.#text && !this.#checkEnd(visitor)) return false;
    const text = this.#text;
    const data = text ? decoder.decode(this.#store.bytes) : this.#store.take();
    this.clear();
    if (this.#streaming) return visitor.piece(text ? "text" : "binary", new Uint8Array(), true);
    return visitor.message(data);
  }

  /** `take` and `finish` in one visitor call, so that a visitor that says stop is not called once more. */
  last(chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    if (!this.#streaming) return this.take(chunk, from, to, visitor) && this.finish(visitor);
    const text = this.#text;
    if (text && !(this.#check(chunk, from, to, visitor) && this.#checkEnd(visitor))) return false;
    this.clear();
    return visitor.piece(text ? "text" : "binary", copyOf(chunk, from, to), true);
  }

  /** Delivers a message that lies in the chunk from end to end, with one copy. */
  whole(text: boolean, chunk: Uint8Array, from: number, to: number, visitor: MessageVisitor): boolean {
    if (!this.#streaming) {
      if (!text) return visitor.message(copyOf(chunk, from, to));
      const decoded = decode(chunk, from, to);
      if (decoded !== undefined) return visitor.message(decoded);
      // The decoder does not tell where it failed; the way of the pieces does.
    }
    this.begin(text);
    return this.last(chunk, from, to, visitor);
  }

  /** Lets go of what was stored. */
  clear(): void {
    this.#active = false;
    this.#size = 0;
    this.#store.clear();
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
    visitor.fail({ closeCode: 1007, clause: this.#clause, problem });
    return false;
  }
}

/** The text of these bytes; undefined if they are not UTF-8. */
function decode(bytes: Uint8Array, from: number, to: number): string | undefined {
  try {
    return decoder.decode(bytes.subarray(from, to));
  } catch {
    return undefined;
  }
}

/** These bytes in an array of their own and of exactly their size. */
export function copyOf(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return Uint8Array.prototype.slice.call(plain(bytes), from, to);
}

/**
 * The same bytes, seen as a `Uint8Array` and nothing derived from it. What is copied from a `Buffer` would be a `Buffer`,
 * so that the class of a message would depend on how the network cut it; and code that meets one class only runs faster.
 */
export function plain(bytes: Uint8Array): Uint8Array {
  return Object.getPrototypeOf(bytes) === Uint8Array.prototype
    ? bytes
    : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
