/** Instants are compared and derived, and cannot be confused with durations. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  after,
  between,
  type Clock,
  dateOf,
  earlier,
  type Instant,
  instant,
  instantOf,
  later,
  NEVER,
  reached,
  roundedUp,
} from "../../src/base/time.ts";

const clockAt = (now: number, wall: number): Clock => ({
  now: () => instant(now),
  wallTime: () => wall,
  wakeAt: () => assert.fail("nothing is to be armed"),
});

describe("an instant", () => {
  const noon = instant(1_000);

  it("is derived from another by a length in milliseconds", () => {
    assert.equal(between(noon, after(noon, 250)), 250);
    assert.equal(between(after(noon, 250), noon), -250);
  });

  it("is reached if it is now or past", () => {
    assert.equal(reached(noon, after(noon, -1)), false);
    assert.equal(reached(noon, noon), true);
    assert.equal(reached(noon, after(noon, 1)), true);
  });

  it("is rounded up to a whole millisecond", () => {
    for (const [at, kept] of [
      [1_000, 1_000],
      [1_000.25, 1_001],
      [1_000.75, 1_001],
      [0, 0],
    ] as const) {
      assert.equal(between(instant(0), roundedUp(instant(at))), kept);
    }
    assert.equal(roundedUp(NEVER), NEVER);
  });

  it("is never reached after an infinite duration", () => {
    assert.equal(reached(after(noon, Infinity), after(noon, Number.MAX_VALUE)), false);
    assert.equal(between(noon, NEVER), Infinity);
  });

  it("can be compared with another", () => {
    const next = after(noon, 1);
    assert.deepEqual([earlier(noon, next), earlier(next, noon)], [noon, noon]);
    assert.deepEqual([later(noon, next), later(next, noon)], [next, next]);
    assert.equal(earlier(noon, NEVER), noon);
  });

  it("is not a number to the compiler", () => {
    const misuse = (at: Instant) => {
      // @ts-expect-error an instant is no length
      after(at, at);
      // @ts-expect-error a length is no instant
      reached(5_000, at);
      // @ts-expect-error an instant is no timer's length
      setTimeout(() => {}, at).unref();
      // @ts-expect-error instants are not compared with operators: `earlier` and `reached` say which is meant
      return at - at;
    };
    assert.equal(misuse.length, 1);
  });
});

describe("the instant of a deadline", () => {
  it("keeps its distance from now on the monotonic clock", () => {
    const clock = clockAt(500, 1_700_000_000_000);
    const since = instant(100);
    assert.equal(between(clock.now(), instantOf(new Date(1_700_000_002_000), since, clock)), 2_000);
    assert.equal(between(clock.now(), instantOf(new Date(1_699_999_999_000), since, clock)), -1_000);
  });

  it("of { in } counts from the call, and does not ask for the wall-clock time", () => {
    const clock = clockAt(500, Number.NaN);
    for (const length of [0, 0.5, 5_000, Infinity]) {
      assert.equal(between(instant(100), instantOf({ in: length }, instant(100), clock)), length);
    }
  });

  it("refuses an { in } that is no duration", () => {
    for (const [given, name, message] of [
      [{ in: -1 }, "RangeError", "Cannot use deadline.in -1: expected 0 ms or more, or Infinity for never"],
      [{ in: Number.NaN }, "RangeError", "Cannot use deadline.in NaN: expected 0 ms or more, or Infinity for never"],
      [{ in: "5000" }, "TypeError", "Cannot use deadline.in: expected milliseconds, got string"],
      [{}, "TypeError", "Cannot use deadline.in: expected milliseconds, got undefined"],
      [{ in: 5, at: 6 }, "TypeError", "Cannot use option deadline.at: there is no such option here"],
      [[5_000], "TypeError", "Cannot use an array as a deadline: expected a Date, or { in: milliseconds }"],
      [null, "TypeError", "Cannot use null as a deadline: expected a Date, or { in: milliseconds }"],
      ["tomorrow", "TypeError", "Cannot use string as a deadline: expected a Date, or { in: milliseconds }"],
    ] as const) {
      assert.throws(() => instantOf(given as never, instant(0), clockAt(0, 0)), { name, message });
    }
  });

  it("is shown as its wall-clock time", () => {
    const clock = clockAt(500, 1_700_000_000_000);
    assert.equal(dateOf(instant(1_500.4), clock).getTime(), 1_700_000_001_000);
    assert.equal(dateOf(NEVER, clock).toISOString(), "+275760-09-13T00:00:00.000Z");
  });

  it("refuses a number, which would mean a moment in 1970", () => {
    // @ts-expect-error a number is no deadline
    assert.throws(() => instantOf(5_000, instant(0), clockAt(0, 0)), {
      name: "TypeError",
      message: "Cannot use the number 5000 as a deadline: expected a Date, or { in: milliseconds }",
    });
  });

  it("refuses a Date that is none", () => {
    assert.throws(() => instantOf(new Date("tomorrow"), instant(0), clockAt(0, 0)), {
      name: "RangeError",
      message: "Cannot use an invalid Date as a deadline",
    });
  });
});
