/** Finds where a delimiter ends, wherever the network cut it. */

/** The search for one delimiter through the chunks of a stream. */
export interface Delimiter {
  /** What is written behind a message. */
  readonly suffix: Uint8Array;
  /** What the bytes that are held are: as many as are held, from the first of these. */
  readonly opening: Uint8Array;
  /** How many bytes before the next chunk may yet turn out to be the delimiter's first. */
  held: number;
  /** Where the payload before the delimiter, or before what is held, ends: left by `find`. Below `at` if it ends in what was held. */
  stop: number;
  /** Goes on at index `at` of the chunk. Returns the index behind the first delimiter, or -1 when the chunk holds none. */
  find(chunk: Uint8Array, at: number): number;
}

/** A delimiter that must match byte for byte: Knuth, Morris and Pratt, so that no stream makes the search quadratic. */
export class ExactDelimiter implements Delimiter {
  readonly suffix: Uint8Array;
  held = 0;
  stop = 0;
  /** For each length of a beginning that matched: the longest shorter one that then matches still. */
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

  get opening(): Uint8Array {
    return this.suffix;
  }

  find(chunk: Uint8Array, at: number): number {
    const first = this.suffix[0] as number;
    let matched = this.held;
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
    this.stop = next - matched;
    const found = matched === this.suffix.length;
    this.held = found ? 0 : matched;
    return found ? next : -1;
  }

  #step(matched: number, byte: number): number {
    let length = matched;
    while (length > 0 && this.suffix[length] !== byte) length = this.#shorter[length - 1] as number;
    return this.suffix[length] === byte ? length + 1 : 0;
  }
}

const CR = 0x0d;
const LF = 0x0a;

/** The end of a line: a newline, and a carriage return before it if there is one. */
export class LineEnd implements Delimiter {
  readonly suffix: Uint8Array = new Uint8Array([LF]);
  readonly opening: Uint8Array = new Uint8Array([CR]);
  held = 0;
  stop = 0;

  find(chunk: Uint8Array, at: number): number {
    const newline = chunk.indexOf(LF, at);
    const end = newline === -1 ? chunk.length : newline;
    const returned = end > at ? chunk[end - 1] === CR : this.held > 0;
    this.stop = returned ? end - 1 : end;
    this.held = newline === -1 && returned ? 1 : 0;
    return newline === -1 ? -1 : newline + 1;
  }
}
