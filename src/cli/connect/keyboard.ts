/** The lines that a person types: editing and history by node:readline, with output above the line that is being typed. */

import { readFileSync, writeFileSync } from "node:fs";
import { clearScreenDown, createInterface, cursorTo, type Interface, moveCursor } from "node:readline";
import type { ReadStream, WriteStream } from "node:tty";
import type { Style } from "../terminal.ts";
import { durationInWords } from "./format.ts";

// As in Node's own REPL.
const HISTORY_LINES = 1_000;

// Of "9.999 ms" and "12.3 ms". A slower answer moves the text.
const RTT_WIDTH = 8;

export interface KeyboardOptions {
  readonly input: ReadStream;
  readonly output: WriteStream;
  readonly style: Style;
  /** The file of the history; undefined keeps it only in memory. */
  readonly historyFile: string | undefined;
  /** Called for each Ctrl+C. */
  readonly interrupt: () => void;
}

export class Keyboard {
  readonly #output: WriteStream;
  readonly #style: Style;
  readonly #historyFile: string | undefined;
  readonly #lines: Interface;
  #closed = false;

  constructor({ input, output, style, historyFile, interrupt }: KeyboardOptions) {
    this.#output = output;
    this.#style = style;
    this.#historyFile = historyFile;
    this.#lines = createInterface({
      ...{ input, output, terminal: true, historySize: HISTORY_LINES, removeHistoryDuplicates: true },
      history: historyFile === undefined ? [] : readHistory(historyFile),
    });
    this.#lines.on("SIGINT", interrupt);
    this.#lines.on("history", (history: readonly string[]) => this.#keep(history));
    this.#lines.on("close", () => {
      // What follows begins in place of the prompt.
      this.#erase();
      this.#closed = true;
    });
    this.#lines.setPrompt("> ");
  }

  /** The typed lines, to Ctrl+D. Must be called once, at once. */
  lines(): AsyncIterable<string> {
    // Now, and not with the first `next`: lines that are typed before it would be lost.
    const lines = this.#lines[Symbol.asyncIterator]();
    this.#lines.prompt();
    return this.#prompted({ [Symbol.asyncIterator]: () => lines });
  }

  async *#prompted(lines: AsyncIterable<string>): AsyncGenerator<string, void> {
    for await (const line of lines) {
      if (!this.#closed) this.#lines.prompt();
      yield line;
    }
  }

  /** Shows the round-trip time of the last Ping in the prompt. */
  showRtt(rtt: number): void {
    // Of the same width each time, so that the typed text stays in its columns.
    this.#redraw("", () => this.#lines.setPrompt(`${this.#style("dim", durationInWords(rtt).padStart(RTT_WIDTH))} > `));
  }

  /** Writes whole lines above the line that is being typed. */
  write(text: string): void {
    this.#redraw(text);
  }

  close(): void {
    this.#lines.close();
  }

  /**
   * Erases the prompt and the typed text, writes `text`, and draws them again. `prompt(true)` of node:readline cannot be used: it
   * moves up by the rows that it has drawn itself, and would erase `text`.
   */
  #redraw(text: string, change: () => void = () => undefined): void {
    if (this.#closed) {
      this.#output.write(text);
      return;
    }
    this.#erase();
    change();
    this.#output.write(`${text}${this.#lines.getPrompt()}${this.#lines.line}`);
    const [cursor, end] = [this.#lines.getCursorPos(), this.#endPosition()];
    // A terminal moves to the next row only with the next character.
    if (end.cols === 0 && end.rows > 0) this.#output.write(" ");
    moveCursor(this.#output, 0, cursor.rows - end.rows);
    cursorTo(this.#output, cursor.cols);
  }

  /** The position of the end of the typed text, relative to the beginning of the prompt. */
  #endPosition(): { readonly rows: number; readonly cols: number } {
    const lines = this.#lines as { cursor: number };
    const { cursor } = lines;
    lines.cursor = this.#lines.line.length;
    const end = this.#lines.getCursorPos();
    lines.cursor = cursor;
    return end;
  }

  /** Erases the prompt and the typed text, which may be on several rows. */
  #erase(): void {
    moveCursor(this.#output, 0, -this.#lines.getCursorPos().rows);
    cursorTo(this.#output, 0);
    clearScreenDown(this.#output);
  }

  #keep(history: readonly string[]): void {
    if (this.#historyFile === undefined) return;
    // Only for this user: messages may contain secrets. A history that cannot be written is no reason to end the session.
    try {
      writeFileSync(
        this.#historyFile,
        [...history]
          .reverse()
          .map((line) => `${line}\n`)
          .join(""),
        { mode: 0o600 },
      );
    } catch {}
  }
}

/** The lines of a history file, the newest first, as node:readline wants them. Empty if there is no file yet. */
function readHistory(file: string): string[] {
  try {
    return readFileSync(file, "utf8").split("\n").filter(Boolean).reverse().slice(0, HISTORY_LINES);
  } catch {
    return [];
  }
}
