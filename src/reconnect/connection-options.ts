/** The options and hooks of ReconnectingConnection, with their validation. */

import { present } from "../base/forms.ts";
import { judgeFunction, judgeOptions, judgeSignal } from "../base/judge.ts";
import {
  type AnyCodec,
  type CloseInfo,
  CONNECTION_DEFAULTS,
  type Connection,
  type HookResult,
  type Hooks,
  judgeCodec,
  type Message,
  type Sendable,
} from "../core.ts";
import type { ReconnectingClient } from "./contract.ts";
import { RECONNECT_DEFAULTS, type ReconnectOptions, settleReconnect } from "./options.ts";
import type { ReconnectDelivery, ReconnectingOutboxSetup } from "./outbox.ts";
import type { QueueOverflow } from "./queue.ts";
import type { ReconnectState } from "./state.ts";

/** The hooks of a ReconnectingConnection. */
export interface ReconnectingHooks<UserData = undefined, In = Message, Out = Sendable> {
  /**
   * Called when a connection is open and nothing was sent on it yet. Log in and subscribe again here, with `send` and `receive`
   * of this connection. Queued messages are sent after the returned promise has resolved. If the hook throws or rejects because
   * its connection has ended, that end goes to `shouldReconnect`. Any other error is reported to `onError` and closes the
   * connection with 1011, and `shouldReconnect` decides (phase `open`). By default the next attempt follows, and the pauses grow
   * although a connection was open.
   */
  readonly open?: ((connection: Connection<UserData, In, Out>) => HookResult) | undefined;
  /**
   * Called for each received message, for one at a time, in order. With this hook, `receive` and `for await` cannot be used. If
   * it throws or rejects, the error is reported to `onError`, the connection on which the message was received is closed with
   * 1011, and `shouldReconnect` decides (phase `message`). By default the next attempt follows. The message is not delivered
   * again.
   */
  readonly message?: ((connection: ReconnectingClient<UserData, In, Out>, message: In) => HookResult) | undefined;
  /** Called at each change of the state. */
  readonly state?: ((state: ReconnectState) => void) | undefined;
  /** Called once, at the final end. */
  readonly close?: ((connection: ReconnectingClient<UserData, In, Out>, info: CloseInfo) => void) | undefined;
}

/**
 * The options of `connect` and of `reconnect`, except those for a single connection. `maxQueuedBytes`, `maxQueuedMessages` and
 * `overflow` apply to the queue that outlives the single connections.
 */
export interface ReconnectingOptions<UserData = undefined, In = Message, Out = Sendable>
  extends Omit<
      ReconnectOptions<UserData, In, Out>,
      keyof Hooks | "state" | "streaming" | "autoPong" | "receiveWhileClosing" | "overflow"
    >,
    ReconnectingHooks<UserData, In, Out> {
  /**
   * When `send` resolves, and what happens to a message that was on its way when its connection ended: `send` rejects because the
   * message is in doubt, or the message is sent again.
   * @default "at-most-once"
   */
  readonly delivery?: ReconnectDelivery | undefined;
  /** What happens to a message for which the queue has no room. @default "wait" */
  readonly overflow?: QueueOverflow | undefined;
}

/** Validated options with defaults. `reconnect` holds the options of the loop, which validates and completes them itself. */
export interface SettledReconnecting<UserData> {
  readonly reconnect: ReconnectOptions<UserData>;
  readonly hooks: ReconnectingHooks<UserData, unknown, unknown>;
  readonly codec: AnyCodec | undefined;
  readonly outbox: ReconnectingOutboxSetup;
  readonly signal: AbortSignal | undefined;
  readonly closeTimeout: number;
  readonly pauseTimeout: number;
}

/** Validates the options and adds the defaults, once. Throws TypeError or RangeError for an invalid option. */
export function settleReconnecting<UserData>(options: ReconnectingOptions<UserData>): SettledReconnecting<UserData> {
  judgeOptions(options);
  const given = present(options);
  const {
    open,
    message,
    state,
    close,
    delivery = RECONNECT_DEFAULTS.delivery,
    overflow = RECONNECT_DEFAULTS.overflow,
    signal,
    ...others
  } = given;
  for (const name of ["streaming", "autoPong", "receiveWhileClosing", "ping", "pong", "highWater", "lowWater"]) {
    if (name in others) throw new TypeError(`Cannot use ${name}: it is for a single connection`);
  }
  const hooks = { open, message, state, close };
  for (const [name, hook] of Object.entries(hooks)) {
    if (hook !== undefined) judgeFunction(name, hook);
  }
  if (message !== undefined && others.messageType === "none") {
    throw new TypeError('Cannot use a message hook with messageType "none": no message is received');
  }
  judgeSignal(signal);
  const { clock, onError } = settleReconnect(others);
  const {
    maxQueuedBytes = Math.max(CONNECTION_DEFAULTS.maxQueuedBytes, others.maxMessageSize ?? 0),
    maxQueuedMessages = CONNECTION_DEFAULTS.maxQueuedMessages,
    maxInFlightBytes = CONNECTION_DEFAULTS.maxInFlightBytes,
    closeTimeout = CONNECTION_DEFAULTS.closeTimeout,
    pauseTimeout = CONNECTION_DEFAULTS.pauseTimeout,
  } = others;
  const outbox = { maxQueuedBytes, maxQueuedMessages, maxInFlightBytes, overflow, delivery, clock, onError };
  return {
    reconnect: others,
    hooks: present(hooks) as unknown as ReconnectingHooks<UserData, unknown, unknown>,
    codec: judgeCodec(others.codec),
    outbox,
    signal,
    closeTimeout,
    pauseTimeout,
  };
}
