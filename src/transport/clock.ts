/** The system's clock: one Node timer drives the wakeups of every connection. */

// Imported, because the global is looked up anew by each call.
import { performance } from "node:perf_hooks";
import { between, type Clock, type Instant, instant, NEVER, reached, type Wakeup } from "../base/time.js";
import { type Timer, TimerWheel } from "../engine/wheel.js";

// setTimeout() fires at once beyond this, which is the opposite of a long wait.
const LONGEST_TIMER = 2 ** 31 - 1;

/** The clock behind `systemClock`, for those who know it and bring a timer of their own. */
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

  /** Wakes `timer` at `at`, or up to `slack` milliseconds later; or when it was armed for before, if that comes first. */
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
    const delay = Math.min(Math.max(between(this.now(), next), 0), LONGEST_TIMER);
    // Sockets keep the process alive, not our patience with them.
    this.#timer = setTimeout(this.#elapsed, Math.ceil(delay)).unref();
  }

  // Timers run before the poll phase. If this turn comes late because the event loop was blocked, the bytes that would
  // have proved the peer alive are still in the kernel: so they are read first, and time is judged behind them.
  readonly #elapsed = (): void => {
    // Not unreferenced: the poll phase would then not hurry for it.
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

/** Monotonic time from `performance.now()`, wall time from `Date`. */
export const systemClock: Clock = new SystemClock();
