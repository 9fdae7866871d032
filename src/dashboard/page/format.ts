/** Writes numbers, sizes, times and durations for people: three digits, and a unit. */

/** A number as text, apart from its unit, so that a table can align both. */
export interface Figure {
  readonly text: string;
  readonly unit: string;
}

/** A kind of number. The history of the feed has the same words. */
export type FigureKind = "count" | "bytes" | "ms" | "percent" | "rate" | "byteRate";

/** What stands for a number that is not known. */
export const UNKNOWN = "–";

const SIZES = ["B", "kB", "MB", "GB", "TB"];
const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A whole number in full; else three significant digits. */
export function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return grouped(Math.round(value));
  return significant(value);
}

/** Three significant digits, so that a column of them is aligned. */
function significant(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 99.95 ? 0 : size >= 9.995 ? 1 : 2);
}

function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** The figure of a value, such as `1.25` and `MB`. */
export function figure(value: number | null | undefined, kind: FigureKind): Figure {
  if (value === null || value === undefined) return { text: UNKNOWN, unit: "" };
  switch (kind) {
    case "count":
      return { text: digits(value), unit: "" };
    case "rate":
      return { text: digits(value), unit: "/s" };
    case "percent":
      return { text: digits(value), unit: "%" };
    case "ms":
      return duration(value);
    case "bytes":
      return size(value);
    case "byteRate": {
      const { text, unit } = size(value);
      return { text, unit: `${unit}/s` };
    }
  }
}

/** A figure as one text. */
export function written(value: number | null | undefined, kind: FigureKind): string {
  const { text, unit } = figure(value, kind);
  return unit === "" ? text : `${text}\u00a0${unit}`;
}

function size(value: number): Figure {
  const [rest, unit] = scaled(value, SIZES);
  return { text: unit === "B" ? String(Math.round(rest)) : significant(rest), unit };
}

function scaled(value: number, units: readonly string[]): [rest: number, unit: string] {
  let [rest, at] = [value, 0];
  // 999.5 would be written as 1000.
  while (Math.abs(rest) >= 999.5 && at < units.length - 1) {
    rest /= 1_000;
    at += 1;
  }
  return [rest, units[at] ?? ""];
}

function duration(value: number): Figure {
  if (value === 0) return { text: "0", unit: "ms" };
  const [rest, unit] = inUnit(value);
  return { text: significant(rest), unit };
}

function inUnit(value: number): [rest: number, unit: string] {
  if (value < SECOND) return [value, "ms"];
  if (value < MINUTE) return [value / SECOND, "s"];
  if (value < HOUR) return [value / MINUTE, "min"];
  return value < 2 * DAY ? [value / HOUR, "h"] : [value / DAY, "d"];
}

const THOUSANDS = ["", "k", "M", "G"];

/** A round value beside an axis: short, with the unit if it says which multiple is meant. */
export function axisLabel(value: number, kind: FigureKind): string {
  if (value === 0) return "0";
  if (kind === "percent") return `${value} %`;
  const [rest, unit] =
    kind === "ms" ? inUnit(value) : scaled(value, kind === "bytes" || kind === "byteRate" ? SIZES : THOUSANDS);
  const text = String(Number(rest.toPrecision(3)));
  return unit.length > 1 || unit === "B" || unit === "s" ? `${text} ${unit}` : `${text}${unit}`;
}

/** The time of day of a Unix time in milliseconds, on the clock of the viewer. */
export function timeOfDay(at: number, fraction = false): string {
  const date = new Date(at);
  const pad = (value: number, length = 2): string => String(value).padStart(length, "0");
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part)).join(":");
  return fraction ? `${time}.${pad(date.getMilliseconds(), 3)}` : time;
}

/** The date and time of a Unix time in milliseconds, for a title. */
export function fullTime(at: number): string {
  return new Date(at).toISOString().replace("T", " ").replace("Z", " UTC");
}
