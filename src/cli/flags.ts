/** Parsing and validation of a command line by the command's manual, and the error for a wrong one. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { isInRange, type NumberRange, rangeInWords } from "../base/judge.ts";
import { type Flag, type FlagTable, flagsOf, type Given, type Manual } from "./manual.ts";
import { nearest } from "./nearest.ts";

/** A wrong flag or value. `main` prints the message in one line, and exits with status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A parsed command line: the values of the flags, and the arguments that are no flags. */
export interface Parsed<Flags extends FlagTable> {
  readonly help: boolean;
  readonly flags: Given<Flags>;
  readonly operands: readonly string[];
}

/**
 * Parses `args` by `manual`. Throws UsageError for an unknown flag, a missing value, a value of a flag that has none, a value that
 * is not among the choices, and too few or too many arguments. With `--help` only the flags are checked. node:util would describe
 * some of these in three lines, and in terms of its own interface.
 */
export function parseFlags<Flags extends FlagTable>(manual: Manual<Flags>, args: readonly string[]): Parsed<Flags> {
  const table = flagsOf(manual);
  const options = optionsOf(table);
  const read = [...args];
  const { tokens } = parseArgs({ options, args: read, strict: false, tokens: true });
  const operands = manual.operands ?? [];
  const refuse = (fault: string): never => {
    throw new UsageError(`${fault}; run "holdfast ${manual.name} --help" for the flags`);
  };
  const fault = tokens.map((token) => faultOf(token, table, operands.length > 0)).find((one) => one !== undefined);
  if (fault !== undefined) refuse(fault);
  const { values, positionals } = parseArgs({ options, args: read, strict: true, allowPositionals: true });
  if (values["help"] !== true) {
    const absent = Object.keys(table).find((name) => table[name]?.required === true && values[name] === undefined);
    if (absent !== undefined) refuse(`--${absent} is missing`);
    const missing = operands[positionals.length];
    if (missing !== undefined && missing.optional !== true) refuse(`${missing.name} is missing`);
    const [extra] = positionals.slice(operands.length);
    if (extra !== undefined)
      refuse(`unexpected argument ${JSON.stringify(extra)}: expected only ${operandsInWords(manual)}`);
    for (const [at, value] of positionals.entries()) {
      const { name = "", choices } = operands[at] ?? {};
      const unknown = choiceFault(name, value, choices);
      if (unknown !== undefined) refuse(unknown);
    }
  }
  return { help: values["help"] === true, flags: values as Given<Flags>, operands: positionals };
}

/** The table without what `parseArgs` does not know. An absent boolean is false, and an absent list is empty. */
function optionsOf(table: FlagTable): NonNullable<ParseArgsConfig["options"]> {
  const settled = Object.entries(table).map(([name, { type, short, multiple = false, default: given }]) => {
    const absent = multiple ? [] : type === "boolean" ? false : given;
    return [name, { type, multiple, ...(short && { short }), ...(absent !== undefined && { default: absent }) }];
  });
  return Object.fromEntries(settled) as NonNullable<ParseArgsConfig["options"]>;
}

type Token = NonNullable<ReturnType<typeof parseArgs<{ strict: false; tokens: true }>>["tokens"]>[number];

/** What is wrong with one part of the command line. */
function faultOf(token: Token, table: FlagTable, operands: boolean): string | undefined {
  if (token.kind === "option-terminator") return operands ? undefined : 'cannot use "--": expected only flags';
  if (token.kind === "positional")
    return operands ? undefined : `unexpected argument ${JSON.stringify(token.value)}: expected only flags`;
  const { name, rawName, value, inlineValue } = token;
  const flag: Flag | undefined = Object.hasOwn(table, name) ? table[name] : undefined;
  if (flag === undefined) {
    const meant = nearest(name, Object.keys(table));
    return `unknown flag ${rawName}${meant === undefined ? "" : `, perhaps --${meant}`}`;
  }
  if (flag.type === "boolean") return value === undefined ? undefined : `${rawName} takes no value`;
  // A value that begins with a dash is the next flag, unless it is joined by "=".
  if (value === undefined || (!inlineValue && value.startsWith("-"))) return `${rawName} needs a value`;
  return choiceFault(rawName, value, flag.choices);
}

function choiceFault(name: string, value: string, choices: readonly string[] | undefined): string | undefined {
  if (choices === undefined || choices.includes(value)) return undefined;
  return `cannot use ${name} ${JSON.stringify(value)}: expected one of ${choices.join(", ")}`;
}

function operandsInWords({ operands = [] }: Manual): string {
  return operands.map(({ name }) => name).join(" and ");
}

/** Parses a whole number. Throws UsageError if `text` is not one or is out of range. */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const range: NumberRange = { least, most, whole: true };
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (isInRange(value, range)) return value;
  throw new UsageError(`cannot use ${flag} ${JSON.stringify(text)}: expected ${rangeInWords(range)}`);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** Parses a length of time such as `500ms`, `1.5s`, `2m`, `1h` or `0`; in milliseconds. Throws UsageError for anything else. */
export function duration(flag: string, text: string, least: number, most: number): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  const length = number === "" ? Number.NaN : Number(number) * (UNITS[unit] ?? Number.NaN);
  // Nothing is the same in every unit.
  const value = text === "0" ? 0 : length;
  if (isInRange(value, { least, most })) return value;
  const range = rangeInWords({ least, most, unit: "ms" });
  throw new UsageError(
    `cannot use ${flag} ${JSON.stringify(text)}: expected a time such as 500ms, 10s or 2m, ${range}`,
  );
}
