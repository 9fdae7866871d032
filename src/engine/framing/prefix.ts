/** The forms of a length prefix: numbers of a fixed width, and varints. */

/** One form of a length prefix. It has no state: the decoder stores a partly read length. */
export interface LengthPrefix {
  /** The maximum number of bytes of a prefix. */
  readonly maxBytes: number;
  /** The largest length that can be written. */
  readonly maxSize: number;
  /**
   * Adds `byte`, the byte number `index` of the prefix, to `value`. The result is exact up to 2^53. A larger length gives a
   * result above 2^53.
   */
  add(value: number, byte: number, index: number): number;
  /** True if `byte` is the last byte of the prefix. */
  ends(byte: number, index: number): boolean;
  /** Describes the error in `byte`; undefined if `byte` is valid. */
  problem(byte: number, index: number): string | undefined;
  /** Writes the prefix for `size` at index `at`. Returns the index after it. */
  write(target: Uint8Array, at: number, size: number): number;
}

export class FixedWidthPrefix implements LengthPrefix {
  readonly maxBytes: number;
  readonly maxSize: number;
  readonly #little: boolean;

  constructor(width: 1 | 2 | 4 | 8, endian: "big" | "little") {
    this.maxBytes = width;
    this.maxSize = Math.min(2 ** (8 * width) - 1, Number.MAX_SAFE_INTEGER);
    this.#little = endian === "little";
  }

  add(value: number, byte: number, index: number): number {
    return this.#little ? value + byte * 2 ** (8 * index) : value * 256 + byte;
  }

  ends(_byte: number, index: number): boolean {
    return index === this.maxBytes - 1;
  }

  problem(): undefined {}

  write(target: Uint8Array, at: number, size: number): number {
    const end = at + this.maxBytes;
    let rest = size;
    for (let count = 0; count < this.maxBytes; count += 1) {
      target[this.#little ? at + count : end - 1 - count] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return end;
  }
}

const MAX_VARINT_BYTES = 10;

/** Unsigned LEB128, as in protobuf's delimited messages: seven bits for each byte, the least significant bits first. */
export class VarintPrefix implements LengthPrefix {
  readonly maxBytes: number = MAX_VARINT_BYTES;
  readonly maxSize: number = Number.MAX_SAFE_INTEGER;

  add(value: number, byte: number, index: number): number {
    return value + (byte & 0x7f) * 2 ** (7 * index);
  }

  ends(byte: number): boolean {
    return byte < 0x80;
  }

  problem(byte: number, index: number): string | undefined {
    // The tenth byte holds only the 64th bit.
    if (index === MAX_VARINT_BYTES - 1 && byte > 1) return "a varint is larger than 64 bits";
    // Only the shortest form is valid. If one length had several forms, two receivers could read the same bytes differently.
    return byte === 0 && index > 0 ? `a varint takes ${index + 1} bytes and needs fewer` : undefined;
  }

  write(target: Uint8Array, at: number, size: number): number {
    let end = at;
    let rest = size;
    while (rest >= 0x80) {
      target[end] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
      end += 1;
    }
    target[end] = rest;
    return end + 1;
  }
}
