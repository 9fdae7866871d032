/** Points in time: an instant is not a number, so it is never mistaken for a length. */

declare const brand: unique symbol;

/** A point on a monotonic clock. Lengths of time are plain numbers, in milliseconds. */
export interface Instant {
  readonly [brand]: "Instant";
}

/** The instant at `ms` on its clock's own scale. For clocks; everything else derives instants from instants. */
export const instant = (ms: number): Instant => ms as unknown as Instant;
const ms = (at: Instant): number => at as unknown as number;

/** An instant that is never reached. */
export const NEVER: Instant = instant(Infinity);

/** The instant `length` milliseconds after `at`; never, when the length is `Infinity`. */
export const after = (at: Instant, length: number): Instant => instant(ms(at) + length);

/** Milliseconds from one instant to a later one; negative if it is earlier. */
export const between = (from: Instant, to: Instant): number => ms(to) - ms(from);

/** Whether `at` has come by `now`. */
export const reached = (at: Instant, now: Instant): boolean => ms(now) >= ms(at);

export const earlier = (one: Instant, other: Instant): Instant => (ms(one) <= ms(other) ? one : other);

export const later = (one: Instant, other: Instant): Instant => (ms(one) >= ms(other) ? one : other);

/** The first whole millisecond that is not before `at`: for what is kept, since whole numbers take V8 no memory of their own. */
export const whole = (at: Instant): Instant => instant(Math.ceil(ms(at)));

/** An armed call that has not happened yet. */
export interface Wakeup {
  /** Disarms it. Does nothing once it has been called. */
  cancel(): void;
}

/** Where time comes from. The system's in production, one moved by hand in tests. */
export interface Clock {
  /** Now, on the monotonic scale. */
  now(): Instant;
  /** Now, on the wall: milliseconds since the Unix epoch. Read only to turn a `Date` into an instant. */
  wallTime(): number;
  /** Calls `wake` once, at `at` or as soon after as the event loop allows. */
  wakeAt(at: Instant, wake: (now: Instant) => void): Wakeup;
}

/**
 * The monotonic instant that a deadline means, taken now: later jumps of the wall clock do not move it.
 *
 * Numbers are refused at run time as well as by the compiler, because `setReadDeadline(5000)` would otherwise
 * mean a moment in 1970 and fail at once, which is the opposite of what its author wanted.
 */
export function instantOf(deadline: Date, clock: Clock): Instant {
  if (!(deadline instanceof Date)) {
    throw new TypeError(
      `Cannot use ${typeof deadline} ${String(deadline)} as a deadline: expected a Date, the moment by which it must be done (for a length of time use timeout)`,
    );
  }
  const wall = deadline.getTime();
  if (Number.isNaN(wall)) throw new RangeError("Cannot use an invalid Date as a deadline");
  return after(clock.now(), wall - clock.wallTime());
}
