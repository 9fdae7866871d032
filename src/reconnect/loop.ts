/** Runs a function on one connection after another, until it has a result or the cause of an end is final. */

import type { AttemptOutcome } from "../base/attempt-outcomes.ts";
import { present, throwIfAborted } from "../base/forms.ts";
import { judgeOptions } from "../base/judge.ts";
import { after, between } from "../base/time.ts";
import {
  type CloseInfo,
  type Connection,
  connect,
  type ErrorPlace,
  type FramedTyping,
  type Framing,
  type Instant,
  isConnectionError,
  LimitError,
  type Message,
  type MessageType,
  type ReceivedBy,
  type Sendable,
} from "../core.ts";
import { Backoff } from "../engine/time/backoff.ts";
import { GOING_AWAY, INTERNAL_ERROR, NO_STATUS, NORMAL } from "../engine/websocket/close-codes.ts";
import { isPublished, publishEvent } from "../transport/channels.ts";
import { whileHoldingProcess } from "../transport/process-hold.ts";
import { timerOf, unlessAborted } from "../transport/wait-limit.ts";
import { attemptOutcome } from "./attempt-outcome.ts";
import {
  attemptFailure,
  closedByApplication,
  codeFailure,
  endFailure,
  type Failure,
  Interruption,
  interruptionFailure,
  isEndOf,
  type ReconnectCause,
  type ReconnectKind,
  targetFailure,
} from "./cause.ts";
import { type ReconnectOptions, type SettledReconnect, settleReconnect } from "./options.ts";
import type { ReconnectVerdict } from "./policy.ts";
import { reconnectMetrics } from "./reconnect-metrics.ts";
import type { ReconnectState } from "./state.ts";
import { type ReconnectTarget, TargetResolver } from "./target.ts";

/** Close codes of an orderly end, at which a `for await` loop ends without an error. 1005 is a Close without a code. */
const ORDERLY_CODES: readonly number[] = [NORMAL, GOING_AWAY, NO_STATUS];

/** Kinds that are reported from the second failure in a row on. A single loss is the normal case of reconnecting. */
const COMMON_KINDS: readonly ReconnectKind[] = ["lost", "closed-for-now", "timeout"];

/** The function that uses each connection. */
export type ReconnectSession<T, UserData = undefined, In = Message, Out = Sendable> = (
  connection: Connection<UserData, In, Out>,
) => T | Promise<T>;

/**
 * Connects, and runs `session` on the connection. When the connection is lost or cannot be opened, it waits and tries again, if
 * `shouldReconnect` allows it. The next attempt begins when the file descriptor of the former connection is free and its session
 * has ended, so there are never two connections or two sessions. A session ends with its connection if it waits only for that
 * connection, or for `connection.signal`.
 *
 * The session is complete when it returns while its connection is open, when it returns after it has closed the connection, or
 * when it returns a value other than undefined. The connection is then closed with 1000, and the promise resolves with the value.
 * If the session returns undefined because the connection has ended (as `for await` does at an orderly close), the policy
 * decides. If the policy does not allow another attempt, the promise resolves after an orderly end (1000, 1001, 1005, or a FIN on
 * TCP).
 *
 * By default, an error that the session throws rejects the promise: a session leaves the loop by throwing. The exceptions are the
 * end of the session's own connection, and the TimeoutError of a call. A hook cannot leave the loop: a hook that throws closes
 * its connection with 1011, and the policy decides (phase `open` or `message`).
 *
 * Rejects with the error of a final cause, with a LimitError when `maxAttempts` or `maxElapsed` is reached, with a TypeError or
 * RangeError for invalid options, or with the reason of the signal. No connection is left open. Without a `state` hook, each kind
 * of passing cause is reported to `onError` once per run of failures.
 */
export async function reconnect<
  T,
  UserData = undefined,
  In = never,
  Out = Sendable,
  Type extends MessageType = MessageType,
  const Frames extends Framing | undefined = Framing | undefined,
>(
  target: ReconnectTarget<UserData>,
  session: ReconnectSession<T, UserData, ReceivedBy<In, Type, Frames>, Out>,
  options: ReconnectOptions<UserData, ReceivedBy<In, Type, Frames>, Out> & FramedTyping<In, Out, Type, Frames> = {},
): Promise<T> {
  if (typeof session !== "function") {
    throw new TypeError(`Cannot reconnect: expected a function to run on each connection, got ${typeof session}`);
  }
  judgeOptions(options);
  // The loop does not know the types of messages.
  const [anySession, anyOptions] = [session as ReconnectSession<T, UserData>, options as ReconnectOptions<UserData>];
  return new ReconnectLoop(target, anySession, anyOptions, options.state !== undefined).run();
}

