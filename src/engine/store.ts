/** A message's bytes, joined as they come: they cost what has arrived, whatever was announced and in however many pieces. */

// Small, because a peer may begin a message on each of many connections and leave it at one byte.
const SMALLEST = 64;

const EMPTY = new Uint8Array();

/**
 * Bytes that all stores together may have taken ahead of what has come. A message that knows its place from the start is
 * never moved, which is half of what it costs; beyond this ceiling stores grow by doubling.
 */
export const MOST_AHEAD: number = 16 * 1_048_576;

// Of a message of which less has come there is little to move.
const WORTH_AHEAD = 16_384;

let left = MOST_AHEAD;

// A connection that breaks in the middle of a message says nothing to its store: what that held is free when it is collected.
const forgotten = new FinalizationRegistry<number>((ahead) => {
  left += ahead;
});

export class Store {
  #bytes: Uint8Array = EMPTY;
  #size = 0;
  #expected = Infinity;
  /** What was taken of the common room. */
  #ahead = 0;

  get size(): number {
    return this.#size;
  }

  /** What has come, to be read at once. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  /**
   * What all of it will measure, as soon as that is known. Nothing is taken for it before some of it has arrived; the store
   * does not grow past it, so that bytes which fill their store are handed over without a copy.
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

  /** Hands over what has come, in an array of its own and of exactly that size, and lets go of it. */
  take(): Uint8Array {
    const bytes = this.#bytes;
    const size = this.#size;
    this.clear();
    // EMPTY stays here: whoever is given an array may transfer its buffer away.
    return size > 0 && size === bytes.length ? bytes : bytes.slice(0, size);
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#size = 0;
    this.#expected = Infinity;
    if (this.#ahead > 0) this.#giveBack();
  }

  #grow(needed: number): void {
    if (this.#ahead > 0) this.#giveBack();
    const grown = new Uint8Array(Math.max(needed, this.#capacity(needed)));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
  }

  #capacity(needed: number): number {
    const expected = this.#expected;
    if (expected <= 2 * needed) return expected;
    const ahead = expected - needed;
    if (needed < WORTH_AHEAD || ahead > left) return Math.max(this.#bytes.length * 2, SMALLEST);
    left -= ahead;
    this.#ahead = ahead;
    forgotten.register(this, ahead, this);
    return expected;
  }

  #giveBack(): void {
    left += this.#ahead;
    this.#ahead = 0;
    forgotten.unregister(this);
  }
}
