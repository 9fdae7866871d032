/** A wait of this process for another one: it ends after its time, and starts again after a stall. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stallBound, wakeAfter } from "../../../src/engine/time/stall.ts";
import { ManualClock } from "../../../src/testing/index.ts";

function waiting(length: number): { clock: ManualClock; woken: () => number; cancel: () => void } {
  const clock = new ManualClock();
  let woken = 0;
  const { cancel } = wakeAfter(clock, length, () => {
    woken += 1;
  });
  return { clock, cancel, woken: () => woken };
}

describe("a wait that does not count stalls of this process", () => {
  for (const length of [50, 400, 1_000, 30_000]) {
    it(`ends once, after its ${length} ms and not before`, async () => {
      const { clock, woken } = waiting(length);
      await clock.advance(length - 1);
      assert.equal(woken(), 0);
      await clock.advance(1);
      assert.equal(woken(), 1);
      await clock.advance(10 * length);
      assert.equal(woken(), 1);
    });

    it(`of ${length} ms starts again after each stall, and ends`, async () => {
      const { clock, woken } = waiting(length);
      await clock.advance(length / 2);
      for (let stall = 0; stall < 3; stall += 1) {
        await clock.block(2 * length + 2 * stallBound(length));
        assert.equal(woken(), 0);
        await clock.advance(length - 1);
        assert.equal(woken(), 0);
      }
      await clock.advance(1);
      assert.equal(woken(), 1);
    });
  }

  it("ends although each timer is a little late", async () => {
    const { clock, woken } = waiting(5_000);
    for (let late = 0; late < 4; late += 1) await clock.block(1_500);
    assert.equal(woken(), 1);
  });

  it("does not end when it was cancelled, before its first step or after", async () => {
    for (const passed of [0, 500, 2_500]) {
      const { clock, woken, cancel } = waiting(3_000);
      await clock.advance(passed);
      cancel();
      await clock.advance(10_000);
      assert.equal(woken(), 0);
    }
  });

  it("takes a timer for stalled that is a second late, or its length, but at least 100 ms", () => {
    assert.deepEqual([10, 100, 400, 1_000, 30_000].map(stallBound), [100, 100, 400, 1_000, 1_000]);
  });
});
