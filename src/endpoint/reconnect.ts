/** Runs a function on a fresh connection, again and again, until it is through or there is no use. */

import {
  after,
  Backoff,
  between,
  type Connection,
  connect,
  type Instant,
  isConnectionError,
  LimitError,
} from "../index.js";
import { type Failure, failed, lost, type ReconnectCause, unopened, untargeted } from "./reconnect-cause.js";
import { type ReconnectOptions, type SettledReconnect, settleReconnect } from "./reconnect-options.js";
import type { ReconnectState } from "./reconnect-state.js";
import { FreshTarget, type ReconnectTarget } from "./reconnect-target.js";
import { alarm, awake, unlessAborted } from "./reconnect-waiting.js";

const NORMAL = 1000;
const GOING_AWAY = 1001;
const INTERNAL_ERROR = 1011;

/** What is done on each connection. */
export type Session<T, UserData = undefined> = (connection: Connection<UserData>) => T | Promise<T>;

/**
 * Connects, and runs `session` on the connection. When that is lost, or could not be opened, it pauses and does so again, if
 * `shouldReconnect` says so. The next attempt begins when the former connection's descriptor is free and its session has
 * ended: there are never two of either. A session ends with its connection if what it waits for is of the connection, or
 * heeds `connection.signal`.
 *
 * The session is through when it returns while its connection is open, or after it has closed it, or with a value other than
 * undefined; the connection is then closed with 1000, and the promise resolves with the value. If it returns undefined
 * because the connection has ended (as `for await` does at a clean close), the policy is asked, and a peer's 1000 resolves too.
 *
 * Rejects with the error that the policy calls final, with a LimitError when `maxAttempts` or `maxElapsed` is reached, or
 * with the reason of the signal. No connection is left open.
 */
export async function reconnect<T, UserData = undefined>(
  target: ReconnectTarget<UserData>,
  session: Session<T, UserData>,
  options: ReconnectOptions<UserData> = {},
): Promise<T> {
  if (typeof session !== "function") {
    throw new TypeError(`Cannot reconnect: expected a function to run on each connection, got ${typeof session}`);
  }
  const settled = settleReconnect(options);
  return new Loop(new FreshTarget(target, settled.clock, settled.openTimeout), session, settled).run();
}

/** What became of one attempt. `returned`: the session did not throw, and its connection has ended. */
type Outcome<T> =
  | { readonly through: true; readonly value: T }
  | { readonly through: false; readonly failure: Failure; readonly returned?: { readonly value: T } };

class Loop<T, UserData> {
  readonly #target: FreshTarget<UserData>;
  readonly #session: Session<T, UserData>;
  readonly #options: SettledReconnect<UserData>;
  readonly #signal: AbortSignal | undefined;
  readonly #backoff: Backoff;
  #failures = 0;
  #why: ReconnectCause | undefined;
  /** Since when there has been no connection, for those who watch. */
  #awaySince: Date;
  /** Since when there has been none that lived for `stableAfter`, for the limit. */
  #unsettledSince: Instant;

  constructor(target: FreshTarget<UserData>, session: Session<T, UserData>, options: SettledReconnect<UserData>) {
    const { initialPause, maxPause, random, clock } = options;
    this.#target = target;
    this.#session = session;
    this.#options = options;
    this.#signal = options.connect.signal;
    this.#backoff = new Backoff({ base: initialPause, cap: maxPause }, random);
    this.#awaySince = new Date(clock.wallTime());
    this.#unsettledSince = clock.now();
  }

  async run(): Promise<T> {
    try {
      const value = await this.#untilThrough();
      this.#tell({ name: "ended", cause: undefined });
      return value;
    } catch (error) {
      this.#tell({ name: "ended", cause: error });
      throw error;
    }
  }

