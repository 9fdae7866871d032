/** Defines the options of servers, attachments and clients that are not options of their connections. */

import { type Complete, isObject, kindOf, present } from "../base/forms.ts";
import { DURATION, judgeFunction, judgeNames, judgeNumber, judgeOptions, type NumberRange } from "../base/judge.ts";
import type { Deadline } from "../base/time.ts";
import type { CompressionOptions } from "../connection/compression/options.ts";
import type { Connection, Sendable } from "../connection/contract.ts";
import { type ConnectionOptions, HOOKS, type HookResult, type Hooks } from "../connection/options.ts";
import type { UpgradeRequest } from "../connection/upgrade-request.ts";
import type { Framing } from "../engine/framing/framing.ts";
import type { ExtraHeaders } from "../engine/handshake/fields-to-send.ts";
import type { TrustProxy } from "../engine/handshake/forwarded.ts";
import type { OriginPolicy } from "../engine/handshake/origin.ts";
import type { ParamsOf } from "../engine/handshake/path-pattern.ts";
import type { Message } from "../engine/protocol.ts";
import { GOING_AWAY } from "../engine/websocket/close-codes.ts";
import type { DialOptions } from "../transport/dial/options.ts";
import type { Network } from "../transport/network.ts";
import type { IncomingMessage, ServerResponse, TlsDialOptions, TlsOptions } from "../transport/node-types.ts";
import type { Admission } from "./server/admission.ts";

/** The default of each option of `connect` that is not an option of the connection. */
export interface ClientDefaults {
  readonly subprotocols: readonly string[];
  readonly compression: boolean;
  readonly headers: Readonly<Record<string, never>>;
  readonly framing: "raw";
  readonly maxConnecting: number;
  readonly queueTimeout: number;
  readonly keepAlive: Complete<KeepAliveOptions>;
}

/** The default of each option of `listen`, `attach` and `server.close` that is not an option of the connections. */
export interface ServerDefaults extends Omit<ClientDefaults, "maxConnecting" | "queueTimeout"> {
  readonly origin: "same-host";
  readonly maxConnections: number;
  readonly perAddress: Complete<PerAddressOptions>;
  readonly backlog: number;
  /** The options of `server.close`. */
  readonly close: {
    readonly drain: number;
    readonly opening: number;
    readonly code: number;
    readonly reason: string;
  };
}

const BOTH = {
  subprotocols: Object.freeze([]),
  headers: Object.freeze({}),
  framing: "raw",
  keepAlive: Object.freeze({ delay: 60_000, interval: 1_000, count: 10 }),
} as const;

export const CLIENT_DEFAULTS: ClientDefaults = Object.freeze({
  ...BOTH,
  compression: true,
  maxConnecting: 1,
  queueTimeout: 60_000,
});

export const SERVER_DEFAULTS: ServerDefaults = Object.freeze({
  ...BOTH,
  origin: "same-host",
  compression: false,
  maxConnections: 10_000,
  perAddress: Object.freeze({ connections: Infinity, handshakes: Infinity }),
  backlog: 511,
  close: Object.freeze({ drain: 10_000, opening: 0, code: GOING_AWAY, reason: "" }),
});

/**
 * Application code that runs for the life of a connection. When it returns, or its promise resolves, the connection is closed.
 * When it throws or rejects, the connection is closed with 1011 (internal error), and `onError` is called. After the peer has
 * ended, or when the connection or the server is closing, an error of this library does not count as a failure: every handler
 * gets one then.
 *
 * `request` is the request that opened the WebSocket; undefined on TCP.
 */
export type Handler<UserData = unknown, Request = UpgradeRequest | undefined, In = Message, Out = Sendable> = (
  connection: Connection<UserData, In, Out>,
  request: Request,
) => HookResult;

/** TCP keepalive: probes of the kernel. They detect a dead host, but not an application that does not respond. */
export interface KeepAliveOptions {
  /**
   * Idle time before the first probe, in milliseconds, rounded up to whole seconds. At most 32_767_000, the
   * limit of Linux. `Infinity` turns the probes off.
   * @default 60_000
   */
  readonly delay?: number | undefined;
  /**
   * Time between probes, in milliseconds, rounded up to whole seconds. At most 32_767_000, the limit of Linux. Before Node 24 the
   * default always applies.
   * @default 1_000
   */
  readonly interval?: number | undefined;
  /**
   * Number of unanswered probes after which the connection fails. At most 127, the limit of Linux. Before Node 24 the default
   * always applies.
   * @default 10
   */
  readonly count?: number | undefined;
}

