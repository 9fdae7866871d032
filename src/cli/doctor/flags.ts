/** The flags of `holdfast doctor`, their help text and their validation. */

import type { ParseArgsConfig } from "node:util";
import { parseFlags, UsageError, wholeNumber } from "../flags.ts";

// As long as the library itself leaves a socket in CLOSE_WAIT, by default.
const DEFAULT_BOUND = 5_000;

// Milliseconds. TCP retransmits after 200 ms at the earliest, so in a shorter time no peer can be judged.
const MIN_BOUND = 500;

export const DOCTOR_USAGE: string = `Usage: holdfast doctor [flags]

Samples the kernel's data about TCP sockets for a while, and reports faults. It works for any process of this machine.
Only Linux is supported.

Flags:
  --pid PID         the sockets of this process           (default: all of this network namespace)
  --port PORT       the sockets with this local port, and the processes that hold them
  --bound MS        how long a socket may make no progress before it counts as a fault; the samples
                    take as long                          (default ${DEFAULT_BOUND})
  --watch           continue, with a report after each bound, until SIGINT or SIGTERM
  --json            print each report as one line of JSON
  --help            print this

Exit status: 0 without a fault, 1 with a fault, 2 for wrong use, and if the sockets cannot be read.
`;

export interface DoctorFlags {
  /** Undefined for all processes of this network namespace. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
  readonly bound: number;
  readonly watch: boolean;
  readonly json: boolean;
}

const DOCTOR_OPTIONS = {
  pid: { type: "string" },
  port: { type: "string" },
  bound: { type: "string", default: String(DEFAULT_BOUND) },
  watch: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const satisfies ParseArgsConfig["options"];

/** Parses the flags; undefined for `--help`. Throws UsageError, which says what is wrong and what is expected. */
export function parseDoctorFlags(args: readonly string[]): DoctorFlags | undefined {
  const values = parseFlags("doctor", DOCTOR_OPTIONS, args);
  if (values.help) return undefined;
  if (values.pid !== undefined && values.port !== undefined) {
    throw new UsageError("cannot use --pid with --port: expected one of them");
  }
  return {
    pid: values.pid === undefined ? undefined : wholeNumber("--pid", values.pid, 1, 2 ** 22),
    port: values.port === undefined ? undefined : wholeNumber("--port", values.port, 1, 65_535),
    bound: wholeNumber("--bound", values.bound, MIN_BOUND, 3_600_000),
    watch: values.watch,
    json: values.json,
  };
}
