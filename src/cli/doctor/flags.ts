/** The manual of `holdfast doctor`, and the validation of its flags. */

import { type CommandLine, commandLine } from "../command.ts";
import { duration, UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";
import { PROBE_CHECKS } from "../probe/finding.ts";
import { MOST_CONNECTIONS, PROBE_FLAGS, type ProbeSettings, probeSettings, refuseProbeFlags } from "../probe/flags.ts";

// As long as the library itself leaves a socket in CLOSE_WAIT, by default.
const DEFAULT_BOUND = 5_000;

// Milliseconds. TCP retransmits after 200 ms at the earliest, so in a shorter time no peer can be judged.
const MIN_BOUND = 500;

// Milliseconds. The inspector is open for as long.
const MAX_RECORDING = 600_000;

const DOCTOR_FLAGS = {
  pid: { type: "string", value: "PID", text: "the sockets of this process, instead of all of this network namespace" },
  port: { type: "string", value: "PORT", text: "the sockets with this local port, and the processes that hold them" },
  bound: {
    ...{ type: "string", value: "MS", default: String(DEFAULT_BOUND) },
    text: "how long a socket may make no progress before it counts as a fault",
  },
  watch: { type: "boolean", text: "continue, with a report after each bound, until SIGINT or SIGTERM" },
  json: { type: "boolean", text: "print each report as one line of JSON" },
  attach: {
    ...{ type: "string", value: "PID", section: "Inside a Node process" },
    text: "as --pid, and explain each socket with a fault by the objects of this Node process",
  },
  for: {
    ...{ type: "string", value: "TIME", section: "Inside a Node process" },
    text: "also record for this long, such as 10s, which code opens sockets",
  },
  heap: {
    ...{ type: "boolean", section: "Inside a Node process" },
    text: "search all objects for sockets that are not among the active handles, such as those of a TLS server",
  },
  snapshot: {
    ...{ type: "string", value: "FILE", file: true, section: "For support" },
    text: "write everything into this file, as one JSON object without secrets; --snapshot=- for stdout",
  },
  ...PROBE_FLAGS,
} as const satisfies FlagTable;

const DOCTOR_MANUAL: Manual<typeof DOCTOR_FLAGS> = {
  name: "doctor",
  description: [
    "Examines the kernel's data about TCP sockets, and reports faults. It works for any process of this machine. Only Linux is supported.",
    "Where ss is installed (package iproute2), the kernel tells when a socket last sent, received and was acknowledged, so that the faults of the past are found at once. Without ss, or where it fails, the sockets are watched for the length of the bound, and faults that only ss shows (lossy, far) are not found; the report says so.",
    `With a URL it probes that server and the proxies before it, from any system, and prints one line for each check: what was seen, and what must change. It opens at most ${MOST_CONNECTIONS} connections, one after the other, and completes no message, except texts of a few bytes that break a rule.`,
  ],
  operands: [
    {
      name: "URL",
      optional: true,
      text: "a server: ws:, wss:, tcp: or tls:, each also with +unix and the path of a socket",
    },
  ],
  flags: DOCTOR_FLAGS,
  notes: {
    "Inside a Node process": [
      "With --attach, the doctor opens the inspector of the process by SIGUSR1, lists its sockets, and says in one line for each kind of fault which library owns them, and why they are as they are: paused, never read, never ended. It knows net, tls, http, fetch, ws, Socket.IO and Holdfast. Then it closes the inspector again, also at Ctrl+C and after an error; one that was open before stays open.",
      "The doctor reads the list of active handles of the process, which delays the process by some milliseconds. With --heap it searches all objects instead, and the process does nothing else meanwhile: 7 s with 6 million objects. Use --heap for a TLS server and for sockets after unref(), because their sockets are not in the list.",
      "Security: while the inspector is open, any program of this machine that can connect to 127.0.0.1 can run code in the process. That is why the doctor never attaches without this flag, and is done within a second or two (with --for, after that time). The doctor needs the same user, or root, which can do anything to the process anyway. If the doctor itself is killed meanwhile (SIGKILL), the inspector stays open until the process ends.",
      "It refuses programs other than node, and a process that does not handle SIGUSR1 (--disable-sigusr1), because the signal would end it. Node 20 or later.",
    ],
    "The file of --snapshot": [
      'An object with "format": "holdfast-doctor-snapshot" and "version": 1. The version is raised when a field changes its meaning or is removed; new fields do not raise it.',
      "versions (Holdfast, Node of this command, kernel, ss), subject and bound, states, findings (their sockets are positions in the list of sockets), sockets (all rows of the kernel, with the facts of ss as tcp), processes (name of the program, descriptors, limits), sysctls, unreadable, ages, and with --attach inside.",
      "It has no command lines, no environment and no bytes of connections. It does have the IP addresses and ports of all its sockets, and with --attach names of classes and events, and with --for paths of source files. Only this user may read the file.",
    ],
    "Checks of a URL": Object.entries(PROBE_CHECKS).map(([name, text]) => `  ${name.padEnd(15)}${text}`),
  },
  statuses: {
    0: "no fault was found",
    1: "a fault was found",
    2: "wrong use, or the sockets cannot be read",
    3: "the server at the URL cannot be reached",
  },
  examples: [
    { text: "The sockets of one process", line: "holdfast doctor --pid $PID" },
    { text: "The sockets of a server, with a bound of a second", line: "holdfast doctor --port 9000 --bound 1000" },
    { text: "A report after each 5 s, for a program", line: "holdfast doctor --watch --json" },
    { text: "Why the sockets of a Node process are never closed", line: "holdfast doctor --attach $PID" },
    { text: "Also which code opens sockets, for a second", line: "holdfast doctor --attach $PID --for 1s" },
    { text: "A file for support", line: "holdfast doctor --pid $PID --snapshot doctor.json" },
    { text: "A server, from outside", line: "holdfast doctor ws://127.0.0.1:9000/echo" },
    {
      text: "A server and the proxies before it, with a search for their idle limits up to two minutes, for a program",
      line: "holdfast doctor ws://127.0.0.1:9000/echo --idle 2m --json",
    },
  ],
};

export interface DoctorFlags {
  /** Undefined for all processes of this network namespace. */
  readonly pid: number | undefined;
  readonly port: number | undefined;
  readonly bound: number;
  readonly watch: boolean;
  readonly json: boolean;
  /** The process whose objects explain the faults: that of `pid`, or undefined. */
  readonly attach: number | undefined;
  /** Milliseconds for which opened sockets are recorded; 0 for not at all. */
  readonly recordFor: number;
  /** True to search all objects of that process. */
  readonly heap: boolean;
  /** The path of the file, or `-`; undefined for no snapshot. */
  readonly snapshot: string | undefined;
}

export const DOCTOR_LINE: CommandLine<DoctorFlags | ProbeSettings> = commandLine(DOCTOR_MANUAL, settle);

/** Validates the flags. Throws UsageError, which says what is wrong and what is expected. */
function settle(values: Given<typeof DOCTOR_FLAGS>, [url]: readonly string[]): DoctorFlags | ProbeSettings {
  if (url !== undefined) {
    if (/^\d+$/.test(url)) throw new UsageError(`cannot use URL "${url}": a process is named by --pid ${url}`);
    const other = (["pid", "port", "watch", "attach", "for", "heap", "snapshot"] as const).find((name) =>
      Boolean(values[name]),
    );
    if (other !== undefined)
      throw new UsageError(`cannot use --${other} with a URL: it is for processes of this machine`);
    return probeSettings(url, values.json, values);
  }
  refuseProbeFlags(values);
  const subjects = (["pid", "port", "attach"] as const).filter((name) => values[name] !== undefined);
  if (subjects.length > 1) {
    throw new UsageError(`cannot use --${subjects[0]} with --${subjects[1]}: expected one of them`);
  }
  for (const name of ["for", "heap"] as const) {
    if (values[name] && values.attach === undefined) throw new UsageError(`cannot use --${name} without --attach`);
  }
  for (const name of ["attach", "snapshot"] as const) {
    if (values.watch && values[name] !== undefined) throw new UsageError(`cannot use --${name} with --watch`);
  }
  if (values.json && values.snapshot === "-") {
    throw new UsageError("cannot use --json with --snapshot=-: expected one of them on stdout");
  }
  const pid = values.attach ?? values.pid;
  const named = values.attach === undefined ? "--pid" : "--attach";
  const settled = pid === undefined ? undefined : wholeNumber(named, pid, 1, 2 ** 22);
  return {
    pid: settled,
    port: values.port === undefined ? undefined : wholeNumber("--port", values.port, 1, 65_535),
    bound: wholeNumber("--bound", values.bound, MIN_BOUND, 3_600_000),
    ...{ watch: values.watch, json: values.json, snapshot: values.snapshot, heap: values.heap },
    attach: values.attach === undefined ? undefined : settled,
    recordFor: values.for === undefined ? 0 : duration("--for", values.for, 100, MAX_RECORDING),
  };
}