/** What `authorize` may return: the data of the connection, a result of `admit`, or a refusal. */
export type Authorization<UserData = unknown> = UserData | Admission<UserData> | Response;

/** Options that decide about upgrade requests. */
export interface UpgradeOptions<UserData = unknown, Request = UpgradeRequest> {
  /**
   * The origins that may connect. The check protects users of browsers: a browser sends the cookies of its user with the request,
   * also if the script is from another site (RFC 6455 section 10.2).
   * @default "same-host"
   */
  readonly origin?: OriginPolicy | undefined;
  /**
   * The supported subprotocols, in order of preference. The first one that the client also offers is used. If there is none, the
   * connection has no subprotocol.
   * @default []
   */
  readonly subprotocols?: readonly string[] | undefined;
  /**
   * Whether messages are compressed for clients that offer it (permessage-deflate), and how. Off by default: compression costs
   * processor time. And if one message contains both a secret and text of an attacker, its compressed size reveals information
   * about the secret.
   * @default false
   */
  readonly compression?: boolean | CompressionOptions | undefined;
  /** Additional header fields of the response with status 101. @default {} */
  readonly headers?: ExtraHeaders | undefined;
  /**
   * The proxies in front of this server whose word about the address of a client is believed: their number, or a list of their IP
   * addresses and ranges (`["10.0.0.0/8"]`; `unix` for the peers of a unix socket). Then `remoteAddress` and `remotePort` of requests,
   * connections and events are those of the client, as the proxy sees it. The field `X-Forwarded-For` is read;
   * `{ from, header: "forwarded" }` reads `Forwarded` instead.
   *
   * With a list, the client is the last address in the field that is not in the list. The field of a peer that is not in the list is
   * ignored. With a number, the client is that many addresses from the end; use it only if no client can reach this server without
   * the proxies. A field that is missing, malformed or too short is ignored: the addresses are then those of the socket.
   * By default they always are.
   */
  readonly trustProxy?: TrustProxy | undefined;
  /**
   * Called before the upgrade, after the check of `origin`. Its result decides:
   *
   * - A `Response` with a status from 300 to 599 refuses the request with its status, headers and body. It is recognised by its
   *   form (`status`, `headers`, `arrayBuffer`). So a response of another realm, of undici or of a framework also refuses.
   * - `false`, an Error, and an incomplete response are handled like a thrown TypeError. An incomplete response is an object with
   *   a numeric `status` and with `headers`, `body`, `arrayBuffer` or `statusText` that does not have the whole form.
   * - A result of `admit` accepts the request with its data, header fields (such as `Set-Cookie`) and subprotocol.
   * - Every other value, also `undefined` and `null`, accepts the request and becomes `connection.data`.
   *
   * If `authorize` throws or rejects, the client gets 500, and `onError` is called with the error. If it does not settle within
   * `openTimeout`, the client gets 503.
   */
  readonly authorize?: ((request: Request) => Authorization<UserData> | Promise<Authorization<UserData>>) | undefined;
}

/** Limits for each address of clients. Both are off by default: many users may have one address, behind a NAT or a company's proxy. */
export interface PerAddressOptions {
  /**
   * Most connections of one address at the same time, including requests for which `authorize` has not decided yet.
   * @default Infinity
   */
  readonly connections?: number | undefined;
  /**
   * Most handshakes of one address per second: a whole number of tokens. Each request that gets a place takes one, whatever
   * `authorize` decides, and so does each TCP connection. As many may arrive at once after a second without any.
   * @default Infinity
   */
  readonly handshakes?: number | undefined;
}

