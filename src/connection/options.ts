/** Defines the options of a connection: each option, its default, and the reason for the default. */

import { asData, ownData } from "../base/bytes.ts";
import type { ErrorFacts, ReportError } from "../base/error-context.ts";
import type { ConnectionError } from "../base/errors.ts";
import type { Observer } from "../base/events.ts";
import { type Complete, isObject, kindOf, present } from "../base/forms.ts";
import {
  COUNT,
  DURATION,
  judgeAtMost,
  judgeBoolean,
  judgeChoice,
  judgeFunction,
  judgeNames,
  judgeNumber,
  judgeOptions,
} from "../base/judge.ts";
import type { Logger } from "../base/log.ts";
import type { Clock } from "../base/time.ts";
import type { Message } from "../engine/protocol.ts";
import type { Overflow } from "../engine/queue/overflow-queue.ts";
import { systemClock } from "../transport/clock.ts";
import { errorReporter } from "../transport/error-report.ts";
import { type AnyCodec, type DecodedValue, judgeCodec, type MessageCodec, type MessageType } from "./codec.ts";
import type { CloseInfo, Connection, Sendable } from "./contract.ts";
import { Counters } from "./counters.ts";
import type { UpgradeRequest } from "./upgrade-request.ts";

export type { Overflow } from "../engine/queue/overflow-queue.ts";

/**
 * After a silence of the peer, a Ping checks that the peer is alive. Any received byte is an answer. New room in a full kernel
 * buffer is an answer too: a peer that reads our bytes slowly cannot answer a Ping that is queued behind them.
 */
export interface HeartbeatOptions {
  /**
   * Silence after which a Ping is sent, in milliseconds. `Infinity` sends none. A Ping may be late by 1/64 of this value, but at
   * most 128 ms, so that the Pings of many connections leave together. The default is below the 60 s after which nginx and most
   * load balancers drop a silent connection. Socket.IO and Centrifugo use the same value.
   * @default 25_000
   */
  readonly interval?: number | undefined;
  /**
   * How long the peer may then stay silent, in milliseconds. On Linux, a peer is not silent while its kernel still acknowledges
   * bytes in flight: on a slow link the Ping is queued behind those bytes. The library asks the kernel once per second, so this
   * does not work for a timeout below 4 s.
   * @default 10_000
   */
  readonly timeout?: number | undefined;
  /**
   * The message that is sent instead of a Ping on framed TCP, which has no Ping. Without it there is no heartbeat on TCP. The
   * peer must answer with at least one byte. A WebSocket throws a TypeError for this option.
   */
  readonly message?: string | Uint8Array | undefined;
}

/** What a hook or a handler may return: nothing, or a promise of any value, which is not used. */
// biome-ignore lint/suspicious/noConfusingVoidType: the return type of a function without a result is void.
export type HookResult = void | Promise<unknown>;

/**
 * The functions that a connection calls, in order. If an `open` or `message` hook returns a promise, the next message waits until
 * the promise settles. When the inbox is then full, reading from the peer pauses. Promises of the other hooks are not awaited. If
 * a hook throws or rejects, `onError` is called with the error, and the connection ends with 1011 and the error as its cause.
 * Errors of `closing` and `close` go only to `onError`.
 */
