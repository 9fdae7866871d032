/** A call that waits across connections: it ends by its result, a timeout, a deadline, a signal, or the end of it all. */

import { after, between, type Clock, TimeoutError, type WaitOptions } from "../index.js";

/** The bounds of a call, judged before anything is done about it. */
interface Bounds {
  readonly length: number;
  readonly limit: "timeout" | "deadline";
  readonly bound: number | Date;
  readonly signal: AbortSignal | undefined;
}

export class Call<T> {
  readonly promise: Promise<T>;
  settled = false;
  /** Called when a bound is reached: takes the work back, and answers whether that was in time. */
  withdraw: () => boolean = () => true;
  /** What a call whose work could not be taken back any more is told instead of the TimeoutError. */
  late: (timeout: TimeoutError) => unknown = (timeout) => timeout;
  #resolve!: (value: T) => void;
  #reject!: (error: unknown) => void;
  #disarm: (() => void) | undefined;

  /** Throws if the bounds are none. It is settled already if one of them has been reached. */
  constructor(operation: "send" | "receive", options: WaitOptions | undefined, clock: Clock) {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // No peer may end the process by going away while something is sent whose promise was dropped.
    this.promise.catch(() => undefined);
    if (options !== undefined) this.#arm(operation, judged(options, clock), clock);
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
    this.#disarm?.();
    return true;
  }

  #arm(operation: "send" | "receive", { length, limit, bound, signal }: Bounds, clock: Clock): void {
    if (signal?.aborted) {
      this.reject(signal.reason);
      return;
    }
    const since = clock.now();
    const timeout = (retriable: boolean): TimeoutError =>
      new TimeoutError({ operation, limit, bound, after: between(since, clock.now()), retriable });
    if (length <= 0) {
      this.reject(timeout(true));
      return;
    }
    const abort = (): void => {
      this.withdraw();
      this.reject(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    const expire = (): void => {
      if (this.settled) return;
      this.reject(this.withdraw() ? timeout(true) : this.late(timeout(false)));
    };
    const wakeup = length === Infinity ? undefined : clock.wakeAt(after(since, length), expire);
    this.#disarm = () => {
      signal?.removeEventListener("abort", abort);
      wakeup?.cancel();
    };
  }
}

function judged(options: WaitOptions, clock: Clock): Bounds {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`Cannot use ${options === null ? "null" : typeof options} as options: expected an object`);
  }
  const { timeout = Infinity, deadline, signal } = options;
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new TypeError(`Cannot use signal: expected an AbortSignal, got ${signal === null ? "null" : typeof signal}`);
  }
  if (typeof timeout !== "number") {
    throw new TypeError(`Cannot use timeout: expected milliseconds, got ${typeof timeout}`);
  }
  if (!(timeout >= 0)) throw new RangeError(`Cannot use timeout ${timeout}: expected 0 ms or more, or Infinity`);
  if (deadline === undefined) return { length: timeout, limit: "timeout", bound: timeout, signal };
  if (!(deadline instanceof Date)) {
    throw new TypeError(
      `Cannot use ${typeof deadline} as a deadline: expected a Date, the moment by which it must be done`,
    );
  }
  const left = deadline.getTime() - clock.wallTime();
  if (Number.isNaN(left)) throw new RangeError("Cannot use an invalid Date as a deadline");
  return left < timeout
    ? { length: left, limit: "deadline", bound: deadline, signal }
    : { length: timeout, limit: "timeout", bound: timeout, signal };
}