  async #untilThrough(): Promise<T> {
    for (;;) {
      this.#signal?.throwIfAborted();
      const outcome = await this.#attempt();
      if (outcome.through) return outcome.value;
      const cause = this.#counted(outcome.failure);
      this.#why = cause;
      const verdict = this.#options.shouldReconnect(cause);
      if (verdict === false) {
        if (outcome.returned !== undefined && cause.code === NORMAL) return outcome.returned.value;
        throw cause.error;
      }
      await this.#pause(cause, verdict === true ? 0 : verdict.after);
    }
  }

  async #attempt(): Promise<Outcome<T>> {
    this.#tell({ name: "connecting", attempt: this.#failures + 1, since: this.#awaySince });
    const opened = await awake(() => this.#open());
    return "failure" in opened ? { through: false, failure: opened.failure } : this.#use(opened.connection);
  }

  async #open(): Promise<{ readonly connection: Connection<UserData> } | { readonly failure: Failure }> {
    let phase = untargeted;
    try {
      const attempt = { attempt: this.#failures + 1, why: this.#why };
      const { url, ...fresh } = await this.#target.next(attempt, this.#signal);
      phase = unopened;
      return { connection: await connect(url, { ...this.#options.connect, ...fresh }) };
    } catch (error) {
      this.#signal?.throwIfAborted();
      return { failure: phase(error) };
    }
  }

  /** From the open connection to its free descriptor. */
  async #use(connection: Connection<UserData>): Promise<Outcome<T>> {
    const { clock } = this.#options;
    const openedAt = clock.now();
    let lived = 0;
    const closed = connection.closed.then((info) => {
      lived = between(openedAt, clock.now());
      this.#awaySince = new Date(clock.wallTime());
      return info;
    });
    this.#tell({ name: "open", since: new Date(clock.wallTime()) });
    const outcome = await this.#scope(connection);
    // Behind its peer's FIN a TCP connection is open, but nothing comes any more.
    const over = connection.state !== "OPEN" || connection.peerEndedFor !== undefined;
    void connection.close("error" in outcome && !over ? INTERNAL_ERROR : NORMAL);
    const info = await closed;
    if ("error" in outcome) {
      this.#signal?.throwIfAborted();
      return { through: false, failure: over ? lost(connection, info, lived, outcome) : failed(outcome.error, lived) };
    }
    const ours = info.by === "local" && info.cause === undefined;
    if (!over || ours || outcome.value !== undefined) return { through: true, value: outcome.value };
    return { through: false, failure: lost(connection, info, lived, undefined), returned: outcome };
  }

  /** Runs the session. An abort does not wait for it, but for its connection. */
  async #scope(connection: Connection<UserData>): Promise<{ readonly value: T } | { readonly error: unknown }> {
    const running = (async () => ({ value: await this.#session(connection) }))().catch((error: unknown) => ({ error }));
    try {
      return await unlessAborted(running, this.#signal);
    } catch (reason) {
      void running.then((late) => {
        if ("error" in late && late.error !== reason && !isConnectionError(late.error)) {
          this.#options.onError(late.error);
        }
      });
      await connection.close(GOING_AWAY);
      throw reason;
    }
  }

  /** The failure with what is counted; a life that was long enough has wiped the slate. */
  #counted(failure: Failure): ReconnectCause {
    const { clock, stableAfter } = this.#options;
    if (failure.lived >= stableAfter) {
      this.#failures = 0;
      this.#backoff.restored();
      this.#unsettledSince = clock.now();
    } else {
      this.#failures += 1;
    }
    return { ...failure, failures: this.#failures, at: new Date(clock.wallTime()) };
  }

  async #pause(why: ReconnectCause, asked: number): Promise<void> {
    const { clock, maxAttempts, maxElapsed, maxRetryAfter } = this.#options;
    if (!(asked >= 0)) throw new RangeError(`Cannot reconnect after ${asked}: expected 0 ms or more`);
    if (this.#failures >= maxAttempts) {
      const problem = `${this.#failures} attempts in a row came to nothing, and maxAttempts is ${maxAttempts}`;
      throw this.#limit("maxAttempts", maxAttempts, this.#failures, problem, why);
    }
    // Added, and not the larger of the two: those who were told the same must not come together.
    // Whole milliseconds, since a Date holds no others: the state must not promise an earlier moment.
    const length = Math.ceil(Math.min(asked, maxRetryAfter) + this.#backoff.next());
    const elapsed = between(this.#unsettledSince, after(clock.now(), length));
    if (elapsed > maxElapsed) {
      const problem = `the next attempt would begin ${Math.round(elapsed)} ms after the loss, and maxElapsed is ${maxElapsed}`;
      throw this.#limit("maxElapsed", maxElapsed, elapsed, problem, why);
    }
    const until = new Date(clock.wallTime() + length);
    this.#tell({ name: "waiting", attempt: this.#failures + 1, until, why });
    const { rings, cancel } = alarm(clock, length);
    await awake(() => unlessAborted(rings, this.#signal)).finally(cancel);
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

  #tell(state: ReconnectState): void {
    try {
      this.#options.state?.(Object.freeze(state));
    } catch (error) {
      this.#options.onError(error);
    }
  }
}
