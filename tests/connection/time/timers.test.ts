/** When the timers of a connection expire, and their cost: to move one later or to clear it does not touch the timer wheel. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { after, type Instant, NEVER, reached, type Wakeup } from "../../../src/base/time.ts";
import {
  clearTimer,
  expireTimers,
  postponeHeartbeat,
  setTimer,
  stopTimers,
  type TimerName,
  type TimersOwner,
} from "../../../src/connection/time/timers.ts";
import { Timer } from "../../../src/engine/time/timer-wheel.ts";
import { SystemClock } from "../../../src/transport/clock.ts";

const MINUTE = 60_000;

describe("timers on the system's clock", () => {
  it("do not touch the timer wheel when one is set and cleared repeatedly", () => {
    const timers = new RecordedTimers();
    const now = timers.clock.now();
    setTimer(timers, "write", after(now, MINUTE));
    const { tick } = timers;
    assert.notEqual(tick, 0);
    for (let write = 1; write <= 100; write += 1) {
      clearTimer(timers, "write");
      setTimer(timers, "write", after(now, MINUTE + 100 * write));
      assert.equal(timers.tick, tick);
    }
    setTimer(timers, "close", after(now, MINUTE / 2));
    assert.ok(timers.tick < tick, "one that comes first is armed");
    stopTimers(timers);
    assert.equal(timers.armed, false);
  });

  it("expire at their own time, not at the time of a cleared one", async () => {
    const timers = new RecordedTimers();
    const start = timers.clock.now();
    setTimer(timers, "write", after(start, 5));
    clearTimer(timers, "write");
    setTimer(timers, "write", after(start, 60));
    const [name, at] = await timers.nextExpired();
    assert.equal(name, "write");
    assert.ok(reached(after(start, 60), at), "before its time");
    assert.equal(timers.armed, false);
  });

  it("expire together if they are heartbeats that are due at about the same time, none early and none 128 ms late", () => {
    const clock = new SystemClock();
    const now = clock.now();
    const armed = (name: TimerName, length: number): RecordedTimers => {
      const timers = new RecordedTimers(clock);
      setTimer(timers, name, after(now, length));
      return timers;
    };
    const strict = armed("idle", 25_000).tick;
    const ticks = Array.from({ length: 100 }, (_, index) => armed("heartbeat", 25_000 + index).tick - strict);
    assert.ok(new Set(ticks).size <= 2, ticks.join());
    for (const [index, ticked] of ticks.entries()) {
      const late = ticked * 4 - index;
      assert.ok(late > -4 && late < 128 + 4, `${late} ms late`);
    }
  });

  it("move with a heartbeat that is postponed, unless another timer is set", () => {
    const timers = new RecordedTimers();
    const now = timers.clock.now();
    setTimer(timers, "heartbeat", after(now, 1_000));
    const before = timers.tick;
    postponeHeartbeat(timers, after(now, 25_000), now);
    assert.ok(timers.tick >= before + 24_000 / 4, `${timers.tick} behind ${before}`);
    setTimer(timers, "idle", after(now, 10_000));
    const { tick } = timers;
    assert.ok(tick < before + 24_000 / 4);
    postponeHeartbeat(timers, after(now, 50_000), now);
    assert.equal(timers.tick, tick);
    stopTimers(timers);
    postponeHeartbeat(timers, after(now, 75_000), now);
    assert.equal(timers.armed, false);
  });

  it("cause no wakeup after the last one was cleared", async () => {
    const timers = new RecordedTimers();
    const start = timers.clock.now();
    setTimer(timers, "write", after(start, 5));
    clearTimer(timers, "write");
    // Due after it on the same clock: by then the other has found nothing due.
    await timers.alive(
      new Promise<void>((resolve) => {
        timers.clock.wakeAt(after(start, 20), () => resolve());
      }),
    );
    assert.equal(timers.armed, false);
    assert.deepEqual(timers.expired, []);
  });
});

class RecordedTimers extends Timer implements TimersOwner {
  heartbeatAt: Instant | undefined;
  timersAt: Instant[] | undefined;
  wakeup: Wakeup | undefined;
  timerState: TimersOwner["timerState"] = "waiting";
  readonly clock: SystemClock;
  readonly options: { readonly clock: SystemClock };
  readonly expired: [TimerName, Instant][] = [];
  #tell: (() => void) | undefined;

  constructor(clock: SystemClock = new SystemClock()) {
    super();
    this.clock = clock;
    this.options = { clock };
  }

  override wake(now: Instant): void {
    expireTimers(this, now);
  }

  timerExpired(name: TimerName, now: Instant): void {
    this.expired.push([name, now]);
    this.#tell?.();
  }

  /** The timer that expires next. */
  async nextExpired(): Promise<[TimerName, Instant]> {
    await this.alive(
      new Promise<void>((resolve) => {
        this.#tell = resolve;
      }),
    );
    return this.expired.at(-1) ?? ["idle", NEVER];
  }

  /** Keeps the process alive, because the timer of the clock does not. */
  async alive(wait: Promise<void>): Promise<void> {
    const interval = setInterval(() => undefined, 1_000);
    await wait;
    clearInterval(interval);
  }
}
