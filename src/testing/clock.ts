/** A clock that tests advance by a call, so that a wait of forty seconds takes no real time. */

import { type Clock, type Instant, instant, reached, type Wakeup } from "../base/time.ts";
import { setImmediate } from "../transport/timers.ts";

// Event loop turns that bytes need to cross a memory pair, be answered, and have the answer handled.
const SETTLE_TURNS = 12;

interface ManualTimer {
  readonly at: Instant;
  readonly wake: (now: Instant) => void;
}

/** Pass it as the `clock` option. Time passes only in `advance` and `block`. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #timers: ManualTimer[] = [];
  readonly #start: number;

  /** `start` is the initial wall-clock time. @default the current time, so that a deadline may be `new Date(Date.now() + 5_000)` */
  constructor(start: Date = new Date()) {
    this.#start = start.getTime();
  }

  now(): Instant {
    return instant(this.#now);
  }

  wallTime(): number {
    return this.#start + this.#now;
  }

  /** The wall-clock time `length` milliseconds from now, for deadlines. */
  in(length: number): Date {
    return new Date(this.wallTime() + length);
  }

  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    const timer = { at, wake };
    const behind = this.#timers.findIndex((other) => !reached(other.at, at));
    this.#timers.splice(behind === -1 ? this.#timers.length : behind, 0, timer);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer);
        if (index !== -1) this.#timers.splice(index, 1);
      },
    };
  }

  /** Advances by `length` milliseconds. Stops at each timer that is due on the way, and waits until its effects are handled. */
  async advance(length: number): Promise<void> {
    const end = this.#now + length;
    await settled();
    for (let next = this.#timers[0]; next !== undefined && reached(next.at, instant(end)); next = this.#timers[0]) {
      this.#now = Math.max(this.#now, Number(next.at));
      this.#wake();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  /** Advances by `length` milliseconds in one step, like a blocked event loop: all timers due in that time run late. */
  async block(length: number): Promise<void> {
    this.#now += length;
    await settled();
    while (this.#timers[0] !== undefined && reached(this.#timers[0].at, this.now())) {
      this.#wake();
      await settled();
    }
  }

  #wake(): void {
    this.#timers.shift()?.wake(this.now());
  }
}

/** Resolves when the bytes in flight on memory pairs have arrived and been handled. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < SETTLE_TURNS; turn += 1) await new Promise(setImmediate);
}
