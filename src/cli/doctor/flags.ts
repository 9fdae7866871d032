/** The manual of `holdfast doctor`, and the validation of its flags. */

import { type CommandLine, commandLine } from "../command.ts";
import { UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";

// As long as the library itself leaves a socket in CLOSE_WAIT, by default.
const DEFAULT_BOUND = 5_000;

// Milliseconds. TCP retransmits after 200 ms at the earliest, so in a shorter time no peer can be judged.
const MIN_BOUND = 500;

const DOCTOR_FLAGS = {
  pid: { type: "string", value: "PID", text: "the sockets of this process, instead of all of this network namespace" },
  port: { type: "string", value: "PORT", text: "the sockets with this local port, and the processes that hold them" },
  bound: {
    ...{ type: "string", value: "MS", default: String(DEFAULT_BOUND) },
    text: "how long a socket may make no progress before it counts as a fault; the samples take as long",
  },
  watch: { type: "boolean", text: "continue, with a report after each bound, until SIGINT or SIGTERM" },
  json: { type: "boolean", text: "print each report as one line of JSON" },
} as const satisfies FlagTable;

const DOCTOR_MANUAL: Manual<typeof DOCTOR_FLAGS> = {
  name: "doctor",
  description: [
    "Samples the kernel's data about TCP sockets for a while, and reports faults. It works for any process of this machine. Only Linux is supported.",
  ],
  flags: DOCTOR_FLAGS,
  statuses: { 0: "no fault was found", 1: "a fault was found", 2: "wrong use, or the sockets cannot be read" },
  examples: [
    { text: "The sockets of one process", line: "holdfast doctor --pid $PID" },
    { text: "The sockets of a server, judged after a second", line: "holdfast doctor --port 9000 --bound 1000" },
    { text: "A report after each 5 s, for a program", line: "holdfast doctor --watch --json" },
  ],
};

export interface DoctorFlags {
  /** Undefined for all processes of this network namespace. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
  readonly bound: number;
  readonly watch: boolean;
  readonly json: boolean;
}

export const DOCTOR_LINE: CommandLine<DoctorFlags> = commandLine(DOCTOR_MANUAL, settle);

/** Validates the flags. Throws UsageError, which says what is wrong and what is expected. */
function settle(values: Given<typeof DOCTOR_FLAGS>): DoctorFlags {
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
