/** One attempt of `connect`: its time limits, its phase, and the words of its failure. */

import { type ConnectionError, type ConnectPhase, HandshakeError, TimeoutError } from "../../base/errors.ts";
import { isError, throwIfAborted } from "../../base/forms.ts";
import { after, between, type Clock, type Deadline, type Instant } from "../../base/time.ts";
import { callEnd, callLimit } from "../../engine/time/call-bounds.ts";
import type { DialPermit } from "../../transport/dial/queue.ts";
import { answerProblem } from "../../transport/http/client.ts";
import { transportError } from "../../transport/socket/socket.ts";
import { tlsProblem } from "../../transport/tls-problem.ts";
import { unlessAborted, WaitLimit } from "../../transport/wait-limit.ts";

/** The limits of an attempt, settled. */
interface AttemptLimits {
  readonly clock: Clock;
  readonly secure: boolean;
  readonly openTimeout: number;
  readonly queueTimeout: number;
  readonly deadline: Deadline | undefined;
  readonly signal: AbortSignal | undefined;
}

/** One attempt to open a connection: applies its limits, and wraps a failure in an error of the library. */
export class Attempt {
  phaseOf: () => ConnectPhase = () => "dns";
  readonly #limits: AttemptLimits;
  readonly #began: Instant;
  readonly #end: Instant;
  /** How long the attempt waited in the queue, and when it got its turn. */
  #queued = 0;
  #turnAt: Instant;

  /** Throws TypeError or RangeError for an invalid deadline. */
  constructor(limits: AttemptLimits) {
    this.#limits = limits;
    this.#began = limits.clock.now();
    this.#turnAt = this.#began;
    this.#end = callEnd({ deadline: limits.deadline }, this.#began, limits.clock);
  }

  /** How long this attempt has had its turn. */
  get sinceTurn(): number {
    return Math.round(between(this.#turnAt, this.#limits.clock.now()));
  }

  /** The time that is left, in milliseconds. */
  remaining(limit: WaitLimit): number {
    const now = this.#limits.clock.now();
    return Math.max(Math.min(limit.remaining(now), between(now, this.#end)), 0);
  }

  async run<T>(open: (limit: WaitLimit) => Promise<T>): Promise<T> {
    const { clock, openTimeout, deadline, signal } = this.#limits;
    throwIfAborted(signal);
    const limit = new WaitLimit(
      clock,
      openTimeout,
      (now) => this.#timeout("openTimeout", openTimeout, between(this.#began, now) - this.#queued),
      signal,
    );
    const atDeadline = clock.wakeAt(this.#end, (now) => {
      const { limit: name, bound } = callLimit({ deadline }, this.#began, this.#end, clock);
      limit.abort(this.#timeout(name, bound, between(this.#began, now)));
    });
    try {
      return await open(limit);
    } catch (error) {
      const answered = error instanceof HandshakeError && error.status !== undefined;
      // The time limit ended only the reading of the body.
      if (answered && !signal?.aborted) throw error;
      // The signal may abort after a failure and before this line: then `error` may be an error of the system.
      if (limit.signal.aborted) throw limit.signal.reason;
      if (error instanceof HandshakeError) throw error;
      throw this.#failure(error);
    } finally {
      limit.end();
      atDeadline.cancel();
    }
  }

  /** Waits for the turn in the queue. `openTimeout` does not count this time, `queueTimeout` bounds it. */
  async wait(limit: WaitLimit, permit: DialPermit, addresses: readonly string[]): Promise<void> {
    const { clock, queueTimeout } = this.#limits;
    const since = clock.now();
    limit.pause(since);
    const timer = clock.wakeAt(after(since, queueTimeout), (now) =>
      limit.abort(this.#timeout("queueTimeout", queueTimeout, between(since, now), permit.reason())),
    );
    try {
      await unlessAborted(permit.wait(addresses), limit.signal);
    } finally {
      timer.cancel();
    }
    this.#turnAt = clock.now();
    this.#queued += between(since, this.#turnAt);
    limit.resume(this.#turnAt);
  }

  #timeout(limit: string, bound: number | Date, length: number, detail?: string): TimeoutError {
    const operation = `connect:${this.phaseOf()}` as const;
    return new TimeoutError({ operation, limit, bound, after: length, retriable: true, detail });
  }

  #failure(thrown: unknown): ConnectionError {
    // The function `dial` of the application may throw anything.
    const error: NodeJS.ErrnoException = isError(thrown) ? thrown : new Error(String(thrown), { cause: thrown });
    const cause = transportError(error);
    const phase = this.phaseOf();
    const problem = problemOf(error, phase, this.#limits.secure) ?? (error.message.trim() || cause.errno);
    return new HandshakeError({ problem, phase }, { cause });
  }
}

/** A failure in words; undefined where the system's own message says it. */
function problemOf(error: NodeJS.ErrnoException, phase: ConnectPhase, secure: boolean): string | undefined {
  const answer = phase === "upgrade" ? answerProblem(error, secure) : undefined;
  // With TLS 1.3 the server can refuse the handshake after it was complete for this side, so in the phase that follows.
  const late = phase === "tls" || phase === "upgrade";
  return answer ?? (secure && late ? tlsProblem(error, "server") : undefined);
}
