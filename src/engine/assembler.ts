/** Joins the pieces of a message, or passes them on. */

import type { DecoderLimits, Visitor } from "./protocol.js";
import { Utf8Validator } from "./utf8.js";

// Small, because a peer may begin a message on each of many connections and leave it at one byte.
const SMALLEST_STORE = 64;

const EMPTY = new Uint8Array();

// A byte order mark is part of the message: what was sent is what is received.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * One message at a time: `begin`, any number of `take`, then `finish` or `last`; or `whole` alone. Sizes are the
 * caller's to judge, before it gives bytes. Each answer is the visitor's, or false after the visitor was told that
 * a text is not UTF-8, which `failed` tells apart.
 */
export class Assembler {
  readonly #clause: string;
  readonly #streaming: boolean;
  readonly #validator = new Utf8Validator();
  #store: Uint8Array = EMPTY;
  #expected = Infinity;
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
    this.#expected = Infinity;
    if (text) this.#validator.reset();
  }

  /**
   * What the whole message will measure, as soon as that is known. Nothing is stored for it before it arrives; it
   * keeps the store from growing past it, so that a message which fills its store is handed over without a copy.
   */
  expect(size: number): void {
    this.#expected = size;
  }

  /** Takes the bytes `from` to `to` of the chunk. Text is checked as it comes. */
  take(chunk: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    if (from === to) return true;
    if (this.#text && !this.#check(chunk, from, to, visitor)) return false;
    const size = this.#size + (to - from);
    if (this.#streaming) {
      this.#size = size;
      return visitor.piece(this.#text ? "text" : "binary", copyOf(chunk, from, to), false);
    }
    if (size > this.#store.length) this.#grow(size);
    this.#store.set(chunk.subarray(from, to), this.#size);
    this.#size = size;
    return true;
  }

  /** Ends the message: delivers it, or its end when streaming. */
  finish(visitor: Visitor): boolean {
    if (this.#text && !this.#checkEnd(visitor)) return false;
    const text = this.#text;
    const size = this.#size;
    const store = this.#store;
    this.clear();
    if (this.#streaming) return visitor.piece(text ? "text" : "binary", new Uint8Array(), true);
    if (text) return visitor.message(decoder.decode(store.subarray(0, size)));
    // EMPTY stays here: whoever is given an array may transfer its buffer away.
    return visitor.message(size > 0 && size === store.length ? store : copyOf(store, 0, size));
  }

  /** `take` and `finish` in one visitor call, so that a visitor that says stop is not called once more. */
  last(chunk: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    if (!this.#streaming) return this.take(chunk, from, to, visitor) && this.finish(visitor);
    const text = this.#text;
    if (text && !(this.#check(chunk, from, to, visitor) && this.#checkEnd(visitor))) return false;
    this.clear();
    return visitor.piece(text ? "text" : "binary", copyOf(chunk, from, to), true);
  }

  /** Delivers a message that lies in the chunk from end to end, with one copy. */
  whole(text: boolean, chunk: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
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
    this.#store = EMPTY;
  }

  #grow(needed: number): void {
    const doubled = Math.max(this.#store.length * 2, SMALLEST_STORE);
    const store = new Uint8Array(Math.max(needed, Math.min(doubled, this.#expected)));
    store.set(this.#store.subarray(0, this.#size));
    this.#store = store;
  }

  #check(chunk: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const at = this.#validator.push(chunk, from, to);
    if (at < 0) return true;
    const byte = (chunk[at] as number).toString(16).padStart(2, "0");
    return this.#fail(`byte 0x${byte} at ${this.#size + at - from} of a text is not UTF-8`, visitor);
  }

  #checkEnd(visitor: Visitor): boolean {
    return this.#validator.complete || this.#fail("a text ends inside a UTF-8 character", visitor);
  }

  #fail(problem: string, visitor: Visitor): false {
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
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
