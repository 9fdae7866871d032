/** An inflater of our own, slow and plain as RFC 1951 reads: it shares no code with zlib, and tells how far back the data refers. */

export interface Puffed {
  readonly output: Buffer;
  /** The largest distance of a reference; 0 if there is none. */
  readonly farthest: number;
  /** The type of each block: 0 stored, 1 fixed, 2 dynamic. */
  readonly blocks: readonly number[];
  /** Whether the last block was marked as the last. */
  readonly final: boolean;
}

interface Code {
  /** How many codes there are of each length. */
  readonly counts: readonly number[];
  /** The symbols in the order of their codes. */
  readonly symbols: readonly number[];
}

const LENGTH_BASE = [
  ...[
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
  ],
];
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
const DISTANCE_BASE = [
  ...[1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097],
  ...[6145, 8193, 12289, 16385, 24577],
];
const DISTANCE_EXTRA = DISTANCE_BASE.map((_, index) => Math.max(0, (index >> 1) - 1));
const ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

const FIXED_LENGTHS = codeOf(
  Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
);
const FIXED_DISTANCES = codeOf(new Array<number>(30).fill(5));

function codeOf(lengths: readonly number[]): Code {
  const counts = new Array<number>(16).fill(0);
  for (const length of lengths) counts[length]! += 1;
  const symbols = lengths
    .map((length, symbol) => ({ length, symbol }))
    .filter(({ length }) => length > 0)
    .sort((one, other) => one.length - other.length || one.symbol - other.symbol)
    .map(({ symbol }) => symbol);
  return { counts, symbols };
}

class Puff {
  readonly #input: Uint8Array;
  #at = 0;
  #held = 0;
  #bits = 0;
  readonly #history: number;
  #output: Buffer;
  #size: number;
  readonly blocks: number[] = [];
  farthest = 0;

  constructor(input: Uint8Array, history: Uint8Array) {
    this.#input = input;
    this.#history = history.length;
    this.#output = Buffer.alloc(history.length + 4 * input.length + 1_024);
    this.#output.set(history);
    this.#size = history.length;
  }

  get ended(): boolean {
    return this.#at >= this.#input.length;
  }

  get output(): Buffer {
    return this.#output.subarray(this.#history, this.#size);
  }

  /** One block; answers whether it is marked as the last. */
  block(): boolean {
    const final = this.#take(1) === 1;
    const type = this.#take(2);
    this.blocks.push(type);
    if (type === 0) this.#stored();
    else if (type === 1) this.#coded(FIXED_LENGTHS, FIXED_DISTANCES);
    else if (type === 2) this.#dynamic();
    else throw new Error("a block of type 3");
    return final;
  }

  /** What is left of the octet in which a block has ended. */
  align(): void {
    this.#held = 0;
    this.#bits = 0;
  }

  #take(count: number): number {
    while (this.#bits < count) {
      const octet = this.#input[this.#at];
      if (octet === undefined) throw new Error("the data ends inside a block");
      this.#at += 1;
      this.#held |= octet << this.#bits;
      this.#bits += 8;
    }
    const value = this.#held & ((1 << count) - 1);
    this.#held >>>= count;
    this.#bits -= count;
    return value;
  }

  #stored(): void {
    this.align();
    const [low = 0, high = 0, notLow = 0, notHigh = 0] = this.#input.subarray(this.#at, this.#at + 4);
    const length = low + 256 * high;
    if (length !== 65_535 - (notLow + 256 * notHigh)) throw new Error("a stored block whose lengths disagree");
    this.#at += 4;
    if (this.#at + length > this.#input.length) throw new Error("the data ends inside a stored block");
    for (const octet of this.#input.subarray(this.#at, this.#at + length)) this.#put(octet);
    this.#at += length;
  }

  #dynamic(): void {
    const lengthCount = this.#take(5) + 257;
    const distanceCount = this.#take(5) + 1;
    const orderCount = this.#take(4) + 4;
    const first = new Array<number>(19).fill(0);
    for (const place of ORDER.slice(0, orderCount)) first[place] = this.#take(3);
    const code = codeOf(first);
    const lengths: number[] = [];
    while (lengths.length < lengthCount + distanceCount) {
      const symbol = this.#symbol(code);
      if (symbol < 16) lengths.push(symbol);
      else {
        const repeated = symbol === 16 ? (lengths.at(-1) ?? 0) : 0;
        const times = symbol === 16 ? 3 + this.#take(2) : symbol === 17 ? 3 + this.#take(3) : 11 + this.#take(7);
        lengths.push(...new Array<number>(times).fill(repeated));
      }
    }
    this.#coded(codeOf(lengths.slice(0, lengthCount)), codeOf(lengths.slice(lengthCount)));
  }

  #coded(lengths: Code, distances: Code): void {
    for (let symbol = this.#symbol(lengths); symbol !== 256; symbol = this.#symbol(lengths)) {
      if (symbol < 256) {
        this.#put(symbol);
        continue;
      }
      const length = (LENGTH_BASE[symbol - 257] ?? Number.NaN) + this.#take(LENGTH_EXTRA[symbol - 257] ?? 0);
      const far = this.#symbol(distances);
      const distance = (DISTANCE_BASE[far] ?? Number.NaN) + this.#take(DISTANCE_EXTRA[far] ?? 0);
      if (!(distance <= this.#size)) throw new Error(`a reference ${distance} back, behind ${this.#size} octets`);
      this.farthest = Math.max(this.farthest, distance);
      for (let left = length; left > 0; left -= 1) this.#put(this.#output[this.#size - distance] ?? 0);
    }
  }

  #symbol({ counts, symbols }: Code): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= 15; length += 1) {
      code |= this.#take(1);
      const count = counts[length] ?? 0;
      if (code - count < first) return symbols[index + (code - first)] ?? Number.NaN;
      index += count;
      first = (first + count) << 1;
      code <<= 1;
    }
    throw new Error("a code that there is not");
  }

  #put(octet: number): void {
    if (this.#size === this.#output.length) this.#output = Buffer.concat([this.#output, Buffer.alloc(this.#size)]);
    this.#output[this.#size] = octet;
    this.#size += 1;
  }
}

/** What `packed` stands for, behind `history`, in which it may refer. Throws where it is no deflate data, or ends inside a block. */
export function puff(packed: Uint8Array, history: Uint8Array = new Uint8Array()): Puffed {
  const puffing = new Puff(packed, history);
  let final = false;
  while (!puffing.ended) {
    final = puffing.block();
    if (final) puffing.align();
  }
  const { output, farthest, blocks } = puffing;
  return { output, farthest, blocks, final };
}

/** The message that was sent as `packed`, whose last four octets its sender has left out (RFC 7692 section 7.2.2). */
export function puffMessage(packed: Uint8Array, history?: Uint8Array): Puffed {
  return puff(Buffer.concat([packed, Buffer.of(0, 0, 255, 255)]), history);
}
