/** A pending call that can outlive connections: a result, a timeout, a deadline, a signal, or the final end settles it. */

import { reasonOf } from "../base/forms.ts";
import { between, reached } from "../base/time.ts";
import { type Clock, TimeoutError, type WaitOptions } from "../core.ts";
import { callEnd, callLimit } from "../engine/time/call-bounds.ts";

export class ReconnectingCall<T> {
  readonly promise: Promise<T>;
  settled = false;
  /** Called when a limit is reached or the signal aborts. Withdraws the work, and returns false if it is too late for that. */
  withdraw: () => boolean = () => true;
  /** Returns the error of a call whose work cannot be withdrawn any more. It replaces the TimeoutError. */
  lateError: (timeout: TimeoutError) => unknown = (timeout) => timeout;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  #removeLimits: (() => void) | undefined;

  /**
   * Throws TypeError or RangeError for invalid limits. If a limit is already reached or the signal is aborted, the call is
   * rejected at once.
   */
  constructor(operation: "send" | "receive" | "drain", options: WaitOptions | undefined, clock: Clock) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Prevents an unhandled rejection: if the application drops the promise of a send, a peer that disconnects must not end the
    // process.
    this.promise.catch(() => undefined);
    if (options !== undefined) this.#setLimits(operation, options, clock);
  }

  resolve(value: T): void {
    if (this.#settle()) this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.#settle()) this.#reject(error);
  }

  #settle(): boolean {
    if (this.settled) return false;
    this.settled = true;
    this.#removeLimits?.();
    return true;
  }

  #setLimits(operation: "send" | "receive" | "drain", options: WaitOptions, clock: Clock): void {
    const since = clock.now();
    const end = callEnd(options, since, clock);
    const { signal } = options;
    if (signal?.aborted) {
      this.reject(reasonOf(signal));
      return;
    }
    const timeout = (retriable: boolean): TimeoutError => {
      const facts = { operation, ...callLimit(options, since, end, clock), after: between(since, clock.now()) };
      return new TimeoutError({ ...facts, retriable });
    };
    if (reached(end, since)) {
      this.reject(timeout(true));
      return;
    }
    const abort = (): void => {
      this.withdraw();
      if (signal !== undefined) this.reject(reasonOf(signal));
    };
    signal?.addEventListener("abort", abort, { once: true });
    const expire = (): void => {
      if (this.settled) return;
      this.reject(this.withdraw() ? timeout(true) : this.lateError(timeout(false)));
    };
    const wakeup = between(since, end) === Infinity ? undefined : clock.wakeAt(end, expire);
    this.#removeLimits = () => {
      signal?.removeEventListener("abort", abort);
      wakeup?.cancel();
    };
  }
}
