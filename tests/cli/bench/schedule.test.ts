/** The schedule of the open loop, and what it shows of a server that stalls. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Schedule } from "../../../src/cli/bench/schedule.ts";
import { Histogram } from "../../../src/engine/histogram.ts";

describe("the schedule of the open loop", () => {
  it("has each message at its time, from the start on", () => {
    const schedule = new Schedule({ start: 1_000, rate: 50, processes: 1, index: 0 });
    assert.deepEqual(
      [0, 1, 2].map((number) => schedule.timeOf(number)),
      [1_000, 1_020, 1_040],
    );
    assert.deepEqual(
      [999, 1_000, 1_019, 1_020, 1_999].map((now) => schedule.dueAt(now)),
      [0, 1, 1, 2, 50],
    );
  });

  it("has no error that grows: the millionth message is due at its time", () => {
    const schedule = new Schedule({ start: 0, rate: 3, processes: 1, index: 0 });
    assert.equal(schedule.timeOf(3_000_000), 1e9);
  });

  it("lets processes take turns, so that all together send at equal intervals", () => {
    const schedules = [0, 1, 2].map((index) => new Schedule({ start: 0, rate: 300, processes: 3, index }));
    const times = schedules.flatMap((schedule) => [0, 1, 2, 3].map((number) => schedule.timeOf(number)));
    const sorted = times.toSorted((one, other) => one - other);
    for (const [at, time] of sorted.entries())
      assert.ok(Math.abs(time - (at * 1_000) / 300) < 1e-9, `${time}, number ${at}`);
  });

  it("shows a stall of one second in ten as it is: p99 is 900 ms, which the closed loop does not show", () => {
    // The server answers at once, but for the first second of ten.
    const answeredAt = (sentAt: number): number => Math.max(sentAt, 1_000);
    const open = new Histogram(6);
    const schedule = new Schedule({ start: 0, rate: 1_000, processes: 1, index: 0 });
    for (let number = 0; number < 10_000; number++) {
      const due = schedule.timeOf(number);
      open.record(Math.max(0.05, answeredAt(due) - due));
    }
    // A message that is due u ms into the stall waits for 1000 - u ms. 1 % of 10 s is 100 ms, so p99 is that of u = 100 ms.
    for (const [percent, expected] of [
      [99, 900],
      [95, 500],
      [91, 100],
    ] as const) {
      const value = open.percentile(percent);
      assert.ok(Math.abs(value - expected) < expected * 0.05, `p${percent} is ${value}, and not ${expected}`);
    }
    const closed = new Histogram(6);
    for (let now = 0; now < 10_000; ) {
      const done = Math.max(answeredAt(now), now + 0.05);
      closed.record(done - now);
      now = done + 0.95;
    }
    assert.ok(closed.percentile(99) < 1);
  });
});
