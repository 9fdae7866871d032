/** Masks and unmasks payload bytes; both are the same operation (RFC 6455 5.3). */

import { LITTLE_ENDIAN } from "../../base/bytes.ts";

/** For fewer bytes than this, creating a view of words costs more time than it saves. */
export const MIN_FOR_WORDS = 96;

// With an existing view, words are faster than bytes from this number of bytes on. It must be at least one word (8 bytes): then
// no word is cut at both its ends.
const MIN_FOR_VIEW = 16;

// The key's 64-bit word is read from this array and not passed to a function: V8 would allocate a BigInt for an argument.
const keyHalves = new Int32Array(2);
const keyWord = new BigUint64Array(keyHalves.buffer);

// Bit masks for words that are only partly payload. `BEHIND[n]` selects all bytes of a word except the first n, `BEFORE[n]` only
// the first n.
const KEEP_AFTER = cutWords((byte, cut) => byte >= cut);
const KEEP_BEFORE = cutWords((byte, cut) => byte < cut);

function cutWords(keeps: (byte: number, cut: number) => boolean): BigUint64Array {
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => (keeps(index & 7, index >> 3) ? 0xff : 0));
  return new BigUint64Array(bytes.buffer);
}

/** A view of the aligned 8-byte words in an array of at least 8 bytes. Created once for all frames of a chunk. */
export class Words {
  /** The index of the byte at which the first word begins. Stored, because reading `byteOffset` is slow. */
  readonly origin: number;
  // V8 uses machine words, and allocates no BigInt, for values that are only read from this array, ANDed, XORed and written back.
  readonly view: BigUint64Array;

  constructor(bytes: Uint8Array) {
    this.origin = -bytes.byteOffset & 7;
    this.view = new BigUint64Array(bytes.buffer, bytes.byteOffset + this.origin, (bytes.length - this.origin) >> 3);
  }
}

/**
 * Masks the bytes `from` to `to` in place. The most significant byte of `key` is the first on the wire. `offset` is the number of
 * bytes of the same payload before `from`. `words` is the view of `bytes`, if the caller has it.
 */
export function mask(
  bytes: Uint8Array,
  from: number,
  to: number,
  key: number,
  offset: number,
  words: Words | undefined = to - from < MIN_FOR_WORDS ? undefined : new Words(bytes),
): void {
  if (words === undefined || to - from < MIN_FOR_VIEW || from < words.origin) {
    maskBytes(bytes, from, to, rotate(key, offset));
    return;
  }
  const { origin, view } = words;
  const cut = (from - origin) & 7;
  const rest = (to - origin) & 7;
  const aligned = rotate(key, offset - cut);
  const half = LITTLE_ENDIAN ? swapBytes(aligned) : aligned;
  keyHalves[0] = half;
  keyHalves[1] = half;
  const native = keyWord[0] as bigint;
  let at = (from - origin) >> 3;
  const last = (to - origin) >> 3;
  // In the first and the last word, the bytes outside of the payload stay unchanged.
  if (cut > 0) (view[at++] as bigint) ^= native & (KEEP_AFTER[cut] as bigint);
  for (const fours = last - 3; at < fours; at += 4) {
    (view[at] as bigint) ^= native;
    (view[at + 1] as bigint) ^= native;
    (view[at + 2] as bigint) ^= native;
    (view[at + 3] as bigint) ^= native;
  }
  for (; at < last; at++) (view[at] as bigint) ^= native;
  if (rest === 0) return;
  if (last < view.length) (view[last] as bigint) ^= native & (KEEP_BEFORE[rest] as bigint);
  else maskBytes(bytes, to - rest, to, aligned);
}

/** The key rotated for a position that is `by` bytes later in the payload. */
function rotate(key: number, by: number): number {
  const bits = (by & 3) << 3;
  return (key << bits) | (key >>> (32 - bits));
}

/** Reverses the order of the four bytes. */
function swapBytes(key: number): number {
  return (key << 24) | ((key & 0xff00) << 8) | ((key >>> 8) & 0xff00) | (key >>> 24);
}

function maskBytes(bytes: Uint8Array, from: number, to: number, key: number): void {
  const first = key >>> 24;
  const second = (key >>> 16) & 0xff;
  const third = (key >>> 8) & 0xff;
  const fourth = key & 0xff;
  let at = from;
  for (const fours = to - 3; at < fours; at += 4) {
    (bytes[at] as number) ^= first;
    (bytes[at + 1] as number) ^= second;
    (bytes[at + 2] as number) ^= third;
    (bytes[at + 3] as number) ^= fourth;
  }
  if (at < to) (bytes[at] as number) ^= first;
  if (at + 1 < to) (bytes[at + 1] as number) ^= second;
  if (at + 2 < to) (bytes[at + 2] as number) ^= third;
}
