/** Writes frame headers, and parses received ones even if the network splits them (RFC 6455 5.2). */

export const CONTINUATION = 0x0;
export const TEXT = 0x1;
export const BINARY = 0x2;
export const CLOSE = 0x8;
export const PING = 0x9;
export const PONG = 0xa;

/** The reserved bit that permessage-deflate uses (RFC 7692 section 6), as a value of `HeaderParser.rsv`. */
export const RSV1 = 4;

/** The maximum payload of a control frame, in bytes (RFC 6455 5.5). */
export const MAX_CONTROL = 125;

/** The size of the longest header without a masking key, in bytes: 2 + 8. */
export const MAX_HEADER = 10;

/** The size of a masking key, in bytes. */
export const KEY_SIZE = 4;

/** The size of the shortest header with a masking key, in bytes. */
export const MIN_MASKED_HEADER: number = 2 + KEY_SIZE;

/** The size of a header that announces `length` bytes of payload, in bytes. */
export function headerSize(length: number, masked: boolean): number {
  return (length < 126 ? 2 : length < 0x10000 ? 4 : MAX_HEADER) + (masked ? KEY_SIZE : 0);
}

/** Writes a header at index `at`. Returns the index after it. If `maskKey` is undefined, the frame is not masked. */
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
    // Bitwise operators use only 32 bits, so the upper half is computed by a division.
    writeWord(target, at + 2, Math.floor(length / 0x100000000));
    writeWord(target, at + 6, length);
    behind = at + MAX_HEADER;
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
 * If a whole masked data message in one frame with the shortest header begins at index `at` and lies completely in `chunk`: the
 * index after it. Otherwise -1.
 */
export function shortMessageEnd(chunk: Uint8Array, at: number): number {
  if (chunk.length - at < MIN_MASKED_HEADER) return -1;
  const first = chunk[at] as number;
  const second = chunk[at + 1] as number;
  if ((first !== (0x80 | BINARY) && first !== (0x80 | TEXT)) || second < 0x80 || second >= 0x80 + 126) return -1;
  const end = at + MIN_MASKED_HEADER + (second & 0x7f);
  return end <= chunk.length ? end : -1;
}

/** The 32-bit word at index `at`, in big-endian order. */
export function readWord(chunk: Uint8Array, at: number): number {
  return (
    ((chunk[at] as number) << 24) |
    ((chunk[at + 1] as number) << 16) |
    ((chunk[at + 2] as number) << 8) |
    (chunk[at + 3] as number)
  );
}

/** True if `chunk` is exactly one Pong frame without payload. */
export function isEmptyPong(chunk: Uint8Array, masked: boolean): boolean {
  return chunk.length === headerSize(0, masked) && chunk[0] === (0x80 | PONG) && chunk[1] === (masked ? 0x80 : 0);
}

/** Parses one header after the other. Does not check them against the rules of the protocol. */
export class HeaderParser {
  fin: boolean = false;
  /** The three reserved bits as one number: RSV1 is 4, RSV2 is 2, RSV3 is 1. */
  rsv = 0;
  opcode = 0;
  masked: boolean = false;
  /**
   * The payload length in bytes. It is a double: exact up to 2^53; larger lengths are rounded, but are above any limit anyway.
   */
  length = 0;
  /** The masking key; its first byte on the wire is the most significant. */
  key = 0;
  /** The number of header bytes parsed so far. */
  received = 0;
  /** The size of the extended payload length in bytes: 0, 2 or 8. */
  #extension = 0;
  /** The upper and the lower 32 bits of the extended payload length. */
  #upper = 0;
  #lower = 0;

  /** True if all of the header except the masking key is known. */
  get sized(): boolean {
    return this.received >= 2 + this.#extension;
  }

  /** True if the opcode is that of a control frame, even an undefined one: the highest of its four bits is set (RFC 6455 5.5). */
  get control(): boolean {
    return this.opcode >= CLOSE;
  }

  get complete(): boolean {
    return this.received === this.size;
  }

  /** The size of this header in bytes, if it is `sized`. Before that, a number greater than `received`. */
  get size(): number {
    return 2 + this.#extension + (this.masked ? KEY_SIZE : 0);
  }

  /** True if the length has its shortest form (RFC 6455 5.2: "the minimal number of bytes MUST be used"). */
  get minimal(): boolean {
    return this.#extension === 0 || this.length >= (this.#extension === 2 ? 126 : 0x10000);
  }

  /** True if the most significant bit of a 64-bit length is set, which RFC 6455 5.2 forbids. */
  get negative(): boolean {
    return this.#upper < 0;
  }

  /** Prepares for the next header. The fields keep their values until the next header is parsed. */
  reset(): void {
    this.received = 0;
  }

  /** Parses bytes of `chunk` from index `from` until the header is complete. Returns the index after the last parsed byte. */
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
