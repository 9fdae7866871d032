/** Frame headers of RFC 6455 5.2: written in one go, read at whatever places the network cuts them. */

export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

/** The reserved bit that permessage-deflate gives a meaning (RFC 7692 section 6), as `HeaderParser.rsv` shows it. */
export const RSV1 = 4;

/** Most bytes of payload in a control frame (RFC 6455 5.5). */
export const LONGEST_CONTROL = 125;

/** Bytes of a header without its mask, by what is longest: 2 + 8. */
export const LONGEST_HEADER = 10;

/** Bytes of a masking key. */
export const KEY_SIZE = 4;

/** Bytes of a header with its mask, by what is shortest. */
export const SHORT_HEADER: number = 2 + KEY_SIZE;

/** Bytes of the header that announces `length` bytes of payload. */
export function headerSize(length: number, masked: boolean): number {
  return (length < 126 ? 2 : length < 0x10000 ? 4 : LONGEST_HEADER) + (masked ? KEY_SIZE : 0);
}

/** Writes a header at `at`; returns the index behind it. */
export function writeHeader(
  target: Uint8Array,
  at: number,
  fin: boolean,
  rsv1: boolean,
  opcode: number,
  length: number,
  maskKey: number | undefined,
): number {
  const masked = maskKey === undefined ? 0 : 0x80;
  target[at] = (fin ? 0x80 : 0) | (rsv1 ? 0x40 : 0) | opcode;
  let behind = at + 2;
  if (length < 126) {
    target[at + 1] = masked | length;
  } else if (length < 0x10000) {
    target[at + 1] = masked | 126;
    target[at + 2] = length >>> 8;
    target[at + 3] = length;
    behind = at + 4;
  } else {
    target[at + 1] = masked | 127;
    // Bitwise operators see 32 bits only.
    writeWord(target, at + 2, Math.floor(length / 0x100000000));
    writeWord(target, at + 6, length);
    behind = at + LONGEST_HEADER;
  }
  if (maskKey === undefined) return behind;
  writeWord(target, behind, maskKey);
  return behind + KEY_SIZE;
}

function writeWord(target: Uint8Array, at: number, word: number): void {
  target[at] = word >>> 24;
  target[at + 1] = word >>> 16;
  target[at + 2] = word >>> 8;
  target[at + 3] = word;
}

/**
 * The index behind a masked message in one frame with the shortest header, if all of it lies in `chunk` from `at` on; -1 for
 * whatever else does.
 */
export function shortMessageEnd(chunk: Uint8Array, at: number): number {
  if (chunk.length - at < SHORT_HEADER) return -1;
  const first = chunk[at] as number;
  const second = chunk[at + 1] as number;
  if ((first !== (0x80 | BINARY) && first !== (0x80 | TEXT)) || second < 0x80 || second >= 0x80 + 126) return -1;
  const end = at + SHORT_HEADER + (second & 0x7f);
  return end <= chunk.length ? end : -1;
}

/** The word at `at`, its first byte the most significant. */
export function readWord(chunk: Uint8Array, at: number): number {
  return (
    ((chunk[at] as number) << 24) |
    ((chunk[at + 1] as number) << 16) |
    ((chunk[at + 2] as number) << 8) |
    (chunk[at + 3] as number)
  );
}

/** Whether `chunk` is one whole Pong without payload, and nothing else. */
export function isEmptyPong(chunk: Uint8Array, masked: boolean): boolean {
  return chunk.length === headerSize(0, masked) && chunk[0] === (0x80 | PONG) && chunk[1] === (masked ? 0x80 : 0);
}

/** Reads one header after the other, and judges none of them. */
export class HeaderParser {
  fin: boolean = false;
  /** The three reserved bits, RSV1 being 4. */
  rsv = 0;
  opcode = 0;
  masked: boolean = false;
  /** Bytes of payload. A double: exact up to 2^53, and beyond it still far above any limit. */
  length = 0;
  /** The masking key as it stands on the wire, its first byte the most significant. */
  key = 0;
  /** Header bytes taken so far. */
  received = 0;
  /** How many bytes the length has beyond its seven bits: 0, 2 or 8. */
  #extension = 0;
  /** The length's upper and lower half. */
  #upper = 0;
  #lower = 0;

  /** Whether everything but the masking key is known. */
  get sized(): boolean {
    return this.received >= 2 + this.#extension;
  }

  /** Whether the opcode is one of control frames, defined or not: the highest of its four bits tells. */
  get control(): boolean {
    return this.opcode >= CLOSE;
  }

  get complete(): boolean {
    return this.received === this.size;
  }

  /** Bytes of this header, once it is `sized`; more than was received before that. */
  get size(): number {
    return 2 + this.#extension + (this.masked ? KEY_SIZE : 0);
  }

  /** Whether no shorter form could have held the length (RFC 6455 5.2: "the minimal number of bytes MUST be used"). */
  get minimal(): boolean {
    return this.#extension === 0 || this.length >= (this.#extension === 2 ? 126 : 0x10000);
  }

  /** Whether the most significant bit of a 64-bit length is set, which RFC 6455 5.2 forbids. */
  get negative(): boolean {
    return this.#upper < 0;
  }

  /** Makes ready for the next header; the fields keep what they hold until that has come. */
  reset(): void {
    this.received = 0;
  }

  /** Takes the bytes of `chunk` from `from` on until the header is complete; returns the index behind what it took. */
  push(chunk: Uint8Array, from: number): number {
    let at = from;
    if (this.received === 0) {
      const first = chunk[at++] as number;
      this.fin = first >= 0x80;
      this.rsv = (first >> 4) & 7;
      this.opcode = first & 0xf;
      this.received = 1;
      if (at === chunk.length) return at;
    }
    if (this.received === 1) this.#second(chunk[at++] as number);
    const behindLength = 2 + this.#extension;
    const size = this.size;
    while (this.received < size && at < chunk.length) {
      const byte = chunk[at++] as number;
      this.received++;
      if (this.received > behindLength) {
        this.key = (this.key << 8) | byte;
      } else {
        this.#upper = (this.#upper << 8) | (this.#lower >>> 24);
        this.#lower = (this.#lower << 8) | byte;
        if (this.received === behindLength) this.length = (this.#upper >>> 0) * 0x100000000 + (this.#lower >>> 0);
      }
    }
    return at;
  }

  #second(byte: number): void {
    const short = byte & 0x7f;
    this.masked = byte >= 0x80;
    this.#extension = short < 126 ? 0 : short === 126 ? 2 : 8;
    this.#upper = 0;
    this.#lower = 0;
    this.length = short;
    this.received = 2;
  }
}
