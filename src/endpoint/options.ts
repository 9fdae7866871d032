/** What a server, an attachment and a client can be told beyond their connections' options. */

import type { ConnectionOptions as TlsDialOptions, TlsOptions } from "node:tls";
import type { CompressionOptions } from "../connection/compression.js";
import type { Connection } from "../connection/connection.js";
import type { ConnectionOptions } from "../connection/options.js";
import type { Framing } from "../engine/framing/framing.js";
import type { ExtraHeaders } from "../engine/handshake.js";
import type { OriginPolicy } from "../engine/origin.js";

/** Defaults of what is told to an endpoint and not to its connections. */
export const ENDPOINT_DEFAULTS: {
  readonly maxConnections: number;
  readonly maxConnecting: number;
  readonly drain: number;
  readonly keepAlive: { readonly delay: number };
} = Object.freeze({
  maxConnections: 10_000,
  maxConnecting: 1,
  drain: 10_000,
  keepAlive: Object.freeze({ delay: 60_000 }),
});

/** Code that runs for the life of a connection: it is closed when this returns, and with 1011 when it throws. */
export type Handler<UserData = unknown> = (connection: Connection<UserData>) => void | Promise<void>;

/** TCP keepalive: the kernel's own probes, which find a dead host but not a frozen application. */
export interface KeepAliveOptions {
  /** Silence before the first probe, in milliseconds, up to the next whole second and at most 32_767_000; `Infinity` sends none. @default 60_000 */
  readonly delay?: number;
  /** Time between probes, in milliseconds, up to the next whole second and at most 32_767_000. Before Node 24 always the default. @default 1_000 */
  readonly interval?: number;
  /** Unanswered probes after which the connection fails, at most 127. Before Node 24 always the default. @default 10 */
  readonly count?: number;
}

/** A request to open a WebSocket, before it is answered. */
export interface UpgradeRequest {
  /** The path as it was received, without the query. */
  readonly path: string;
  /** What follows the question mark; empty if there is none. */
  readonly query: string;
  /** The authority that the request was made to. */
  readonly host: string;
  readonly origin: string | undefined;
  /** The subprotocols that the client offers, its favourite first. */
  readonly protocols: readonly string[];
  /** Every header field, by its name in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly remoteAddress: string;
  readonly secure: boolean;
  /** Aborts when the client goes away or `openTimeout` has passed: the answer is then no longer wanted. */
  readonly signal: AbortSignal;
}

/** Decides on upgrade requests. */
export interface UpgradeOptions<UserData = unknown> {
  /**
   * Which origins may connect: browsers send along the cookies of their user, whichever site runs the script
   * (RFC 6455 section 10.2). @default "same-host"
   */
  readonly origin?: OriginPolicy;
  /** The subprotocols spoken here, the favourite first. The first that the client offers too is used, if any. @default [] */
  readonly subprotocols?: readonly string[];
  /**
   * Whether messages are compressed for clients that offer it (permessage-deflate), and how. Off by default: it costs time,
   * and where secrets and a stranger's words stand in one message, their compressed size tells of the secret.
   * @default false
   */
  readonly compression?: boolean | CompressionOptions;
  /** Header fields for the 101. @default {} */
  readonly headers?: ExtraHeaders;
  /**
   * Asked before the upgrade. A `Response` refuses with its status, headers and body; anything else accepts and
   * becomes `connection.data`. If it throws, the client gets 500 and `onError` the error.
   */
  readonly authorize?: (request: UpgradeRequest) => UserData | Response | Promise<UserData | Response>;
}

/** What bounds a server as a whole. */
export interface CapacityOptions {
  /**
   * Most connections at once. A further WebSocket is refused with 503 and Retry-After, a further TCP connection closed
   * as soon as it is accepted. The C10k of old: at the memory that a connection may take by default, a bound that is
   * reached before the machine's. @default 10_000
   */
  readonly maxConnections?: number;
}

export interface AttachOptions<UserData = unknown>
  extends ConnectionOptions<UserData>,
    UpgradeOptions<UserData>,
    CapacityOptions {
  /** Only requests for this path are taken, others left to whoever else listens. @default every path */
  readonly path?: string;
}

export interface ListenOptions<UserData = unknown>
  extends ConnectionOptions<UserData>,
    UpgradeOptions<UserData>,
    CapacityOptions {
  /** Where messages end, on tcp: and tls: addresses. @default "raw" */
  readonly framing?: Framing;
  /** Certificate, key and whatever else `node:tls` takes, for wss: and tls: addresses. */
  readonly tls?: TlsOptions;
  /** @default { delay: 60_000 } */
  readonly keepAlive?: KeepAliveOptions;
  /** Connections that the kernel may hold until they are accepted. @default 511, as in Node */
  readonly backlog?: number;
}

/** Throws TypeError for the options of an upgrade that is not to be: on TCP there is none, and nobody would be asked. */
export function refuseUpgradeOptions(given: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined) throw new TypeError(`Cannot use ${name}: only a WebSocket is opened by a request`);
  }
}

export interface ConnectOptions<UserData = unknown> extends ConnectionOptions<UserData> {
  /** Ends the attempt when it aborts, in whichever phase; the call rejects with the signal's own reason. */
  readonly signal?: AbortSignal;
  /** The subprotocols to offer, the favourite first. @default [] */
  readonly subprotocols?: readonly string[];
  /** Whether compression (permessage-deflate) is offered, and how. What comes of it is the server's choice. @default true */
  readonly compression?: boolean | CompressionOptions;
  /** Header fields for the upgrade request. @default {} */
  readonly headers?: ExtraHeaders;
  /** The Origin field, for servers that want one. */
  readonly origin?: string;
  /** Where messages end, on tcp: and tls: addresses. @default "raw" */
  readonly framing?: Framing;
  /**
   * How many WebSockets may be opening at once to the address and port that this one goes to, itself included; it waits
   * while there are as many, within `openTimeout`. RFC 6455 section 4.1 demands one, so that nobody floods a host with
   * handshakes. More is for those who open connections for many users, or to put a server under load; `Infinity` never waits.
   * @default 1
   */
  readonly maxConnecting?: number;
  /** Authorities, client certificate and whatever else `node:tls` takes, for wss: and tls: addresses. */
  readonly tls?: TlsDialOptions;
  /** @default { delay: 60_000 } */
  readonly keepAlive?: KeepAliveOptions;
  /** Becomes `connection.data`. */
  readonly data?: UserData;
}