type OpenHook<UserData> = NonNullable<ReconnectOptions<UserData>["open"]>;

/**
 * The outcome of one attempt. `complete`: the session is complete. `returned`: the session did not throw, and its connection has
 * ended.
 */
type SessionResult<T> =
  | { readonly complete: true; readonly value: T }
  | { readonly complete: false; readonly failure: Failure; readonly returned?: { readonly value: T } };

/** The loop behind `reconnect` and `ReconnectingConnection`. */
export class ReconnectLoop<T, UserData> {
  readonly #target: TargetResolver<UserData>;
  readonly #session: ReconnectSession<T, UserData>;
  readonly #options: SettledReconnect<UserData>;
  readonly #signal: AbortSignal | undefined;
  readonly #backoff: Backoff;
  /** True if the application has a `state` hook, which shows it every failure. */
  readonly #hasStateHook: boolean;
  /** Kinds of causes that were reported in this run of failures. */
  readonly #reported = new Set<ReconnectKind>();
  /** The connection whose `open` hook has failed. */
  #openHookFailed: Connection<UserData> | undefined;
  #failures = 0;
  #lastCause: ReconnectCause | undefined;
  /** When the last connection ended, for the `connecting` state. */
  #disconnectedSince: Date;
  /**
   * The start of `maxElapsed`: the end of the last connection that was open for `stableAfter` or was replaced by `reconnect()`.
   * Before that, the construction of the loop.
   */
  #elapsedFrom: Instant;
  /** True if the next pause is skipped. */
  #skipNext = false;
  /** Ends the current pause. */
  #endPause: () => void = () => undefined;

