/** What a connection can be told: each option, its default, and the reason. */

import type { Observer } from "../base/events.js";
import type { Clock } from "../base/time.js";
import type { Data } from "../engine/protocol.js";
import { systemClock } from "../transport/clock.js";
import type { Connection } from "./connection.js";

/** What becomes of a message for which the outgoing queue has no room. */
export type Overflow = "wait" | "reject" | "drop-newest" | "drop-oldest" | "coalesce" | "close";

/**
 * Whether the peer is alive is asked by a Ping after silence; any byte that comes is an answer. So is room in a kernel that had
 * none for our bytes: a peer that takes long to read them cannot answer a Ping that stands behind them.
 */
export interface HeartbeatOptions {
  /**
   * Silence after which a Ping is sent, in milliseconds; up to a 64th of it later, but 128 ms at most, so that those of many
   * connections leave together. `Infinity` sends none. Under the 60 s after which nginx and most load balancers drop a silent
   * connection; Socket.IO and Centrifugo use the same.
   * @default 25_000
   */
  readonly interval?: number;
  /**
   * How long the peer may then stay silent, in milliseconds. On Linux a peer whose system still acknowledges what is on its way
   * is not silent: on a slow link the Ping is stuck behind that. It is asked once a second, and so not for a timeout below 4 s.
   * @default 10_000
   */
  readonly timeout?: number;
  /**
   * The message that asks, on a framed TCP connection, which has no Ping of its own. Without it there is no heartbeat
   * on TCP. The peer must answer with anything at all. Not for WebSocket.
   */
  readonly message?: Data;
}

/**
 * What a connection calls. One call at a time and in order: a hook that returns a promise holds back the next message
 * until it settles, and so, once the inbox is full, the peer. A hook that throws or rejects ends the connection with
 * 1011 and its error as the cause.
 */
export interface Hooks<Data_ = unknown> {
  /** The connection is open. */
  readonly open?: (connection: Connection<Data_>) => void | Promise<void>;
  /** A message came. With this hook, `receive` and the other views of the inbox are not to be used. */
  readonly message?: (connection: Connection<Data_>, data: Data) => void | Promise<void>;
  /** A Ping came; it has been answered. */
  readonly ping?: (connection: Connection<Data_>, payload: Uint8Array) => void;
  /** A Pong came, asked for or not. */
  readonly pong?: (connection: Connection<Data_>, payload: Uint8Array) => void;
  /** The outgoing queue has grown past `highWaterMark`. */
  readonly highWater?: (connection: Connection<Data_>) => void;
  /** The outgoing queue has fallen to `lowWaterMark` after it had been past `highWaterMark`. */
  readonly lowWater?: (connection: Connection<Data_>) => void;
  /**
   * The connection has ended and its descriptor is free. The last of the hooks: messages that came before the end still go
   * to `message`, so this comes when that has settled for each of them. The promise `closed` does not wait for it.
   */
  readonly close?: (connection: Connection<Data_>, info: CloseInfo) => void;
}

/** How a connection ended. */
export interface CloseInfo {
  /** RFC 6455 section 7.1.5: the peer's code, or ours if we began; 1005 for none, 1006 without a closing handshake. */
  readonly code: number;
  readonly reason: string;
  /** Whether both sides agreed to end: a whole closing handshake, or for TCP a FIN each way at a message boundary. */
  readonly wasClean: boolean;
  /** Who began it. */
  readonly by: "local" | "peer";
  /** The first cause; undefined for a clean end. */
  readonly cause: unknown;
}

