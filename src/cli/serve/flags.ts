/** The manual of `holdfast serve`, and the validation of its flags. */

import { DEFAULTS } from "../../index.ts";
import { type CommandLine, commandLine } from "../command.ts";
import { UsageError, wholeNumber } from "../flags.ts";
import type { FlagTable, Given, Manual } from "../manual.ts";
import { judgeBrokerUrl } from "./broker.ts";

const DEFAULT_TCP_PORT = "9001";

const SERVE_FLAGS = {
  host: { type: "string", value: "HOST", default: "127.0.0.1", text: "address to listen on" },
  port: { type: "string", value: "PORT", default: "9000", text: "for HTTP and WebSocket; 0 picks a free port" },
  "tcp-port": {
    ...{ type: "string", value: "PORT" },
    text: `for TCP, without it ${DEFAULT_TCP_PORT}; 0 picks a free port`,
  },
  "no-tcp": { type: "boolean", text: "no TCP" },
  "max-message-size": {
    ...{ type: "string", value: "BYTES", default: String(DEFAULTS.connection.maxMessageSize) },
    text: "largest received message",
  },
  "max-connections": {
    ...{ type: "string", value: "N", default: String(DEFAULTS.server.maxConnections) },
    text: "connections at the same time, for each protocol",
  },
  origin: {
    ...{ type: "string", value: "ORIGIN", multiple: true },
    text: "pages that may connect, such as https://example.com, or any for all; without it pages of this server",
  },
  token: {
    ...{ type: "string", value: "TOKEN" },
    text: 'WebSockets need "Authorization: Bearer TOKEN" or ?token=TOKEN, and so does the dashboard; no TCP; 16 or more characters',
  },
  "no-dashboard": { type: "boolean", text: "no dashboard" },
  "read-only": {
    type: "boolean",
    text: "the dashboard shows connections, but cannot ping, pause, close or trace them",
  },
  tls: { type: "boolean", text: "wss:, https: and tls: with a certificate made now, for this machine" },
  compress: { type: "boolean", text: "compress messages for clients that offer it" },
  verbose: { type: "boolean", text: "a line on stderr for each connection that opens, ends or is refused" },
  workers: {
    ...{ type: "string", value: "N" },
    text: "serve in N processes, instead of only in this one; SIGHUP restarts them one by one",
  },
  broker: {
    ...{ type: "string", value: "URL" },
    text: "redis://HOST:PORT or nats://HOST:PORT: the chats of all processes that use it are one, and its last messages are there",
  },
  json: { type: "boolean", text: "print the addresses as one line of JSON" },
} as const satisfies FlagTable;

const SERVE_MANUAL: Manual<typeof SERVE_FLAGS> = {
  name: "serve",
  description: [
    "Serves, until SIGTERM or SIGINT:",
    "  ws://HOST:PORT/echo  sends every message back",
    "  ws://HOST:PORT/chat  sends every message to all connections, the sender included; the last 50 to each that comes",
    "  ws://HOST:PORT/chat/members  sends the list of the members of the chat, as JSON; the query ?name=NAME of /chat sets the name of a member",
    "  tcp://HOST:TCP-PORT  sends every line back",
    "  GET /                a page that talks to both from a browser",
    "  GET /healthz         ok",
    "  GET /metrics         metrics for Prometheus; with --token it needs the token; with --workers those of all processes",
    "  GET /dashboard/      a page with all connections, the last 10 minutes, and why connections ended; without --token only for clients on this machine; with --workers it shows the process that answers",
  ],
  flags: SERVE_FLAGS,
  statuses: {
    0: "ended by a signal, after the connections",
    1: "cannot listen, or ended at once by a second signal",
    2: "wrong use",
  },
  examples: [
    { text: "On ports 9000 and 9001 of this machine", line: "holdfast serve" },
    { text: "With TLS, and a line for each connection", line: "holdfast serve --tls --verbose" },
    { text: "In four processes, WebSocket only", line: "holdfast serve --workers 4 --no-tcp" },
    {
      text: "One chat on two ports, through Redis: this, and the same with another port",
      line: "holdfast serve --no-tcp --broker redis://127.0.0.1:6379",
    },
    { text: "On free ports, for a program", line: "holdfast serve --port 0 --tcp-port 0 --json" },
  ],
};

