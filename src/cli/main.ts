#!/usr/bin/env node
/** The `holdfast` command: selects the subcommand, and turns an error into one line on stderr and an exit status. */

import { COMMANDS } from "./commands.ts";
import { UsageError } from "./flags.ts";
import { nearest } from "./nearest.ts";
import { printableLine, styleFor } from "./terminal.ts";
import { packageVersion } from "./version.ts";

function usage(): string {
  const style = styleFor(process.stdout);
  const names = Object.keys(COMMANDS);
  const width = Math.max(...names.map(({ length }) => length)) + 2;
  const rows = Object.entries(COMMANDS).map(([name, { summary }]) => `  ${name.padEnd(width)}${summary}`);
  return [
    `${style("bold", "Usage:")} holdfast <command> [flags]\n`,
    style("bold", "Commands:"),
    `${rows.join("\n")}\n`,
    'Run "holdfast <command> --help" for the manual of a command, and "holdfast --version" for the version.\n',
  ].join("\n");
}

/** Runs the named command. Resolves with the exit status, or with undefined if the command keeps running. */
async function main([command, ...args]: readonly string[]): Promise<number | undefined> {
  const [asked, ...flags] = command === "help" && args.length > 0 ? [...args, "--help"] : [command, ...args];
  if (asked === undefined || asked === "--help" || asked === "-h" || asked === "help") {
    process.stdout.write(usage());
    return asked === undefined ? 2 : 0;
  }
  if (asked === "--version" || asked === "-v") {
    process.stdout.write(`${packageVersion()}\n`);
    return 0;
  }
  const entry = Object.hasOwn(COMMANDS, asked) ? COMMANDS[asked] : undefined;
  if (entry !== undefined) return await (await entry.load()).run(flags);
  const names = Object.keys(COMMANDS);
  const meant = nearest(asked, names);
  const expected = meant === undefined ? `expected one of ${names.join(", ")}` : `perhaps ${meant}`;
  throw new UsageError(`unknown command ${JSON.stringify(asked)}: ${expected}; run "holdfast --help" for all`);
}

try {
  const status = await main(process.argv.slice(2));
  if (status !== undefined) process.exitCode = status;
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`holdfast: ${printableLine(message.replace(/\s*\n\s*/g, " "))}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
