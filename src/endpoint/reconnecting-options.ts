/** What a connection that comes back can be told. */

import { type CloseInfo, type Connection, type Data, DEFAULTS, type Hooks } from "../index.js";
import { type ReconnectOptions, settleReconnect } from "./reconnect-options.js";
import type { ReconnectState } from "./reconnect-state.js";
import type { ReconnectingConnection } from "./reconnecting.js";
import type { Delivery, ReconnectingOutboxSetup } from "./reconnecting-outbox.js";
import type { QueueOverflow } from "./reconnecting-queue.js";

/** What a connection that comes back calls. */
export interface ReconnectingHooks<UserData = undefined> {
  /**
   * A connection is open, and nothing was sent on it yet: the place to log in and to subscribe anew, with `send` and `receive`
   * of this connection. What is queued leaves when the returned promise has settled. An error of the connection counts as its
   * end; any other ends everything, as when the server does not know us any more.
   */
  readonly open?: (connection: Connection<UserData>) => void | Promise<void>;
  /** A message came. With this hook, `receive` and `for await` are not to be used. Called one at a time and in order. */
  readonly message?: (connection: ReconnectingConnection<UserData>, data: Data) => void | Promise<void>;
  /** The state has changed. */
  readonly state?: (state: ReconnectState) => void;
  /** There will be no connection any more. */
  readonly close?: (connection: ReconnectingConnection<UserData>, info: CloseInfo) => void;
}

/** Those of `connect` and of `reconnect`, of which a few mean the queue that outlives the single connections. */
export interface ReconnectingOptions<UserData = undefined>
  extends Omit<ReconnectOptions<UserData>, keyof Hooks | "state" | "streaming" | "overflow">,
    ReconnectingHooks<UserData> {
  /**
   * When `send` resolves, and what becomes of a message that was on its way when its connection ended: given back as in
   * doubt, or sent again.
   * @default "at-most-once"
   */
  readonly delivery?: Delivery;
  /** What happens to a message for which the queue has no room. @default "wait" */
  readonly overflow?: QueueOverflow;
}

/** Complete, as far as it is not for `reconnect`. */
export interface SettledReconnecting<UserData> {
  readonly reconnect: ReconnectOptions<UserData>;
  readonly hooks: ReconnectingHooks<UserData>;
  readonly outbox: ReconnectingOutboxSetup;
  readonly signal: AbortSignal | undefined;
  readonly closeTimeout: number;
  readonly pauseTimeout: number;
}

/** Judges and completes options, once. */
export function settleReconnecting<UserData>(options: ReconnectingOptions<UserData>): SettledReconnecting<UserData> {
  const { open, message, state, close, delivery = "at-most-once", overflow = "wait", signal, ...others } = options;
  for (const name of ["streaming", "ping", "pong", "highWater", "lowWater"]) {
    if (name in others) throw new TypeError(`Cannot use ${name}: it is for a single connection`);
  }
  const hooks = { open, message, state, close };
  for (const [name, hook] of Object.entries(hooks)) {
    if (hook !== undefined && typeof hook !== "function") {
      throw new TypeError(`Cannot use ${name}: expected a function, got ${typeof hook}`);
    }
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal: expected an AbortSignal, got ${typeof signal}`);
  }
  const { clock, onError } = settleReconnect(others);
  const {
    maxQueuedBytes = Math.max(DEFAULTS.maxQueuedBytes, others.maxMessageSize ?? 0),
    maxQueuedMessages = DEFAULTS.maxQueuedMessages,
    closeTimeout = DEFAULTS.closeTimeout,
    pauseTimeout = DEFAULTS.pauseTimeout,
  } = others;
  const outbox = { maxQueuedBytes, maxQueuedMessages, overflow, delivery, clock, onError };
  // Undefined hooks are left out: an option that is given is not undefined.
  const given = Object.fromEntries(Object.entries(hooks).filter(([, hook]) => hook !== undefined));
  return { reconnect: others, hooks: given, outbox, signal, closeTimeout, pauseTimeout };
}
