/** Instants are compared and derived, and cannot be mistaken for lengths. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  after,
  between,
  type Clock,
  earlier,
  type Instant,
  instant,
  instantOf,
  later,
  NEVER,
  reached,
  whole,
} from "../../src/base/time.js";

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

  it("has come when its moment is now or past", () => {
    assert.equal(reached(noon, after(noon, -1)), false);
    assert.equal(reached(noon, noon), true);
    assert.equal(reached(noon, after(noon, 1)), true);
  });

  it("is kept as the whole millisecond that it is, or as the next", () => {
    for (const [at, kept] of [
      [1_000, 1_000],
      [1_000.25, 1_001],
      [1_000.75, 1_001],
      [0, 0],
    ] as const) {
      assert.equal(between(instant(0), whole(instant(at))), kept);
    }
    assert.equal(whole(NEVER), NEVER);
  });

  it("never comes after an infinite length", () => {
    assert.equal(reached(after(noon, Infinity), after(noon, Number.MAX_VALUE)), false);
    assert.equal(between(noon, NEVER), Infinity);
  });

  it("is told earlier from later", () => {
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
    assert.equal(between(clock.now(), instantOf(new Date(1_700_000_002_000), clock)), 2_000);
    assert.equal(between(clock.now(), instantOf(new Date(1_699_999_999_000), clock)), -1_000);
  });

  it("refuses a length of time, which would mean a moment in 1970", () => {
    // @ts-expect-error a number is no deadline
    assert.throws(() => instantOf(5_000, clockAt(0, 0)), {
      name: "TypeError",
      message: /^Cannot use number 5000 as a deadline: expected a Date/,
    });
  });

  it("refuses a Date that is none", () => {
    assert.throws(() => instantOf(new Date("tomorrow"), clockAt(0, 0)), {
      name: "RangeError",
      message: "Cannot use an invalid Date as a deadline",
    });
  });
});
