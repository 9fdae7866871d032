/** How a command's flags are taken apart and judged. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { UsageError } from "./usage.js";

type Options = NonNullable<ParseArgsConfig["options"]>;

/** The values of `args`, of which each must be one of `options`. UsageError with what was wrong. */
export function parseFlags<const O extends Options>(
  command: string,
  options: O,
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: O; args: string[] }>>["values"] {
  try {
    return parseArgs({ options, args: [...args], strict: true, allowPositionals: false }).values;
  } catch (error) {
    // node:util says what is wrong in its first sentence, and how to escape a dash in the rest.
    const [problem] = (error as Error).message.split(". ");
    throw new UsageError(`${problem}; run "holdfast ${command} --help" for the flags`);
  }
}

/** The number that `text` stands for. UsageError if it is none, or is not in the range. */
export function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new UsageError(`cannot use ${flag} ${JSON.stringify(text)}: expected a whole number from ${least} to ${most}`);
}
