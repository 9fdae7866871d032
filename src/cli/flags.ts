/** Parsing and validation of flags, and the error for a wrong command line, shared by all commands. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { isInRange, type NumberRange, rangeInWords } from "../base/judge.ts";

/** A wrong flag or value. `main` prints the message in one line, and exits with status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

type Options = NonNullable<ParseArgsConfig["options"]>;

/**
 * Parses `args` by `options`. Throws UsageError for an unknown flag, a missing value, a value of a flag that has none, or a
 * positional argument. node:util would describe some of these in three lines, and in terms of its own interface.
 */
export function parseFlags<const O extends Options>(
  command: string,
  options: O,
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: O; args: string[] }>>["values"] {
  const read = [...args];
  const { tokens } = parseArgs({ options, args: read, strict: false, tokens: true });
  const fault = tokens.map((token) => faultOf(token, options)).find((one) => one !== undefined);
  if (fault !== undefined) throw new UsageError(`${fault}; run "holdfast ${command} --help" for the flags`);
  return parseArgs({ options, args: read, strict: true, allowPositionals: false }).values;
}

type Token = NonNullable<ReturnType<typeof parseArgs<{ strict: false; tokens: true }>>["tokens"]>[number];

/** What is wrong with one part of the command line. */
function faultOf(token: Token, options: Options): string | undefined {
  if (token.kind === "option-terminator") return 'cannot use "--": expected only flags';
  if (token.kind === "positional") return `unexpected argument ${JSON.stringify(token.value)}: expected only flags`;
  const { name, rawName, value, inlineValue } = token;
  const option = Object.hasOwn(options, name) ? options[name] : undefined;
  if (option === undefined) return `unknown flag ${rawName}`;
  if (option.type === "boolean") return value === undefined ? undefined : `${rawName} takes no value`;
  // A value that begins with a dash is the next flag, unless it is joined by "=".
  if (value === undefined || (!inlineValue && value.startsWith("-"))) return `${rawName} needs a value`;
  return undefined;
}

/** Parses a whole number. Throws UsageError if `text` is not one or is out of range. */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const range: NumberRange = { least, most, whole: true };
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (isInRange(value, range)) return value;
  throw new UsageError(`cannot use ${flag} ${JSON.stringify(text)}: expected ${rangeInWords(range)}`);
}
