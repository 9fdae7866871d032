/** A message's bytes, joined as they come: they cost what has arrived, whatever was announced and in however many pieces. */

// Small, because a peer may begin a message on each of many connections and leave it at one byte.
const SMALLEST = 64;

const EMPTY = new Uint8Array();

export class Store {
  #bytes: Uint8Array = EMPTY;
  #size = 0;
  #expected = Infinity;

  get size(): number {
    return this.#size;
  }

  /** What has come, to be read at once. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#size);
  }

  /**
   * What all of it will measure, as soon as that is known. Nothing is taken for it before it arrives; it keeps the store
   * from growing past it, so that bytes which fill their store are handed over without a copy.
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
  }

  #grow(needed: number): void {
    const doubled = Math.max(this.#bytes.length * 2, SMALLEST);
    const grown = new Uint8Array(Math.max(needed, Math.min(doubled, this.#expected)));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
  }
}
