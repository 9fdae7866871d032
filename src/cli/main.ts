#!/usr/bin/env node
/** The `holdfast` command: picks the subcommand, and turns what goes wrong into one line and a status. */

import { ChaosCommand } from "./chaos.js";
import { DoctorCommand } from "./doctor.js";
import { ServeCommand } from "./serve.js";
import { UsageError } from "./usage.js";

const USAGE = `Usage: holdfast <command> [flags]

Commands:
  serve   serves WebSocket echo and chat, TCP echo of lines, and a page to try them
  doctor  tells what the kernel knows of a process's sockets, and what is wrong with them
  chaos   a proxy that makes the network's faults, for tests of any program that uses TCP

Run "holdfast <command> --help" for the flags of a command.
`;

/** Runs the command that `args` name; the status to exit with, or undefined while something goes on. */
async function main([command, ...flags]: readonly string[]): Promise<number | undefined> {
  if (command === undefined || command === "--help" || command === "-h" || command === "help") {
    process.stdout.write(USAGE);
    return command === undefined ? 2 : 0;
  }
  if (command === "serve") return await new ServeCommand().run(flags);
  if (command === "doctor") return await new DoctorCommand().run(flags);
  if (command === "chaos") return await new ChaosCommand().run(flags);
  throw new UsageError(`unknown command ${JSON.stringify(command)}: expected serve, doctor or chaos`);
}

try {
  const status = await main(process.argv.slice(2));
  if (status !== undefined) process.exitCode = status;
} catch (error) {
  process.stderr.write(`holdfast: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
