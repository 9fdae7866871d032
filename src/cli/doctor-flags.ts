/** The flags of `holdfast doctor`. */

import type { ParseArgsConfig } from "node:util";
import { parseFlags, wholeNumber } from "./flags.js";
import { UsageError } from "./usage.js";

// As long as the library itself leaves a socket in CLOSE_WAIT, by default.
const BOUND = 5_000;

// TCP sends again after 200 ms at the earliest, so in less than this nothing can be told of a peer.
const SHORTEST = 500;

export const DOCTOR_USAGE: string = `Usage: holdfast doctor [flags]

Looks for a while at what the kernel knows of TCP sockets, and says what is wrong. It works on any process of this
machine. Only Linux tells.

Flags:
  --pid PID         the sockets of this process           (default: all of this network namespace)
  --port PORT       the sockets whose own port is this, and the processes that hold them
  --bound MS        how long a socket may stand still before it is called wrong, and so how long
                    this looks                            (default ${BOUND})
  --watch           go on, with a report after each bound, until SIGINT or SIGTERM
  --json            print each report as one line of JSON
  --help            print this

Exit status: 0 when nothing was found, 1 when something is wrong, 2 for wrong use, and where nothing can be seen.
`;

export interface DoctorFlags {
  /** Undefined for all. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
  readonly bound: number;
  readonly watch: boolean;
  readonly json: boolean;
}

const OPTIONS = {
  pid: { type: "string" },
  port: { type: "string" },
  bound: { type: "string", default: String(BOUND) },
  watch: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const satisfies ParseArgsConfig["options"];

/** Judges the flags; undefined if help was asked for. UsageError with what was wrong and what was expected. */
export function parseDoctorFlags(args: readonly string[]): DoctorFlags | undefined {
  const values = parseFlags("doctor", OPTIONS, args);
  if (values.help) return undefined;
  if (values.pid !== undefined && values.port !== undefined) {
    throw new UsageError("cannot use --pid with --port: expected one of them");
  }
  return {
    pid: values.pid === undefined ? undefined : wholeNumber("--pid", values.pid, 1, 2 ** 22),
    port: values.port === undefined ? undefined : wholeNumber("--port", values.port, 1, 65_535),
    bound: wholeNumber("--bound", values.bound, SHORTEST, 3_600_000),
    watch: values.watch,
    json: values.json,
  };
}
