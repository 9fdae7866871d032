/** Validates UTF-8 piece by piece, so that an invalid byte is found when it arrives and not at the end of its message. */

// For fewer bytes than this, creating a view of words costs more time than it saves.
const MIN_FOR_WORD_VIEW = 64;

const NOT_ASCII = 0x80808080 | 0;

/**
 * Throws TypeError for bytes that are not UTF-8. `ignoreBOM` keeps a byte order mark at the beginning: it is part of the text.
 */
export const strictDecoder: InstanceType<typeof TextDecoder> = new TextDecoder("utf-8", {
  fatal: true,
  ignoreBOM: true,
});

/** Accepts well-formed UTF-8 (table 3-7 of the Unicode Standard): no overlong forms, no surrogates, nothing above U+10FFFF. */
export class Utf8Validator {
  /** The number of continuation bytes that the current character still lacks. */
  #missing = 0;
  /** The allowed range of the next continuation byte. It is smaller than 80..BF only after E0, ED, F0 and F4. */
  #lowest = 0x80;
  #highest = 0xbf;

  /** True if the bytes so far do not end inside a character. */
  get complete(): boolean {
    return this.#missing === 0;
  }

  /** Returns to the initial state. Required after an invalid byte. */
  reset(): void {
    this.#missing = 0;
  }

  /** Validates the bytes `from` to `to`, which follow the earlier ones. Returns the index of the first invalid byte, or -1. */
  push(bytes: Uint8Array, from: number, to: number): number {
    // The view begins with the word that contains `from`. Only words whose bytes must all be checked are read.
    const words =
      to - from < MIN_FOR_WORD_VIEW
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

/** The index of the first word, from index `from` on, that contains a byte that is not ASCII. */
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
