import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { between, type Instant } from "../../src/base/time.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { timerOf, unlessAborted, WaitLimit } from "../../src/transport/wait-limit.ts";

const NEVER_SETTLES = new Promise<never>(() => undefined);

describe("the limit of a wait", () => {
  it("aborts after its time, with the reason that is made then", async () => {
    const clock = new ManualClock();
    const began = clock.now();
    const limit = new WaitLimit(clock, 100, (now: Instant) => `after ${between(began, now)} ms`);
    await clock.advance(99);
    assert.equal(limit.signal.aborted, false);
    await clock.advance(1);
    assert.equal(limit.signal.reason, "after 100 ms");
  });

  it("aborts with the signal of the caller, now or later", () => {
    const outer = new AbortController();
    const later = new WaitLimit(new ManualClock(), 100, () => "time", outer.signal);
    outer.abort("enough");
    assert.equal(later.signal.reason, "enough");
    const now = new WaitLimit(new ManualClock(), 100, () => "time", outer.signal);
    assert.equal(now.signal.reason, "enough");
  });

  it("keeps the first reason", async () => {
    const clock = new ManualClock();
    const limit = new WaitLimit(clock, 100, () => "time");
    limit.abort("left");
    await clock.advance(100);
    assert.equal(limit.signal.reason, "left");
  });

  it("does not abort after its end", async () => {
    const clock = new ManualClock();
    const outer = new AbortController();
    const limit = new WaitLimit(clock, 100, () => "time", outer.signal);
    limit.end();
    outer.abort();
    await clock.advance(100);
    assert.equal(limit.signal.aborted, false);
  });
});

describe("work with a signal", () => {
  it("settles like the work, or rejects with the reason of the signal", async () => {
    assert.equal(await unlessAborted(Promise.resolve(5), undefined), 5);
    const outer = new AbortController();
    assert.equal(await unlessAborted(Promise.resolve(5), outer.signal), 5);
    const waiting = unlessAborted(NEVER_SETTLES, outer.signal);
    outer.abort("enough");
    await assert.rejects(waiting, (error) => error === "enough");
    await assert.rejects(unlessAborted(NEVER_SETTLES, outer.signal), (error) => error === "enough");
  });
});

describe("a timer of one wait", () => {
  it("expires at its time, and not after it was cancelled", async () => {
    const clock = new ManualClock();
    const expired: string[] = [];
    const timer = timerOf(clock, 10);
    const cancelled = timerOf(clock, 10);
    void timer.expired.then(() => expired.push("timer"));
    void cancelled.expired.then(() => expired.push("cancelled"));
    cancelled.cancel();
    await clock.advance(10);
    await settled();
    assert.deepEqual(expired, ["timer"]);
  });
});
