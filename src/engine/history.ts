/** The last bytes of what went one way, which compressed messages may refer to (RFC 7692 section 7.2.1). */

const EMPTY = new Uint8Array();

export class History {
  readonly #most: number;
  #bytes: Uint8Array = EMPTY;
  #size = 0;

  /** Keeps two to the power of `windowBits` bytes; takes memory for them only as they come. */
  constructor(windowBits: number) {
    this.#most = 2 ** windowBits;
  }

  /** To be read before the next `push`; undefined while there is nothing. */
  get bytes(): Uint8Array | undefined {
    return this.#size === 0 ? undefined : this.#bytes.subarray(0, this.#size);
  }

  push(data: Uint8Array): void {
    const most = this.#most;
    const added = data.length > most ? data.subarray(data.length - most) : data;
    const kept = Math.min(this.#size, most - added.length);
    const size = kept + added.length;
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(most, Math.max(size, this.#bytes.length * 2)));
      grown.set(this.#bytes.subarray(this.#size - kept, this.#size));
      this.#bytes = grown;
    } else {
      this.#bytes.copyWithin(0, this.#size - kept, this.#size);
    }
    this.#bytes.set(added, kept);
    this.#size = size;
  }
}
