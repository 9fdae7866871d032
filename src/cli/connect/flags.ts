/** The manual of `holdfast connect`, and the validation of its flags. */

import { type ConnectOptions, DEFAULTS, type Dialer, type Message } from "../../index.ts";
import { type CommandLine, commandLine } from "../command.ts";
import { duration, UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";
import { messageOfLine } from "./input.ts";
import type { ScriptedMessage } from "./session.ts";
import { messageOf, parseRecording } from "./transcript.ts";
import {
  closeOf,
  dialerOf,
  durationOrNever,
  FRAMING_FORMS,
  fieldOf,
  fileOf,
  framingOf,
  LONGEST,
  MAX_MESSAGE,
} from "./values.ts";
import { checkWriteOut, FIELDS } from "./write-out.ts";

// Milliseconds. Answers of a server in the same continent take a tenth of that.
const DEFAULT_WAIT = 1_000;

// Milliseconds between two Pings of an interactive session: often enough for a person, and below the 25 s of the heartbeat.
const KEYBOARD_PING = 5_000;

const REQUEST = { section: "Request" } as const;
const SENDING = { section: "Sending" } as const;
const ENDING = { section: "Ending" } as const;
const OUTPUT = { section: "Output" } as const;

const CONNECT_FLAGS = {
  header: {
    type: "string",
    short: "H",
    value: "FIELD",
    multiple: true,
    ...REQUEST,
    text: 'a field of the request, "Name: value"',
  },
  subprotocol: {
    type: "string",
    short: "s",
    value: "NAME",
    multiple: true,
    ...REQUEST,
    text: "an offered subprotocol",
  },
  origin: { type: "string", value: "ORIGIN", ...REQUEST, text: "the Origin of the request, without it none" },
  auth: { type: "string", value: "USER:PASSWORD", ...REQUEST, text: "basic authentication" },
  "no-compression": { type: "boolean", ...REQUEST, text: "offer no compression" },
  framing: {
    ...{ type: "string", value: "NAME", default: "lines", ...REQUEST },
    text: `where a message ends on TCP: ${FRAMING_FORMS}`,
  },
  "connect-timeout": {
    ...{ type: "string", value: "TIME", default: `${DEFAULTS.connection.openTimeout / 1_000}s`, ...REQUEST },
    text: "longest time to open a connection",
  },
  proxy: {
    type: "string",
    value: "URL",
    ...REQUEST,
    text: 'through this proxy, http:, https: or socks5:, or through that of the environment: "env"',
  },
  insecure: { type: "boolean", short: "k", ...REQUEST, text: "TLS with any certificate of the server" },
  ca: { type: "string", value: "FILE", file: true, ...REQUEST, text: "certificates that are trusted, as PEM" },
  cert: { type: "string", value: "FILE", file: true, ...REQUEST, text: "certificate of this client, as PEM" },
  key: { type: "string", value: "FILE", file: true, ...REQUEST, text: "its key, as PEM" },

  exec: {
    ...{ type: "string", short: "x", value: "MESSAGE", multiple: true, ...SENDING },
    text: "send this first, on each connection. Then a terminal stays interactive; stdin is not read otherwise",
  },
  every: {
    type: "string",
    value: "TIME",
    default: "0",
    ...SENDING,
    text: "pause between the messages of --exec, and of --replay in place of the recorded ones",
  },
  repeat: {
    type: "string",
    value: "N",
    default: "1",
    ...SENDING,
    text: "send the messages of --exec or --replay N times; Infinity until the end",
  },
  send: {
    type: "string",
    value: "ENCODING",
    choices: ["text", "hex", "base64"],
    default: "text",
    section: "Sending",
    text: "what lines and --exec are: texts, or the bytes of binary messages",
  },
  replay: {
    type: "string",
    value: "FILE",
    file: true,
    ...SENDING,
    text: "send the sent messages of a recording, with its pauses",
  },
  ping: {
    type: "string",
    value: "TIME",
    ...SENDING,
    text: `a Ping in this interval, for its round-trip time; ${KEYBOARD_PING / 1_000}s when interactive; 0 for none`,
  },
  "max-message-size": {
    ...{ type: "string", value: "BYTES", default: String(DEFAULTS.connection.maxMessageSize), ...SENDING },
    text: "largest message, in both directions",
  },

  wait: {
    ...{ type: "string", short: "w", value: "TIME", ...ENDING },
    text: `after the end of stdin or of --exec: close when no message has come for so long; Infinity stays open (default ${DEFAULT_WAIT / 1_000}s; 0 after Ctrl+D)`,
  },
  answers: {
    type: "string",
    short: "n",
    value: "N",
    ...ENDING,
    text: "close after N received messages; fewer are status 5",
  },
  "max-time": { type: "string", value: "TIME", ...ENDING, text: "close after so long, with status 5" },
  close: {
    type: "string",
    value: "CODE[:REASON]",
    default: "1000",
    ...ENDING,
    text: "the code and the reason of the Close",
  },
  reconnect: {
    type: "boolean",
    ...ENDING,
    text: "connect again after a loss, with growing pauses, unless the cause is final",
  },
  attempts: { type: "string", value: "N", ...ENDING, text: "with --reconnect: end after N failed attempts in a row" },

  json: { type: "boolean", ...OUTPUT, text: "print each event as a line of JSON: open, message, pong, waiting, close" },
  pretty: { type: "boolean", ...OUTPUT, text: "JSON messages on several lines, as on a terminal" },
  plain: { type: "boolean", ...OUTPUT, text: "JSON messages as they came, also on a terminal" },
  base64: { type: "boolean", ...OUTPUT, text: "binary messages as base64 in place of hexadecimal digits" },
  raw: {
    type: "boolean",
    ...OUTPUT,
    text: "messages as they came, not on a terminal: control characters, and the bytes of binary messages",
  },
  time: {
    type: "boolean",
    ...OUTPUT,
    text: "mark each message with the time since the last one, and print sent ones too, as on a terminal",
  },
  quiet: { type: "boolean", short: "q", ...OUTPUT, text: "only messages, errors, and an end that is a failure" },
  verbose: {
    type: "boolean",
    short: "v",
    ...OUTPUT,
    text: "attempts and the header fields of the handshake",
  },
  trace: { type: "boolean", ...OUTPUT, text: "a line for each frame, on stderr" },
  record: { type: "string", value: "FILE", file: true, ...OUTPUT, text: "write the lines of --json to this file" },
  "write-out": { type: "string", value: "FORMAT", ...OUTPUT, text: "print this at the end, with %{FIELD} filled in" },
  history: {
    type: "string",
    value: "FILE",
    file: true,
    ...OUTPUT,
    text: "keep the typed lines in this file; otherwise they are forgotten",
  },
} as const satisfies FlagTable;

const CONNECT_MANUAL: Manual<typeof CONNECT_FLAGS> = {
  name: "connect",
  description: [
    "Opens a connection, sends each line of stdin as a message, and prints each received message. The lines wait until the connection is open. At the end of stdin it waits for the answers, then it closes.",
    "On a terminal it is interactive, with a history of lines. A message has the time since the last one before it, in either direction, and the prompt has the round-trip time of the last Ping. Control characters of a message are printed as escapes.",
    "Messages are printed to stdout, all else to stderr.",
  ],
  operands: [
    {
      name: "URL",
      text: "ws:, wss:, tcp: or tls:, each also with +unix and the path of a socket: ws+unix:///run/app.sock:/path",
    },
  ],
  flags: CONNECT_FLAGS,
  notes: {
    "Fields of write-out": [
      "Durations are in milliseconds. What did not happen is 0 or empty. \\n and \\t are a newline and a tab.",
      ...Object.entries(FIELDS).map(([name, text]) => `  ${name.padEnd(15)}${text}`),
    ],
  },
  statuses: {
    0: "closed by this side, or by the peer with 1000, 1001 or no code, or a FIN",
    1: "lost, closed by the peer with another code, or a broken rule",
    2: "wrong use",
    3: "not connected: name, network, TLS, or no answer in time",
    4: "refused: the server answered with another HTTP status",
    5: "a time limit: the peer is dead, --max-time, or fewer answers than --answers",
    130: "ended by Ctrl+C or SIGINT",
    143: "ended by SIGTERM",
  },
  examples: [
    { text: "Talk to a server", line: "holdfast connect ws://127.0.0.1:9000/echo" },
    {
      text: "One request and its answer, in a script",
      line: "holdfast connect ws://127.0.0.1:9000/echo --exec '{\"id\":1}' --answers 1",
    },
    {
      text: "Lines of a file, and all answers",
      line: "printf 'one\\ntwo\\n' | holdfast connect ws://127.0.0.1:9000/echo --wait 500ms",
    },
    {
      text: "A message each 100 ms, as JSON for a program",
      line: "holdfast connect ws://127.0.0.1:9000/echo -x tick --every 100ms --repeat 3 --json",
    },
    {
      text: "Where the time goes",
      line: "holdfast connect ws://127.0.0.1:9000/echo -x hi -n 1 -q --write-out 'tcp %{tcp} upgrade %{upgrade} answer %{first_message}\\n'",
    },
    {
      text: "Bytes, and the frames",
      line: "holdfast connect ws://127.0.0.1:9000/echo --send hex -x 'ca fe' -n 1 --trace",
    },
    { text: "Lines over TCP", line: "echo hello | holdfast connect tcp://127.0.0.1:9001 --answers 1" },
    {
      text: "Connect again after a loss, and record what happens",
      line: "holdfast connect ws://127.0.0.1:9000/chat --reconnect -x hello -n 1 --record chat.jsonl",
    },
    {
      text: "Send the recorded messages again, in the recorded rhythm",
      line: "holdfast connect ws://127.0.0.1:9000/chat --replay chat.jsonl",
    },
  ],
};

/** Options of both `connect` and `reconnect`. */
type AttemptOptions = Omit<ConnectOptions<undefined>, "dial" | "deadline"> & { readonly dial?: Dialer | undefined };

/** The settings of one run. */
export interface ConnectSettings {
  readonly url: string;
  /** Of `connect` and `reconnect`; without hooks. */
  readonly options: AttemptOptions;
  /** What is sent first on each connection. Undefined if there is only stdin. */
  readonly script: (() => Iterable<ScriptedMessage>) | undefined;
  readonly encoding: "text" | "hex" | "base64";
  readonly tcp: boolean;
  /** True for TCP without framing: stdin is sent as it is. */
  readonly chunks: boolean;
  readonly ping: number | undefined;
  readonly maxLength: number;
  readonly wait: number | undefined;
  readonly answers: number;
  readonly maxTime: number;
  readonly code: number;
  readonly reason: string;
  readonly reconnect: boolean;
  readonly attempts: number;
  readonly output: Readonly<
    Record<"json" | "pretty" | "plain" | "base64" | "raw" | "time" | "quiet" | "verbose", boolean>
  >;
  readonly record: string | undefined;
  readonly writeOut: string | undefined;
  readonly history: string | undefined;
}

/** The default of `--wait`, in milliseconds: at the end of stdin, and after Ctrl+D. */
export const DEFAULT_WAITS: { readonly piped: number; readonly interactive: number } = {
  ...{ piped: DEFAULT_WAIT, interactive: 0 },
};

/** The default of `--ping`, in milliseconds, when interactive. */
export const INTERACTIVE_PING: number = KEYBOARD_PING;

export const CONNECT_LINE: CommandLine<ConnectSettings> = commandLine(CONNECT_MANUAL, settle);

/** Validates the flags. Throws UsageError for a wrong one. `connect` validates the URL and the values that it gets. */
function settle(flags: Given<typeof CONNECT_FLAGS>, [url = ""]: readonly string[]): ConnectSettings {
  refusePairs(flags);
  if (flags["write-out"] !== undefined) checkWriteOut(flags["write-out"]);
  const tcp = /^(tcp|tls)/i.test(url);
  const [code, reason] = closeOf(flags.close);
  return {
    url,
    options: { ...(tcp ? tcpOptions(flags) : webSocketOptions(flags)), ...commonOptions(flags) },
    script: scriptOf(flags),
    encoding: flags.send,
    tcp,
    chunks: tcp && flags.framing === "raw" && flags.send === "text",
    ping: flags.ping === undefined ? undefined : duration("--ping", flags.ping, 0, LONGEST),
    maxLength: wholeNumber("--max-message-size", flags["max-message-size"], 1, MAX_MESSAGE),
    wait: flags.wait === undefined ? undefined : durationOrNever("--wait", flags.wait, 0),
    answers:
      flags.answers === undefined ? Infinity : wholeNumber("--answers", flags.answers, 1, Number.MAX_SAFE_INTEGER),
    maxTime: flags["max-time"] === undefined ? Infinity : duration("--max-time", flags["max-time"], 1, LONGEST),
    ...{ code, reason, reconnect: flags.reconnect },
    attempts:
      flags.attempts === undefined ? Infinity : wholeNumber("--attempts", flags.attempts, 1, Number.MAX_SAFE_INTEGER),
    output: flags,
    ...{ record: flags.record, writeOut: flags["write-out"], history: flags.history },
  };
}

function refusePairs(flags: Given<typeof CONNECT_FLAGS>): void {
  const used = ([one, other]: readonly [keyof typeof flags, keyof typeof flags]): boolean =>
    Boolean(flags[one]) && Boolean(flags[other]);
  for (const pair of [
    ["pretty", "plain"],
    ["json", "raw"],
    ["raw", "time"],
    ["raw", "pretty"],
  ] as const) {
    if (used(pair)) throw new UsageError(`cannot use --${pair[0]} with --${pair[1]}: expected one of them`);
  }
  if (flags.raw && process.stdout.isTTY)
    throw new UsageError("cannot use --raw on a terminal: the peer could control it");
  if (flags.replay !== undefined && flags.exec.length > 0)
    throw new UsageError("cannot use --replay with --exec: expected one of them");
  if (flags.attempts !== undefined && !flags.reconnect)
    throw new UsageError("cannot use --attempts without --reconnect");
  if (flags.repeat !== "1" && flags.exec.length === 0 && flags.replay === undefined)
    throw new UsageError("cannot use --repeat without --exec or --replay");
}

function commonOptions(flags: Given<typeof CONNECT_FLAGS>): AttemptOptions {
  const maxMessageSize = wholeNumber("--max-message-size", flags["max-message-size"], 1, MAX_MESSAGE);
  const { insecure, proxy } = flags;
  const files = Object.entries({ ca: flags.ca, cert: flags.cert, key: flags.key });
  const pem = files.flatMap(([name, file]) => (file === undefined ? [] : [[name, fileOf(`--${name}`, file)]]));
  return {
    maxMessageSize,
    maxQueuedBytes: Math.max(maxMessageSize, DEFAULTS.connection.maxQueuedBytes),
    openTimeout: duration("--connect-timeout", flags["connect-timeout"], 1, LONGEST),
    // Answers that are on their way when this side closes are printed too.
    receiveWhileClosing: true,
    // A person may be silent for an hour, and so may a feed.
    idleTimeout: Infinity,
    trace: flags.trace,
    ...(insecure || pem.length > 0
      ? { tls: { ...(insecure && { rejectUnauthorized: false }), ...Object.fromEntries(pem) } }
      : {}),
    ...(proxy === undefined ? {} : { dial: dialerOf(proxy) }),
  };
}

function webSocketOptions(flags: Given<typeof CONNECT_FLAGS>): AttemptOptions {
  const headers = flags.header.map(fieldOf);
  if (flags.auth !== undefined) {
    headers.push(["Authorization", `Basic ${Buffer.from(flags.auth).toString("base64")}`]);
  }
  const { subprotocol: subprotocols, origin } = flags;
  return { headers, subprotocols, origin, compression: !flags["no-compression"] };
}

const REQUEST_FLAGS = ["header", "subprotocol", "origin", "auth", "no-compression"] as const;

function tcpOptions(flags: Given<typeof CONNECT_FLAGS>): AttemptOptions {
  for (const name of REQUEST_FLAGS) {
    const given = flags[name];
    if (Array.isArray(given) ? given.length > 0 : Boolean(given))
      throw new UsageError(`cannot use --${name} with TCP: it is a part of the WebSocket handshake`);
  }
  return { framing: framingOf(flags.framing) };
}

function scriptOf(flags: Given<typeof CONNECT_FLAGS>): ConnectSettings["script"] {
  const every = duration("--every", flags.every, 0, LONGEST);
  const repeat =
    flags.repeat === "Infinity" ? Infinity : wholeNumber("--repeat", flags.repeat, 1, Number.MAX_SAFE_INTEGER);
  const messages =
    flags.replay === undefined ? flags.exec.map((text) => executed(text, flags.send, every)) : recorded(flags, every);
  if (messages.length === 0) return undefined;
  return function* rounds() {
    for (let round = 0; round < repeat; round += 1) {
      for (const [at, { message, pause }] of messages.entries()) {
        // No pause before the very first message.
        yield { message, pause: round === 0 && at === 0 ? 0 : pause };
      }
    }
  };
}

function executed(
  text: string,
  encoding: "text" | "hex" | "base64",
  pause: number,
): { readonly message: Message; readonly pause: number } {
  return { message: messageOfLine(text, encoding), pause };
}

function recorded(
  { replay = "", every: given }: Given<typeof CONNECT_FLAGS>,
  every: number,
): readonly ScriptedMessage[] {
  const text = fileOf("--replay", replay);
  try {
    return parseRecording(text).map(({ message, pause }) => ({ message, pause: given === "0" ? pause : every }));
  } catch (error) {
    throw new UsageError(`cannot use --replay ${JSON.stringify(replay)}: ${messageOf(error)}`);
  }
}
