/** The delay of the event loop, with a clock whose timers are late. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Histogram } from "../../src/engine/histogram.ts";
import { Collector } from "../../src/engine/metrics/collector.ts";
import { LoopMonitor } from "../../src/metrics/loop-monitor.ts";
import { ManualClock } from "../../src/testing/index.ts";

function delaysOf(monitor: LoopMonitor): Histogram {
  const collector = new Collector();
  monitor.collect(collector);
  const [sample] = collector.histograms("holdfast_loop_blocked_seconds");
  assert.ok(sample);
  return sample.histogram;
}

describe("the monitor of the event loop", () => {
  it("shows a block of 500 ms in 2 s in the 99th percentile", async () => {
    const clock = new ManualClock();
    const monitor = new LoopMonitor(clock);
    monitor.start();
    await clock.advance(750);
    await clock.block(500);
    await clock.advance(750);
    assert.ok(delaysOf(monitor).percentile(99) >= 0.4);
    assert.ok(delaysOf(monitor).percentile(50) < 0.02);
  });

  it("has a delay of 0 for timers that are on time", async () => {
    const clock = new ManualClock();
    const monitor = new LoopMonitor(clock);
    monitor.start();
    monitor.start();
    await clock.advance(2_000);
    assert.equal(delaysOf(monitor).count, 100);
    assert.equal(delaysOf(monitor).max, 0);
  });

  it("measures nothing before its start and after its stop", async () => {
    const clock = new ManualClock();
    const monitor = new LoopMonitor(clock);
    await clock.advance(100);
    assert.equal(delaysOf(monitor).count, 0);
    monitor.start();
    monitor.stop();
    monitor.stop();
    await clock.advance(100);
    assert.equal(delaysOf(monitor).count, 0);
  });
});
