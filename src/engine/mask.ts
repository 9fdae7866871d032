/** Masks and unmasks payload bytes; both are the same operation (RFC 6455 5.3). */

/** Below this many bytes, laying a view of words over them costs more than it saves. */
export const WORTH_WORDS = 96;

// With the view at hand, words overtake bytes here.
const WORTH_LOOKING = 48;

// Eight bytes seen as a word: gives the key the machine's own byte order without asking which that is.
const keyBytes = new Uint8Array(8);
const keyHalves = new Int32Array(keyBytes.buffer);
const keyWord = new BigUint64Array(keyBytes.buffer);

/** The aligned words of eight bytes in an array of at least as many. Made once for all the frames of a chunk. */
export class Words {
  /** The index of the byte at which the first word begins. Kept, because `byteOffset` is slow to ask for. */
  readonly origin: number;
  // V8 makes machine words of what is only taken from such an array, XORed and put back: no BigInt comes to be.
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
  const turned = turn(key, offset);
  if (words === undefined || to - from < WORTH_LOOKING) {
    maskBytes(bytes, from, to, turned);
    return;
  }
  const lead = (words.origin - from) & 7;
  const first = (from + lead - words.origin) >> 3;
  const count = (to - from - lead) >> 3;
  const behind = from + lead + (count << 3);
  const aligned = turn(turned, lead);
  maskBytes(bytes, from, from + lead, turned);
  maskWords(words.view, first, first + count, aligned);
  maskBytes(bytes, behind, to, aligned);
}

/** The key as it stands `by` bytes further on. */
function turn(key: number, by: number): number {
  const bits = (by & 3) << 3;
  return (key << bits) | (key >>> (32 - bits));
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

function maskWords(words: BigUint64Array, from: number, to: number, key: number): void {
  keyBytes[0] = key >>> 24;
  keyBytes[1] = key >>> 16;
  keyBytes[2] = key >>> 8;
  keyBytes[3] = key;
  keyHalves[1] = keyHalves[0] as number;
  const native = keyWord[0] as bigint;
  let at = from;
  for (const fours = to - 3; at < fours; at += 4) {
    (words[at] as bigint) ^= native;
    (words[at + 1] as bigint) ^= native;
    (words[at + 2] as bigint) ^= native;
    (words[at + 3] as bigint) ^= native;
  }
  for (; at < to; at++) (words[at] as bigint) ^= native;
}