/** Limits of a whole server. */
export interface CapacityOptions {
  /**
   * Most connections at the same time. A further WebSocket request is refused with 503 and `Retry-After`. A further TCP
   * connection is closed as soon as it is accepted. The default is the number of the C10k problem: with the memory that a
   * connection may use by default, the server reaches this limit before the limits of the machine.
   *
   * Sockets that are not connections yet count too: those that have sent nothing or a part of a request, those in a TLS handshake, and
   * those that are being closed after a refusal. For them there is room for 512 more, so that a full server can still answer. Beyond
   * it, the oldest of these sockets is closed without an answer. Under `attach` they belong to the HTTP server of the application, so
   * they do not count; `maxConnections` of `node:net` limits them. Plain HTTP requests in progress do not count.
   * @default 10_000
   */
  readonly maxConnections?: number | undefined;
  /**
   * Limits for each address: of its connections, and of its handshakes per second. A WebSocket request beyond them is refused with 429
   * and `Retry-After`, before `authorize` is called. A TCP connection is closed at once, after its `farewell`. `observe` gets the
   * reason `perAddress` and a LimitError in `cause`.
   *
   * The address is that of the socket, or with `trustProxy` that of the client behind the proxies. Set `trustProxy` behind a proxy:
   * otherwise all clients have one address. IPv6 addresses count by their first 64 bits, because one client has all addresses of such
   * a network. Peers of a unix socket have no address, and no limit. Plain HTTP requests are not limited. All routes of a server count
   * together. With `accept`, all requests with the same options object do.
   * @default { connections: Infinity, handshakes: Infinity }
   */
  readonly perAddress?: PerAddressOptions | undefined;
}

/** Options of `accept`. */
export interface AcceptOptions<UserData = unknown, In = Message, Out = Sendable>
  extends ConnectionOptions<UserData, UpgradeRequest, In, Out>,
    UpgradeOptions<UserData>,
    Pick<CapacityOptions, "perAddress"> {}

/** Options of `attach`. */
export interface AttachOptions<UserData = unknown, In = Message, Out = Sendable>
  extends AcceptOptions<UserData, In, Out>,
    CapacityOptions {
  /**
   * The path whose requests are accepted: a pattern as in `routes` of `listen`, such as `/rooms/:room`, whose values are in
   * `request.params`. Requests for other paths are left to other `upgrade` listeners of the server, if it has
   * any (see `attach`).
   * @default every path
   */
  readonly path?: string | undefined;
}

/**
 * One WebSocket path of a server: its handler and options. An option that is absent has the value that the server has for it. The
 * hooks, the handler and the codec of a server are not taken over: they belong to the path of its URL. `clock` and `ref` belong
 * to the server.
 */
export interface RouteOptions<UserData = unknown, Names extends string = string, In = Message, Out = Sendable>
  extends Omit<ConnectionOptions<UserData, UpgradeRequest<Names>, In, Out>, "clock" | "ref">,
    UpgradeOptions<UserData, UpgradeRequest<Names>> {
  /** Runs for the life of each connection (see `Handler`). Without it, the hooks get the messages. */
  readonly handler?: Handler<UserData, UpgradeRequest<Names>, In, Out> | undefined;
  /**
   * Most connections of this route at the same time. Above it, a request is refused with 503 and `Retry-After`. The
   * `maxConnections` of the server bounds all its routes together.
   * @default the limit of the server
   */
  readonly maxConnections?: number | undefined;
}

/** What serves one WebSocket path: a handler, or options that contain a handler or hooks. */
export type RouteTarget<UserData = unknown, Names extends string = string, In = Message, Out = Sendable> =
  | Handler<UserData, UpgradeRequest<Names>, In, Out>
  | RouteOptions<UserData, Names, In, Out>;

/**
 * The routes of a server by path pattern. `Data` maps each pattern to the type of `connection.data`, which is inferred from
 * `authorize`. A route with a codec is added by `server.route`, which infers the types of its messages too.
 */
export type Routes<Data> = { readonly [Pattern in keyof Data]: RouteTarget<Data[Pattern], ParamsOf<Pattern & string>> };

/** What `fetch` gets of a request in addition to the Request. */
export interface FetchInfo {
  /** The IP address of the client. Empty on a unix socket. */
  readonly remoteAddress: string;
  /** The port of the client. Undefined if it is not known. */
  readonly remotePort: number | undefined;
  /** True if the connection is encrypted with TLS. */
  readonly secure: boolean;
  /** The request of node:http. Its body is that of the Request, so read only one of the two. */
  readonly raw: IncomingMessage;
}

