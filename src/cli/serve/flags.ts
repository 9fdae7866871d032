/** The flags of `holdfast serve`, their help text and their validation. */

import type { ParseArgsConfig } from "node:util";
import { DEFAULTS } from "../../index.ts";
import { parseFlags, UsageError, wholeNumber } from "../flags.ts";

const DEFAULT_TCP_PORT = "9001";

export const SERVE_USAGE: string = `Usage: holdfast serve [flags]

Serves, until SIGTERM or SIGINT:
  ws://HOST:PORT/echo     sends every message back
  ws://HOST:PORT/chat     sends every message to all connections, the sender included
  tcp://HOST:TCP-PORT     sends every line back
  GET /                   a page that talks to both from a browser
  GET /healthz            ok

Flags:
  --host HOST              address to listen on          (default 127.0.0.1)
  --port PORT              for HTTP and WebSocket        (default 9000; 0 picks a free port)
  --tcp-port PORT          for TCP                       (default ${DEFAULT_TCP_PORT}; 0 picks a free port)
  --no-tcp                 no TCP
  --max-message-size BYTES largest received message      (default ${DEFAULTS.connection.maxMessageSize})
  --max-connections N      connections at the same time  (default ${DEFAULTS.server.maxConnections}; for each protocol)
  --origin ORIGIN          pages that may connect, such as https://example.com; any for all; may be repeated
                           (default: pages of this server)
  --token TOKEN            WebSockets need "Authorization: Bearer TOKEN" or ?token=TOKEN; no TCP
  --tls                    wss:, https: and tls: with a certificate made now, for this machine
  --compress               compress messages for clients that offer it
  --verbose                a line on stderr for each connection that opens, ends or is refused
  --workers N              serve in N processes; SIGHUP restarts them one by one (default: only in this process)
  --json                   print the addresses as one line of JSON
  --help                   print this
`;

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
  readonly tls: boolean;
  readonly compress: boolean;
  readonly verbose: boolean;
  /** Number of worker processes; undefined if this process serves alone. */
  readonly workers: number | undefined;
  readonly json: boolean;
}

const SERVE_OPTIONS = {
  host: { type: "string", default: "127.0.0.1" },
  port: { type: "string", default: "9000" },
  "tcp-port": { type: "string" },
  "no-tcp": { type: "boolean", default: false },
  "max-message-size": { type: "string", default: String(DEFAULTS.connection.maxMessageSize) },
  "max-connections": { type: "string", default: String(DEFAULTS.server.maxConnections) },
  origin: { type: "string", multiple: true },
  token: { type: "string" },
  tls: { type: "boolean", default: false },
  compress: { type: "boolean", default: false },
  verbose: { type: "boolean", default: false },
  workers: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const satisfies ParseArgsConfig["options"];

/** Parses the flags; undefined for `--help`. Throws UsageError, which says what is wrong and what is expected. */
export function parseServeFlags(args: readonly string[]): ServeFlags | undefined {
  const values = parseFlags("serve", SERVE_OPTIONS, args);
  if (values.help) return undefined;
  if (values["no-tcp"] && values["tcp-port"] !== undefined) {
    throw new UsageError("cannot use --tcp-port with --no-tcp: expected one of them");
  }
  const { token, tls, compress, verbose } = values;
  if (token !== undefined && values["tcp-port"] !== undefined)
    throw new UsageError("cannot use --tcp-port with --token: TCP has no request that could contain it");
  if (token !== undefined && !/^[\w.~+/=-]+$/.test(token))
    throw new UsageError("cannot use this --token: expected letters, digits and - . _ ~ + / =");
  if (tls && values.workers !== undefined)
    throw new UsageError("cannot use --tls with --workers: each process would make a certificate of its own");
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
    ...{ token, tls, compress, verbose },
    workers: values.workers === undefined ? undefined : wholeNumber("--workers", values.workers, 1, MAX_WORKERS),
    json: values.json,
  };
}

function originPolicy(given: readonly string[] | undefined): ServeFlags["origin"] {
  if (given?.includes("any")) return "any";
  for (const origin of given ?? []) {
    if (!URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new UsageError(
        `cannot use --origin ${JSON.stringify(origin)}: expected any or one such as https://example.com`,
      );
  }
  return given;
}

function tcpPortBeside(port: number, text: string): number {
  const tcpPort = wholeNumber("--tcp-port", text, 0, 65_535);
  if (tcpPort !== port || port === 0) return tcpPort;
  throw new UsageError(`cannot use ${port} as --port and as --tcp-port: choose another --tcp-port, or --no-tcp`);
}
