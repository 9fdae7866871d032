/** Lengths as they stand before a message: numbers of a fixed width, or varints. */

/** One way to write a length. Holds nothing: what has been read of a length is kept by its reader. */
export interface LengthPrefix {
  /** Most bytes that a length takes. */
  readonly longest: number;
  /** The largest length that can be written. */
  readonly most: number;
  /** `value` with `byte` as its byte number `index`. Exact up to 2^53; beyond that it stays beyond. */
  add(value: number, byte: number, index: number): number;
  /** Whether `byte` is the last one. */
  ends(byte: number, index: number): boolean;
  /** What is wrong with `byte`, if anything. */
  problem(byte: number, index: number): string | undefined;
  write(target: Uint8Array, at: number, size: number): number;
}

export class FixedWidthPrefix implements LengthPrefix {
  readonly longest: number;
  readonly most: number;
  readonly #little: boolean;

  constructor(width: 1 | 2 | 4 | 8, endian: "big" | "little") {
    this.longest = width;
    this.most = Math.min(2 ** (8 * width) - 1, Number.MAX_SAFE_INTEGER);
    this.#little = endian === "little";
  }

  add(value: number, byte: number, index: number): number {
    return this.#little ? value + byte * 2 ** (8 * index) : value * 256 + byte;
  }

  ends(_byte: number, index: number): boolean {
    return index === this.longest - 1;
  }

  problem(): undefined {}

  write(target: Uint8Array, at: number, size: number): number {
    const end = at + this.longest;
    let rest = size;
    for (let count = 0; count < this.longest; count += 1) {
      target[this.#little ? at + count : end - 1 - count] = rest % 256;
      rest = Math.floor(rest / 256);
    }
    return end;
  }
}

const LONGEST_VARINT = 10;

/** Unsigned LEB128, as protobuf's delimited messages have it: seven bits a byte, the lowest first. */
export class VarintPrefix implements LengthPrefix {
  readonly longest: number = LONGEST_VARINT;
  readonly most: number = Number.MAX_SAFE_INTEGER;

  add(value: number, byte: number, index: number): number {
    return value + (byte & 0x7f) * 2 ** (7 * index);
  }

  ends(byte: number): boolean {
    return byte < 0x80;
  }

  problem(byte: number, index: number): string | undefined {
    // The tenth byte holds the 64th bit and no other.
    if (index === LONGEST_VARINT - 1 && byte > 1) return "a varint is larger than 64 bits";
    // One length has one form, so that nobody can tell two readers different things with the same bytes.
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
