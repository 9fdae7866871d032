/** Validates arguments and options. A value of a wrong type throws TypeError. A value of the right type outside its range throws RangeError. */

import { isAbortSignal, isObject, kindOf } from "./forms.ts";

/** The numbers that an option accepts. */
export interface NumberRange {
  /** The smallest number. */
  readonly least: number;
  /** True if `least` itself is invalid. */
  readonly above?: true;
  /** The largest number, apart from `Infinity`. Absent: there is none. */
  readonly most?: number;
  /** True if only whole numbers are valid. */
  readonly whole?: true;
  /** The unit. Absent for a plain number. */
  readonly unit?: "ms";
  /** The meaning of `Infinity`. Absent: `Infinity` is invalid. */
  readonly infinity?: "never" | "no limit";
}

/** More than 0 ms, or `Infinity`. */
export const DURATION: NumberRange = { least: 0, above: true, unit: "ms", infinity: "never" };
/** 0 ms or more, or `Infinity`. */
export const DURATION_OR_ZERO: NumberRange = { least: 0, unit: "ms", infinity: "never" };
/** A whole number from 1, or `Infinity`. */
export const COUNT: NumberRange = { least: 1, whole: true, infinity: "no limit" };
/** The port of an address to which a socket can be connected. */
export const PORT: NumberRange = { least: 1, most: 65_535, whole: true };

/** True if `value` is a number of `range`. */
export function isInRange(value: number, { least, above, most = Infinity, whole, infinity }: NumberRange): boolean {
  if (value === Infinity) return infinity !== undefined;
  if (whole && !Number.isInteger(value)) return false;
  return (above ? value > least : value >= least) && value <= most;
}

/** The range in words, for messages: `a whole number from 1, or Infinity for no limit`. */
export function rangeInWords({ least, above, most, whole, unit, infinity }: NumberRange): string {
  const mark = unit === undefined ? "" : ` ${unit}`;
  const kind = whole ? "a whole number " : unit === undefined ? "a number " : "";
  const end = infinity === undefined ? "" : `, or Infinity for ${infinity}`;
  if (above) return `${kind}more than ${least}${mark}${most === undefined ? "" : ` and at most ${most}${mark}`}${end}`;
  if (most !== undefined) return `${kind}from ${least} to ${most}${mark}${end}`;
  return `${kind === "" ? `${least}${mark} or more` : `${kind}from ${least}${mark}`}${end}`;
}

/** Throws TypeError if `value` is no number, and RangeError if it is not in `range`. */
export function judgeNumber(name: string, value: unknown, range: NumberRange): asserts value is number {
  if (typeof value !== "number") {
    const expected = range.unit === "ms" ? "milliseconds" : "a number";
    throw new TypeError(`Cannot use ${name}: expected ${expected}, got ${kindOf(value)}`);
  }
  if (isInRange(value, range)) return;
  throw new RangeError(`Cannot use ${name} ${value}: expected ${rangeInWords(range)}`);
}

/** Throws RangeError if `value` is more than `maximum`, which is the value of the option `bound`. */
export function judgeAtMost(name: string, value: number, bound: string, maximum: number): void {
  if (value <= maximum) return;
  throw new RangeError(`Cannot use ${name} ${value}: expected at most ${bound}, which is ${maximum}`);
}

/** Throws TypeError if `value` is no string, and RangeError if it is none of `choices`. */
export function judgeChoice(name: string, value: unknown, choices: readonly string[]): void {
  judgeString(name, value);
  if (choices.includes(value)) return;
  throw new RangeError(`Cannot use ${name} ${JSON.stringify(value)}: expected one of ${choices.join(", ")}`);
}

/** Throws TypeError if `value` is no string. */
export function judgeString(name: string, value: unknown): asserts value is string {
  if (typeof value === "string") return;
  throw new TypeError(`Cannot use ${name}: expected a string, got ${kindOf(value)}`);
}

/** Throws TypeError if `value` is no boolean. */
export function judgeBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value === "boolean") return;
  throw new TypeError(`Cannot use ${name}: expected true or false, got ${kindOf(value)}`);
}

/** Throws TypeError if `value` is no function. */
export function judgeFunction(name: string, value: unknown): asserts value is (...given: never[]) => unknown {
  if (typeof value === "function") return;
  throw new TypeError(`Cannot use ${name}: expected a function, got ${kindOf(value)}`);
}

/** Throws TypeError if `options` is no object. An array, a function or a Map would be read as "no options". */
export function judgeOptions(options: unknown, name: string = "options"): void {
  if (isObject(options) && !Array.isArray(options)) return;
  throw new TypeError(`Cannot use ${name}: expected an object, got ${kindOf(options)}`);
}

/** Throws TypeError for a name that is no option. Otherwise a misspelt option would silently have its default. */
export function judgeNames(names: readonly string[], known: (name: string) => boolean, prefix: string = ""): void {
  for (const name of names) {
    if (!known(name)) throw new TypeError(`Cannot use option ${prefix}${name}: there is no such option here`);
  }
}

/** Throws TypeError if `signal` is neither absent nor an AbortSignal. */
export function judgeSignal(signal: unknown): void {
  if (signal === undefined || isAbortSignal(signal)) return;
  throw new TypeError(`Cannot use signal: expected an AbortSignal, got ${kindOf(signal)}`);
}