export interface Hooks<UserData = unknown, Request = UpgradeRequest | undefined, In = Message, Out = Sendable> {
  /**
   * The connection is open. `request` is the request that opened it, on a server for WebSockets. On a client and on TCP it is
   * undefined.
   */
  readonly open?: ((connection: Connection<UserData, In, Out>, request: Request) => HookResult) | undefined;
  /**
   * A message was received. This hook takes all messages: with it, `receive` and `reader` reject with a TypeError, and
   * `[Symbol.asyncIterator]()` and `readable` throw one. A handler can still send and wait for `closed`.
   */
  readonly message?: ((connection: Connection<UserData, In, Out>, message: In) => HookResult) | undefined;
  /** A Ping was received. It is already answered, unless `autoPong` is false: then this hook answers it with `connection.pong`. */
  readonly ping?: ((connection: Connection<UserData, In, Out>, payload: Uint8Array) => void) | undefined;
  /** A Pong was received, whether or not it answers a Ping. */
  readonly pong?: ((connection: Connection<UserData, In, Out>, payload: Uint8Array) => void) | undefined;
  /** The send queue has grown above `highWaterMark`. */
  readonly highWater?: ((connection: Connection<UserData, In, Out>) => void) | undefined;
  /** The send queue has shrunk to `lowWaterMark` after it was above `highWaterMark`. */
  readonly lowWater?: ((connection: Connection<UserData, In, Out>) => void) | undefined;
  /**
   * The end has begun. From now on calls are refused, and only messages that were already received are delivered. Called once, at
   * the moment when `connection.signal` aborts, with the same reason. `close` follows when the end is complete, up to
   * `closeTimeout` later, so this hook is the place to announce that a member has left. An error that this hook throws goes to
   * `onError`.
   */
  readonly closing?: ((connection: Connection<UserData, In, Out>, error: ConnectionError) => void) | undefined;
  /**
   * The connection has ended and its file descriptor is free. This is the last hook. Messages received before the end still go to
   * `message`, so this hook is called after `message` has settled for each of them. The promise `closed` does not wait for it.
   */
  readonly close?: ((connection: Connection<UserData, In, Out>, info: CloseInfo) => void) | undefined;
}

/** Context of an error that `onError` gets: where it happened, and on which connection. */
export interface ErrorContext extends ErrorFacts<Connection> {}

/** Options that server and client connections share. All durations are in milliseconds. `Infinity` means no limit. */
export interface ConnectionOptions<
  UserData = unknown,
  Request = UpgradeRequest | undefined,
  In = Message,
  Out = Sendable,
