/** The manual of `holdfast top`, and the validation of its flags. */

import { type CommandLine, commandLine } from "../command.ts";
import { fileOf } from "../connect/values.ts";
import { duration, UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";
import { FEED_COLUMNS, type FeedOptions } from "./feed-source.ts";
import { KERNEL_COLUMNS } from "./kernel-source.ts";
import { KEYS_LINE } from "./keys.ts";
import type { TopColumn } from "./table.ts";

// Milliseconds. The eye follows a change each second, and rates are those of a second.
const DEFAULT_INTERVAL = 1_000;

const [SHORTEST_INTERVAL, LONGEST_INTERVAL] = [100, 3_600_000];

const TOP_FLAGS = {
  sort: { type: "string", value: "COLUMN", text: "sort by this column: its heading without regard to upper case" },
  reverse: { type: "boolean", short: "r", text: "the smallest numbers first" },
  filter: { type: "string", value: "TEXT", text: "only rows with this text in an address, a state or a path" },
  interval: {
    ...{ type: "string", value: "TIME", default: `${DEFAULT_INTERVAL / 1_000}s` },
    text: "time from one reading to the next",
  },
  once: { type: "boolean", text: "print the table once and end, as where stdout is no terminal" },
  token: { type: "string", value: "TOKEN", text: "the token of the dashboard, for a URL" },
  insecure: { type: "boolean", short: "k", text: "TLS with any certificate of the server" },
  ca: { type: "string", value: "FILE", file: true, text: "certificates that are trusted, as PEM" },
  json: { type: "boolean", text: "print all rows once, as one line of JSON" },
} as const satisfies FlagTable;

function columnLines(columns: readonly TopColumn[]): readonly string[] {
  return columns.map(({ title, text }) => `  ${title.padEnd(13)}${text}`);
}

const TOP_MANUAL: Manual<typeof TOP_FLAGS> = {
  name: "top",
  description: [
    "Shows a table of connections that is sorted, and read again each second. Of a process, and without an argument of all processes, it has the TCP sockets in the kernel's table, which needs Linux. Of a URL it has the connections of that server, from the feed of its dashboard: the first 50 by the chosen order. holdfast serve has a dashboard.",
    "On a terminal it connects again when the server has ended or is started again. Where stdout is no terminal the table is printed once, after one interval.",
  ],
  operands: [
    {
      name: "URL|PID",
      optional: true,
      text: "a server with a dashboard, which is at /dashboard unless the URL has a path; or a process of this machine",
    },
  ],
  flags: TOP_FLAGS,
  notes: {
    Keys: [`  ${KEYS_LINE}`],
    "Columns of a process": columnLines(KERNEL_COLUMNS),
    "Columns of a URL": columnLines(FEED_COLUMNS),
  },
  statuses: {
    0: "ended by the user, or printed",
    1: "the process has ended, or the server cannot be reached",
    2: "wrong use, or the sockets cannot be read",
  },
  examples: [
    { text: "The sockets of a process, the largest send queue first", line: "holdfast top $PID" },
    {
      text: "All sockets of this machine that wait for a close, once",
      line: "holdfast top --filter CLOSE_WAIT --once",
    },
    { text: "The connections of holdfast serve", line: "holdfast top http://127.0.0.1:9000" },
    { text: "For a program", line: "holdfast top $PID --json" },
  ],
};

export interface TopSettings {
  /** A process, the URL of a server, or undefined for all processes. */
  readonly subject: number | string | undefined;
  /** Where the subject is a URL. */
  readonly feed: FeedOptions;
  readonly sort: string | undefined;
  readonly reverse: boolean;
  readonly filter: string;
  readonly interval: number;
  readonly once: boolean;
  readonly json: boolean;
}

export const TOP_LINE: CommandLine<TopSettings> = commandLine(TOP_MANUAL, settle);

/** Validates the flags. Throws UsageError, which says what is wrong and what is expected. */
function settle(flags: Given<typeof TOP_FLAGS>, [subject]: readonly string[]): TopSettings {
  const { reverse, filter = "", once, json, token, insecure, ca } = flags;
  const isUrl = subject !== undefined && /^[a-z]+:/i.test(subject);
  if (!isUrl && (token !== undefined || insecure || ca !== undefined))
    throw new UsageError("cannot use --token, --insecure or --ca without a URL: they are for a server");
  if (subject !== undefined && !isUrl && !/^\d+$/.test(subject)) {
    const expected = "a URL such as http://127.0.0.1:9000, or the number of a process";
    throw new UsageError(`cannot use URL|PID ${JSON.stringify(subject)}: expected ${expected}`);
  }
  if (once && json) throw new UsageError("cannot use --once with --json: expected one of them");
  return {
    subject: isUrl || subject === undefined ? subject : wholeNumber("PID", subject, 1, 2 ** 22),
    feed: { token, insecure, ca: ca === undefined ? undefined : fileOf("--ca", ca) },
    sort: flags.sort,
    ...{ reverse, filter, once, json },
    interval: duration("--interval", flags.interval, SHORTEST_INTERVAL, LONGEST_INTERVAL),
  };
}