/** Options for the requests of a server that ask for no WebSocket. */
export interface HttpOptions {
  /**
   * Answers plain HTTP requests on the address of the server, whatever their path: a function from a Request to a Response, as for
   * `Bun.serve`, `Deno.serve` and Hono (`fetch: app.fetch`). `request.signal` aborts when the client disconnects before it has the
   * whole response. If the function throws, rejects or returns no Response, the client gets 500, and `onError` is called with the
   * place `request`.
   *
   * Without `fetch` and `request`, a plain request gets 426 on the path of a WebSocket, and 404 elsewhere. A request that asks for
   * an upgrade never gets here: it is opened or refused by the routes.
   *
   * ```ts
   * await listen("ws://127.0.0.1:9000", {
   *   routes: { "/echo": echo },
   *   fetch: (request) => new Response(`hello from ${new URL(request.url).pathname}`),
   * });
   * ```
   *
   * A client must send the body and take the response at 500 bytes per second or more. A client that is slower for `openTimeout` is
   * disconnected. Time in which the application works does not count. Between two requests a connection may be idle for
   * `openTimeout`, but at most 5 s.
   */
  readonly fetch?: ((request: Request, info: FetchInfo) => Response | Promise<Response>) | undefined;
  /**
   * The same as `fetch` with the objects of node:http: a listener for its event `request`, such as an Express app or the callback
   * of a Koa app. With `fetch` it is a TypeError.
   */
  readonly request?: ((request: IncomingMessage, response: ServerResponse) => HookResult) | undefined;
}

/** Options of `listen`. */
export interface ListenOptions<
  UserData = unknown,
  Request = UpgradeRequest | undefined,
  Data = Record<string, unknown>,
  In = Message,
  Out = Sendable,
> extends ConnectionOptions<UserData, Request, In, Out>,
    UpgradeOptions<UserData>,
    HttpOptions,
    CapacityOptions {
  /**
   * More WebSocket paths on the same address: a map from path patterns to handlers or options. In a pattern, `:name` matches one
   * segment of the path, and `*` or `*name` at the end matches the rest. A request goes to the most specific pattern that matches
   * it, whatever their order. Two patterns of which neither is more specific are a TypeError. The other options of the server are
   * the defaults of the routes. `server.route` adds a route later.
   *
   * ```ts
   * const server = await listen("ws://127.0.0.1:9000", {
   *   routes: {
   *     "/echo": async (connection) => { for await (const message of connection) await connection.send(message); },
   *     "/rooms/:room": { maxConnections: 100, open: (connection, { params }) => join(connection, params.room) },
   *   },
   * });
   * ```
   */
  readonly routes?: Routes<Data> | undefined;
  /** How messages are delimited, for tcp: and tls: addresses. @default "raw" */
  readonly framing?: Framing | undefined;
  /** Certificate, key and other options of `node:tls`, for wss: and tls: addresses. */
  readonly tls?: TlsOptions | undefined;
  /** TCP keepalive of the accepted sockets. @default { delay: 60_000, interval: 1_000, count: 10 } */
  readonly keepAlive?: KeepAliveOptions | undefined;
  /** Most connections that the kernel queues until they are accepted (see listen(2)). As in Node. @default 511 */
  readonly backlog?: number | undefined;
  /** The network: a host of `network()` from `holdfast/testing`, for tests. @default the system's */
  readonly network?: Network | undefined;
}

// With these options a server has work without a handler of its own.
const OTHER_WORK: readonly string[] = ["routes", "fetch", "request"];

/**
 * Separates the arguments of a server: `(handler)`, `(options)` or `(options, handler)`. Throws TypeError for another form.
 * Throws TypeError if there is neither a handler nor a hook nor a route: no code of the application would see the connections.
 */
