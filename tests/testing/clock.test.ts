/** The manual clock: time passes only when it is advanced, and all timers that are due on the way fire. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { after, between, type Instant, instant, NEVER } from "../../src/base/time.ts";
import { ManualClock, pair, settled } from "../../src/testing/index.ts";

/** What was woken, as the milliseconds since `clock` began. */
function wokenAt(clock: ManualClock, ...lengths: readonly number[]): number[] {
  const start = clock.now();
  const woken: number[] = [];
  for (const length of lengths) clock.wakeAt(after(start, length), (now) => woken.push(between(start, now)));
  return woken;
}

describe("a manual clock", () => {
  it("does not advance by itself", async () => {
    const clock = new ManualClock();
    const [now, wall] = [clock.now(), clock.wallTime()];
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual([between(now, clock.now()), clock.wallTime()], [0, wall]);
  });

  it("begins at the current time, so that a deadline may be computed from Date.now()", async () => {
    const before = Date.now();
    const clock = new ManualClock();
    assert.ok(clock.wallTime() >= before && clock.wallTime() <= Date.now());
    const { client } = pair({ clock });
    const received = assert.rejects(client.receive({ deadline: new Date(Date.now() + 5_000) }), { limit: "deadline" });
    await clock.advance(4_000);
    assert.equal(client.state, "OPEN");
    // The call of `pair` has taken time of the system's clock, but not of the manual one.
    await clock.advance(60_000);
    await received;
  });

  it("has the given start, plus the time advanced since", async () => {
    const clock = new ManualClock(new Date("2030-05-05T05:05:05Z"));
    assert.equal(new Date(clock.wallTime()).toISOString(), "2030-05-05T05:05:05.000Z");
    assert.equal(clock.in(1_000).toISOString(), "2030-05-05T05:05:06.000Z");
    await clock.advance(60_000);
    assert.equal(new Date(clock.wallTime()).toISOString(), "2030-05-05T05:06:05.000Z");
    assert.equal(clock.in(-60_000).toISOString(), "2030-05-05T05:05:05.000Z");
  });

  it("wakes the calls that are due while it advances, each at its own instant, and no others", async () => {
    const clock = new ManualClock();
    const woken = wokenAt(clock, 30, 10, 20, 31);
    await clock.advance(9);
    assert.deepEqual(woken, []);
    await clock.advance(21);
    assert.deepEqual(woken, [10, 20, 30]);
    await clock.advance(0);
    assert.deepEqual(woken, [10, 20, 30]);
    await clock.advance(1_000);
    assert.deepEqual(woken, [10, 20, 30, 31]);
  });

  it("wakes calls for one instant in the order of scheduling", async () => {
    const clock = new ManualClock();
    const woken: string[] = [];
    const at = after(clock.now(), 10);
    for (const name of ["first", "second", "third"]) clock.wakeAt(at, () => woken.push(name));
    await clock.advance(10);
    assert.deepEqual(woken, ["first", "second", "third"]);
  });

  it("lets each wakeup take effect before the next one", async () => {
    const clock = new ManualClock();
    const order: string[] = [];
    clock.wakeAt(after(clock.now(), 10), () => {
      order.push("woken");
      setImmediate(() => setImmediate(() => order.push("its effect")));
    });
    clock.wakeAt(after(clock.now(), 11), () => order.push("the next"));
    await clock.advance(11);
    assert.deepEqual(order, ["woken", "its effect", "the next"]);
  });

  it("lets bytes in transit arrive before time advances, and after", async () => {
    const clock = new ManualClock();
    const woken: Instant[] = [];
    setImmediate(() => clock.wakeAt(after(clock.now(), 5), (now) => woken.push(now)));
    await clock.advance(5);
    assert.equal(woken.length, 1);
    let effect = false;
    clock.wakeAt(after(clock.now(), 5), () => {
      setImmediate(() => {
        effect = true;
      });
    });
    await clock.advance(5);
    assert.equal(effect, true);
  });

  it("wakes in the same advance a call that was scheduled during it", async () => {
    const clock = new ManualClock();
    const woken: number[] = [];
    const start = clock.now();
    const again = (now: Instant): void => {
      woken.push(between(start, now));
      clock.wakeAt(after(now, 10), again);
    };
    clock.wakeAt(after(start, 10), again);
    await clock.advance(35);
    assert.deepEqual(woken, [10, 20, 30]);
  });

  it("wakes for an instant that has passed with the next advance, and time does not go back", async () => {
    const clock = new ManualClock();
    await clock.advance(100);
    const [late] = [wokenAt(clock, -50)];
    await clock.advance(0);
    assert.deepEqual(late, [0]);
    assert.equal(between(instant(0), clock.now()), 100);
  });

  it("does not wake a cancelled call, however often it was cancelled", async () => {
    const clock = new ManualClock();
    let woken = 0;
    const wake = (): void => {
      woken += 1;
    };
    const wakeups = [1, 2, 3].map((length) => clock.wakeAt(after(clock.now(), length), wake));
    wakeups[1]?.cancel();
    wakeups[1]?.cancel();
    await clock.advance(10);
    assert.equal(woken, 2);
    for (const wakeup of wakeups) wakeup.cancel();
    await clock.advance(10);
    assert.equal(woken, 2);
  });

  it("never reaches NEVER", async () => {
    const clock = new ManualClock();
    let woken = false;
    clock.wakeAt(NEVER, () => {
      woken = true;
    });
    await clock.advance(2 ** 50);
    assert.equal(woken, false);
  });

  it("wakes everything late after a block", async () => {
    const clock = new ManualClock();
    const woken = wokenAt(clock, 10, 20, 31);
    await clock.block(30);
    assert.deepEqual(woken, [30, 30]);
    await clock.advance(1);
    assert.deepEqual(woken, [30, 30, 31]);
  });

  it("lets received bytes be handled after a block, before timers expire", async () => {
    const clock = new ManualClock();
    const order: string[] = [];
    clock.wakeAt(after(clock.now(), 10), () => order.push("judged"));
    setImmediate(() => order.push("handled"));
    await clock.block(30);
    assert.deepEqual(order, ["handled", "judged"]);
  });

  it("does not advance when it is read", async () => {
    const clock = new ManualClock();
    await settled();
    assert.equal(between(clock.now(), clock.now()), 0);
  });
});
