/** The flags of `holdfast serve`. */

import type { ParseArgsConfig } from "node:util";
import { DEFAULTS } from "../index.js";
import { parseFlags, wholeNumber } from "./flags.js";

export const SERVE_USAGE: string = `Usage: holdfast serve [flags]

Serves, until SIGTERM or SIGINT:
  ws://HOST:PORT/echo     sends every message back
  ws://HOST:PORT/chat     sends every message to all who are connected, the sender too
  tcp://HOST:TCP-PORT     sends every line back
  GET /                   a page that talks to both from a browser
  GET /healthz            ok

Flags:
  --host HOST              address to listen on          (default 127.0.0.1)
  --port PORT              for HTTP and WebSocket        (default 9000; 0 picks a free one)
  --tcp-port PORT          for TCP                       (default 9001; 0 picks a free one)
  --no-tcp                 no TCP
  --max-message-size BYTES largest message taken         (default ${DEFAULTS.maxMessageSize})
  --workers N              serve in N processes: SIGHUP restarts them one by one (default: in this one alone)
  --json                   print the addresses as one line of JSON
  --help                   print this
`;

// More than any machine has processors; who means a port by mistake is told so.
const MOST_WORKERS = 1024;

// V8's longest string: a text message has to fit one.
const LARGEST_MESSAGE = 2 ** 29 - 24;

export interface ServeFlags {
  readonly host: string;
  readonly port: number;
  /** Undefined for no TCP. */
  readonly tcpPort: number | undefined;
  readonly maxMessageSize: number;
  /** Undefined for none: then the process serves by itself. */
  readonly workers: number | undefined;
  readonly json: boolean;
}

const OPTIONS = {
  host: { type: "string", default: "127.0.0.1" },
  port: { type: "string", default: "9000" },
  "tcp-port": { type: "string", default: "9001" },
  "no-tcp": { type: "boolean", default: false },
  "max-message-size": { type: "string", default: String(DEFAULTS.maxMessageSize) },
  workers: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const satisfies ParseArgsConfig["options"];

/** Judges the flags; undefined if help was asked for. UsageError with what was wrong and what was expected. */
export function parseServeFlags(args: readonly string[]): ServeFlags | undefined {
  const values = parseFlags("serve", OPTIONS, args);
  if (values.help) return undefined;
  const maxMessageSize = wholeNumber("--max-message-size", values["max-message-size"], 1, LARGEST_MESSAGE);
  return {
    host: values.host,
    port: wholeNumber("--port", values.port, 0, 65_535),
    tcpPort: values["no-tcp"] ? undefined : wholeNumber("--tcp-port", values["tcp-port"], 0, 65_535),
    maxMessageSize,
    workers: values.workers === undefined ? undefined : wholeNumber("--workers", values.workers, 1, MOST_WORKERS),
    json: values.json,
  };
}
