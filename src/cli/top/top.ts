/** `holdfast top`: a table of connections that is read again and again, or printed once. */

import type { Key } from "node:readline";
import { ignoreOutputErrors } from "../broken-pipe.ts";
import { type Command, command } from "../command.ts";
import { errorInWords } from "../connect/outcome.ts";
import { UsageError } from "../flags.ts";
import { printableJson, printableLine, styleFor } from "../terminal.ts";
import { FeedSource } from "./feed-source.ts";
import { TOP_LINE, type TopSettings } from "./flags.ts";
import { KernelSource } from "./kernel-source.ts";
import { behindKey, KEYS_LINE, type TopState } from "./keys.ts";
import { TerminalScreen } from "./screen.ts";
import type { TopSnapshot, TopSource } from "./source.ts";
import { arranged, type TopRow, type TopView, tableLines } from "./table.ts";

export const topCommand: Command = command(TOP_LINE, (settings) => run(settings));

// Where stdout is no terminal. A pipe has no width; a longer line would be cut in most logs.
const PRINTED_COLUMNS = 120;

async function run(settings: TopSettings): Promise<number> {
  ignoreOutputErrors();
  const source = await sourceOf(settings);
  try {
    const { reverse, filter, interval, once, json } = settings;
    const state: TopState = { sort: sortOf(source, settings), reverse, filter, offset: 0, typing: false };
    const live = process.stdout.isTTY === true && process.stdin.isTTY === true && !once && !json;
    if (live) return await new LiveTable(source, state, interval).run();
    await print(source, state, settings);
    return 0;
  } finally {
    await source.close();
  }
}

/** The name of the column that `--sort` names or heads. Throws UsageError if there is none. */
function sortOf({ columns, sort }: TopSource, { sort: given = sort }: TopSettings): string {
  const wanted = given.toLowerCase();
  const column = columns.find(({ name, title }) => [name.toLowerCase(), title.toLowerCase()].includes(wanted));
  if (column !== undefined) return column.name;
  const names = columns.map(({ name }) => name).join(", ");
  throw new UsageError(`cannot use --sort ${JSON.stringify(given)}: expected one of ${names}`);
}

async function sourceOf({ subject, feed }: TopSettings): Promise<TopSource> {
  if (typeof subject !== "string") return new KernelSource(subject);
  return FeedSource.open(subject, feed).catch((error: unknown) => {
    // The library's word for a URL that is no address.
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw new Error(errorInWords(error), { cause: error });
  });
}

/** The rows in the order of the view. */
function inOrder(source: TopSource, rows: readonly TopRow[], view: TopView): readonly TopRow[] {
  return source.arranged ? rows : arranged(rows, view);
}

/** Prints the table once. The second reading has what differs from the first: rates, and for how long nothing has changed. */
async function print(source: TopSource, state: TopState, { json, interval }: TopSettings): Promise<void> {
  await source.read(state);
  await new Promise((resolve) => setTimeout(resolve, interval));
  const { summary, rows, total } = await source.read(state);
  const shown = inOrder(source, rows, state);
  if (json) {
    process.stdout.write(`${printableJson(JSON.stringify({ summary, total, rows: shown }))}\n`);
    return;
  }
  const { isTTY, columns = PRINTED_COLUMNS } = process.stdout;
  const form = { columns: source.columns, view: state, width: isTTY ? columns : PRINTED_COLUMNS };
  const lines = [...summary, "", ...tableLines(shown, { ...form, style: styleFor(process.stdout) })];
  process.stdout.write(`${lines.join("\n")}\n`);
}

/** The table on a terminal. */
class LiveTable {
  readonly #source: TopSource;
  readonly #interval: number;
  readonly #style = styleFor(process.stdout);
  readonly #screen: TerminalScreen;
  #state: TopState;
  #snapshot: TopSnapshot = { summary: ["reading"], rows: [], total: 0 };
  #ended = false;
  #end: (status: number) => void = () => undefined;
  #endPause: () => void = () => undefined;

  constructor(source: TopSource, state: TopState, interval: number) {
    this.#source = source;
    this.#state = state;
    this.#interval = interval;
    this.#screen = new TerminalScreen({
      input: process.stdin,
      output: process.stdout,
      key: (text, key) => this.#key(text, key),
      resized: () => this.#draw(),
    });
  }

  /** Resolves with the exit status when the user or a signal ends it. Rejects with the error of the source. */
  async run(): Promise<number> {
    const ended = new Promise<number>((resolve) => {
      this.#end = resolve;
    });
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(signal, () => this.#stop());
    try {
      this.#draw();
      return await Promise.race([ended, this.#readings()]);
    } finally {
      this.#stop();
      this.#screen.leave();
    }
  }

  /** Never resolves before the end. */
  async #readings(): Promise<number> {
    while (!this.#ended) {
      const began = performance.now();
      this.#snapshot = await this.#read();
      // The user may have ended it meanwhile: a pause would keep the process alive.
      if (this.#ended) break;
      this.#draw();
      await new Promise<void>((resolve) => {
        // From one reading to the next: that of a feed lasts up to a second by itself.
        const timer = setTimeout(resolve, Math.max(began + this.#interval - performance.now(), 0));
        this.#endPause = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return 0;
  }

  async #read(): Promise<TopSnapshot> {
    try {
      return await this.#source.read(this.#state);
    } catch (error) {
      if (!this.#source.lasting) throw error;
      const { summary, rows, total } = this.#snapshot;
      const lost = `not connected, trying again: ${printableLine(errorInWords(error))}`;
      return { summary: [lost, ...summary.slice(1)], rows, total };
    }
  }

  #stop(): void {
    this.#ended = true;
    this.#endPause();
    this.#end(0);
  }

  #key(text: string | undefined, key: Key): void {
    const next = behindKey(this.#state, text, key, this.#source.columns, this.#page());
    if (next === "quit") {
      this.#stop();
      return;
    }
    const { sort, reverse, filter } = this.#state;
    this.#state = next;
    this.#draw();
    if (next.sort === sort && next.reverse === reverse && next.filter === filter) return;
    if (!this.#source.arranged) return;
    this.#source.changed(next);
    this.#endPause();
  }

  /** The number of rows of the table that fit: without the summary, an empty line, the heading and the line of keys. */
  #page(): number {
    return Math.max(this.#screen.rows - this.#snapshot.summary.length - 3, 1);
  }

  #draw(): void {
    const { rows: height, columns: width } = this.#screen;
    const { summary, rows, total } = this.#snapshot;
    const shown = inOrder(this.#source, rows, this.#state);
    const page = this.#page();
    // Rows may have gone since the last key.
    const offset = Math.max(Math.min(this.#state.offset, shown.length - page), 0);
    this.#state = { ...this.#state, offset };
    const form = { columns: this.#source.columns, view: this.#state, width, style: this.#style };
    const lines = [
      ...summary.map((line) => line.slice(0, width)),
      this.#filterLine(shown.length, total).slice(0, width),
      ...tableLines(shown.slice(offset, offset + page), form),
    ].slice(0, Math.max(height - 1, 1));
    while (lines.length < height - 1) lines.push("");
    this.#screen.draw([...lines, this.#style("dim", KEYS_LINE.slice(0, width))]);
  }

  #filterLine(shown: number, total: number): string {
    const { filter, typing } = this.#state;
    if (typing) return `filter: ${filter}_`;
    return filter === "" ? "" : `filter: ${filter} (${shown} of ${total}; Esc clears it)`;
  }
}
