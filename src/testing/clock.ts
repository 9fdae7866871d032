/** A clock that is moved by hand, so that forty seconds take no time. */

import { type Clock, type Instant, instant, reached, type Wakeup } from "../base/time.js";

// Turns of the event loop in which bytes cross a memory pair, are answered, and their answer is handled.
const TURNS = 12;

interface Armed {
  readonly at: Instant;
  readonly wake: (now: Instant) => void;
}

/** Give it as the `clock` option. Time passes only in `advance` and `block`. */
export class ManualClock implements Clock {
  #now = 0;
  readonly #armed: Armed[] = [];
  readonly #start: number;

  /** `start` is what the wall shows at first. */
  constructor(start: Date = new Date("2026-01-01T00:00:00Z")) {
    this.#start = start.getTime();
  }

  now(): Instant {
    return instant(this.#now);
  }

  wallTime(): number {
    return this.#start + this.#now;
  }

  /** The moment that is `length` milliseconds from now, for deadlines. */
  in(length: number): Date {
    return new Date(this.wallTime() + length);
  }

  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    const armed = { at, wake };
    const behind = this.#armed.findIndex((other) => !reached(other.at, at));
    this.#armed.splice(behind === -1 ? this.#armed.length : behind, 0, armed);
    return {
      cancel: () => {
        const index = this.#armed.indexOf(armed);
        if (index !== -1) this.#armed.splice(index, 1);
      },
    };
  }

  /** Lets `length` milliseconds pass, stopping at each thing that comes due on the way and letting it take effect. */
  async advance(length: number): Promise<void> {
    const end = this.#now + length;
    await settled();
    for (let next = this.#armed[0]; next !== undefined && reached(next.at, instant(end)); next = this.#armed[0]) {
      this.#now = Math.max(this.#now, Number(next.at));
      this.#wake();
      await settled();
    }
    this.#now = end;
    await settled();
  }

  /** Lets `length` milliseconds pass at once, as when the event loop is blocked: everything that came due is late. */
  async block(length: number): Promise<void> {
    this.#now += length;
    await settled();
    while (this.#armed[0] !== undefined && reached(this.#armed[0].at, this.now())) {
      this.#wake();
      await settled();
    }
  }

  #wake(): void {
    this.#armed.shift()?.wake(this.now());
  }
}

/** Lets what is under way in memory arrive and be handled. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await new Promise(setImmediate);
}