> extends Hooks<UserData, Request, In, Out> {
  /**
   * Time limit for a connection to open. For a client: DNS, TCP, TLS and upgrade together, without the wait for its
   * turn (`queueTimeout`). For a server: from accept to the end
   * of the request, TLS included, and then the same time again for `authorize`. gorilla's 45 s suits a person who waits, not a
   * program.
   * @default 10_000
   */
  readonly openTimeout?: number | undefined;
  /**
   * Longest time in which the kernel accepts no bytes of a pending write. Then the connection ends. This stands in for
   * TCP_USER_TIMEOUT, which Node lacks. One write has at most 64 KiB, and counts as progress only when the kernel has accepted
   * all of it. So messages that do not fit into the kernel's buffer need a link of 52 kbit/s. gorilla's examples use the same
   * value.
   * @default 10_000
   */
  readonly writeTimeout?: number | undefined;
  /**
   * Time limit for sending the queued messages and for the answer to the closing handshake. ws has 30 s, which keeps dead
   * connections for that long.
   * @default 5_000
   */
  readonly closeTimeout?: number | undefined;
  /**
   * Delivers the messages that arrive after `close()` until the peer's Close frame (on TCP its FIN), as ws and Go's packages do. By
   * default they are dropped, as in browsers, because most programs do not ask for messages after `close()`. With `true` the
   * application must take them or have a `message` hook: otherwise the inbox is full before the peer's Close frame arrives. All of it
   * stays within `closeTimeout`. Messages are dropped all the same when a handler returns, a server closes or a connection fails, and
   * at the end of an `await using` scope.
   * @default false
   */
  readonly receiveWhileClosing?: boolean | undefined;
  /**
   * Longest time from the peer's FIN to ours, so that no socket stays in CLOSE_WAIT. Our FIN is sent as soon as the application
   * has seen the peer's end: a call for a message was rejected, a loop has ended, or a hook has handled the last message. This
   * limit is for an application that does not ask for messages. While it takes messages that arrived before the FIN, the time
   * counts from the last one taken. The default is less than `closeTimeout`, so that a peer that has closed does not reach its
   * own limit first.
   * @default 3_000
   */
  readonly lingerTimeout?: number | undefined;
  /**
   * On TCP, keeps the connection open for sending after the peer's FIN, as in `node:net`. Then the application closes it. If it
   * does not, `lingerTimeout` closes it when no messages wait to be written. While messages wait, that time starts again.
   * @default false
   */
  readonly allowHalfOpen?: boolean | undefined;
  /**
   * On TCP, returns the last message for the peer when this side ends the connection because of a failure or a limit, or with a
   * code other than 1000. TCP has no Close frame, so without this message the peer sees only a FIN. `cause` is the error that calls
   * get: a ProtocolError, LimitError or TimeoutError, or a ClosedError with 1011 if a handler or hook threw, with 1001 if the server
   * closes, or with the code of `close`. The message is sent behind the queued messages (a failure drops those), before the FIN,
   * within `closeTimeout`. `undefined` sends none.
   *
   * Not called for an end that the peer began, for a dead peer, and for `terminate`. With `maxConnections`, it is called with a
   * LimitError for each connection that is refused. Not sent inside a message that was written in parts and has not ended, nor if
   * its payload exceeds `maxQueuedBytes`. An error of this function, and a message that cannot be sent, go to `onError`.
   *
   * ```ts
   * listen("tcp://:2525", { framing: { eol: "\r\n" }, farewell: ({ code }) => `421 ${code}` }, handler);
   * ```
   */
  readonly farewell?: ((cause: ConnectionError) => string | Uint8Array | undefined) | undefined;
  /**
   * Time limit from the first byte of a message to its last. Does not apply with `streaming`. With the default, 1 MiB needs 140
   * kbit/s.
   * @default 60_000
   */
  readonly messageTimeout?: number | undefined;
  /** Longest life of a connection. After it the connection is closed with 1001. @default Infinity */
  readonly lifetime?: number | undefined;
  /**
   * Longest silence of the peer. After it the connection is closed with 1001. Bytes that this side sends do not count. The time
   * does not run while the application works on a message or reading is paused. With `messageType: "none"` it is off on TCP, where
   * the peer has nothing to send: `writeTimeout` and TCP keepalive detect a dead peer.
   * @default off with a heartbeat, else 60_000
   */
  readonly idleTimeout?: number | undefined;
  /**
   * Answers each Ping of the peer with a Pong. With `false` the `ping` hook answers, at once or later, with
   * `connection.pong(payload)`: for a proxy that forwards Pings, or for tests of a peer. A TypeError without a `ping` hook, because a
   * peer ends a connection whose Pings are not answered, and on TCP, which has no Ping. ws has the same option.
   * @default true
   */
  readonly autoPong?: boolean | undefined;
  /** When to check that the peer is alive, and how long to wait for the answer. `false` sends no Ping, as `{ interval: Infinity }`. */
  readonly heartbeat?: HeartbeatOptions | false | undefined;
  /**
   * Effect of a read timeout inside a message: `keep` keeps the received bytes, `close` closes the connection.
   * @default "keep"
   */
  readonly midFrameTimeout?: "keep" | "close" | undefined;
  /**
   * Most bytes of one received message. At most 536,870,888, because a text must fit into V8's longest string. With `streaming`
   * it bounds only the messages that `receive` assembles. ws allows 100 MiB, which lets an attacker use too much memory.
   * @default 1_048_576
   */
  readonly maxMessageSize?: number | undefined;
  /**
   * Most fragments of one message. Does not apply with `streaming`. Fragments are joined on arrival, so each costs only the
   * memory of its payload. The limit exists for fragments without payload. A peer that sends 32 bytes per fragment can send 4
   * MiB.
   * @default 131_072
   */
  readonly maxFragments?: number | undefined;
  /**
   * Most bytes in the send queue. Each message counts its payload and 512 bytes, about its cost in memory. A message of at most
   * this size always fits into an empty queue, so a received message can be sent back. With the policy `wait`, calls of `send`
   * that wait for room may hold 32 times as many bytes. A further call rejects with a LimitError. So a loop may send 5,000
   * messages of 100 bytes without awaiting each, and a hundred producers may each await one message of 300 KB. Centrifugo has the
   * same limit.
   * @default 1_048_576, or maxMessageSize if that is more
   */
  readonly maxQueuedBytes?: number | undefined;
  /**
   * Most messages in the send queue, and also most calls of `send` that wait for room with the policy `wait`. The default sets no
   * limit, because `maxQueuedBytes` already bounds the number: each message counts 512 bytes and its payload.
   * @default Infinity
   */
  readonly maxQueuedMessages?: number | undefined;
  /**
   * Most bytes of messages that are written and that the peer has not acknowledged. Further messages wait in the send queue,
   * where `coalesce` can still replace them. Without this limit the kernel takes megabytes for a peer on a slow link, and what it
   * has taken is old when it arrives. Set it where only the latest value counts: to the rate of the slowest link times the age
   * that a value may have. 8 KiB on a link of 30 kB/s are 0.3 s. A peer on a fast link gets at most this many bytes per round
   * trip.
   *
   * On a WebSocket, a Ping follows after each quarter of the limit, and its Pong acknowledges the bytes before it. While this side
   * does not read it sees no Pong, and holds nothing back. Framed TCP has no Ping. There the library queries the kernel, at most
   * every 10 ms and on Linux only. On other systems and on unix sockets the limit has no effect.
   *
   * A message that is larger is written when no other is in flight. While messages are held back, `writeTimeout` is the longest
   * time without an acknowledgement, for each 64 KiB in flight. A connection with this limit sends each message of a group
   * individually.
   * @default Infinity
   */
  readonly maxInFlightBytes?: number | undefined;
  /** What happens to a message for which the send queue has no room. @default "wait" */
  readonly overflow?: Overflow | undefined;
  /**
   * Bytes in the send queue, counted as for `maxQueuedBytes`, above which `highWater` is called. At most `maxQueuedBytes`, since the
   * queue does not grow above that; `Infinity` means that `highWater` is never called.
   * @default 524_288, or half of maxQueuedBytes if that is less
   */
  readonly highWaterMark?: number | undefined;
  /**
   * Bytes in the send queue at or below which `lowWater` is called. At most `highWaterMark`.
   * @default 131_072, or a quarter of highWaterMark if that is less
   */
  readonly lowWaterMark?: number | undefined;
  /**
   * Bytes of received messages in the inbox at which reading pauses. The message that reaches the limit is kept. Reading
   * continues at half of the limit.
   * @default 262_144
   */
  readonly maxInboxBytes?: number | undefined;
  /** Number of received messages in the inbox at which reading pauses. @default 256 */
  readonly maxInboxMessages?: number | undefined;
  /**
   * How long reading may stay paused. After it the connection is closed with 1008. A side that only sends has
   * `messageType: "none"`. If the peer's FIN has arrived and
   * `lingerTimeout` is less, that limit applies instead. Only Linux reports a FIN behind unread bytes, within one or two seconds.
   * On other systems `pauseTimeout` is the limit for such a peer.
   * @default 60_000
   */
  readonly pauseTimeout?: number | undefined;
  /**
   * Type of message that is accepted. A message of another type ends the connection with 1003 (RFC 6455 section 7.4.1).
   *
   * `"bytes"` accepts both types, and delivers a text as its bytes, which are checked to be UTF-8. No string is created: for a program
   * that forwards messages, or parses bytes. `isText(message)` is true for a text; `reader().type` tells it, too. To send these bytes
   * sends a binary message.
   *
   * `"none"` is for a side that only sends, such as a price feed: each message of the peer ends the connection, while Pings, Pongs
   * and the closing handshake go on. Without it, a handler that never asks for messages counts as slow once the peer has filled the
   * inbox, and `pauseTimeout` ends the connection. To discard messages instead, pass a `message` hook that does nothing. Calls for a
   * message wait for the end of the connection. A `message` hook and `heartbeat.message`, which the peer answers with a message, are
   * a TypeError.
   * @default "any"
   */
  readonly messageType?: MessageType | undefined;
  /**
   * Converts between messages and the values of the application: `receive`, loops, the `message` hook and `readable` give what it
   * decodes, `send`, `trySend` and `writable` take what it encodes. `json()` is one. A message that it cannot decode ends the
   * connection with 1007, and one of a type that it does not take with 1003. `heartbeat.message` and `farewell` are messages, not
   * values. `streaming`, `reader` and `writer` are a TypeError, because a codec needs whole messages.
   */
  readonly codec?: MessageCodec<In, Out> | undefined;
  /** Delivers messages in pieces through `reader`, so that a message may be larger than memory. @default false */
  readonly streaming?: boolean | undefined;
  /**
   * Whether the open connection keeps the process alive, as a `net.Socket` does. On a server this applies to the listening socket
   * too. `ref()` and `unref()` change it later.
   * @default true
   */
  readonly ref?: boolean | undefined;
  /**
   * Called with each event of a connection when it happens. On a server, also with each opening, including refused ones. Without
   * this option no event object is created. With it, a connection takes the same code paths as without.
   */
  readonly observe?: Observer | undefined;
  /**
   * Reports each frame to `observe` too, in both directions: as its bytes pass between the connection and the transport. Slow:
   * each byte is read twice.
   * @default false
   */
  readonly trace?: boolean | undefined;
  /**
   * Gets one line for each connection that has ended: peer, path, age, messages and bytes, largest queue, round trip, cause, code and
   * reason. Any object with a method `info` for a text: pino, winston, `console`. Texts of the peer are escaped, so that none can forge
   * a line. docs/metrics.md has the fields. If it throws, `onError` is called.
   */
  readonly log?: Logger | undefined;
  /**
   * Called with each error that has no other listener: of a handler, a hook, an observer, `authorize`, or a failed accept. The
   * context holds the place and, if there is one, the connection. If this function throws or rejects, its error is written to
   * stderr.
   * @default writes the error with its stack, its causes and its connection to stderr
   */
  readonly onError?: ((error: unknown, context: ErrorContext) => void) | undefined;
  /** The source of time. Tests use a manual clock. With the option `network`, the default is its clock. @default the system's */
  readonly clock?: Clock | undefined;
}

