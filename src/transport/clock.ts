/** The system's clock: one Node timer drives the wakeups of all connections. */

// Imported, because the global `performance` is looked up again at each use.
import { performance } from "node:perf_hooks";
import { between, type Clock, type Instant, instant, NEVER, reached, type Wakeup } from "../base/time.ts";
import { type Timer, TimerWheel } from "../engine/time/timer-wheel.ts";
import { clearTimeout, setImmediate, setTimeout } from "./timers.ts";

// setTimeout() fires immediately for a longer delay, so longer waits are split.
const MAX_TIMER = 2 ** 31 - 1;

/** The class of `systemClock`. It is exported for callers that arm a timer object of their own with `armBy`. */
export class SystemClock implements Clock {
  #wheel: TimerWheel | undefined;
  #timer: NodeJS.Timeout | undefined;
  #armedAt: Instant = NEVER;

  now(): Instant {
    return instant(performance.now());
  }

  wallTime(): number {
    return Date.now();
  }

  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    this.#wheel ??= new TimerWheel(this.now());
    const wakeup = this.#wheel.add(at, wake);
    if (!reached(this.#armedAt, at)) this.#arm();
    return wakeup;
  }

  /**
   * Arms `timer` for `at`, or up to `slack` milliseconds later. If the timer is already armed for an earlier time, it keeps that
   * time.
   */
  armBy(timer: Timer, at: Instant, slack: number = 0): void {
    this.#wheel ??= new TimerWheel(this.now());
    this.#wheel.armBy(timer, at, slack);
    if (!reached(this.#armedAt, at)) this.#arm();
  }

  #arm(): void {
    const next = this.#wheel?.next();
    clearTimeout(this.#timer);
    this.#armedAt = next ?? NEVER;
    if (next === undefined) return;
    const delay = Math.min(Math.max(between(this.now(), next), 0), MAX_TIMER);
    // Unreferenced: sockets keep the process alive, their timeouts must not.
    this.#timer = setTimeout(this.#timerFired, Math.ceil(delay)).unref();
  }

  // Timers run before the poll phase. If the event loop was blocked, this turn is late, and the bytes that prove that a peer is
  // alive are still in the kernel. So the poll phase reads them first, and the timers expire after it, in the check phase.
  readonly #timerFired = (): void => {
    // Not unreferenced: with an unreferenced immediate, the poll phase would block instead of returning at once.
    setImmediate(this.#advance);
  };

  readonly #advance = (): void => {
    try {
      this.#wheel?.advance(this.now());
    } finally {
      this.#arm();
    }
  };
}

/**
 * The default clock: monotonic time from `performance.now()`, wall-clock time from `Date`. Unit: milliseconds. Its timers do not
 * keep the process alive.
 */
export const systemClock: Clock = new SystemClock();
