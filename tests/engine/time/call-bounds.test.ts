import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Clock, type Instant, instant, NEVER } from "../../../src/base/time.ts";
import { callEnd, callLimit, type WaitOptions } from "../../../src/engine/time/call-bounds.ts";

const WALL = 1_700_000_000_000;
const SINCE = instant(1_000.25);
const CLOCK: Clock = {
  now: () => SINCE,
  wallTime: () => WALL,
  wakeAt: () => ({ cancel: () => undefined }),
};
const end = (options: WaitOptions): Instant => callEnd(options, SINCE, CLOCK);
const limit = (options: WaitOptions): ReturnType<typeof callLimit> => callLimit(options, SINCE, end(options), CLOCK);

describe("the limits of a call", () => {
  it("end it at the earlier one", () => {
    const soon = new Date(WALL + 5);
    const late = new Date(WALL + 50);
    assert.equal(end({}), NEVER);
    assert.equal(end({ timeout: 10.5 }), instant(1_010.75));
    assert.equal(end({ deadline: soon }), instant(1_005.25));
    assert.equal(end({ timeout: 10, deadline: soon }), instant(1_005.25));
    assert.equal(end({ timeout: 10, deadline: late }), instant(1_010.25));
    assert.equal(end({ deadline: new Date(WALL - 5) }), instant(995.25));
    assert.equal(end({ deadline: { in: 7.5 } }), instant(1_007.75));
    assert.equal(end({ timeout: 0 }), SINCE);
  });

  it("are named by the error of the one that expired", () => {
    const soon = new Date(WALL + 5);
    const late = new Date(WALL + 50);
    assert.deepEqual(callLimit(undefined, SINCE, NEVER, CLOCK), { limit: "timeout", bound: Infinity });
    assert.deepEqual(limit({ timeout: 10 }), { limit: "timeout", bound: 10 });
    assert.deepEqual(limit({ timeout: 10, deadline: late }), { limit: "timeout", bound: 10 });
    assert.deepEqual(limit({ timeout: 10, deadline: soon }), { limit: "deadline", bound: soon });
    assert.deepEqual(limit({ timeout: 10, deadline: { in: 5 } }), { limit: "deadline", bound: soon });
    assert.deepEqual(limit({ deadline: late }), { limit: "deadline", bound: late });
  });

  it("of a wrong type are a TypeError, of a wrong value a RangeError", () => {
    const wrong: readonly [object | null, "TypeError" | "RangeError"][] = [
      [null, "TypeError"],
      [[], "TypeError"],
      [{ timeout: "5" }, "TypeError"],
      [{ timeout: -1 }, "RangeError"],
      [{ timeout: Number.NaN }, "RangeError"],
      [{ deadline: 5_000 }, "TypeError"],
      [{ deadline: new Date(Number.NaN) }, "RangeError"],
      [{ signal: {} }, "TypeError"],
    ];
    for (const [options, name] of wrong) assert.throws(() => end(options as WaitOptions), { name });
  });
});
