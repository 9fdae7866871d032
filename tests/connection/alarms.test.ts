/** When the alarms of a connection ring, and what they cost: setting one later, or clearing it, touches no timer. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { after, type Instant, NEVER, reached } from "../../src/base/time.js";
import { type AlarmName, Alarms } from "../../src/connection/alarms.js";
import { SystemClock } from "../../src/transport/clock.js";

const MINUTE = 60_000;

describe("alarms on the system's clock", () => {
  it("touch no timer when one is set and cleared again and again", () => {
    const alarms = new Bells();
    const now = alarms.clock.now();
    alarms.set("write", after(now, MINUTE));
    const { tick } = alarms;
    assert.notEqual(tick, 0);
    for (let write = 1; write <= 100; write += 1) {
      alarms.clear("write");
      alarms.set("write", after(now, MINUTE + 100 * write));
      assert.equal(alarms.tick, tick);
    }
    alarms.set("close", after(now, MINUTE / 2));
    assert.ok(alarms.tick < tick, "one that comes first is armed");
    alarms.stop();
    assert.equal(alarms.armed, false);
  });

  it("ring at their own time, not at that of one that was cleared", async () => {
    const alarms = new Bells();
    const start = alarms.clock.now();
    alarms.set("write", after(start, 5));
    alarms.clear("write");
    alarms.set("write", after(start, 60));
    const [name, at] = await alarms.nextRung();
    assert.equal(name, "write");
    assert.ok(reached(after(start, 60), at), "before its time");
    assert.equal(alarms.armed, false);
  });

  it("ring together when they are heartbeats about as far off, none before its time or 128 ms behind it", () => {
    const clock = new SystemClock();
    const now = clock.now();
    const armed = (name: AlarmName, length: number): Bells => {
      const alarms = new Bells(clock);
      alarms.set(name, after(now, length));
      return alarms;
    };
    const strict = armed("idle", 25_000).tick;
    const ticks = Array.from({ length: 100 }, (_, index) => armed("heartbeat", 25_000 + index).tick - strict);
    assert.ok(new Set(ticks).size <= 2, ticks.join());
    for (const [index, ticked] of ticks.entries()) {
      const late = ticked * 4 - index;
      assert.ok(late > -4 && late < 128 + 4, `${late} ms late`);
    }
  });

  it("are moved along by a heartbeat that is postponed, unless something else is set as well", () => {
    const alarms = new Bells();
    const now = alarms.clock.now();
    alarms.set("heartbeat", after(now, 1_000));
    const before = alarms.tick;
    alarms.postpone(after(now, 25_000), now);
    assert.ok(alarms.tick >= before + 24_000 / 4, `${alarms.tick} behind ${before}`);
    alarms.set("idle", after(now, 10_000));
    const { tick } = alarms;
    assert.ok(tick < before + 24_000 / 4);
    alarms.postpone(after(now, 50_000), now);
    assert.equal(alarms.tick, tick);
    alarms.stop();
    alarms.postpone(after(now, 75_000), now);
    assert.equal(alarms.armed, false);
  });

  it("wake nobody any more when the last one was cleared", async () => {
    const alarms = new Bells();
    const start = alarms.clock.now();
    alarms.set("write", after(start, 5));
    alarms.clear("write");
    // Due behind it on the same clock: by then the other has found nothing to do.
    await alarms.alive(
      new Promise<void>((resolve) => {
        alarms.clock.wakeAt(after(start, 20), () => resolve());
      }),
    );
    assert.equal(alarms.armed, false);
    assert.deepEqual(alarms.rung, []);
  });
});

class Bells extends Alarms {
  readonly clock: SystemClock;
  readonly options: { readonly clock: SystemClock };
  readonly rung: [AlarmName, Instant][] = [];
  #tell: (() => void) | undefined;

  constructor(clock: SystemClock = new SystemClock()) {
    super();
    this.clock = clock;
    this.options = { clock };
  }

  override rang(name: AlarmName, now: Instant): void {
    this.rung.push([name, now]);
    this.#tell?.();
  }

  /** The next that rings. */
  async nextRung(): Promise<[AlarmName, Instant]> {
    await this.alive(
      new Promise<void>((resolve) => {
        this.#tell = resolve;
      }),
    );
    return this.rung.at(-1) ?? ["idle", NEVER];
  }

  /** The clock's own timer lets the process end. */
  async alive(wait: Promise<void>): Promise<void> {
    const interval = setInterval(() => undefined, 1_000);
    await wait;
    clearInterval(interval);
  }
}
