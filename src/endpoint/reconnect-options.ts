/** What somebody who comes back can be told: how long to wait, when to give up, and whom to tell. */

import { type Clock, type ConnectOptions, DEFAULTS, systemClock } from "../index.js";
import type { ReconnectCause } from "./reconnect-cause.js";
import { type ReconnectVerdict, shouldReconnect } from "./reconnect-policy.js";
import type { ReconnectState } from "./reconnect-state.js";

/** When to come back. All lengths of time are in milliseconds; `Infinity` means never. */
export interface ReconnectPolicy {
  /** Whether to come back, asked whenever an attempt has failed or a connection is lost. @default the exported shouldReconnect */
  readonly shouldReconnect?: (cause: ReconnectCause) => ReconnectVerdict;
  /**
   * The longest first pause. Each pause is a random part of a length that doubles from here ("full jitter"), so that the
   * clients of a server that was restarted do not return together (RFC 6455 section 7.2.3). The figures are centrifuge's.
   * @default 500
   */
  readonly initialPause?: number;
  /** The longest pause of all. @default 20_000 */
  readonly maxPause?: number;
  /**
   * How long a connection must have lived until the pauses and the limits begin anew; otherwise a server that accepts and
   * drops would be asked without end at the shortest pause. @default 10_000
   */
  readonly stableAfter?: number;
  /** Attempts in a row that may come to nothing. The last one is followed by a LimitError with its error as the cause. @default Infinity */
  readonly maxAttempts?: number;
  /** How long after the loss the last attempt may begin. If the next one would begin later, a LimitError comes at once. @default Infinity */
  readonly maxElapsed?: number;
  /** The longest that a server may ask us to stay away. If it asks for more, this counts. @default 300_000 */
  readonly maxRetryAfter?: number;
  /** Told whenever the state changes. An error that it throws goes to `onError`. */
  readonly state?: (state: ReconnectState) => void;
  /** Where the scatter comes from: numbers from 0 to 1. @default Math.random */
  readonly random?: () => number;
}

export interface ReconnectOptions<UserData = undefined> extends ConnectOptions<UserData>, ReconnectPolicy {
  /** Ends it all when it aborts, in whichever state: an open connection is closed with 1001. The promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

type Figure = "initialPause" | "maxPause" | "stableAfter" | "maxAttempts" | "maxElapsed" | "maxRetryAfter";

/** Each figure's default. */
export const RECONNECT_DEFAULTS: Readonly<Record<Figure, number>> = Object.freeze({
  initialPause: 500,
  maxPause: 20_000,
  stableAfter: 10_000,
  maxAttempts: Infinity,
  maxElapsed: Infinity,
  maxRetryAfter: 300_000,
});

/** Complete and valid. `connect` holds what is left for that: it is judged there, by the first attempt. */
export interface SettledReconnect<UserData> extends Required<Omit<ReconnectPolicy, "state">> {
  readonly state: ((state: ReconnectState) => void) | undefined;
  readonly connect: ConnectOptions<UserData>;
  readonly clock: Clock;
  readonly openTimeout: number;
  readonly onError: (error: unknown) => void;
}

/** Judges and completes options, once. */
export function settleReconnect<UserData>(options: ReconnectOptions<UserData>): SettledReconnect<UserData> {
  const { shouldReconnect: policy = shouldReconnect, state, random = Math.random, ...others } = options;
  const {
    initialPause = RECONNECT_DEFAULTS.initialPause,
    maxPause = RECONNECT_DEFAULTS.maxPause,
    stableAfter = RECONNECT_DEFAULTS.stableAfter,
    maxAttempts = RECONNECT_DEFAULTS.maxAttempts,
    maxElapsed = RECONNECT_DEFAULTS.maxElapsed,
    maxRetryAfter = RECONNECT_DEFAULTS.maxRetryAfter,
    ...connect
  } = others;
  for (const [name, hook] of Object.entries({ shouldReconnect: policy, random, state })) {
    if (hook !== undefined && typeof hook !== "function") {
      throw new TypeError(`Cannot use ${name}: expected a function, got ${typeof hook}`);
    }
  }
  const figures = { initialPause, maxPause, stableAfter, maxAttempts, maxElapsed, maxRetryAfter };
  for (const [name, value] of Object.entries(figures)) judgeFigure(name, value);
  const { clock = systemClock, openTimeout = DEFAULTS.openTimeout, onError = warn } = connect;
  return { ...figures, shouldReconnect: policy, random, state, connect, clock, openTimeout, onError };
}

function judgeFigure(name: string, value: unknown): void {
  if (typeof value !== "number") throw new TypeError(`Cannot use ${name}: expected a number, got ${typeof value}`);
  const pause = name === "initialPause" || name === "maxPause";
  if (name === "maxAttempts" ? !(value >= 1) : !(value >= 0) || (pause && (value === 0 || value === Infinity))) {
    throw new RangeError(`Cannot use ${name} ${value}: expected ${pause ? "a finite length" : "a number"} above 0`);
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
