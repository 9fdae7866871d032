#!/usr/bin/env node
/** The `holdfast` command: selects the subcommand, and turns an error into one line on stderr and an exit status. */

import { createRequire } from "node:module";
import { UsageError } from "./flags.ts";

const USAGE = `Usage: holdfast <command> [flags]

Commands:
  serve   serves WebSocket echo and chat, TCP echo of lines, and a page that uses them
  doctor  reads the kernel's data about the sockets of a process, and reports faults
  chaos   runs a proxy that causes network faults, for tests of any program that uses TCP

Run "holdfast <command> --help" for the flags of a command, and "holdfast --version" for the version.
`;

/** The version in this package's package.json. */
function version(): string {
  return (createRequire(import.meta.url)("holdfast/package.json") as { readonly version: string }).version;
}

/** Runs the named command. Resolves with the exit status, or with undefined if the command keeps running. */
async function main([command, ...flags]: readonly string[]): Promise<number | undefined> {
  if (command === undefined || command === "--help" || command === "-h" || command === "help") {
    process.stdout.write(USAGE);
    return command === undefined ? 2 : 0;
  }
  if (command === "--version" || command === "-v") {
    process.stdout.write(`${version()}\n`);
    return 0;
  }
  // Only the code of this command is loaded, so that the help and the errors appear at once.
  if (command === "serve") return await new (await import("./serve/serve.ts")).ServeCommand().run(flags);
  if (command === "doctor") return await new (await import("./doctor/doctor.ts")).DoctorCommand().run(flags);
  if (command === "chaos") return await new (await import("./chaos/chaos.ts")).ChaosCommand().run(flags);
  throw new UsageError(`unknown command ${JSON.stringify(command)}: expected serve, doctor or chaos`);
}

try {
  const status = await main(process.argv.slice(2));
  if (status !== undefined) process.exitCode = status;
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`holdfast: ${message.replace(/\s*\n\s*/g, " ")}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
