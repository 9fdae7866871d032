/** The LZ77 sliding window: the last bytes of one direction, to which compressed messages may refer (RFC 7692 7.2.1). */

import { NO_BYTES } from "../../base/bytes.ts";

export class SlidingWindow {
  readonly #maxSize: number;
  #bytes: Uint8Array = NO_BYTES;
  #size = 0;

  /** Keeps at most 2 ** `windowBits` bytes. Allocates memory only as bytes are added. */
  constructor(windowBits: number) {
    this.#maxSize = 2 ** windowBits;
  }

  /** A view of the window, valid until the next `push`. Undefined if the window is empty. */
  get bytes(): Uint8Array | undefined {
    return this.#size === 0 ? undefined : this.#bytes.subarray(0, this.#size);
  }

  push(data: Uint8Array): void {
    const maximum = this.#maxSize;
    const added = data.length > maximum ? data.subarray(data.length - maximum) : data;
    const keptSize = Math.min(this.#size, maximum - added.length);
    const size = keptSize + added.length;
    if (size > this.#bytes.length) {
      const grown = new Uint8Array(Math.min(maximum, Math.max(size, this.#bytes.length * 2)));
      grown.set(this.#bytes.subarray(this.#size - keptSize, this.#size));
      this.#bytes = grown;
    } else {
      this.#bytes.copyWithin(0, this.#size - keptSize, this.#size);
    }
    this.#bytes.set(added, keptSize);
    this.#size = size;
  }
}