// More than the processors of any machine. A port number passed here by mistake is rejected.
const MAX_WORKERS = 1024;

// More than the ports of a client's address. A number of bytes passed here by mistake is rejected.
const MAX_CONNECTIONS = 10_000_000;

// V8's longest string, in characters: a text message is received as one string.
const MAX_MESSAGE = 2 ** 29 - 24;

export interface ServeFlags {
  readonly host: string;
  readonly port: number;
  /** Undefined if TCP is off (`--no-tcp`). */
  readonly tcpPort: number | undefined;
  readonly maxMessageSize: number;
  readonly maxConnections: number;
  /** The origins of pages that may connect. Undefined for the default. */
  readonly origin: "any" | readonly string[] | undefined;
  /** The token that a WebSocket needs; undefined if it needs none. */
  readonly token: string | undefined;
  readonly dashboard: boolean;
  readonly readOnly: boolean;
  readonly tls: boolean;
  readonly compress: boolean;
  readonly verbose: boolean;
  /** Number of worker processes; undefined if this process serves alone. */
  readonly workers: number | undefined;
  /** The URL of the broker; undefined if the chat is one of this program. */
  readonly broker: string | undefined;
  readonly json: boolean;
}

export const SERVE_LINE: CommandLine<ServeFlags> = commandLine(SERVE_MANUAL, settle);

/** Validates the flags. Throws UsageError, which says what is wrong and what is expected. */
function settle(values: Given<typeof SERVE_FLAGS>): ServeFlags {
  if (values["no-tcp"] && values["tcp-port"] !== undefined) {
    throw new UsageError("cannot use --tcp-port with --no-tcp: expected one of them");
  }
  const { token, tls, compress, verbose } = values;
  if (token !== undefined && values["tcp-port"] !== undefined)
    throw new UsageError("cannot use --tcp-port with --token: TCP has no request that could contain it");
  if (token !== undefined && !/^[\w.~+/=-]{16,}$/.test(token))
    throw new UsageError("cannot use this --token: expected 16 or more letters, digits and - . _ ~ + / =");
  if (values["no-dashboard"] && values["read-only"])
    throw new UsageError("cannot use --read-only with --no-dashboard: it is about the dashboard");
  if (tls && values.workers !== undefined)
    throw new UsageError("cannot use --tls with --workers: each process would make a certificate of its own");
  if (values.broker !== undefined) judgeBrokerUrl(values.broker);
  const maxMessageSize = wholeNumber("--max-message-size", values["max-message-size"], 1, MAX_MESSAGE);
  const port = wholeNumber("--port", values.port, 0, 65_535);
  const tcpPort = values["no-tcp"] || token !== undefined ? undefined : (values["tcp-port"] ?? DEFAULT_TCP_PORT);
  return {
    host: values.host,
    port,
    tcpPort: tcpPort === undefined ? undefined : tcpPortBeside(port, tcpPort),
    maxMessageSize,
    maxConnections: wholeNumber("--max-connections", values["max-connections"], 1, MAX_CONNECTIONS),
    origin: originPolicy(values.origin),
    ...{ token, tls, compress, verbose, dashboard: !values["no-dashboard"], readOnly: values["read-only"] },
    workers: values.workers === undefined ? undefined : wholeNumber("--workers", values.workers, 1, MAX_WORKERS),
    broker: values.broker,
    json: values.json,
  };
}

function originPolicy(given: readonly string[]): ServeFlags["origin"] {
  if (given.includes("any")) return "any";
  for (const origin of given) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new UsageError(
        `cannot use --origin ${JSON.stringify(origin)}: expected any or one such as https://example.com`,
      );
  }
  return given.length === 0 ? undefined : given;
}

function tcpPortBeside(port: number, text: string): number {
  const tcpPort = wholeNumber("--tcp-port", text, 0, 65_535);
  if (tcpPort !== port || port === 0) return tcpPort;
  throw new UsageError(`cannot use ${port} as --port and as --tcp-port: choose another --tcp-port, or --no-tcp`);
}
