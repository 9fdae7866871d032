/** The options of connections that reconnect: pauses, limits, and hooks. */

import { type Complete, kindOf, present } from "../base/forms.ts";
import {
  COUNT,
  DURATION_OR_ZERO,
  judgeFunction,
  judgeNumber,
  judgeOptions,
  judgeSignal,
  type NumberRange,
} from "../base/judge.ts";
import {
  type Clock,
  CONNECTION_DEFAULTS,
  type ConnectOptions,
  type ErrorContext,
  errorReporter,
  type Message,
  type Sendable,
} from "../core.ts";
import { fieldsOf } from "../engine/handshake/fields-to-send.ts";
import type { Dialer } from "../transport/dial/dialer.ts";
import { networkOf } from "../transport/network.ts";
import type { ReconnectCause } from "./cause.ts";
import type { ReconnectDelivery } from "./outbox.ts";
import { type ReconnectVerdict, shouldReconnect } from "./policy.ts";
import type { QueueOverflow } from "./queue.ts";
import type { ReconnectState } from "./state.ts";

/**
 * When to connect again. All durations are in milliseconds. `Infinity` means that the duration or number is never reached. The
 * two pauses must be finite.
 */
export interface ReconnectPolicy {
  /**
   * Decides whether to connect again. Called when an attempt has failed, when a connection has ended, and when a hook has failed
   * (phase `open` or `message`). Not called for a connection that the application has closed or replaced. If it throws, no
   * further attempt follows, and the error is the cause of the end.
   * @default the exported shouldReconnect
   */
  readonly shouldReconnect?: ((cause: ReconnectCause) => ReconnectVerdict) | undefined;
  /**
   * The maximum of the first pause. Each pause is a random part of a duration that doubles from this value ("full jitter"), so
   * that the clients of a restarted server do not reconnect at the same time (RFC 6455 section 7.2.3). The defaults of the pauses
   * are those of centrifuge.
   * @default 500
   */
  readonly initialPause?: number | undefined;
  /** The maximum of every pause. Time that the server requests is added to it. @default 20_000 */
  readonly maxPause?: number | undefined;
  /**
   * How long a connection must be open before the pauses and the limits start again from the beginning. Without this, a server
   * that accepts and drops connections would get attempts at the shortest pause for ever. A connection whose `open` hook failed
   * does not count. @default 10_000
   */
  readonly stableAfter?: number | undefined;
  /**
   * The maximum number of failed attempts in a row, at least 1. The last one is followed by a LimitError whose cause is the error
   * of that attempt.
   * @default Infinity
   */
  readonly maxAttempts?: number | undefined;
  /**
   * The time after the loss within which the last attempt may begin. It counts from the end of the last connection that was open
   * for `stableAfter` or was replaced by `reconnect()`, and before that from the beginning. If the next attempt would begin
   * later, a LimitError follows at once, without the pause.
   * @default Infinity
   */
  readonly maxElapsed?: number | undefined;
  /**
   * The maximum of the additional pause that a server requests, and of `after` in the result of `shouldReconnect`. A longer one
   * is reduced to this value. @default 300_000
   */
  readonly maxRetryAfter?: number | undefined;
  /**
   * Called at each change of the state. If it throws, the error goes to `onError`. With this hook, passing causes are not
   * reported to `onError`, because the `waiting` state has each of them. The errors of the application's other hooks still are.
   */
  readonly state?: ((state: ReconnectState) => void) | undefined;
  /** The source of the random part of each pause. Returns numbers from 0 to 1. @default Math.random */
  readonly random?: (() => number) | undefined;
}

/** The options of `connect`, of the policy, and of the loop. */
export interface ReconnectOptions<UserData = undefined, In = Message, Out = Sendable>
  extends Omit<ConnectOptions<UserData, In, Out>, "deadline" | "dial">,
    ReconnectPolicy {
  /**
   * Opens the stream of each attempt, as in `connect`. Must be a function: a Duplex can be used only once.
   * @default a TCP connection or a unix socket
   */
  readonly dial?: Dialer | undefined;
  /**
   * Ends the loop when it aborts, in any state. An open connection is closed with 1001. The promise rejects with the reason of
   * the signal.
   */
  readonly signal?: AbortSignal | undefined;
}

