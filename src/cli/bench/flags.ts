/** The manual of `holdfast bench`, and the validation of its flags. */

import { availableParallelism } from "node:os";
import type { Framing } from "../../index.ts";
import { type CommandLine, commandLine } from "../command.ts";
import { FRAMING_FORMS, fieldOf, fileOf, framingOf } from "../connect/values.ts";
import { duration, UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";
import { type Expectation, FACTS, parseExpectation } from "./expectation.ts";
import type { ClientPlan, Plan } from "./plan.ts";
import { STAMP_SIZE } from "./stamped-message.ts";

const LOAD = { section: "Load" } as const;
const CONNECTION = { section: "Connections" } as const;
const RESULT = { section: "Results" } as const;

const HOUR = 3_600_000;

const BENCH_FLAGS = {
  work: {
    type: "string",
    value: "WORK",
    choices: ["echo", "broadcast", "connect", "idle"],
    default: "echo",
    text: "what is measured, see below",
  },
  connections: {
    ...{ type: "string", short: "c", value: "N", default: "10", ...LOAD },
    text: "connections of all processes; with connect the most attempts at the same time",
  },
  rate: {
    ...{ type: "string", short: "r", value: "N", ...LOAD },
    text: "messages per second of all connections together (attempts, with connect): the open loop. Without it the loop is closed",
  },
  "in-flight": {
    ...{ type: "string", value: "N", default: "1", ...LOAD },
    text: "messages under way on each connection, in the closed loop of echo",
  },
  duration: { type: "string", short: "d", value: "TIME", default: "10s", ...LOAD, text: "the measured time" },
  warmup: {
    ...{ type: "string", value: "TIME", default: "1s", ...LOAD },
    text: "time before it in which messages are sent and checked but not measured",
  },
  drain: {
    ...{ type: "string", value: "TIME", default: "5s", ...LOAD },
    text: "longest wait for the next outstanding answer after it; what is missing then counts as lost",
  },
  size: { type: "string", value: "BYTES", default: "64", ...LOAD, text: `bytes of a message, at least ${STAMP_SIZE}` },
  text: { type: "boolean", ...LOAD, text: "send texts; without it binary messages" },
  slow: {
    ...{ type: "string", value: "N|N%", default: "0", ...LOAD },
    text: "connections, or their share, that do not read what the server sends; the others are measured",
  },
  processes: {
    ...{ type: "string", short: "p", value: "N", default: "1", ...LOAD },
    text: "processes that share the load: one may use less than a fast server can do",
  },
  pace: {
    type: "string",
    value: "PACE",
    choices: ["spin", "timer"],
    ...LOAD,
    text:
      "how to wait for the next message of the open loop. spin uses a whole core per process and sends on time; timer sends up to " +
      "a millisecond late, which counts as latency. Without it spin, if there are more cores than processes",
  },
  header: {
    ...{ type: "string", short: "H", value: "FIELD", multiple: true, ...CONNECTION },
    text: 'a field of the upgrade request, "Name: value"',
  },
  subprotocol: { type: "string", value: "NAME", multiple: true, ...CONNECTION, text: "a subprotocol to offer" },
  origin: { type: "string", value: "ORIGIN", ...CONNECTION, text: "the Origin of the upgrade request" },
  compression: { type: "boolean", ...CONNECTION, text: "offer permessage-deflate" },
  framing: {
    ...{ type: "string", value: "NAME", default: "lines", ...CONNECTION },
    text: `where a message ends on TCP: ${FRAMING_FORMS.replace("raw, ", "")}`,
  },
  ca: { type: "string", value: "FILE", file: true, ...CONNECTION, text: "trust this certificate authority, in PEM" },
  insecure: { type: "boolean", short: "k", ...CONNECTION, text: "accept any certificate" },
  pid: {
    ...{ type: "string", value: "PID", multiple: true, ...CONNECTION },
    text: "with idle, a process of the server. Without it those with a socket of the port, if the server is on this machine",
  },
  expect: {
    ...{ type: "string", short: "e", value: "EXPR", multiple: true, ...RESULT },
    text: "a condition such as p99<50ms or lost=0; status 1 if it is not met",
  },
  compare: {
    ...{ type: "string", value: "FILE", file: true, ...RESULT },
    text: "compare with an earlier result of --json: the ratio of each figure, and whether the difference is more than noise",
  },
  json: { type: "boolean", ...RESULT, text: "print the result as JSON, in place of the text" },
  html: { type: "string", value: "FILE", file: true, ...RESULT, text: "write a report with charts, in one file" },
  hgrm: {
    ...{ type: "string", value: "FILE", file: true, ...RESULT },
    text: "write the percentiles in the format of HdrHistogram, in milliseconds, for its plotters",
  },
} as const satisfies FlagTable;

const BENCH_MANUAL: Manual<typeof BENCH_FLAGS> = {
  name: "bench",
  description: [
    "Measures a WebSocket or TCP server under load, and checks each message: content, order and loss. URL is a ws:, wss:, tcp: or " +
      "tls: address.",
    "With --rate the loop is open: each message has a time at which it is due, whatever the server does, and its latency counts " +
      "from that time. So the result shows what users feel while the server stalls. Without --rate the loop is closed: the next " +
      "message is sent when an answer has arrived. That finds the highest rate, but a stall delays the messages that would have " +
      "shown it, so that its high percentiles are too low.",
  ],
  operands: [{ name: "URL", text: "the address of the server" }],
  flags: BENCH_FLAGS,
  notes: {
    Works: [
      "  echo       the server sends each message back on its connection",
      "  broadcast  the server sends each message of one connection to all others; measured for",
      "             each subscriber, and for the last subscriber of each message",
      "  connect    connections are opened and reset: the rate and the time of handshakes",
      "  idle       connections are open and silent: the memory of the server for each",
    ],
    Conditions: [
      `A condition is a fact, one of < <= > >= =, and a value. A time has a unit: us, ms or s. Facts: ${FACTS.join(", ")}.`,
      "Without a condition on it, each fault (lost, reordered, duplicated, changed, ended, failed, unsent) has to be 0.",
    ],
    Percentiles: [
      "A percentile is printed if at least 10 messages are above it: p99.9 needs 10,000 messages. To judge a percentile with fewer " +
        "is an unmet condition.",
    ],
  },
  statuses: {
    0: "measured, and all conditions are met",
    1: "a condition is not met, messages were lost or wrong, or the server cannot be reached",
    2: "wrong use",
  },
  examples: [
    {
      text: "A thousand messages per second on 100 connections",
      line: "holdfast bench ws://127.0.0.1:9000/echo --rate 1000 --connections 100",
    },
    {
      text: "As a check in CI",
      line: "holdfast bench ws://127.0.0.1:9000/echo --rate 1000 --expect 'p99<50ms' --expect lost=0",
    },
    {
      text: "The time until the last of 200 subscribers has a message, while a tenth of them do not read",
      line: "holdfast bench ws://127.0.0.1:9000/chat --work broadcast --rate 50 --connections 200 --slow 10%",
    },
    {
      text: "A storm of handshakes, 100 at a time",
      line: "holdfast bench ws://127.0.0.1:9000/echo --work connect --connections 100 --duration 5s",
    },
    {
      text: "The memory of an idle connection",
      line: "holdfast bench ws://127.0.0.1:9000/echo --work idle --connections 500 --duration 2s",
    },
    {
      text: "Keep a result, and compare a later one with it",
      line: "holdfast bench ws://127.0.0.1:9000/echo --rate 500 --duration 5s --json > base.json",
    },
    {
      text: "The second, with charts",
      line: "holdfast bench ws://127.0.0.1:9000/echo --rate 500 --duration 5s --compare base.json --html report.html",
    },
  ],
};

export interface BenchSettings {
  readonly plan: Plan;
  /** Processes of the server. Empty: to be found by the port. */
  readonly pids: readonly number[];
  readonly expectations: readonly Expectation[];
  readonly json: boolean;
  readonly compare: string | undefined;
  readonly html: string | undefined;
  readonly hgrm: string | undefined;
}

export const BENCH_LINE: CommandLine<BenchSettings> = commandLine(BENCH_MANUAL, settle);

type Flags = Given<typeof BENCH_FLAGS>;

function settle(flags: Flags, [url = ""]: readonly string[]): BenchSettings {
  const { json, compare, html, hgrm } = flags;
  return {
    plan: planOf(flags, url),
    pids: flags.pid.map((pid) => wholeNumber("--pid", pid, 1, 2 ** 22)),
    expectations: flags.expect.map(parseExpectation),
    ...{ json, compare, html, hgrm },
  };
}

function planOf(flags: Flags, url: string): Plan {
  const { work } = flags;
  const framed = addressKind(url) === "tcp";
  const processes = wholeNumber("--processes", flags.processes, 1, 256);
  const connections = wholeNumber("--connections", flags.connections, 1, 1_000_000);
  const rate = flags.rate === undefined ? undefined : rateOf(flags.rate);
  if (processes > connections) {
    throw new UsageError(
      `cannot use --processes ${processes}: expected at most one for each of ${connections} connections`,
    );
  }
  if (work === "broadcast" && rate === undefined && processes > 1) {
    // The publisher would have to wait for messages from the other processes, which would be measured.
    throw new UsageError("cannot use --processes for a broadcast in the closed loop: add --rate");
  }
  if (work === "idle" && rate !== undefined) throw new UsageError("cannot use --rate with idle: nothing is sent");
  const slow = slowOf(flags.slow, connections);
  if (slow > 0 && (work === "connect" || work === "idle")) {
    throw new UsageError(`cannot use --slow with ${work}: expected echo or broadcast`);
  }
  return {
    ...{ url, work, connections, slow, rate, processes },
    inFlight: wholeNumber("--in-flight", flags["in-flight"], 1, 100_000),
    size: wholeNumber("--size", flags.size, STAMP_SIZE, 2 ** 28),
    text: flags.text || (framed && isLines(flags.framing)),
    warmup: duration("--warmup", flags.warmup, 0, HOUR),
    duration: duration("--duration", flags.duration, 100, 24 * HOUR),
    drain: duration("--drain", flags.drain, 0, HOUR),
    pace: flags.pace ?? (availableParallelism() > processes ? "spin" : "timer"),
    tag: Math.floor(Math.random() * 4_096),
    progress: process.stderr.isTTY === true,
    client: clientOf(flags, framed),
  };
}

function addressKind(url: string): "websocket" | "tcp" {
  const scheme = URL.canParse(url) ? new URL(url).protocol : "";
  if (scheme === "ws:" || scheme === "wss:") return "websocket";
  if (scheme === "tcp:" || scheme === "tls:") return "tcp";
  throw new UsageError(`cannot use ${JSON.stringify(url)}: expected a ws:, wss:, tcp: or tls: address`);
}

function rateOf(text: string): number {
  const rate = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  if (rate > 0 && rate <= 1e7) return rate;
  throw new UsageError(
    `cannot use --rate ${JSON.stringify(text)}: expected messages per second, above 0 and up to 10,000,000`,
  );
}

function slowOf(text: string, connections: number): number {
  const [, number = "", percent] = /^(\d+(?:\.\d+)?)(%?)$/.exec(text) ?? [];
  const slow = percent === "%" ? Math.ceil((connections * Number(number)) / 100) : Number(number);
  if (number !== "" && Number.isInteger(slow) && slow < connections) return slow;
  throw new UsageError(
    `cannot use --slow ${JSON.stringify(text)}: expected fewer than the ${connections} connections, or a share such as 10%`,
  );
}

function clientOf(flags: Flags, framed: boolean): ClientPlan {
  const { header, subprotocol, origin, compression, framing, insecure, ca } = flags;
  if (framed && (header.length > 0 || subprotocol.length > 0 || origin !== undefined || compression)) {
    throw new UsageError(
      "cannot use --header, --subprotocol, --origin or --compression on TCP: there is no upgrade request",
    );
  }
  return {
    headers: header.map(fieldOf),
    subprotocols: subprotocol,
    ...{ origin, compression, insecure },
    framing: messageFraming(framing, flags.size),
    ca: ca === undefined ? undefined : fileOf("--ca", ca),
  };
}

function isLines(framing: string): boolean {
  return framing === "lines" || framing === "crlf";
}

/** A framing whose messages arrive as they were sent. */
function messageFraming(name: string, size: string): Framing {
  const framing = framingOf(name);
  const refuse = (expected: string): never => {
    throw new UsageError(`cannot use --framing ${JSON.stringify(name)}: expected ${expected}`);
  };
  if (framing === "raw") return refuse("one that keeps messages apart");
  if (typeof framing === "object" && "fixed" in framing && framing.fixed !== Number(size))
    return refuse(`fixed:${size}, as --size`);
  // The messages of a bench consist of these characters.
  if (typeof framing === "object" && "delimiter" in framing && /[0-9a-z]/.test(String(framing.delimiter))) {
    return refuse("a delimiter without digits and small letters");
  }
  return framing;
}