/** Options that server and client connections share. All lengths of time are in milliseconds; `Infinity` means never. */
export interface ConnectionOptions<Data_ = unknown> extends Hooks<Data_> {
  /** Longest wait for a connection to open: DNS, TCP, TLS and upgrade together. gorilla's 45 s is a human's patience. @default 10_000 */
  readonly openTimeout?: number;
  /**
   * Longest time in which the kernel takes no bytes that wait for it, before the connection ends: the TCP_USER_TIMEOUT
   * that Node lacks. Bytes are handed over at most 64 KiB at a time, and only all of them are progress: for messages that the
   * kernel's buffer does not hold, a link needs 52 kbit/s. gorilla's examples use the same.
   * @default 10_000
   */
  readonly writeTimeout?: number;
  /** Longest time for what is queued to be sent and the closing handshake to be answered. ws's 30 s leaves zombies. @default 5_000 */
  readonly closeTimeout?: number;
  /**
   * Longest time from the peer's FIN to ours, so that no socket stays in CLOSE_WAIT. While an application still takes
   * what came before the FIN, it is counted from the last time that it did.
   * @default 5_000
   */
  readonly lingerTimeout?: number;
  /** Longest time from a message's first byte to its last; with `streaming` it does not apply. 1 MiB then needs 140 kbit/s. @default 60_000 */
  readonly messageTimeout?: number;
  /** Longest life of a connection, after which it is closed with 1001. @default Infinity */
  readonly lifetime?: number;
  /** Longest silence of the peer. Our own sends do not count. @default off with a heartbeat, else 60_000 */
  readonly idleTimeout?: number;
  /** When to ask whether the peer is alive, and how long to wait. */
  readonly heartbeat?: HeartbeatOptions;
  /** What a read timeout inside a message does: the bytes so far are kept, or the connection is closed. @default "keep" */
  readonly onMidFrameTimeout?: "keep" | "close";
  /**
   * Most bytes of one message: at most 536,870,888, since a text has to fit V8's longest string. With `streaming` it bounds
   * only what `receive` puts together. ws allows 100 MiB, which is an attacker's number.
   * @default 1_048_576
   */
  readonly maxMessageSize?: number;
  /**
   * Most fragments of one message; with `streaming` it does not apply. They are joined as they come, so each costs its
   * payload and no more; the bound is for those without one. Peers that send 32 bytes at a time get 4 MiB through.
   * @default 131_072
   */
  readonly maxFragments?: number;
  /**
   * Most bytes of messages that wait to be written. Centrifugo's limit; and what may be received may be sent back.
   * @default 1_048_576, or maxMessageSize if that is more
   */
  readonly maxQueuedBytes?: number;
  /** Most messages that wait to be written; as many more calls of `send` may wait for room. @default 1_024 */
  readonly maxQueuedMessages?: number;
  /** What happens to a message that does not fit. @default "wait" */
  readonly overflow?: Overflow;
  /** Queued bytes above which `highWater` is called. @default 524_288 */
  readonly highWaterMark?: number;
  /** Queued bytes at which `lowWater` is called. @default 131_072 */
  readonly lowWaterMark?: number;
  /** Bytes of received messages at which reading pauses; the message that reaches the line is kept. @default 262_144 */
  readonly maxInboxBytes?: number;
  /** Received messages at which reading pauses. @default 256 */
  readonly maxInboxMessages?: number;
  /**
   * How long reading may stay paused; `lingerTimeout` if that is less and the peer's FIN has come. Only Linux tells of a FIN
   * that stands behind unread bytes, within a second or two; elsewhere this is the bound for it.
   * @default 60_000
   */
  readonly pauseTimeout?: number;
  /** The type of message that is taken here; one of the other type ends the connection with 1003 (RFC 6455 section 7.4.1). @default "any" */
  readonly messageType?: "any" | "text" | "binary";
  /** Hand messages over in pieces through `reader`, so that they may be larger than memory. @default false */
  readonly streaming?: boolean;
  /** Told every fact about the connection as it happens. Not called means not built: watching costs nothing when nobody watches. */
  readonly observe?: Observer;
  /**
   * Told of errors that have no other listener: a handler's, a hook's, an observer's, a failed accept.
   * @default process.emitWarning
   */
  readonly onError?: (error: unknown) => void;
  /** Where time comes from. A manual one in tests. @default the system's */
  readonly clock?: Clock;
}

/** Options with a default that is the same everywhere. */
type Defaulted = Omit<Required<ConnectionOptions>, keyof Hooks | "heartbeat" | "observe" | "onError" | "clock">;

/** Each option's default. `idleTimeout` is off while there is a heartbeat, and `maxQueuedBytes` at least `maxMessageSize`. */
export const DEFAULTS: Readonly<Defaulted & { heartbeat: { readonly interval: number; readonly timeout: number } }> =
  Object.freeze({
    openTimeout: 10_000,
    writeTimeout: 10_000,
    closeTimeout: 5_000,
    lingerTimeout: 5_000,
    messageTimeout: 60_000,
    lifetime: Infinity,
    heartbeat: Object.freeze({ interval: 25_000, timeout: 10_000 }),
    idleTimeout: 60_000,
    onMidFrameTimeout: "keep",
    maxMessageSize: 1_048_576,
    maxFragments: 131_072,
    maxQueuedBytes: 1_048_576,
    maxQueuedMessages: 1_024,
    overflow: "wait",
    highWaterMark: 524_288,
    lowWaterMark: 131_072,
    maxInboxBytes: 262_144,
    maxInboxMessages: 256,
    pauseTimeout: 60_000,
    messageType: "any",
    streaming: false,
  });

// V8's limit. Beyond it decoding a text would throw, whoever sent it.
const LONGEST_STRING = 2 ** 29 - 24;

