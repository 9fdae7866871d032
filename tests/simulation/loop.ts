/**
 * A virtual event loop: it runs the library synchronously, in a fixed order, and its time passes only between turns. Promises are
 * settled by `process._tickCallback`, which runs ticks and microtasks until there are none.
 */

import { type Clock, type Instant, instant, type Wakeup } from "../../src/base/time.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  wake: ((now: Instant) => void) | undefined;
  /** Armed by the test, not by the library. */
  readonly own: boolean;
}

const START = Date.parse("2026-01-01T00:00:00Z");
// More turns than this without a pass of time are a loop that never ends.
const MOST_TURNS = 20_000;

const drain = (process as unknown as { _tickCallback(): void })._tickCallback;

export class VirtualLoop implements Clock {
  /** Called with each exception that a callback throws. */
  readonly #failed: (error: unknown) => void;
  #now = 0;
  #order = 0;
  /** A heap by time, then by order of the calls. */
  readonly #timers: Timer[] = [];
  #immediates: (() => void)[] = [];
  #turns = 0;

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  now(): Instant {
    return instant(this.#now);
  }

  /** The time in milliseconds since the start. */
  get time(): number {
    return this.#now;
  }

  wallTime(): number {
    return START + this.#now;
  }

  /** Number of timers that the library has armed. */
  get armed(): number {
    return this.#timers.filter(({ own, wake }) => !own && wake !== undefined).length;
  }

  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup {
    return this.#arm(at, wake, false);
  }

  #arm(at: Instant, wake: (now: Instant) => void, own: boolean): Wakeup {
    const when = Math.max(at as unknown as number, this.#now);
    if (!Number.isFinite(when)) return { cancel: () => undefined };
    const timer: Timer = { at: when, order: this.#order++, wake, own };
    this.#push(timer);
    return {
      cancel: () => {
        timer.wake = undefined;
      },
    };
  }

  /** Calls `wake` after so many milliseconds. */
  after(length: number, wake: () => void): Wakeup {
    return this.#arm(instant(this.#now + length), wake, true);
  }

  /** Resolves after so many milliseconds. */
  sleep(length: number): Promise<void> {
    return new Promise((resolve) => void this.after(length, resolve));
  }

  /** Calls `work` with this loop in the place of the real one. Call it from a macrotask. */
  rule<T>(work: () => T): T {
    const real = { setImmediate: globalThis.setImmediate, setInterval: globalThis.setInterval };
    globalThis.setImmediate = ((call: (...given: unknown[]) => void, ...given: unknown[]) => {
      this.#immediates.push(given.length === 0 ? call : () => call(...given));
    }) as unknown as typeof setImmediate;
    // The library keeps the process alive with it. A simulated process that is killed never lets it go.
    globalThis.setInterval = (() => ({})) as unknown as typeof setInterval;
    try {
      return work();
    } finally {
      Object.assign(globalThis, real);
    }
  }

  /** Runs until `length` milliseconds have passed. Call it in `rule`. */
  run(length: number): void {
    const end = this.#now + length;
    this.#settle();
    while (this.#turn(end));
    this.#now = end;
  }

  #turn(end: number): boolean {
    for (let first = this.#timers[0]; first !== undefined && first.at <= this.#now; first = this.#timers[0]) {
      this.#pop();
      if (first.wake === undefined) continue;
      this.#call(() => first.wake?.(this.now()));
      if (this.#endless()) return false;
    }
    const immediates = this.#immediates;
    this.#immediates = [];
    for (const call of immediates) this.#call(call);
    if (immediates.length > 0) return !this.#endless();
    while (this.#timers[0] !== undefined && this.#timers[0].wake === undefined) this.#pop();
    const next = this.#timers[0];
    if (next === undefined || next.at > end) return false;
    if (next.at > this.#now) this.#turns = 0;
    this.#now = Math.max(next.at, this.#now);
    return true;
  }

  /** Counts what happens at one instant. */
  #endless(): boolean {
    this.#turns += 1;
    if (this.#turns <= MOST_TURNS) return false;
    this.#failed(new Error("the event loop turns without end, and no time passes"));
    return true;
  }

  #call(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.#failed(error);
    }
    this.#settle();
  }

  #settle(): void {
    try {
      drain();
    } catch (error) {
      this.#failed(error);
    }
  }

  #push(timer: Timer): void {
    const heap = this.#timers;
    let index = heap.push(timer) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      if (before(heap[above]!, timer)) break;
      heap[index] = heap[above]!;
      index = above;
    }
    heap[index] = timer;
  }

  #pop(): void {
    const heap = this.#timers;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let index = 0;
    for (let below = 1; below < heap.length; below = 2 * index + 1) {
      if (below + 1 < heap.length && before(heap[below + 1]!, heap[below]!)) below += 1;
      if (before(last, heap[below]!)) break;
      heap[index] = heap[below]!;
      index = below;
    }
    heap[index] = last;
  }
}

function before(one: Timer, other: Timer): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
