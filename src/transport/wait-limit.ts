/** Ends a wait after a time, or when a signal aborts. */

import { reasonOf } from "../base/forms.ts";
import { after, between, type Clock, type Instant, type Wakeup } from "../base/time.ts";

/** A signal that aborts after a time, when the signal of the caller aborts, or when `abort` is called. */
export class WaitLimit {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #clock: Clock;
  readonly #expired: (now: Instant) => unknown;
  #timer: Wakeup;
  /** When the time that is left began to run, and its length. */
  #since: Instant;
  #length: number;
  readonly #abortWithOuter = (): void => {
    if (this.#outer !== undefined) this.abort(reasonOf(this.#outer));
  };

  /** `expired` returns the reason for an abort after `length` milliseconds. The caller must call `end`. */
  constructor(clock: Clock, length: number, expired: (now: Instant) => unknown, outer?: AbortSignal) {
    this.#outer = outer;
    this.#clock = clock;
    this.#expired = expired;
    this.#since = clock.now();
    this.#length = length;
    this.#timer = this.#arm();
    outer?.addEventListener("abort", this.#abortWithOuter, { once: true });
    if (outer?.aborted) this.#abortWithOuter();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason);
  }

  /** The time that is left at `now`, in milliseconds. */
  remaining(now: Instant): number {
    return Math.max(this.#length - between(this.#since, now), 0);
  }

  /** Stops the time at `now`, until `resume`. The caller passes the instants that it has read: a second reading of the clock is later. */
  pause(now: Instant): void {
    this.#timer.cancel();
    this.#length -= between(this.#since, now);
  }

  /** Continues at `now`, with the time that was left at `pause`. */
  resume(now: Instant): void {
    this.#since = now;
    this.#timer = this.#arm();
  }

  #arm(): Wakeup {
    return this.#clock.wakeAt(after(this.#since, this.#length), (now) => this.abort(this.#expired(now)));
  }

  /** The wait is over: cancels the timer and stops listening to the signal of the caller. */
  end(): void {
    this.#timer.cancel();
    this.#outer?.removeEventListener("abort", this.#abortWithOuter);
  }
}

/** Settles like `work`. If `signal` aborts first, rejects with its reason. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let cancel!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    cancel = () => reject(reasonOf(signal));
  });
  signal.addEventListener("abort", cancel, { once: true });
  if (signal.aborted) cancel();
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** A timer of one wait. `expired` resolves after `length` milliseconds. After a call of `cancel` it never settles. */
export function timerOf(
  clock: Clock,
  length: number,
): { readonly expired: Promise<void>; readonly cancel: () => void } {
  let cancel!: () => void;
  const expired = new Promise<void>((resolve) => {
    const wakeup = clock.wakeAt(after(clock.now(), length), () => resolve());
    cancel = () => wakeup.cancel();
  });
  return { expired, cancel };
}