/** The default of each option of a connection. */
export interface ConnectionDefaults
  extends Readonly<
    Omit<
      Complete<ConnectionOptions>,
      keyof Hooks | "heartbeat" | "farewell" | "codec" | "observe" | "log" | "onError" | "clock"
    >
  > {
  readonly heartbeat: { readonly interval: number; readonly timeout: number };
}

/**
 * `idleTimeout` is off while there is a heartbeat. `maxQueuedBytes` is at least `maxMessageSize`. The water marks are lower where
 * `maxQueuedBytes` is.
 */
export const CONNECTION_DEFAULTS: ConnectionDefaults = Object.freeze({
  openTimeout: 10_000,
  writeTimeout: 10_000,
  closeTimeout: 5_000,
  receiveWhileClosing: false,
  lingerTimeout: 3_000,
  allowHalfOpen: false,
  messageTimeout: 60_000,
  lifetime: Infinity,
  autoPong: true,
  heartbeat: Object.freeze({ interval: 25_000, timeout: 10_000 }),
  idleTimeout: 60_000,
  midFrameTimeout: "keep",
  maxMessageSize: 1_048_576,
  maxFragments: 131_072,
  maxQueuedBytes: 1_048_576,
  maxQueuedMessages: Infinity,
  maxInFlightBytes: Infinity,
  overflow: "wait",
  highWaterMark: 524_288,
  lowWaterMark: 131_072,
  maxInboxBytes: 262_144,
  maxInboxMessages: 256,
  pauseTimeout: 60_000,
  messageType: "any",
  streaming: false,
  ref: true,
  trace: false,
});