export function settleArguments<UserData, Request, In, Out, Options extends Hooks<UserData, Request, In, Out>>(
  call: "listen" | "attach",
  optionsOrHandler: Options | Handler<UserData, Request, In, Out> | undefined,
  givenHandler: Handler<UserData, Request, In, Out> | undefined,
): { readonly given: Options; readonly handler: Handler<UserData, Request, In, Out> | undefined } {
  const first = typeof optionsOrHandler === "function";
  if (first && givenHandler !== undefined) {
    throw new TypeError(
      `Cannot ${call}: expected the options before the handler, got a function and ${kindOf(givenHandler)}`,
    );
  }
  const given = (first ? {} : (optionsOrHandler ?? {})) as Options;
  if (optionsOrHandler === null) judgeOptions(optionsOrHandler);
  judgeOptions(given);
  const handler = first ? optionsOrHandler : givenHandler;
  if (handler !== undefined && typeof handler !== "function") {
    throw new TypeError(`Cannot ${call}: expected a function as the handler, got ${kindOf(handler)}`);
  }
  const others = given as Readonly<Record<string, unknown>>;
  if (!seesConnections(given, handler) && OTHER_WORK.every((name) => others[name] === undefined)) {
    throw new TypeError(
      `Cannot ${call} without a handler or a hook such as message: no code would see the connections`,
    );
  }
  return { given, handler };
}

/** True if there is a handler or a hook, so that code of the application sees the connections. */
export function seesConnections(hooks: Hooks<never, never, never, never>, handler: unknown): boolean {
  return handler !== undefined || HOOKS.some((name) => hooks[name] !== undefined);
}

/** Separates the handler of a route from its options. Throws TypeError for another form, and without a handler and a hook. */
export function settleRoute(
  pattern: string,
  target: unknown,
): { readonly given: RouteOptions; readonly handler: Handler<unknown, UpgradeRequest> | undefined } {
  const refuse = (expected: string): TypeError => new TypeError(`Cannot serve ${pattern}: expected ${expected}`);
  if (typeof target === "function") return { given: {}, handler: target as Handler<unknown, UpgradeRequest> };
  if (!isObject(target) || Array.isArray(target)) throw refuse(`a handler or options, got ${kindOf(target)}`);
  const { handler, ...given } = target as RouteOptions;
  if (handler !== undefined) judgeFunction("handler", handler);
  if (!seesConnections(given, handler)) throw refuse("a handler or a hook such as message");
  return { given, handler };
}

/**
 * Throws TypeError if `tls` lacks the certificate or its key. Node starts a server without them, and then every TLS handshake
 * fails.
 */
export function judgeCertificate(tls: TlsOptions = {}): void {
  const { cert, key, pfx, SNICallback, pskCallback, privateKeyIdentifier } = tls;
  const { secureContext } = tls as { readonly secureContext?: unknown };
  if (pfx || SNICallback || pskCallback || secureContext) return;
  if (cert && (key || privateKeyIdentifier)) return;
  const missing = cert ? "tls.key" : "tls.cert";
  throw new TypeError(`Cannot listen without ${missing}: expected tls.cert and tls.key, tls.pfx or tls.SNICallback`);
}

/** Throws TypeError if `framing` is set for a WebSocket address: WebSocket has its own framing. */
export function refuseFraming(framing: unknown): void {
  if (framing !== undefined)
    throw new TypeError("Cannot use framing: a WebSocket has its own; expected a tcp: or tls: address");
}

// Options about requests, which no TCP connection has. Some of them each route may set, the others only the server.
const UPGRADE_OPTIONS = ["origin", "subprotocols", "headers", "compression", "authorize", "trustProxy"] as const;
const HTTP_OPTIONS = ["routes", "fetch", "request"] as const;
const LISTENER_OPTIONS = ["maxConnections", "perAddress", "framing", "tls", "keepAlive", "backlog", "network"] as const;

/** The options of `connect` about the queue of opening handshakes. */
const QUEUE_OPTIONS = ["maxConnecting", "queueTimeout"] as const;

/** Throws TypeError for options about requests on a TCP address: it has no requests, so `authorize` would never be called. */
export function refuseRequestOptions(given: Readonly<Record<string, unknown>>): void {
  for (const name of [...UPGRADE_OPTIONS, ...HTTP_OPTIONS, ...QUEUE_OPTIONS]) {
    if (given[name] !== undefined) throw new TypeError(`Cannot use ${name}: only a WebSocket is opened by a request`);
  }
}

/** Returns the options of the connections among the options of a server. */
export function connectionOptionsOf(given: object): ConnectionOptions {
  return without(given, [...UPGRADE_OPTIONS, ...HTTP_OPTIONS, ...LISTENER_OPTIONS]);
}