const LENGTHS = [
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
  "maxMessageSize",
  "maxFragments",
  "maxQueuedBytes",
  "maxQueuedMessages",
  "highWaterMark",
  "lowWaterMark",
  "maxInboxBytes",
  "maxInboxMessages",
] as const;

const KNOWN: readonly string[] = [...Object.keys(DEFAULTS), "clock", "onError"];

type Settled = Required<Omit<ConnectionOptions, keyof Hooks | "heartbeat" | "observe">> & {
  readonly heartbeat: { readonly interval: number; readonly timeout: number; readonly message: Data | undefined };
  readonly observe: Observer | undefined;
  readonly hooks: Hooks;
};

/** Complete and valid: rooms behind the door contain no `??`. */
export type SettledOptions = Readonly<Settled>;

/** Judges and completes options, once. A wrong value is a TypeError or RangeError that says what was expected. */
export function settle(given: ConnectionOptions<never>, protocol: "websocket" | "tcp"): SettledOptions {
  // The hooks' connection type is the caller's affair: each hook gets the connection that it was declared for.
  const options = given as ConnectionOptions;
  const { heartbeat, observe, open, message, ping, pong, highWater, lowWater, close, ...plain } = options;
  const beat = { ...DEFAULTS.heartbeat, message: undefined, ...heartbeat };
  if (protocol === "websocket" && beat.message !== undefined) {
    throw new TypeError("Cannot use heartbeat.message: a WebSocket asks with a Ping");
  }
  length("heartbeat.interval", beat.interval);
  length("heartbeat.timeout", beat.timeout);
  // TCP has no Ping: without a message to ask with, silence is the only sign.
  if (protocol === "tcp" && beat.message === undefined) beat.interval = Infinity;
  const idleTimeout = beat.interval === Infinity ? DEFAULTS.idleTimeout : Infinity;
  const maxQueuedBytes = Math.max(DEFAULTS.maxQueuedBytes, plain.maxMessageSize ?? 0);
  const settled = { ...DEFAULTS, idleTimeout, maxQueuedBytes, clock: systemClock, onError: warn, ...plain };
  for (const name of Object.keys(plain)) {
    // A misspelt limit would otherwise be a default that nobody asked for.
    if (!KNOWN.includes(name)) throw new TypeError(`Cannot use option ${name}: there is no such option here`);
  }
  for (const name of LENGTHS) length(name, settled[name]);
  for (const name of COUNTS) count(name, settled[name]);
  if (settled.maxMessageSize > LONGEST_STRING) {
    throw new RangeError(`Cannot use maxMessageSize ${settled.maxMessageSize}: expected at most ${LONGEST_STRING}`);
  }
  judgeOverflow(settled.overflow);
  choice("onMidFrameTimeout", settled.onMidFrameTimeout, ["keep", "close"]);
  choice("messageType", settled.messageType, ["any", "text", "binary"]);
  const hooks = Object.fromEntries(
    Object.entries({ open, message, ping, pong, highWater, lowWater, close }).filter(([name, hook]) => {
      if (hook !== undefined && typeof hook !== "function") {
        throw new TypeError(`Cannot use ${name}: expected a function, got ${typeof hook}`);
      }
      return hook !== undefined;
    }),
  );
  if (settled.streaming && message !== undefined) {
    throw new TypeError("Cannot use streaming with a message hook: pieces are read by reader, each at its time");
  }
  return Object.freeze({ ...settled, heartbeat: beat, observe, hooks });
}

/** Refuses what is no policy, whoever it comes from. */
export function judgeOverflow(overflow: Overflow): void {
  choice("overflow", overflow, ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"]);
}

/** Refuses what is no length of time. */
export function length(name: string, value: unknown): void {
  if (typeof value !== "number") throw new TypeError(`Cannot use ${name}: expected milliseconds, got ${typeof value}`);
  if (!(value > 0)) throw new RangeError(`Cannot use ${name} ${value}: expected more than 0 ms, or Infinity for never`);
}

/** Refuses what is no number of things. */
export function count(name: string, value: unknown): void {
  if (typeof value !== "number") throw new TypeError(`Cannot use ${name}: expected a number, got ${typeof value}`);
  if (value === Infinity || (Number.isInteger(value) && value > 0)) return;
  throw new RangeError(`Cannot use ${name} ${value}: expected a whole number from 1, or Infinity for no limit`);
}

function choice(name: string, value: unknown, allowed: readonly string[]): void {
  if (allowed.includes(value as string)) return;
  throw new TypeError(`Cannot use ${name} ${String(value)}: expected one of ${allowed.join(", ")}`);
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