// V8's limit. To decode a longer text would throw, and any peer could cause that.
const MAX_STRING_LENGTH = 2 ** 29 - 24;

const DURATIONS = [
  "openTimeout",
  "writeTimeout",
  "closeTimeout",
  "lingerTimeout",
  "messageTimeout",
  "lifetime",
  "idleTimeout",
  "pauseTimeout",
] as const;
const COUNTS = [
  "maxFragments",
  "maxQueuedBytes",
  "maxQueuedMessages",
  "maxInFlightBytes",
  "highWaterMark",
  "lowWaterMark",
  "maxInboxBytes",
  "maxInboxMessages",
] as const;

const KNOWN: readonly string[] = [...Object.keys(CONNECTION_DEFAULTS), "clock"];

type Settled = Complete<
  Omit<ConnectionOptions, keyof Hooks | "heartbeat" | "farewell" | "codec" | "observe" | "log" | "onError">
> & {
  readonly codec: AnyCodec | undefined;
  readonly farewell: ((cause: ConnectionError) => string | Uint8Array | undefined) | undefined;
  readonly heartbeat: {
    readonly interval: number;
    readonly timeout: number;
    readonly message: string | Uint8Array | undefined;
  };
  readonly observe: Observer | undefined;
  readonly log: Logger | undefined;
  readonly onError: ReportError<Connection>;
  readonly hooks: Hooks;
  /** What the connections count. All connections of a server share one object. */
  readonly counters: Counters;
};

