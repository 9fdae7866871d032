/** Tests of the timer wheel. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { after, between, type Instant, instant, NEVER, reached, type Wakeup } from "../../../src/base/time.ts";
import { Timer, TimerWheel } from "../../../src/engine/time/timer-wheel.ts";
import { runs } from "../../kit/random.ts";

const START = instant(1_000);
const at = (length: number): Instant => after(START, length);
const since = (now: Instant): number => between(START, now);

const DAY = 86_400_000;

/** Does what an owner does: advances to each instant that the wheel returns, up to `end`. Returns the number of calls. */
function run(wheel: TimerWheel, end: Instant): number {
  let advances = 0;
  for (let next = wheel.next(); next !== undefined && reached(next, end); next = wheel.next()) {
    wheel.advance(next);
    advances += 1;
  }
  return advances;
}

describe("a timer wheel", () => {
  it("fires at the instant if that is a tick", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: number[] = [];
    wheel.add(at(8), (now) => fired.push(since(now)));
    wheel.advance(at(7.999));
    assert.deepEqual(fired, []);
    wheel.advance(at(8));
    assert.deepEqual(fired, [8]);
  });

  it("fires less than a tick late, never early, if it is not", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: number[] = [];
    wheel.add(at(5), (now) => fired.push(since(now)));
    wheel.advance(at(5));
    wheel.advance(at(7.999));
    assert.deepEqual(fired, []);
    assert.deepEqual(wheel.next(), at(8));
    wheel.advance(at(8));
    assert.deepEqual(fired, [8]);
  });

  it("fires timers together that are due at about the same time and may be late, none early or beyond its slack", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: string[] = [];
    class Named extends Timer {
      readonly name: string;

      constructor(name: string) {
        super();
        this.name = name;
      }

      override wake(now: Instant): void {
        fired.push(`${this.name} ${since(now)}`);
      }
    }
    const moved = new Named("moved");
    wheel.arm(moved, at(20), 64);
    wheel.arm(new Named("b"), at(70), 64);
    wheel.arm(new Named("c"), at(101), 64);
    wheel.arm(new Named("strict"), at(101));
    wheel.arm(new Named("a little"), at(101), 9);
    wheel.arm(moved, at(127), 64);
    assert.equal(wheel.size, 5);
    for (let now = 0; now <= 200; now += 1) wheel.advance(at(now));
    assert.deepEqual(fired, ["strict 104", "a little 104", "b 128", "c 128", "moved 128"]);
    assert.equal(wheel.size, 0);
  });

  it("keeps a timer that fires earlier, if asked for one by a given time", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: number[] = [];
    class Told extends Timer {
      override wake(now: Instant): void {
        fired.push(since(now));
      }
    }
    const timer = new Told();
    assert.equal(timer.armed, false);
    wheel.armBy(timer, at(40));
    wheel.armBy(timer, at(80));
    assert.equal(timer.armed, true);
    assert.deepEqual(wheel.next(), at(40));
    wheel.armBy(timer, at(20));
    assert.deepEqual(wheel.next(), at(20));
    assert.equal(wheel.size, 1);
    for (let now = 0; now <= 100; now += 1) wheel.advance(at(now));
    assert.deepEqual(fired, [20]);
    assert.equal(timer.armed, false);
    wheel.armBy(timer, at(120));
    assert.equal(timer.armed, true);
    timer.cancel();
    assert.equal(timer.armed, false);
    assert.throws(() => wheel.armBy(timer, at(Number.NaN)), RangeError);
  });

  it("has ticks of 4 ms by default", () => {
    const wheel = new TimerWheel(START);
    wheel.add(at(1), () => {});
    assert.deepEqual(wheel.next(), at(4));
  });

  it("passes the instant of the advance to each timer, and calls it once", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: number[] = [];
    wheel.add(at(100), (now) => fired.push(since(now)));
    wheel.advance(at(5_000));
    wheel.advance(at(5_000));
    wheel.advance(at(50_000));
    assert.deepEqual(fired, [5_000]);
  });

  it("fires in the order of instants, and of insertion within a tick, from every distance", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: string[] = [];
    const lengths = [3 * DAY, 5, 70_000, 6, 40 * DAY, 1_000, 7, 70_001, 5 * 365 * DAY, 129, 5];
    for (const [index, length] of lengths.entries()) wheel.add(at(length), () => fired.push(`${length}#${index}`));
    wheel.advance(at(6 * 365 * DAY));
    assert.deepEqual(fired, [
      "5#1",
      "6#3",
      "7#6",
      "5#10",
      "129#9",
      "1000#5",
      "70000#2",
      "70001#7",
      `${3 * DAY}#0`,
      `${40 * DAY}#4`,
      `${5 * 365 * DAY}#8`,
    ]);
  });

  it("keeps the order of insertion within a tick if one was inserted from afar and one from nearby", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: string[] = [];
    wheel.add(at(100_000), () => fired.push("afar"));
    wheel.advance(at(99_992));
    wheel.add(at(100_000), () => fired.push("nearby"));
    wheel.advance(at(100_000));
    assert.deepEqual(fired, ["afar", "nearby"]);
  });

  it("never fires an instant that is never reached, and does not count it", () => {
    const wheel = new TimerWheel(START, 4);
    const wakeup = wheel.add(NEVER, () => assert.fail("it came"));
    assert.equal(wheel.size, 0);
    assert.equal(wheel.next(), undefined);
    wheel.advance(at(100 * 365 * DAY));
    wakeup.cancel();
    assert.equal(wheel.size, 0);
  });

  it("refuses an instant that is not a number", () => {
    const wheel = new TimerWheel(START, 4);
    assert.throws(() => wheel.add(instant(Number.NaN), () => {}), RangeError);
    assert.equal(wheel.size, 0);
  });

  it("fires everything once when the time is Infinity", () => {
    const wheel = new TimerWheel(START, 4);
    let fired = 0;
    wheel.add(at(1e6 * DAY), () => {
      fired += 1;
    });
    wheel.advance(NEVER);
    assert.equal(fired, 1);
    wheel.add(at(5), () => assert.fail("there is no time left"));
    wheel.advance(NEVER);
    assert.equal(wheel.size, 0);
  });

  it("ignores a clock that goes back or is NaN", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: number[] = [];
    wheel.advance(at(1_000));
    wheel.add(at(1_010), (now) => fired.push(since(now)));
    wheel.advance(at(-50));
    wheel.advance(instant(Number.NaN));
    assert.deepEqual(fired, []);
    assert.deepEqual(wheel.next(), at(1_012));
    wheel.advance(at(1_012));
    assert.deepEqual(fired, [1_012]);
  });

  describe("cancelling", () => {
    it("disarms a timer, once, at any time before it fires", () => {
      const wheel = new TimerWheel(START, 4);
      const fired: string[] = [];
      const first = wheel.add(at(20), () => fired.push("first"));
      const second = wheel.add(at(20), () => fired.push("second"));
      wheel.add(at(20), () => fired.push("third"));
      assert.equal(wheel.size, 3);
      second.cancel();
      second.cancel();
      assert.equal(wheel.size, 2);
      wheel.advance(at(20));
      assert.deepEqual(fired, ["first", "third"]);
      first.cancel();
      assert.equal(wheel.size, 0);
    });

    it("leaves nothing to wait for when the last timer is removed", () => {
      const wheel = new TimerWheel(START, 4);
      const near = wheel.add(at(20), () => {});
      const far = wheel.add(at(30_000), () => {});
      near.cancel();
      assert.notEqual(wheel.next(), undefined);
      far.cancel();
      assert.equal(wheel.next(), undefined);
    });

    it("works inside a timer, for one that is due in the same tick", () => {
      const wheel = new TimerWheel(START, 4);
      const fired: string[] = [];
      const wakeups: Wakeup[] = [];
      wheel.add(at(20), () => {
        fired.push("first");
        for (const wakeup of wakeups) wakeup.cancel();
      });
      wakeups.push(
        wheel.add(at(20), () => fired.push("second")),
        wheel.add(at(21), () => fired.push("third")),
        wheel.add(at(90_000), () => fired.push("fourth")),
      );
      wheel.advance(at(100_000));
      assert.deepEqual(fired, ["first"]);
      assert.equal(wheel.size, 0);
    });
  });

  describe("inserting inside a timer", () => {
    it("fires what is not due yet at its time", () => {
      const wheel = new TimerWheel(START, 4);
      const fired: number[] = [];
      wheel.add(at(20), (now) => {
        wheel.add(after(now, 100), (later) => fired.push(since(later)));
      });
      run(wheel, at(1_000));
      assert.deepEqual(fired, [120]);
    });

    it("leaves what is already due to the next advance, so that no timer runs for ever", () => {
      const wheel = new TimerWheel(START, 4);
      let fired = 0;
      const again = (): void => {
        fired += 1;
        wheel.add(at(0), again);
      };
      wheel.add(at(20), again);
      wheel.advance(at(10_000));
      assert.equal(fired, 1);
      assert.deepEqual(wheel.next(), at(10_004));
      wheel.advance(at(10_004));
      assert.equal(fired, 2);
      assert.equal(wheel.size, 1);
    });
  });

  it("works if a timer calls advance", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: string[] = [];
    wheel.add(at(20), () => {
      fired.push("outer");
      wheel.advance(at(300));
      // With a digit that the outer advance has just passed: 20 ms and one turn of 32 ticks.
      wheel.add(at(20 + 4 * 32 * 3), () => fired.push("later"));
    });
    wheel.add(at(20), () => fired.push("same tick"));
    wheel.add(at(200), () => fired.push("inner"));
    wheel.advance(at(24));
    assert.deepEqual(fired, ["outer", "same tick", "inner"]);
    assert.deepEqual(run(wheel, at(403)) > 0 && fired.length, 3);
    wheel.advance(at(404));
    assert.deepEqual(fired, ["outer", "same tick", "inner", "later"]);
  });

  it("does not mix the timers of an inner advance with its own", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: string[] = [];
    wheel.add(at(20), () => {
      fired.push("outer");
      wheel.advance(at(392));
      // In the slot of 20 ms, three turns of 32 ticks later.
      wheel.add(at(20 + 4 * 32 * 3), () => fired.push("later"));
    });
    wheel.advance(at(24));
    assert.deepEqual(fired, ["outer"]);
    wheel.advance(at(404));
    assert.deepEqual(fired, ["outer", "later"]);
  });

  it("fires the others if timers throw, and throws the first error at the end", () => {
    const wheel = new TimerWheel(START, 4);
    const fired: string[] = [];
    const first = new Error("first");
    wheel.add(at(20), () => fired.push("before"));
    wheel.add(at(20), () => {
      throw first;
    });
    wheel.add(at(20), () => fired.push("same tick"));
    wheel.add(at(40), () => {
      throw new Error("second");
    });
    wheel.add(at(100_000), () => fired.push("afar"));
    assert.throws(
      () => wheel.advance(at(100_000)),
      (error) => error === first,
    );
    assert.deepEqual(fired, ["before", "same tick", "afar"]);
    assert.equal(wheel.size, 0);
    wheel.advance(at(100_004));
  });

  it("throws even undefined", () => {
    const wheel = new TimerWheel(START, 4);
    const nothing: unknown = undefined;
    wheel.add(at(4), () => {
      throw nothing as Error;
    });
    let caught = false;
    try {
      wheel.advance(at(4));
    } catch {
      caught = true;
    }
    assert.ok(caught);
  });

  describe("next", () => {
    it("is undefined while nothing is armed", () => {
      assert.equal(new TimerWheel(START, 4).next(), undefined);
    });

    it("returns few instants on the way to a distant one, each later than the last", () => {
      for (const length of [20, 500, 25_000, 3_600_000, 30 * DAY, 10 * 365 * DAY]) {
        const wheel = new TimerWheel(START, 4);
        let firedAt = Number.NaN;
        wheel.add(at(length), (now) => {
          firedAt = since(now);
        });
        // One for each digit of the tick.
        const advances = run(wheel, at(length + 3));
        assert.ok(advances <= 8, `${advances} advances to ${length} ms`);
        assert.ok(firedAt >= length && firedAt < length + 4, `${firedAt} for ${length}`);
      }
    });

    it("is in the past if a timer became due without an advance", () => {
      const wheel = new TimerWheel(START, 4);
      wheel.advance(at(100));
      wheel.add(at(50), () => {});
      assert.deepEqual(wheel.next(), at(104));
    });
  });

  it("works beyond 30 days and 2 ** 31 ms", () => {
    for (const now of [30 * DAY, 2 ** 31 - 10, 2 ** 32 - 10, 2 ** 33]) {
      const wheel = new TimerWheel(START, 4);
      wheel.advance(at(now));
      const fired: number[] = [];
      for (const length of [0, 3, 25_000, 2 ** 31, 2 ** 32]) {
        wheel.add(at(now + length), (then) => fired.push(since(then) - now));
      }
      run(wheel, at(now + 2 ** 33));
      assert.equal(fired.length, 5);
      for (const [index, length] of [0, 3, 25_000, 2 ** 31, 2 ** 32].entries()) {
        const late = (fired[index] as number) - length;
        // A timer that is due when it is inserted fires at the tick after the advance.
        assert.ok(late >= 0 && late <= 4, `${late} ms late for ${length} from ${now}`);
      }
    }
  });

  // With a search through the others for each, this would take 40,000,000,000 steps.
  it("arms, cancels and fires 200,000 timers, also in one tick", () => {
    for (const spread of [0, 1, 60_000]) {
      const wheel = new TimerWheel(START, 4);
      let fired = 0;
      const wakeups = Array.from({ length: 200_000 }, (_, index) =>
        wheel.add(at(25_000 + ((index * 7919) % (spread + 1))), () => {
          fired += 1;
        }),
      );
      for (let index = 0; index < wakeups.length; index += 2) wakeups[index]?.cancel();
      assert.equal(wheel.size, 100_000);
      run(wheel, at(100_000));
      assert.equal(fired, 100_000);
      assert.equal(wheel.size, 0);
    }
  });

  describe("with instants whose quotient is rounded to the wrong tick", () => {
    it("does not fire an ulp early if that of a timer is too low", () => {
      for (const [tick, start, due, n] of [
        [4, 978.2131996487446, 5870.213199648745, 1_223],
        [1.1, 4.7, 2738.2000000000003, 2_485],
      ] as const) {
        assert.ok(Math.ceil((due - start) / tick) === n && start + n * tick < due, "no example");
        const wheel = new TimerWheel(instant(start), tick);
        let fired = false;
        wheel.add(instant(due), () => {
          fired = true;
        });
        wheel.advance(instant(start + n * tick));
        assert.equal(fired, false);
        assert.equal(wheel.next(), instant(start + (n + 1) * tick));
      }
    });

    it("fires the ticks that have passed and no other if that of the present is too high", () => {
      const [tick, start, now, n] = [1.1, 8.1, 2862.6, 2_595];
      assert.ok(Math.floor((now - start) / tick) === n && start + n * tick > now, "no example");
      const wheel = new TimerWheel(instant(start), tick);
      const fired: number[] = [];
      for (const m of [n - 1, n]) wheel.add(instant(start + m * tick), () => fired.push(m));
      wheel.advance(instant(now));
      assert.deepEqual(fired, [n - 1]);
      assert.equal(wheel.next(), instant(start + n * tick));
    });

    it("fires the tick that has passed if that of the present is too low, and does not ask for it for ever", () => {
      const [tick, start, now, n] = [0.7, 0.2, 2738.5999999999995, 3_911];
      assert.ok(Math.floor((now - start) / tick) === n && start + (n + 1) * tick <= now, "no example");
      const wheel = new TimerWheel(instant(start), tick);
      let fired = false;
      wheel.add(instant(start + (n + 1) * tick), () => {
        fired = true;
      });
      wheel.advance(instant(now));
      assert.equal(fired, true);
    });
  });

  it("is never early and never returns an instant that does not come, for any rounding", () => {
    // 0.1 has no exact binary form: for some of these the quotient is rounded to the wrong side of a whole number.
    for (const tick of [0.1, 0.3, 1.1, 4]) {
      for (let n = 1; n < 3_000; n += 1) {
        const start = instant(0.1 * (n % 7));
        for (const due of [instant(n * tick), instant(n * 0.1), after(start, n * tick), instant(n * tick + 1e-13)]) {
          const wheel = new TimerWheel(start, tick);
          let fired: Instant | undefined;
          wheel.add(due, (now) => {
            fired = now;
          });
          for (let turns = 0; fired === undefined; turns += 1) {
            assert.ok(turns < 8, `${n} ticks of ${tick} ms: no progress`);
            wheel.advance(wheel.next() as Instant);
          }
          assert.ok(reached(due, fired), `${n} ticks of ${tick} ms: early`);
        }
      }
    }
  });

  // From a whole number, so that the model itself does not round.
  it("agrees with a sorted list on every operation", () => {
    const lengths = fc.oneof(
      fc.integer({ min: -20, max: 300 }),
      fc.double({ min: 0, max: 70_000, noNaN: true }),
      fc.integer({ min: 0, max: 2 ** 40 }),
    );
    const commands = fc.array(
      fc.oneof(
        {
          weight: 5,
          arbitrary: fc.record({ do: fc.constant("add" as const), length: lengths, followUp: fc.option(lengths) }),
        },
        { weight: 2, arbitrary: fc.record({ do: fc.constant("cancel" as const), which: fc.nat() }) },
        { weight: 3, arbitrary: fc.record({ do: fc.constant("advance" as const), length: lengths }) },
      ),
      { maxLength: 60 },
    );
    const TICK = 4;
    fc.assert(
      fc.property(commands, fc.integer({ min: 0, max: 2 ** 32 }), (steps, offset) => {
        const start = instant(offset);
        const wheel = new TimerWheel(start, TICK);
        const model: { readonly due: Instant; readonly tick: number; readonly wakeup: Wakeup; readonly id: number }[] =
          [];
        let now = start;
        let ids = 0;
        let fired: number[] = [];
        const tickOf = (due: Instant): number =>
          Math.max(Math.ceil(between(start, due) / TICK), Math.floor(between(start, now) / TICK) + 1);
        const add = (due: Instant, followUp: number | null): void => {
          const id = ids++;
          const wakeup = wheel.add(due, (instantOfCall) => {
            assert.equal(instantOfCall, now);
            assert.ok(reached(due, now), "early");
            fired.push(id);
            if (followUp !== null) add(after(now, followUp), null);
          });
          model.push({ due, tick: tickOf(due), wakeup, id });
        };
        for (const step of steps) {
          if (step.do === "add") add(after(now, step.length), step.followUp);
          if (step.do === "cancel" && model.length > 0) {
            const [cancelled] = model.splice(step.which % model.length, 1);
            cancelled?.wakeup.cancel();
          }
          if (step.do === "advance") {
            now = after(now, Math.max(step.length, 0));
            fired = [];
            const before = [...model];
            wheel.advance(now);
            const expected = before
              .filter((timer) => timer.tick <= Math.floor(between(start, now) / TICK))
              .sort((one, other) => one.tick - other.tick || one.id - other.id);
            assert.deepEqual(
              fired,
              expected.map((timer) => timer.id),
            );
            for (const timer of expected) model.splice(model.indexOf(timer), 1);
          }
          assert.equal(wheel.size, model.length);
          const next = wheel.next();
          if (next === undefined) assert.equal(model.length, 0);
          else {
            assert.ok(!reached(next, now), "an advance to now must not be asked for twice");
            const first = Math.min(...model.map((timer) => timer.tick));
            assert.ok(between(start, next) <= first * TICK + 1e-3, "too late for the first");
          }
        }
      }),
      runs(400),
    );
  });
});
