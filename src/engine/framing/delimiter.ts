/** Finds the end of a delimiter in a stream, even if the delimiter is spread over several chunks. */

/** The search for one delimiter through the chunks of a stream. */
export interface Delimiter {
  /** The bytes that are written after a message. */
  readonly suffix: Uint8Array;
  /** The values of the pending bytes: they are the first `pendingSize` bytes of this array. */
  readonly pendingBytes: Uint8Array;
  /** The number of bytes at the end of the input so far that may be the beginning of a delimiter. */
  pendingSize: number;
  /**
   * Set by `find`: the index at which the payload ends, before the delimiter or the pending bytes. Below `at` if it ends in bytes
   * that were pending before.
   */
  payloadEnd: number;
  /**
   * Continues the search at index `at` of the chunk. Returns the index after the first delimiter, or -1 if none ends in the
   * chunk.
   */
  find(chunk: Uint8Array, at: number): number;
}

/**
 * A delimiter that must match byte for byte. The search uses the Knuth-Morris-Pratt algorithm: its time is linear for any stream.
 */
export class ExactDelimiter implements Delimiter {
  readonly suffix: Uint8Array;
  pendingSize = 0;
  payloadEnd = 0;
  /**
   * Failure table: entry n - 1 is for a matched prefix of n bytes, and holds the length of the longest shorter prefix that is its
   * suffix.
   */
  readonly #shorter: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.suffix = bytes;
    this.#shorter = new Uint8Array(bytes.length);
    let matched = 0;
    for (let index = 1; index < bytes.length; index += 1) {
      matched = this.#step(matched, bytes[index] as number);
      this.#shorter[index] = matched;
    }
  }

  get pendingBytes(): Uint8Array {
    return this.suffix;
  }

  find(chunk: Uint8Array, at: number): number {
    const first = this.suffix[0] as number;
    let matched = this.pendingSize;
    let next = at;
    while (next < chunk.length && matched < this.suffix.length) {
      if (matched > 0) {
        matched = this.#step(matched, chunk[next] as number);
        next += 1;
        continue;
      }
      const candidate = chunk.indexOf(first, next);
      if (candidate === -1) {
        next = chunk.length;
      } else {
        next = candidate + 1;
        matched = 1;
      }
    }
    this.payloadEnd = next - matched;
    const found = matched === this.suffix.length;
    this.pendingSize = found ? 0 : matched;
    return found ? next : -1;
  }

  #step(matched: number, byte: number): number {
    let length = matched;
    while (length > 0 && this.suffix[length] !== byte) length = this.#shorter[length - 1] as number;
    return this.suffix[length] === byte ? length + 1 : 0;
  }
}

export const CR = 0x0d;
export const LF = 0x0a;

/** The end of a line: LF or CR LF. */
export class LineEnd implements Delimiter {
  readonly suffix: Uint8Array = new Uint8Array([LF]);
  readonly pendingBytes: Uint8Array = new Uint8Array([CR]);
  pendingSize = 0;
  payloadEnd = 0;

  find(chunk: Uint8Array, at: number): number {
    const newline = chunk.indexOf(LF, at);
    const end = newline === -1 ? chunk.length : newline;
    const endsInCr = end > at ? chunk[end - 1] === CR : this.pendingSize > 0;
    this.payloadEnd = endsInCr ? end - 1 : end;
    this.pendingSize = newline === -1 && endsInCr ? 1 : 0;
    return newline === -1 ? -1 : newline + 1;
  }
}
