/** Tests of the heartbeat. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { after, between, type Instant, instant, NEVER, reached } from "../../../src/base/time.ts";
import {
  type HeartbeatBounds,
  type HeartbeatDecision,
  type HeartbeatState,
  nextBeat,
  recordReceived,
  resume,
  suspend,
  unanswered,
} from "../../../src/engine/time/heartbeat.ts";

const START = instant(1_000);
const at = (length: number): Instant => after(START, length);
const since = (now: Instant): number => between(START, now);
const INTERVAL = 25_000;
const TIMEOUT = 10_000;

/** A heartbeat without an owner. */
class Heartbeat implements HeartbeatState {
  readonly #bounds: HeartbeatBounds;
  receivedAt = START;
  pingedAt: Instant | undefined;
  nextDueAt: Instant | undefined;
  suspendedAt: Instant | undefined;

  constructor(bounds: HeartbeatBounds) {
    this.#bounds = bounds;
  }

  get unanswered(): boolean {
    return unanswered(this);
  }

  heard(now: Instant): void {
    recordReceived(this, now);
  }

  suspend(now: Instant): void {
    suspend(this, now);
  }

  resume(now: Instant): void {
    resume(this, now);
  }

  next(now: Instant): HeartbeatDecision {
    return nextBeat(this, this.#bounds, now);
  }
}

const beat = (interval = INTERVAL, timeout = TIMEOUT): Heartbeat => new Heartbeat({ interval, timeout });

/**
 * Does what an owner does, from `from` until a failure, or until nothing happens up to `end`: calls `next` at the requested
 * instant, `lateness` milliseconds late. Returns the events and their times.
 */
function live(
  heartbeat: Heartbeat,
  from: Instant,
  end: Instant,
  lateness: (asked: Instant) => number = () => 0,
): string[] {
  const log: string[] = [];
  let now = from;
  for (let calls = 0; ; calls += 1) {
    assert.ok(calls < 10_000, "next does not let time pass");
    const answer = heartbeat.next(now);
    if (answer.do === "wait") {
      const asked = answer.until;
      assert.ok(!reached(asked, now), "asked for an instant that has come");
      if (reached(end, asked)) return log;
      now = after(asked, lateness(asked));
      continue;
    }
    log.push(`${answer.do} ${since(now)}`);
    if (answer.do === "fail") return log;
  }
}

describe("a heartbeat", () => {
  it("waits for the interval of silence, then pings", () => {
    const heartbeat = beat();
    assert.deepEqual(heartbeat.next(at(0)), { do: "wait", until: at(25_000) });
    assert.deepEqual(heartbeat.next(at(24_999)), { do: "wait", until: at(25_000) });
    assert.deepEqual(heartbeat.next(at(25_000)), { do: "ping" });
  });

  it("fails if the peer stays silent for the timeout after the Ping, and not before", () => {
    assert.deepEqual(live(beat(), at(0), at(1e9)), ["ping 25000", "fail 35000"]);
    assert.deepEqual(live(beat(), at(0), at(34_999)), ["ping 25000"]);
  });

  it("counts the timeout from the actual Ping, not from when it was due", () => {
    const late = (asked: Instant): number => (since(asked) === 25_000 ? 400 : 0);
    assert.deepEqual(live(beat(), at(0), at(1e9), late), ["ping 25400", "fail 35400"]);
  });

  it("sends one Ping, not several, while it waits for the answer", () => {
    const log = live(beat(1_000, 500_000), at(0), at(400_000));
    assert.deepEqual(log, ["ping 1000"]);
  });

  it("accepts any byte as a sign of life, before the Ping and after it", () => {
    const heartbeat = beat();
    heartbeat.heard(at(20_000));
    assert.deepEqual(heartbeat.next(at(25_000)), { do: "wait", until: at(45_000) });
    assert.deepEqual(heartbeat.next(at(45_000)), { do: "ping" });
    heartbeat.next(at(45_000));
    heartbeat.heard(at(54_999));
    assert.deepEqual(heartbeat.next(at(55_000)), { do: "wait", until: at(79_999) });
    assert.deepEqual(live(heartbeat, at(79_999), at(1e9)), ["ping 79999", "fail 89999"]);
  });

  it("pings a silent live peer once per interval, for ever", () => {
    const heartbeat = beat();
    let now = START;
    for (let pings = 1; pings <= 1_000; pings += 1) {
      assert.deepEqual(live(heartbeat, now, at(pings * 25_050 - 1)), [`ping ${pings * 25_050 - 50}`]);
      now = at(pings * 25_050);
      heartbeat.heard(now);
    }
  });

  it("is off with an interval of Infinity", () => {
    assert.deepEqual(beat(Infinity).next(at(0)), { do: "wait", until: NEVER });
    assert.deepEqual(beat(Infinity).next(at(1e12)), { do: "wait", until: NEVER });
  });

  it("never fails with a timeout of Infinity", () => {
    assert.deepEqual(live(beat(25_000, Infinity), at(0), at(5e6)), ["ping 25000"]);
  });

  describe("does not blame the peer for a blocked event loop", () => {
    it("that continues as the answer is due: the wait starts again", () => {
      // Blocked from 34 s to 38 s: the call for 35 s is made at 38 s.
      const stall = (asked: Instant): number => (since(asked) === 35_000 ? 3_000 : 0);
      assert.deepEqual(live(beat(), at(0), at(1e9), stall), ["ping 25000", "fail 48000"]);
    });

    it("that continues before the answer is due", () => {
      // Blocked for nearly the whole wait: received bytes could not be read.
      const stall = (asked: Instant): number => (since(asked) === 26_000 ? 8_900 : 0);
      assert.deepEqual(live(beat(), at(0), at(1e9), stall), ["ping 25000", "fail 44900"]);
    });

    it("for hours", () => {
      const stall = (asked: Instant): number => (since(asked) === 26_000 ? 7_200_000 : 0);
      assert.deepEqual(live(beat(), at(0), at(1e9), stall), ["ping 25000", "fail 7236000"]);
    });

    it("several times", () => {
      let stalls = 3;
      const stall = (asked: Instant): number => (since(asked) > 30_000 && stalls-- > 0 ? 5_000 : 0);
      // At 31 s, 37 s and 43 s, each 5 s long.
      assert.deepEqual(live(beat(), at(0), at(1e9), stall), ["ping 25000", "fail 58000"]);
    });

    it("but only once for each block: a peer that then stays silent is dead", () => {
      const heartbeat = beat();
      heartbeat.next(at(25_000));
      heartbeat.next(at(25_000));
      assert.equal(heartbeat.next(at(40_000)).do, "wait");
      // The same late instant again is no second block.
      assert.equal(heartbeat.next(at(40_000)).do, "wait");
      assert.deepEqual(live(heartbeat, at(40_000), at(1e9)), ["fail 50000"]);
    });

    it("and pings late instead of failing if the block was before the Ping", () => {
      const stall = (asked: Instant): number => (since(asked) === 25_000 ? 600_000 : 0);
      assert.deepEqual(live(beat(), at(0), at(1e9), stall), ["ping 625000", "fail 635000"]);
    });

    it("but a timer that is a little late is no block", () => {
      assert.deepEqual(
        live(beat(), at(0), at(1e9), () => 4),
        ["ping 25004", "fail 35008"],
      );
      const second = (asked: Instant): number => (since(asked) === 35_000 ? 1_000 : 0);
      assert.deepEqual(live(beat(), at(0), at(1e9), second), ["ping 25000", "fail 36000"]);
      const more = (asked: Instant): number => (since(asked) === 35_000 ? 1_001 : 0);
      assert.deepEqual(live(beat(), at(0), at(1e9), more), ["ping 25000", "fail 46001"]);
    });

    it("and tolerates less, the shorter the timeout is", () => {
      const by = (length: number) => (asked: Instant) => (since(asked) === 1_300 ? length : 0);
      assert.deepEqual(live(beat(1_000, 300), at(0), at(1e9), by(300)), ["ping 1000", "fail 1600"]);
      assert.deepEqual(live(beat(1_000, 300), at(0), at(1e9), by(301)), ["ping 1000", "fail 1901"]);
    });

    it("but tolerates less than 100 ms even with the shortest timeout", () => {
      assert.deepEqual(
        live(beat(1_000, 10), at(0), at(1e9), () => 100),
        ["ping 1100", "fail 1210"],
      );
      let once = true;
      const stall = (asked: Instant): number => {
        if (since(asked) !== 1_010 || !once) return 0;
        once = false;
        return 101;
      };
      assert.deepEqual(live(beat(1_000, 10), at(0), at(1e9), stall), ["ping 1000", "fail 1121"]);
    });

    it("for any blocks: the failing call is on time, and the timeout lies between it and the last block", () => {
      fc.assert(
        fc.property(
          fc.array(fc.integer({ min: 0, max: 20_000 }), { maxLength: 40 }),
          fc.integer({ min: 1, max: 60_000 }),
          (stalls, timeout) => {
            const heartbeat = beat(INTERVAL, timeout);
            const tolerance = Math.min(1_000, Math.max(timeout, 100));
            let waitedFrom = 0;
            let lateBy = 0;
            const log = live(heartbeat, at(0), at(1e9), (asked) => {
              lateBy = stalls.shift() ?? 0;
              if (since(asked) < INTERVAL + 1 || lateBy > tolerance) waitedFrom = since(asked) + lateBy;
              return lateBy;
            });
            const failedAt = Number(log[1]?.split(" ")[1]);
            assert.equal(log.length, 2);
            assert.ok(lateBy <= tolerance);
            assert.ok(failedAt >= waitedFrom + timeout, `failed at ${failedAt}, waited from ${waitedFrom}`);
            assert.ok(failedAt <= waitedFrom + timeout + tolerance, `failed at ${failedAt}, waited from ${waitedFrom}`);
          },
        ),
      );
    });
  });

  it("may be called too early, any number of times", () => {
    const heartbeat = beat();
    heartbeat.next(at(25_000));
    for (let now = 25_000; now < 35_000; now += 1) assert.equal(heartbeat.next(at(now)).do, "wait");
    assert.equal(heartbeat.next(at(35_000)).do, "fail");
  });

  it("needs at most one call beside each Ping for a peer that answers at once", () => {
    const heartbeat = beat();
    heartbeat.next(at(25_000));
    heartbeat.next(at(25_000));
    heartbeat.heard(at(25_040));
    assert.deepEqual(heartbeat.next(at(26_000)), { do: "wait", until: at(50_040) });
  });

  describe("while reading is suspended", () => {
    it("neither pings nor fails", () => {
      const heartbeat = beat();
      heartbeat.suspend(at(0));
      assert.deepEqual(heartbeat.next(at(25_000)), { do: "wait", until: NEVER });
      assert.deepEqual(heartbeat.next(at(1e9)), { do: "wait", until: NEVER });
    });

    it("does not fail a peer that was pinged before, and waits again afterwards", () => {
      const heartbeat = beat();
      heartbeat.next(at(25_000));
      heartbeat.next(at(25_000));
      heartbeat.suspend(at(0));
      assert.deepEqual(heartbeat.next(at(35_000)), { do: "wait", until: NEVER });
      heartbeat.resume(at(60_000));
      assert.deepEqual(live(heartbeat, at(60_000), at(1e9)), ["fail 70000"]);
    });

    it("does not count the silence: the interval starts again", () => {
      const heartbeat = beat();
      heartbeat.suspend(at(0));
      heartbeat.resume(at(60_000));
      assert.deepEqual(live(heartbeat, at(60_000), at(1e9)), ["ping 85000", "fail 95000"]);
    });

    it("does not take the time for a block if the old timer still fires", () => {
      const heartbeat = beat();
      heartbeat.next(at(25_000));
      heartbeat.next(at(25_000));
      heartbeat.suspend(at(0));
      heartbeat.resume(at(30_000));
      assert.deepEqual(live(heartbeat, at(30_900), at(1e9)), ["fail 40000"]);
    });

    it("accepts bytes that were read anyway as a sign of life", () => {
      const heartbeat = beat();
      heartbeat.next(at(25_000));
      heartbeat.suspend(at(0));
      heartbeat.heard(at(26_000));
      heartbeat.resume(at(30_000));
      assert.deepEqual(live(heartbeat, at(30_000), at(1e9)), ["ping 55000", "fail 65000"]);
    });
  });

  it("knows whether an answer is pending", () => {
    const heartbeat = beat();
    assert.equal(heartbeat.unanswered, false);
    heartbeat.next(at(25_000));
    assert.equal(heartbeat.unanswered, true);
    heartbeat.suspend(at(0));
    assert.equal(heartbeat.unanswered, false);
    heartbeat.resume(at(26_000));
    assert.equal(heartbeat.unanswered, true);
    heartbeat.heard(at(27_000));
    assert.equal(heartbeat.unanswered, false);
  });

  it("gives no time for a resume without a suspend", () => {
    const heartbeat = beat();
    heartbeat.resume(at(20_000));
    assert.deepEqual(heartbeat.next(at(20_000)), { do: "wait", until: at(25_000) });
    heartbeat.suspend(at(0));
    heartbeat.suspend(at(0));
    heartbeat.resume(at(30_000));
    heartbeat.resume(at(40_000));
    assert.deepEqual(heartbeat.next(at(40_000)), { do: "wait", until: at(55_000) });
  });
});
