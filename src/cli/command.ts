/** A command of `holdfast`: its manual, the validation of its command line, and the function that runs it. */

import { parseFlags } from "./flags.ts";
import { helpText } from "./help.ts";
import type { FlagTable, Given, Manual } from "./manual.ts";
import { styleFor } from "./terminal.ts";

/** A manual, and the validation of command lines by it. */
export interface CommandLine<Settings> {
  readonly manual: Manual;
  /** Returns the settings of the command; undefined for `--help`. Throws UsageError for a wrong command line. */
  parse(args: readonly string[]): Settings | undefined;
}

/** `settle` validates the flags and the arguments that are no flags, and returns the settings of the command. */
export function commandLine<Flags extends FlagTable, Settings>(
  manual: Manual<Flags>,
  settle: (flags: Given<Flags>, operands: readonly string[]) => Settings,
): CommandLine<Settings> {
  return {
    manual,
    parse(args) {
      const { help, flags, operands } = parseFlags(manual, args);
      return help ? undefined : settle(flags, operands);
    },
  };
}

export interface Command {
  readonly manual: Manual;
  /**
   * Runs the command; with `--help` it prints the manual and resolves with 0. Resolves with the exit status, or with undefined if
   * the command keeps running. Rejects with a UsageError for a wrong command line.
   */
  run(args: readonly string[]): Promise<number | undefined>;
}

/** The command of this command line. `perform` returns as `Command.run` does. */
export function command<Settings>(
  { manual, parse }: CommandLine<Settings>,
  perform: (settings: Settings) => Promise<number | undefined>,
): Command {
  return {
    manual,
    async run(args) {
      const settings = parse(args);
      if (settings !== undefined) return await perform(settings);
      const { columns } = process.stdout;
      process.stdout.write(helpText(manual, { columns, style: styleFor(process.stdout) }));
      return 0;
    },
  };
}
