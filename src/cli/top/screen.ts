/** A whole terminal that is drawn again and again, and its keys. */

import { emitKeypressEvents, type Key } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";

// The alternate screen, so that the user's text is there again at the end; no cursor; no wrapping of a line that is too long.
const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";

const [HOME, ERASE_LINE, ERASE_BELOW] = ["\u001b[H", "\u001b[K", "\u001b[J"];

// Where a terminal does not tell its size.
const [ROWS, COLUMNS] = [24, 80];

export interface TerminalScreenOptions {
  readonly input: ReadStream;
  readonly output: WriteStream;
  /** Called for each key. */
  readonly key: (text: string | undefined, key: Key) => void;
  /** Called when the terminal has another size. */
  readonly resized: () => void;
}

export class TerminalScreen {
  readonly #options: TerminalScreenOptions;
  /** The frame that waits until the terminal has taken the one before it. */
  #waiting: readonly string[] | undefined;
  #busy = false;
  #left = false;

  constructor(options: TerminalScreenOptions) {
    this.#options = options;
    const { input, output, key, resized } = options;
    emitKeypressEvents(input);
    input.setRawMode(true);
    input.on("keypress", key);
    output.on("resize", resized);
    output.write(ENTER);
  }

  get rows(): number {
    return this.#options.output.rows || ROWS;
  }

  get columns(): number {
    return this.#options.output.columns || COLUMNS;
  }

  /**
   * Draws these lines in place of the last ones. A frame that comes while the terminal has not taken the last one waits, and replaces
   * the one that waits: a slow terminal gets fewer frames, and never old ones.
   */
  draw(lines: readonly string[]): void {
    if (this.#left) return;
    if (this.#busy) {
      this.#waiting = lines;
      return;
    }
    this.#busy = true;
    const text = lines.map((line) => `${line}${ERASE_LINE}`).join("\r\n");
    this.#options.output.write(`${HOME}${text}${ERASE_BELOW}`, () => {
      this.#busy = false;
      const next = this.#waiting;
      this.#waiting = undefined;
      if (next !== undefined) this.draw(next);
    });
  }

  /** Gives the terminal back as it was. May be called again. */
  leave(): void {
    if (this.#left) return;
    this.#left = true;
    const { input, output, key, resized } = this.#options;
    output.off("resize", resized);
    input.off("keypress", key);
    input.setRawMode(false);
    input.pause();
    output.write(LEAVE);
  }
}