/** Complete and valid options. Code that reads them needs no `??`. */
export type SettledOptions = Readonly<Settled>;

/** The names of all hooks. */
export const HOOKS: readonly (keyof Hooks)[] = [
  ...(["open", "message", "ping", "pong", "highWater", "lowWater", "closing", "close"] as const),
];

/** Options whose types are known to the application only. */
export type AnyConnectionOptions = Omit<ConnectionOptions, keyof Hooks | "codec"> &
  Hooks<never, never, never, never> & { readonly codec?: MessageCodec<unknown, never> | undefined };

// What is not part of a server or client of this process, such as the ends of a pair in a test.
const UNOBSERVED: Readonly<Record<"websocket" | "tcp", Counters>> = {
  websocket: new Counters("server", "websocket"),
  tcp: new Counters("server", "tcp"),
};

/** Validates and completes options, once. Throws a TypeError or RangeError that says what was expected. */
export function settle(
  given: AnyConnectionOptions,
  kind: "websocket" | "tcp",
  counters: Counters = UNOBSERVED[kind],
): SettledOptions {
  judgeOptions(given);
  // The cast drops the type parameter of the hooks: each hook gets the type of connection that the caller declared it for.
  const options = present(given as unknown as ConnectionOptions);
  const {
    heartbeat,
    farewell,
    codec: givenCodec,
    observe,
    log,
    onError,
    open,
    message,
    ping,
    pong,
    highWater,
    lowWater,
    closing,
    close,
    ...plain
  } = options;
  const beat = settleHeartbeat(heartbeat, kind);
  const codec = judgeCodec(givenCodec);
  const silent = kind === "tcp" && plain.messageType === "none";
  const idleTimeout = beat.interval === Infinity && !silent ? CONNECTION_DEFAULTS.idleTimeout : Infinity;
  const { maxQueuedBytes = Math.max(CONNECTION_DEFAULTS.maxQueuedBytes, plain.maxMessageSize ?? 0) } = plain;
  const { highWaterMark = mark(CONNECTION_DEFAULTS.highWaterMark, maxQueuedBytes / 2) } = plain;
  const { lowWaterMark = mark(CONNECTION_DEFAULTS.lowWaterMark, highWaterMark / 4) } = plain;
  const bounds = { maxQueuedBytes, highWaterMark, lowWaterMark };
  const messageType = (kind === "websocket" ? codec?.messageType : undefined) ?? CONNECTION_DEFAULTS.messageType;
  const settled = { ...CONNECTION_DEFAULTS, idleTimeout, clock: systemClock, messageType, ...plain, ...bounds };
  judgeNames(Object.keys(plain), (name) => KNOWN.includes(name));
  for (const name of DURATIONS) judgeNumber(name, settled[name], DURATION);
  for (const name of COUNTS) judgeNumber(name, settled[name], COUNT);
  judgeNumber("maxMessageSize", settled.maxMessageSize, { least: 1, most: MAX_STRING_LENGTH, whole: true });
  if (highWaterMark !== Infinity) judgeAtMost("highWaterMark", highWaterMark, "maxQueuedBytes", maxQueuedBytes);
  judgeAtMost("lowWaterMark", lowWaterMark, "highWaterMark", highWaterMark);
  judgeOverflow(settled.overflow);
  judgeChoice("midFrameTimeout", settled.midFrameTimeout, ["keep", "close"]);
  for (const name of ["receiveWhileClosing", "allowHalfOpen", "autoPong", "streaming", "ref", "trace"] as const)
    judgeBoolean(name, settled[name]);
  if (settled.allowHalfOpen && kind === "websocket") {
    throw new TypeError("Cannot use allowHalfOpen: a WebSocket ends in both directions at once");
  }
  if (farewell !== undefined && kind === "websocket") {
    throw new TypeError("Cannot use farewell: a WebSocket sends a Close frame with a code and a reason");
  }
  if (!settled.autoPong && kind === "tcp") throw new TypeError("Cannot use autoPong: framed TCP has no Ping");
  if (!settled.autoPong && ping === undefined)
    throw new TypeError("Cannot use autoPong false without a ping hook, which answers with pong()");
  judgeClock(settled.clock);
  judgeChoice("messageType", settled.messageType, ["any", "text", "binary", "bytes", "none"]);
  if (settled.messageType === "none" && beat.message !== undefined)
    throw new TypeError('Cannot use heartbeat.message with messageType "none": the peer answers with a message');
  const hooks = Object.fromEntries(
    Object.entries({ open, message, ping, pong, highWater, lowWater, closing, close }).filter(
      ([, hook]) => hook !== undefined,
    ),
  );
  for (const [name, value] of Object.entries({ ...hooks, farewell, observe, onError })) {
    if (value !== undefined) judgeFunction(name, value);
  }
  if (settled.messageType === "none" && message !== undefined) {
    throw new TypeError('Cannot use a message hook with messageType "none": no message is received');
  }
  if (settled.streaming && message !== undefined) {
    throw new TypeError("Cannot use streaming with a message hook: pieces are read by reader, each at its time");
  }
  if (settled.streaming && codec !== undefined) {
    throw new TypeError("Cannot use streaming with a codec: a codec decodes whole messages");
  }
  const received = codec === undefined || message === undefined ? hooks : { ...hooks, message: unwrapped(message) };
  const report = countedErrors(errorReporter(onError), counters);
  if (log !== undefined) {
    if (!isObject(log) || typeof log["info"] !== "function")
      throw new TypeError(`Cannot use log: expected an object with a method info, got ${kindOf(log)}`);
    counters.keepTallies();
  }
  const own = { heartbeat: beat, farewell, codec, observe, log, onError: report, hooks: received, counters };
  return Object.freeze({ ...settled, ...own });
}

