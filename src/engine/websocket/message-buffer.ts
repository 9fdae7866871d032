/** A buffer for the bytes of an incomplete message: its memory depends on the received bytes, not on the announced size. */

import { type MessageBytes, NO_BYTES } from "../../base/bytes.ts";

// In bytes. Small, because a peer may open many connections and send only one byte of a message on each.
const MIN_CAPACITY = 64;

/**
 * The maximum number of bytes that all buffers together may allocate before the bytes of their messages arrive. If a buffer has
 * the full size of its message in advance, no byte is copied to a larger array later; these copies are half the cost of a
 * message. Above this maximum, buffers grow by doubling.
 */
export const MAX_PREALLOCATED: number = 16 * 1_048_576;

// In bytes. With fewer received bytes than this, growing has little to copy, so nothing is allocated in advance.
const MIN_FOR_PREALLOCATION = 16_384;

let preallocationLeft = MAX_PREALLOCATED;

// If a connection breaks in the middle of a message, nothing calls `clear` on its buffer. Then its share of `MAX_PREALLOCATED` is
// returned when the buffer is garbage collected.
const abandoned = new FinalizationRegistry<number>((extra) => {
  preallocationLeft += extra;
});

export class MessageBuffer {
  #bytes: MessageBytes = NO_BYTES;
  #size = 0;
  #expected = Infinity;
  /** The share of `MAX_PREALLOCATED` that this buffer uses, in bytes. */
  #preallocated = 0;

  get size(): number {
    return this.#size;
  }

  /** The memory that is allocated, in bytes. */
  get heldBytes(): number {
    return this.#bytes.length;
  }

  /** A view of the received bytes. It must be read before the next call. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  /**
   * Sets the size of the whole message in bytes. Called as soon as the size is known. Allocates nothing before bytes arrive.
   * The array never becomes larger than this size, so that `take` returns a full array without a copy.
   */
  expect(size: number): void {
    this.#expected = size;
  }

  append(chunk: Uint8Array, from: number, to: number): void {
    const size = this.#size + (to - from);
    if (size > this.#bytes.length) this.#grow(size);
    this.#bytes.set(chunk.subarray(from, to), this.#size);
    this.#size = size;
  }

  /** Returns the received bytes in an array of exactly their size, which nothing else uses, and clears this buffer. */
  take(): MessageBytes {
    const bytes = this.#bytes;
    const size = this.#size;
    this.clear();
    // Never returns NO_BYTES, which all buffers share: the application may transfer the buffer of a received array.
    return size > 0 && size === bytes.length ? bytes : bytes.slice(0, size);
  }

  clear(): void {
    this.#bytes = NO_BYTES;
    this.#size = 0;
    this.#expected = Infinity;
    if (this.#preallocated > 0) this.#returnShare();
  }

  #grow(needed: number): void {
    if (this.#preallocated > 0) this.#returnShare();
    const grown = new Uint8Array(Math.max(needed, this.#capacity(needed)));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
  }

  #capacity(needed: number): number {
    const expected = this.#expected;
    if (expected <= 2 * needed) return expected;
    const extra = expected - needed;
    if (needed < MIN_FOR_PREALLOCATION || extra > preallocationLeft) {
      return Math.min(Math.max(this.#bytes.length * 2, MIN_CAPACITY), expected);
    }
    preallocationLeft -= extra;
    this.#preallocated = extra;
    abandoned.register(this, extra, this);
    return expected;
  }

  #returnShare(): void {
    preallocationLeft += this.#preallocated;
    this.#preallocated = 0;
    abandoned.unregister(this);
  }
}
