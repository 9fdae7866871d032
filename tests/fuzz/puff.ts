/** A reader of deflate (RFC 1951) that is slow, short, and shares no code with zlib: what it makes of a message is the truth. */

/** A message, or the reason why it is invalid; `bytes` then holds the bytes before the error. */
export interface Puffed {
  readonly bytes: Uint8Array;
  /** `many`: more blocks marked as the last than any sender writes. `long`: longer than the limit. */
  readonly why: "whole" | "invalid" | "many" | "long";
  /** How far back it refers. */
  readonly reach: number;
  /** Blocks that are marked as the last, of those that were read. */
  readonly lastBlocks: number;
}

const TAIL = [0x00, 0x00, 0xff, 0xff];
// Nobody has a reason for more than one in a message (RFC 7692 section 7.2.3.4), and each is another beginning.
const MOST_LAST_BLOCKS = 16;

// RFC 1951 section 3.2.5, and the order in which 3.2.7 writes lengths of codes.
const LENGTHS = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
];
const DISTANCES = Array.from({ length: 30 }, (_, code) =>
  code < 4 ? code + 1 : (2 + (code & 1)) * 2 ** ((code >> 1) - 1) + 1,
);
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

class Wrong extends Error {}
class Long extends Error {}

/** How many codes there are of each length, and the symbols in the order of their codes. */
interface Codes {
  readonly counts: readonly number[];
  readonly symbols: readonly number[];
}

/** Judged as zlib does: no code twice; none missing but in a set of one code, or of none at all where that is allowed. */
function codes(lengths: readonly number[], alone: boolean): Codes {
  const counts = Array.from({ length: 16 }, (_, length) => lengths.filter((one) => one === length).length);
  let left = 1;
  for (let length = 1; length < 16; length += 1) {
    left = left * 2 - (counts[length] as number);
    if (left < 0) throw new Wrong("too many codes");
  }
  const longest = counts.findLastIndex((count, length) => length > 0 && count > 0);
  if (left > 0 && longest !== -1 && !(alone && longest === 1)) throw new Wrong("codes are missing");
  const symbols = lengths.flatMap((length, symbol) => (length > 0 ? [{ length, symbol }] : []));
  symbols.sort((one, other) => one.length - other.length || one.symbol - other.symbol);
  return { counts, symbols: symbols.map(({ symbol }) => symbol) };
}

class Reader {
  readonly #input: readonly number[];
  readonly output: number[];
  readonly #most: number;
  reach = 0;
  lastBlocks = 0;
  #at = 0;

  constructor(input: readonly number[], before: Uint8Array, most: number) {
    this.#input = input;
    this.output = [...before];
    this.#most = before.length + most;
  }

  put(byte: number): void {
    if (this.output.length >= this.#most) throw new Long();
    this.output.push(byte);
  }

  bits(count: number): number {
    let value = 0;
    for (let index = 0; index < count; index += 1, this.#at += 1) {
      const byte = this.#input[this.#at >> 3];
      if (byte === undefined) throw new Wrong("it ends inside a block");
      value |= ((byte >> (this.#at & 7)) & 1) << index;
    }
    return value;
  }

  align(): void {
    this.#at = (this.#at + 7) & ~7;
  }

  /** Whole bytes that have not been read. */
  get left(): number {
    return this.#input.length - ((this.#at + 7) >> 3);
  }

  get ended(): boolean {
    return this.#at === this.#input.length * 8;
  }

  symbol({ counts, symbols }: Codes): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length < 16; length += 1) {
      code |= this.bits(1);
      const count = counts[length] as number;
      if (code - count < first) return symbols[index + code - first] as number;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Wrong("no such code");
  }

  stored(): void {
    this.align();
    const size = this.bits(16);
    if (this.bits(16) !== (~size & 0xffff)) throw new Wrong("a length does not match its complement");
    for (let index = 0; index < size; index += 1) this.put(this.bits(8));
  }

  compressed(literals: Codes, distances: Codes): void {
    for (;;) {
      const symbol = this.symbol(literals);
      if (symbol === 256) return;
      if (symbol < 256) {
        this.put(symbol);
        continue;
      }
      const base = LENGTHS[symbol - 257];
      if (base === undefined) throw new Wrong("no such length");
      const more = symbol < 265 || symbol === 285 ? 0 : (symbol - 261) >> 2;
      const length = base + this.bits(more);
      const code = this.symbol(distances);
      const start = DISTANCES[code];
      if (start === undefined) throw new Wrong("no such distance");
      const distance = start + this.bits(code < 4 ? 0 : (code >> 1) - 1);
      if (distance > this.output.length) throw new Wrong("it refers to what was before the beginning");
      this.reach = Math.max(this.reach, distance);
      for (let count = 0; count < length; count += 1) this.put(this.output[this.output.length - distance] as number);
    }
  }

  dynamic(): void {
    const literals = this.bits(5) + 257;
    const distances = this.bits(5) + 1;
    const count = this.bits(4) + 4;
    if (literals > 286 || distances > 30) throw new Wrong("more codes than there are symbols");
    const lengths: number[] = new Array(19).fill(0);
    for (let index = 0; index < count; index += 1) lengths[ORDER[index] as number] = this.bits(3);
    const table = codes(lengths, false);
    const all: number[] = [];
    while (all.length < literals + distances) {
      const symbol = this.symbol(table);
      if (symbol < 16) {
        all.push(symbol);
        continue;
      }
      const last = all.at(-1);
      if (symbol === 16 && last === undefined) throw new Wrong("nothing to repeat");
      const times = symbol === 16 ? 3 + this.bits(2) : symbol === 17 ? 3 + this.bits(3) : 11 + this.bits(7);
      for (let index = 0; index < times; index += 1) all.push(symbol === 16 ? (last as number) : 0);
    }
    if (all.length > literals + distances) throw new Wrong("more repeated than there are symbols");
    if (all[256] === 0) throw new Wrong("no code for the end");
    this.compressed(codes(all.slice(0, literals), true), codes(all.slice(literals), true));
  }
}

const FIXED = codes(
  Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  true,
);
const FIXED_DISTANCES = codes(new Array(32).fill(5), true);

/** The content of `packed` after the messages in `before` (RFC 7692 section 7.2.2), of at most `most` bytes. */
export function puff(packed: Uint8Array, before: Uint8Array, most: number): Puffed {
  // Some senders write an empty message as no octet at all.
  if (packed.length === 0) return { bytes: new Uint8Array(), why: "whole", reach: 0, lastBlocks: 0 };
  const reader = new Reader([...packed, ...TAIL], before, most);
  const why = read(reader);
  return {
    bytes: Uint8Array.from(reader.output.slice(before.length)),
    why,
    reach: reader.reach,
    lastBlocks: reader.lastBlocks,
  };
}

function read(reader: Reader): Puffed["why"] {
  try {
    while (!reader.ended) {
      const last = reader.bits(1) === 1;
      const type = reader.bits(2);
      if (type === 0) reader.stored();
      else if (type === 1) reader.compressed(FIXED, FIXED_DISTANCES);
      else if (type === 2) reader.dynamic();
      else throw new Wrong("no such type of block");
      if (!last) continue;
      reader.lastBlocks += 1;
      reader.align();
      // Its sender may have omitted the byte that section 7.2.3.4 appends.
      if (reader.left === TAIL.length) return "whole";
      if (reader.lastBlocks > MOST_LAST_BLOCKS) return "many";
    }
  } catch (error) {
    if (error instanceof Long) return "long";
    if (error instanceof Wrong) return "invalid";
    throw error;
  }
  return "whole";
}