function countedErrors(report: ReportError<Connection>, counters: Counters): ReportError<Connection> {
  return (error, context) => {
    counters.errors[context.place] += 1;
    report(error, context);
  };
}

/** The hook of the application, which gets the value and not the item of the inbox that has it. */
function unwrapped(hook: NonNullable<Hooks["message"]>): NonNullable<Hooks["message"]> {
  return (connection, item) => hook(connection, (item as unknown as DecodedValue).value as Message);
}

function settleHeartbeat(given: HeartbeatOptions | false | undefined, kind: "websocket" | "tcp"): Settled["heartbeat"] {
  const { interval, timeout } = CONNECTION_DEFAULTS.heartbeat;
  if (given === false) return { interval: Infinity, timeout, message: undefined };
  if (given !== undefined && (!isObject(given) || Array.isArray(given))) {
    const shown = typeof given === "number" ? given : kindOf(given);
    throw new TypeError(
      `Cannot use heartbeat ${shown}: expected { interval, timeout } in milliseconds, or false for none`,
    );
  }
  const beat = { interval, timeout, message: undefined as string | Uint8Array | undefined, ...present(given ?? {}) };
  judgeNames(Object.keys(beat), (name) => ["interval", "timeout", "message"].includes(name), "heartbeat.");
  if (beat.message !== undefined) beat.message = ownData(asData(beat.message));
  if (kind === "websocket" && beat.message !== undefined) {
    throw new TypeError("Cannot use heartbeat.message: a WebSocket asks with a Ping");
  }
  judgeNumber("heartbeat.interval", beat.interval, DURATION);
  judgeNumber("heartbeat.timeout", beat.timeout, DURATION);
  // TCP has no Ping. Without a message to send, only the idle limit can detect a dead peer.
  return kind === "tcp" && beat.message === undefined ? { ...beat, interval: Infinity } : beat;
}

function judgeClock(clock: Clock): void {
  const { now, wallTime, wakeAt } = (clock ?? {}) as Partial<Clock>;
  if ([now, wallTime, wakeAt].every((method) => typeof method === "function")) return;
  throw new TypeError(`Cannot use clock: expected an object with now(), wallTime() and wakeAt(), got ${kindOf(clock)}`);
}

/** A default water mark: `usual`, or `most` if that is less. */
function mark(usual: number, most: number): number {
  return Math.max(1, Math.min(usual, Math.floor(most)));
}

const OVERFLOWS: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"];

/** Throws a TypeError or RangeError if `overflow` is not a policy. Callers without type checking can pass any value. */
export function judgeOverflow(overflow: Overflow): void {
  judgeChoice("overflow", overflow, OVERFLOWS);
}
