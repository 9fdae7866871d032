/** The table of `holdfast top`: which rows in which order, and as lines of text of a given width. Pure functions. */

import { printableLine, type Style } from "../terminal.ts";

/** What the values of a column mean, which decides how they are printed. A `number` is a name, such as a port: it is not shortened. */
type Unit = "text" | "number" | "count" | "bytes" | "bytes per second" | "count per second" | "milliseconds";

export interface TopColumn {
  /** The property of a row, and the value of `--sort`. */
  readonly name: string;
  /** The heading. */
  readonly title: string;
  readonly unit: Unit;
  /** What the column is: a phrase without a full stop. */
  readonly text: string;
  /** Columns of the terminal. A longer value of a text is cut. */
  readonly width: number;
}

/** The values of a row by the names of the columns. Undefined: not known. Texts may be those of a peer. */
export type TopRow = Readonly<Record<string, string | number | undefined>>;

/** What a person has chosen. */
export interface TopView {
  /** The name of the column by which the rows are sorted. */
  readonly sort: string;
  /** True: numbers ascend, and texts descend. */
  readonly reverse: boolean;
  /** Only rows with this text in one of their texts, without regard to upper case. Empty for all rows. */
  readonly filter: string;
}

/** The rows that fit the filter, in order: the largest numbers first, texts from A. What is not known is last. */
export function arranged(rows: readonly TopRow[], { sort, reverse, filter }: TopView): readonly TopRow[] {
  const wanted = filter.toLowerCase();
  const fits = (row: TopRow): boolean =>
    wanted === "" ||
    Object.values(row).some((value) => typeof value === "string" && value.toLowerCase().includes(wanted));
  const direction = reverse ? -1 : 1;
  return rows.filter(fits).sort((one, other) => {
    const [left, right] = [one[sort], other[sort]];
    if (left === undefined || right === undefined) return Number(left === undefined) - Number(right === undefined);
    if (typeof left === "number" && typeof right === "number") return (right - left) * direction;
    return String(left).localeCompare(String(right), "en", { numeric: true }) * direction;
  });
}

/** The form of a printed table. */
export interface TableForm {
  readonly columns: readonly TopColumn[];
  readonly view: TopView;
  /** Columns of the terminal. */
  readonly width: number;
  readonly style: Style;
}

/** The heading and the rows, each cut to the width. The column by which the rows are sorted is marked. */
export function tableLines(rows: readonly TopRow[], { columns, view, width, style }: TableForm): string[] {
  const shown = fitting(columns, view.sort, width);
  const cells = (texts: readonly string[]): string => texts.join(" ").slice(0, width).trimEnd();
  const heading = shown.map((column) => {
    const mark = column.name === view.sort ? (view.reverse ? "^" : "v") : "";
    return aligned(column, column.title + mark);
  });
  return [
    style("bold", cells(heading)),
    ...rows.map((row) => cells(shown.map((column) => aligned(column, cellOf(column, row[column.name]))))),
  ];
}

/** The columns that fit the width, the first ones before the last; that of the order always. */
function fitting(columns: readonly TopColumn[], sort: string, width: number): readonly TopColumn[] {
  const sorted = columns.find(({ name }) => name === sort);
  let left = width - (sorted === undefined ? 0 : sorted.width + 1);
  return columns.filter((column) => {
    if (column === sorted) return true;
    left -= column.width + 1;
    return left >= -1;
  });
}

function aligned({ unit, width }: TopColumn, text: string): string {
  const cut = text.length > width ? `${text.slice(0, width - 1)}~` : text;
  return unit === "text" ? cut.padEnd(width) : cut.padStart(width);
}

function cellOf({ unit }: TopColumn, value: string | number | undefined): string {
  if (value === undefined) return "-";
  if (typeof value === "string") return printableLine(value);
  if (unit === "number") return String(value);
  if (unit === "milliseconds") return shortDuration(value);
  if (unit === "bytes" || unit === "bytes per second") return scaled(value, 1_024);
  return scaled(value, 1_000);
}

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** A number in at most five characters: `0`, `999`, `1.2k`, `12k`, `3.4M`. */
export function scaled(value: number, base: number): string {
  let power = 0;
  let number = value;
  while (number >= base && power < PREFIXES.length - 1) {
    number /= base;
    power += 1;
  }
  return `${power === 0 ? Math.round(number) : number < 10 ? number.toFixed(1) : Math.round(number)}${PREFIXES[power]}`;
}

/** A duration in at most six characters: `0`, `0.31ms`, `12ms`, `4.5s`, `3m20s`, `5h07m`, `12d03h`. */
export function shortDuration(milliseconds: number): string {
  if (milliseconds === 0) return "0";
  if (milliseconds < 10) return `${milliseconds.toFixed(milliseconds < 1 ? 2 : 1)}ms`;
  if (milliseconds < 1_000) return `${Math.round(milliseconds)}ms`;
  const seconds = milliseconds / 1_000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)}s`;
  const two = (length: number): string => String(Math.floor(length)).padStart(2, "0");
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)}h${two((seconds / 60) % 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two((seconds / 3_600) % 24)}h`;
}
