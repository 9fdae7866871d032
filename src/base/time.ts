/** Points in time. An `Instant` is not a number, so that the compiler rejects it where a length of time is expected. */

import { isDate, isObject, kindOf, present } from "./forms.ts";
import { DURATION_OR_ZERO, judgeNames, judgeNumber } from "./judge.ts";

declare const brand: unique symbol;

/** A point in time on a monotonic clock. Lengths of time are plain numbers, in milliseconds. */
export interface Instant {
  readonly [brand]: "Instant";
}

/** The instant at `ms` milliseconds on the scale of a clock. Only clocks call this; other code computes with `after`. */
export const instant = (ms: number): Instant => ms as unknown as Instant;
const ms = (at: Instant): number => at as unknown as number;

/** An instant that is never reached. */
export const NEVER: Instant = instant(Infinity);

/** The instant `length` milliseconds after `at`. If `length` is `Infinity`, that instant is never reached. */
export const after = (at: Instant, length: number): Instant => instant(ms(at) + length);

/** The milliseconds from `from` to `to`. Negative if `to` is earlier than `from`. */
export const between = (from: Instant, to: Instant): number => ms(to) - ms(from);

/** True if `at` is not later than `now`. */
export const reached = (at: Instant, now: Instant): boolean => ms(now) >= ms(at);

export const earlier = (one: Instant, other: Instant): Instant => (ms(one) <= ms(other) ? one : other);

export const later = (one: Instant, other: Instant): Instant => (ms(one) >= ms(other) ? one : other);

/**
 * Rounds `at` up to a whole millisecond. Used for instants in fields of long-lived objects: V8 stores a whole number in the field
 * itself, but allocates a heap number for a fraction.
 */
export const roundedUp = (at: Instant): Instant => instant(Math.ceil(ms(at)));

/** A scheduled call that has not happened yet. */
export interface Wakeup {
  /** Cancels the call. Has no effect after the call has happened. */
  cancel(): void;
}

/** The source of time and of scheduled calls. The system's clock in production; in tests, a clock that the test advances. */
export interface Clock {
  /** The current instant of the monotonic clock. */
  now(): Instant;
  /** The wall-clock time: milliseconds since the Unix epoch. Used only to convert a `Date` into an instant. */
  wallTime(): number;
  /** Calls `wake` once, at `at` or as soon afterwards as the event loop allows. Passes the current instant. */
  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup;
}

/**
 * A point in time by which something must be complete: a Date, or `{ in: 5_000 }` for 5,000 ms after the call. `{ in: Infinity }`
 * is never reached.
 */
export type Deadline = Date | { readonly in: number };

/**
 * Converts a deadline into an instant of the monotonic clock. `since` is the instant of the call. A Date is converted with the
 * current wall-clock time, so later changes of the wall clock do not move the instant. Throws RangeError for an invalid Date and
 * for a negative `in`, and TypeError for any other value.
 *
 * A number throws TypeError, although the compiler already rejects it: `setReadDeadline(5000)` would mean a moment in 1970 and
 * fail at once, but its author means 5 seconds from now.
 */
export function instantOf(deadline: Deadline, since: Instant, clock: Clock): Instant {
  if (isDate(deadline)) {
    const wall = deadline.getTime();
    if (Number.isNaN(wall)) throw new RangeError("Cannot use an invalid Date as a deadline");
    return after(clock.now(), wall - clock.wallTime());
  }
  if (!isObject(deadline) || Array.isArray(deadline)) {
    const given = typeof deadline === "number" ? `the number ${deadline}` : kindOf(deadline);
    throw new TypeError(`Cannot use ${given} as a deadline: expected a Date, or { in: milliseconds }`);
  }
  judgeNames(Object.keys(present(deadline)), (name) => name === "in", "deadline.");
  judgeNumber("deadline.in", deadline.in, DURATION_OR_ZERO);
  return after(since, deadline.in);
}

const LATEST = 8.64e15;

/** The wall-clock time of `at`, as a Date. */
export function dateOf(at: Instant, clock: Clock): Date {
  const wall = clock.wallTime() + between(clock.now(), at);
  return new Date(Math.min(Math.round(wall), LATEST));
}
