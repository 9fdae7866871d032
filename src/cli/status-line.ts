/** One line at the bottom of a terminal that is written again and again. */

// To the start of the line, and erase to its end.
const ERASE = "\r\u001b[K";

/** A terminal, as `process.stderr` is one. */
export interface StatusStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Writes nothing if the stream is no terminal: a log has no use for a line that changes. */
export class StatusLine {
  readonly #stream: StatusStream;
  #shown = false;

  constructor(stream: StatusStream) {
    this.#stream = stream;
  }

  /** Shows `text` in place of the previous one, cut to the width of the terminal: a longer line could not be erased. */
  show(text: string): void {
    if (this.#stream.isTTY !== true) return;
    const { columns = 80 } = this.#stream;
    this.#stream.write(`${ERASE}${text.slice(0, Math.max(0, columns - 1))}`);
    this.#shown = true;
  }

  /** Removes the line. To be called before anything else is written. */
  clear(): void {
    if (this.#shown) this.#stream.write(ERASE);
    this.#shown = false;
  }
}