  /** Throws TypeError or RangeError for an invalid target or invalid options. */
  constructor(
    target: ReconnectTarget<UserData>,
    session: ReconnectSession<T, UserData>,
    options: ReconnectOptions<UserData>,
    watched: boolean,
  ) {
    const settled = settleReconnect(options);
    const { initialPause, maxPause, random, clock, openTimeout } = settled;
    this.#target = new TargetResolver(target, clock, openTimeout);
    this.#session = session;
    const { open } = settled.connect;
    const connectOptions =
      open === undefined ? settled.connect : { ...settled.connect, open: this.#recordingFailure(open) };
    this.#options = { ...settled, connect: connectOptions };
    this.#signal = settled.connect.signal;
    this.#hasStateHook = watched;
    this.#backoff = new Backoff({ base: initialPause, cap: maxPause }, random);
    this.#disconnectedSince = new Date(clock.wallTime());
    this.#elapsedFrom = clock.now();
    reconnectMetrics.begin();
  }

  /** Skips the current pause. If there is none, skips the next pause, unless an attempt begins before it. */
  skipPause(): void {
    this.#skipNext = true;
    this.#endPause();
  }

  /**
   * True if the policy allows the client to continue after a failure that has ended no connection. It does not count as a
   * failure.
   */
  allows(failure: Failure): boolean {
    return this.#options.shouldReconnect(this.#causeOf(failure)) !== false;
  }

  async run(): Promise<T> {
    try {
      const value = await this.#runSessions();
      this.#callStateHook({ name: "ended", cause: undefined });
      return value;
    } catch (error) {
      this.#callStateHook({ name: "ended", cause: error });
      throw error;
    }
  }

  async #runSessions(): Promise<T> {
    for (;;) {
      throwIfAborted(this.#signal);
      const outcome = await this.#attempt();
      if (outcome.complete) return outcome.value;
      const cause = this.#countFailure(outcome.failure);
      this.#lastCause = cause;
      const verdict = cause.kind === "requested" || this.#options.shouldReconnect(cause);
      if (verdict === false) {
        if (outcome.returned !== undefined && isOrderly(cause)) return outcome.returned.value;
        throw cause.error;
      }
      this.#report(cause);
      await this.#pause(cause, requestedDelay(verdict));
    }
  }

  async #attempt(): Promise<SessionResult<T>> {
    this.#skipNext = false;
    this.#callStateHook({ name: "connecting", attempt: this.#failures + 1, since: this.#disconnectedSince });
    const opened = await whileHoldingProcess(() => this.#open());
    return "failure" in opened ? { complete: false, failure: opened.failure } : this.#use(opened.connection);
  }

  async #open(): Promise<{ readonly connection: Connection<UserData> } | { readonly failure: Failure }> {
    let phase = targetFailure;
    try {
      const attempt = { attempt: this.#failures + 1, why: this.#lastCause };
      const { url, ...fresh } = present(await this.#target.resolve(attempt, this.#signal));
      phase = attemptFailure;
      const connection = await connect(url, { ...this.#options.connect, ...fresh });
      this.#attemptEnded("open", connection, undefined);
      return { connection };
    } catch (error) {
      if (this.#signal?.aborted) this.#attemptEnded("aborted", undefined, error);
      throwIfAborted(this.#signal);
      const failure = phase(error);
      this.#attemptEnded(attemptOutcome(failure), undefined, error);
      return { failure };
    }
  }

  #attemptEnded(outcome: AttemptOutcome, connection: Connection<UserData> | undefined, error: unknown): void {
    reconnectMetrics.attempted(outcome);
    const { observe } = this.#options.connect;
    if (observe === undefined && !isPublished("reconnect")) return;
    const event = { type: "reconnect", id: connection?.id, attempt: this.#failures + 1, outcome, error } as const;
    publishEvent(event);
    try {
      observe?.(event);
    } catch (failed) {
      this.#reportError(failed, "observe", connection);
    }
  }

  /** Runs the session on an open connection. Resolves when the file descriptor of the connection is free. */
  async #use(connection: Connection<UserData>): Promise<SessionResult<T>> {
    const { clock } = this.#options;
    const openedAt = clock.now();
    let lived = 0;
    const closed = connection.closed.then((info) => {
      lived = between(openedAt, clock.now());
      this.#disconnectedSince = new Date(clock.wallTime());
      return info;
    });
    this.#callStateHook({ name: "open", since: new Date(clock.wallTime()) });
    const outcome = await this.#runSession(connection);
    // After the peer's FIN, a TCP connection can still send, but it receives nothing more.
    const hasEnded = connection.state !== "OPEN" || connection.peerEndedFor !== undefined;
    void connection.close("error" in outcome && !hasEnded ? INTERNAL_ERROR : NORMAL);
    const info = await closed;
    if ("error" in outcome) {
      throwIfAborted(this.#signal);
      return { complete: false, failure: this.#failureOf(connection, info, lived, hasEnded, outcome.error) };
    }
    if (!hasEnded || closedByApplication(connection) || outcome.value !== undefined)
      return { complete: true, value: outcome.value };
    return { complete: false, failure: this.#lost(connection, info, lived), returned: outcome };
  }

  /** The failure of a session that threw. `hasEnded`: its connection had already ended. */
  #failureOf(
    connection: Connection<UserData>,
    info: CloseInfo,
    lived: number,
    hasEnded: boolean,
    error: unknown,
  ): Failure {
    if (error instanceof Interruption) return interruptionFailure(error, connection, info, lived);
    const ended = hasEnded && isEndOf(connection, info, error);
    return ended ? this.#lost(connection, info, lived) : codeFailure("session", error, lived);
  }

  #lost(connection: Connection<UserData>, info: CloseInfo, lived: number): Failure {
    return endFailure(connection, info, lived, connection === this.#openHookFailed ? "open" : "message");
  }

  /** Runs the session. After an abort it waits for the end of the connection, but not for the session. */
  async #runSession(connection: Connection<UserData>): Promise<{ readonly value: T } | { readonly error: unknown }> {
    const running = (async () => ({ value: await this.#session(connection) }))().catch((error: unknown) => ({ error }));
    try {
      return await unlessAborted(running, this.#signal);
    } catch (reason) {
      void running.then((late) => {
        // The error of an Interruption was reported when its hook failed.
        if (!("error" in late) || late.error instanceof Interruption) return;
        if (late.error !== reason && !isConnectionError(late.error))
          this.#reportError(late.error, "session", connection);
      });
      await connection.close(GOING_AWAY);
      throw reason;
    }
  }

  /** Counts a failure. A connection that has lived for `stableAfter` ends the run of failures. */
  #countFailure(failure: Failure): ReconnectCause {
    const { clock, stableAfter } = this.#options;
    const { kind, lived, phase } = failure;
    // A connection whose `open` hook failed does not count, even if the hook ran for a long time.
    if (lived >= stableAfter && phase !== "open") {
      this.#failures = 0;
      this.#backoff.reset();
      this.#reported.clear();
      this.#elapsedFrom = clock.now();
      if (kind === "requested") this.#skipNext = true;
    } else if (kind === "requested") this.#elapsedFrom = clock.now();
    else this.#failures += 1;
    return this.#causeOf(failure);
  }

  /** Wraps the `open` hook and records its failure: the connection's error does not say which hook has failed. */
  #recordingFailure(open: OpenHook<UserData>): OpenHook<UserData> {
    return async (connection, request) => {
      try {
        await open(connection, request);
      } catch (error) {
        this.#openHookFailed = connection;
        throw error;
      }
    };
  }

  #causeOf(failure: Failure): ReconnectCause {
    return { ...failure, failures: this.#failures, at: new Date(this.#options.clock.wallTime()) };
  }

  /** Reports a passing cause to `onError`, unless the application has already got it in another way. */
  #report({ kind, failures, error }: ReconnectCause): void {
    // A hook's error was reported when the hook failed.
    if (this.#hasStateHook || kind === "requested" || kind === "hook" || this.#reported.has(kind)) return;
    if (failures < 2 && COMMON_KINDS.includes(kind)) return;
    this.#reported.add(kind);
    this.#reportError(error, "connect");
  }

  #reportError(error: unknown, place: ErrorPlace, connection?: Connection<UserData>): void {
    this.#options.onError(error, { place, connection: connection as Connection | undefined });
  }

  /** Waits before the next attempt. `requested`, in milliseconds, is added to the pause of the backoff. */
  async #pause(why: ReconnectCause, requested: number): Promise<void> {
    const { clock, maxRetryAfter } = this.#options;
    // The sum, not the maximum: clients that the server closed at the same time must not reconnect at the same time. Whole
    // milliseconds, because a Date has no fractions: `until` must not be earlier than the end of the pause.
    const length = this.#skipNext ? 0 : Math.ceil(Math.min(requested, maxRetryAfter) + this.#backoff.next());
    this.#judgeLimits(why, length);
    const until = new Date(clock.wallTime() + length);
    const { expired, cancel } = timerOf(clock, length);
    const skipped = new Promise<void>((resolve) => {
      this.#endPause = resolve;
    });
    // The state hook may skip this pause, through `reconnect()` of the ReconnectingConnection.
    this.#callStateHook({ name: "waiting", attempt: this.#failures + 1, until, why });
    if (this.#skipNext) this.#endPause();
    await whileHoldingProcess(() => unlessAborted(Promise.race([expired, skipped]), this.#signal)).finally(cancel);
  }

  /** Throws a LimitError if `maxAttempts` is reached, or if the next attempt would begin after `maxElapsed`. */
  #judgeLimits(why: ReconnectCause, length: number): void {
    if (why.kind === "requested") return;
    const { clock, maxAttempts, maxElapsed } = this.#options;
    if (this.#failures >= maxAttempts) {
      const problem = `${this.#failures} attempts in a row came to nothing, and maxAttempts is ${maxAttempts}`;
      throw this.#limit("maxAttempts", maxAttempts, this.#failures, problem, why);
    }
    const elapsed = between(this.#elapsedFrom, after(clock.now(), length));
    if (elapsed > maxElapsed) {
      const problem = `the next attempt would begin ${Math.round(elapsed)} ms after the loss, and maxElapsed is ${maxElapsed}`;
      throw this.#limit("maxElapsed", maxElapsed, elapsed, problem, why);
    }
  }

  #limit(
    limit: string,
    maximum: number,
    actual: number,
    problem: string,
    { error: cause }: ReconnectCause,
  ): LimitError {
    return new LimitError({ operation: "connect", problem, limit, maximum, actual }, { cause });
  }

  #callStateHook(state: ReconnectState): void {
    try {
      this.#options.state?.(Object.freeze(state));
    } catch (error) {
      this.#reportError(error, "state");
    }
  }
}

/**
 * Returns the milliseconds that the policy adds to the pause. The verdict is validated, because the application's code returns
 * it.
 */
function requestedDelay(verdict: Exclude<ReconnectVerdict, false>): number {
  if (verdict === true) return 0;
  const after: unknown = (verdict as { readonly after?: unknown } | undefined | null)?.after;
  if (typeof after !== "number") {
    throw new TypeError(
      `Cannot use what shouldReconnect returned: expected true, false or { after: number }, got ${typeof verdict}`,
    );
  }
  if (!(after >= 0)) throw new RangeError(`Cannot reconnect after ${after}: expected 0 ms or more`);
  return after;
}

/** True if the connection ended in order. A session that has returned is then complete. */
function isOrderly({ code, wasClean }: ReconnectCause): boolean {
  return wasClean && (code === undefined || ORDERLY_CODES.includes(code));
}