type Figure = Exclude<keyof ReconnectDefaults, "delivery" | "overflow">;

/** The default of each option of reconnecting. */
export interface ReconnectDefaults
  extends Readonly<
    Record<"initialPause" | "maxPause" | "stableAfter" | "maxAttempts" | "maxElapsed" | "maxRetryAfter", number>
  > {
  /** The delivery of a `ReconnectingConnection`. */
  readonly delivery: ReconnectDelivery;
  /** The policy of its queue. */
  readonly overflow: QueueOverflow;
}

export const RECONNECT_DEFAULTS: ReconnectDefaults = Object.freeze({
  initialPause: 500,
  maxPause: 20_000,
  stableAfter: 10_000,
  maxAttempts: Infinity,
  maxElapsed: Infinity,
  maxRetryAfter: 300_000,
  delivery: "at-most-once",
  overflow: "wait",
});

const PAUSE: NumberRange = { least: 0, above: true, unit: "ms" };

const RANGES: Readonly<Record<Figure, NumberRange>> = {
  initialPause: PAUSE,
  maxPause: PAUSE,
  stableAfter: DURATION_OR_ZERO,
  maxAttempts: COUNT,
  maxElapsed: DURATION_OR_ZERO,
  maxRetryAfter: DURATION_OR_ZERO,
};

/**
 * Validated options with defaults. `connect` holds the options of the function `connect`, which validates them at the first
 * attempt.
 */
export interface SettledReconnect<UserData> extends Complete<Omit<ReconnectPolicy, "state">> {
  readonly state: ((state: ReconnectState) => void) | undefined;
  readonly connect: ConnectOptions<UserData>;
  readonly clock: Clock;
  readonly openTimeout: number;
  readonly onError: (error: unknown, context: ErrorContext) => void;
}

/** Validates the options and adds the defaults, once. Throws TypeError or RangeError for an invalid option. */
export function settleReconnect<UserData>(options: ReconnectOptions<UserData>): SettledReconnect<UserData> {
  judgeOptions(options);
  const { shouldReconnect: policy = shouldReconnect, state, random = Math.random, ...others } = present(options);
  const {
    initialPause = RECONNECT_DEFAULTS.initialPause,
    maxPause = RECONNECT_DEFAULTS.maxPause,
    stableAfter = RECONNECT_DEFAULTS.stableAfter,
    maxAttempts = RECONNECT_DEFAULTS.maxAttempts,
    maxElapsed = RECONNECT_DEFAULTS.maxElapsed,
    maxRetryAfter = RECONNECT_DEFAULTS.maxRetryAfter,
    ...rest
  } = others;
  judgeSignal(rest.signal);
  if ("deadline" in rest)
    throw new TypeError("Cannot use deadline: it is for one attempt; maxElapsed limits all of them");
  if (rest.dial !== undefined && typeof rest.dial !== "function")
    throw new TypeError(
      `Cannot use dial: expected a function, which is called for each attempt, got ${kindOf(rest.dial)}`,
    );
  // Read now: an iterator cannot be read again for the next attempt.
  const connect = rest.headers === undefined ? rest : { ...rest, headers: fieldsOf(rest.headers) };
  for (const [name, hook] of Object.entries({ shouldReconnect: policy, random, state, onError: connect.onError })) {
    if (hook !== undefined) judgeFunction(name, hook);
  }
  const figures = { initialPause, maxPause, stableAfter, maxAttempts, maxElapsed, maxRetryAfter };
  for (const [name, range] of Object.entries(RANGES)) judgeNumber(name, figures[name as Figure], range);
  const { clock = networkOf(connect.network).clock, openTimeout = CONNECTION_DEFAULTS.openTimeout } = connect;
  const onError = errorReporter(connect.onError);
  return { ...figures, shouldReconnect: policy, random, state, connect, clock, openTimeout, onError };
}
