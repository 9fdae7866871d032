/** Recognises that this process did not run: it was stopped or its event loop was blocked. */

import { after, between, type Clock, type Wakeup } from "../../base/time.ts";

const MAX_STALL = 1_000;
const MIN_STALL = 100;

/**
 * If a timer of a wait of `length` milliseconds is late by more than this, this process did not run meanwhile. The bound is one second,
 * or `length` if that is shorter, but at least 100 ms. Timers are always some milliseconds late: with a lower bound each late timer would
 * start the wait again, and it would never end.
 */
export function stallBound(length: number): number {
  return Math.min(MAX_STALL, Math.max(length, MIN_STALL));
}

/**
 * Calls `wake` after `length` milliseconds. After each stall of this process the wait starts again, because another process may have
 * waited for this one meanwhile. A stall is a late timer, so the wait consists of steps of at most a second: a stall that ends before its
 * step does is not recognised.
 */
export function wakeAfter(clock: Clock, length: number, wake: () => void): Wakeup {
  const stall = stallBound(length);
  let end = after(clock.now(), length);
  const wait = (): Wakeup => {
    const left = between(clock.now(), end);
    const due = after(clock.now(), Math.min(left, stall));
    return clock.wakeAt(due, (now) => {
      if (between(due, now) > stall) end = after(now, length);
      else if (between(now, end) <= 0) return wake();
      wakeup = wait();
    });
  };
  let wakeup = wait();
  return { cancel: () => wakeup.cancel() };
}
