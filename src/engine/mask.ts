/** Masks and unmasks payload bytes; both are the same operation (RFC 6455 5.3). */

/** Below this many bytes, laying a view of words over them costs more than it saves. */
export const WORTH_WORDS = 96;

// With the view at hand, words overtake bytes here. No less than one, so that none is cut at both its ends.
const WORTH_LOOKING = 16;

// A word is taken from here and never handed from one function to another: there it would be a BigInt.
const keyHalves = new Int32Array(2);
const keyWord = new BigUint64Array(keyHalves.buffer);

const LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

// What is left of a word without its first bytes, and of one with nothing else, by how many they are.
const BEHIND = cutWords((byte, cut) => byte >= cut);
const BEFORE = cutWords((byte, cut) => byte < cut);

function cutWords(keeps: (byte: number, cut: number) => boolean): BigUint64Array {
  const bytes = Uint8Array.from({ length: 64 }, (_, index) => (keeps(index & 7, index >> 3) ? 0xff : 0));
  return new BigUint64Array(bytes.buffer);
}

/** The aligned words of eight bytes in an array of at least as many. Made once for all the frames of a chunk. */
export class Words {
  /** The index of the byte at which the first word begins. Kept, because `byteOffset` is slow to ask for. */
  readonly origin: number;
  // V8 makes machine words of what is only taken from such an array, ANDed, XORed and put back: no BigInt comes to be.
  readonly view: BigUint64Array;

  constructor(bytes: Uint8Array) {
    this.origin = -bytes.byteOffset & 7;
    this.view = new BigUint64Array(bytes.buffer, bytes.byteOffset + this.origin, (bytes.length - this.origin) >> 3);
  }
}

/**
 * Masks the bytes `from` to `to` in place. The first byte of `key` on the wire is its most significant one; `offset`
 * is how many bytes of the same payload came before. `words` are those of `bytes`, if the caller has them.
 */
export function mask(
  bytes: Uint8Array,
  from: number,
  to: number,
  key: number,
  offset: number,
  words: Words | undefined = to - from < WORTH_WORDS ? undefined : new Words(bytes),
): void {
  if (words === undefined || to - from < WORTH_LOOKING || from < words.origin) {
    maskBytes(bytes, from, to, turn(key, offset));
    return;
  }
  const { origin, view } = words;
  const cut = (from - origin) & 7;
  const rest = (to - origin) & 7;
  const aligned = turn(key, offset - cut);
  const half = LITTLE_ENDIAN ? swap(aligned) : aligned;
  keyHalves[0] = half;
  keyHalves[1] = half;
  const native = keyWord[0] as bigint;
  let at = (from - origin) >> 3;
  const last = (to - origin) >> 3;
  // Of the words that are cut, what is not of the payload is left as it is.
  if (cut > 0) (view[at++] as bigint) ^= native & (BEHIND[cut] as bigint);
  for (const fours = last - 3; at < fours; at += 4) {
    (view[at] as bigint) ^= native;
    (view[at + 1] as bigint) ^= native;
    (view[at + 2] as bigint) ^= native;
    (view[at + 3] as bigint) ^= native;
  }
  for (; at < last; at++) (view[at] as bigint) ^= native;
  if (rest === 0) return;
  if (last < view.length) (view[last] as bigint) ^= native & (BEFORE[rest] as bigint);
  else maskBytes(bytes, to - rest, to, aligned);
}

/** The key as it stands `by` bytes further on. */
function turn(key: number, by: number): number {
  const bits = (by & 3) << 3;
  return (key << bits) | (key >>> (32 - bits));
}

/** With its bytes the other way round. */
function swap(key: number): number {
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
