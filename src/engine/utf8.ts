/** Checks UTF-8 as it arrives, so that a wrong byte is found when it comes and not when its message ends. */

// Below this many bytes, laying a view of words over them costs more than it saves.
const WORTH_A_VIEW = 64;

const NOT_ASCII = 0x80808080 | 0;

/** Well-formed UTF-8 by table 3-7 of the Unicode Standard: no overlong forms, no surrogates, nothing above U+10FFFF. */
export class Utf8Validator {
  /** Continuation bytes that the character under way still lacks. */
  #missing = 0;
  /** What the next continuation byte may be: narrower than 80..BF only behind E0, ED, F0 and F4. */
  #lowest = 0x80;
  #highest = 0xbf;

  /** Whether no character is under way. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /** Forgets what came before. Needed after an offending byte. */
  reset(): void {
    this.#missing = 0;
  }

  /** Goes on with the bytes `from` to `to`. Returns the index of the first byte that no valid text can have there, or -1. */
  push(bytes: Uint8Array, from: number, to: number): number {
    // Those from the word that `from` lies in. Words are looked at only where all their bytes are to be checked.
    const words =
      to - from < WORTH_A_VIEW
        ? undefined
        : new Int32Array(bytes.buffer, (bytes.byteOffset + from) & ~3, (to - from) >> 2);
    const origin = words === undefined ? 0 : words.byteOffset - bytes.byteOffset;
    let missing = this.#missing;
    let lowest = this.#lowest;
    let highest = this.#highest;
    let at = from;
    while (at < to) {
      const byte = bytes[at] as number;
      if (missing > 0) {
        if (byte < lowest || byte > highest) return at;
        missing--;
        lowest = 0x80;
        highest = 0xbf;
        at++;
        continue;
      }
      if (byte < 0x80) {
        at++;
        if (words !== undefined && ((at - origin) & 3) === 0) {
          at = origin + skipAscii(words, (at - origin) >> 2) * 4;
        }
        continue;
      }
      if (byte < 0xc2 || byte > 0xf4) return at;
      lowest = byte === 0xe0 ? 0xa0 : byte === 0xf0 ? 0x90 : 0x80;
      highest = byte === 0xed ? 0x9f : byte === 0xf4 ? 0x8f : 0xbf;
      missing = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
      at++;
    }
    this.#missing = missing;
    this.#lowest = lowest;
    this.#highest = highest;
    return -1;
  }
}

/** The index of the first word at or behind `from` that holds a byte which is not ASCII. */
function skipAscii(words: Int32Array, from: number): number {
  let at = from;
  for (const fours = words.length - 3; at < fours; at += 4) {
    const four =
      (words[at] as number) | (words[at + 1] as number) | (words[at + 2] as number) | (words[at + 3] as number);
    if ((four & NOT_ASCII) !== 0) break;
  }
  while (at < words.length && ((words[at] as number) & NOT_ASCII) === 0) at++;
  return at;
}