/** Returns the options of a server that are defaults of its routes. */
export function routeDefaultsOf(given: object): RouteOptions {
  return without(given, [...HTTP_OPTIONS, ...LISTENER_OPTIONS, ...HOOKS, "codec"]);
}

function without(given: object, names: readonly string[]): object {
  return Object.fromEntries(Object.entries(present(given)).filter(([name]) => !names.includes(name)));
}

/** Options of `connect`. */
export interface ConnectOptions<UserData = unknown, In = Message, Out = Sendable>
  extends ConnectionOptions<UserData, undefined, In, Out>,
    DialOptions {
  /** When it aborts, the attempt ends, in any phase, and the call rejects with the abort reason. */
  readonly signal?: AbortSignal | undefined;
  /** The subprotocols to offer, in order of preference. @default [] */
  readonly subprotocols?: readonly string[] | undefined;
  /** Whether compression (permessage-deflate) is offered, and how. The server decides whether it is used. @default true */
  readonly compression?: boolean | CompressionOptions | undefined;
  /** Additional header fields of the upgrade request. @default {} */
  readonly headers?: ExtraHeaders | undefined;
  /** The `Origin` field of the request, for servers that require one. */
  readonly origin?: string | undefined;
  /** How messages are delimited, for tcp: and tls: addresses. @default "raw" */
  readonly framing?: Framing | undefined;
  /**
   * Most WebSockets that may be opening at the same time to the address and port of this connection, this one included. While
   * that many others are opening before it, this one waits for its turn, at most for `queueTimeout`. `openTimeout` does not count
   * this time. RFC 6455 section 4.1 requires one, so that no client floods a host with handshakes. The price: handshakes follow each
   * other, and one that hangs delays the others by its `openTimeout`. A larger value, such as 16, is for gateways, which open
   * connections to their own server for many users, and for load tests. `Infinity` never waits.
   * @default 1
   */
  readonly maxConnecting?: number | undefined;
  /**
   * Longest wait for the turn to open a WebSocket (see `maxConnecting`), in milliseconds. Then `connect` rejects with a
   * TimeoutError whose `operation` is `connect:queue`, and whose message names the connection that has the turn. The default leaves
   * room for five connections that hang for the default `openTimeout` each. `Infinity` means never.
   * @default 60_000
   */
  readonly queueTimeout?: number | undefined;
  /**
   * Time by which the connection must be open: a Date, or `{ in: 5_000 }`. It includes the wait for the turn. Then `connect`
   * rejects with a TimeoutError.
   */
  readonly deadline?: Deadline | undefined;
  /** Trusted certificate authorities, client certificate and other options of `node:tls`, for wss: and tls: addresses. */
  readonly tls?: TlsDialOptions | undefined;
  /** TCP keepalive of the socket. @default { delay: 60_000, interval: 1_000, count: 10 } */
  readonly keepAlive?: KeepAliveOptions | undefined;
  /** The network: a host of `network()` from `holdfast/testing`, for tests. @default the system's */
  readonly network?: Network | undefined;
  /** Becomes `connection.data`. */
  readonly data?: UserData | undefined;
}

// The largest values that Linux accepts: milliseconds and number of probes. If the kernel refuses a value, Node reports no error,
// and the kernel's default of two hours stays in effect.
const MAX_DELAY = 32_767_000;
const MAX_PROBES = 127;
const INTERVAL_RANGE: NumberRange = { least: 0, above: true, most: MAX_DELAY, unit: "ms" };
const PROBES_RANGE: NumberRange = { least: 1, most: MAX_PROBES, whole: true };

/** Returns complete, valid settings. For a wrong value, throws a TypeError or RangeError that says what is expected. */
export function settleKeepAlive(given: KeepAliveOptions = {}): Complete<KeepAliveOptions> {
  judgeOptions(given, "keepAlive");
  const settings = { ...CLIENT_DEFAULTS.keepAlive, ...present(given) };
  judgeNames(Object.keys(settings), (name) => name in CLIENT_DEFAULTS.keepAlive, "keepAlive.");
  const { delay, interval, count } = settings;
  judgeNumber("keepAlive.delay", delay, { ...DURATION, most: MAX_DELAY });
  judgeNumber("keepAlive.interval", interval, INTERVAL_RANGE);
  judgeNumber("keepAlive.count", count, PROBES_RANGE);
  return { delay, interval, count };
}
