/** The pauses between attempts. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { ACCEPT_PAUSES, Backoff, NO_JITTER } from "../../../src/engine/time/backoff.ts";

const PAUSES = { base: 500, cap: 20_000 };

const pauses = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next());

describe("backoff", () => {
  it("doubles the longest pause from its base up to its cap", () => {
    assert.deepEqual(
      pauses(new Backoff(PAUSES, NO_JITTER), 8),
      [500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000],
    );
  });

  it("pauses between attempts to accept as Go's net/http does: 5 ms doubling to 1 s", () => {
    assert.deepEqual(
      pauses(new Backoff(ACCEPT_PAUSES, NO_JITTER), 10),
      [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000],
    );
  });

  it("takes a random part of the longest pause, also of the first one", () => {
    const parts = [0.5, 0, 0.25, 0.999];
    const backoff = new Backoff(PAUSES, () => parts.shift() as number);
    assert.deepEqual(pauses(backoff, 4), [250, 0, 500, 3_996]);
  });

  it("uses a new random number each time, so that two clients do not stay synchronous", () => {
    let asked = 0;
    const backoff = new Backoff(PAUSES, () => {
      asked += 1;
      return 0.5;
    });
    pauses(backoff, 30);
    assert.equal(asked, 30);
  });

  it("begins again after a reset", () => {
    const backoff = new Backoff(PAUSES, NO_JITTER);
    pauses(backoff, 5);
    backoff.reset();
    assert.deepEqual(pauses(backoff, 3), [500, 1_000, 2_000]);
  });

  it("never pauses longer than the cap, even when the base is", () => {
    const backoff = new Backoff({ base: 500, cap: 100 }, NO_JITTER);
    assert.deepEqual(pauses(backoff, 2), [100, 100]);
    backoff.reset();
    assert.equal(backoff.next(), 100);
  });

  it("does not overflow in a million attempts, for any random numbers", () => {
    for (const part of [0, 0.5, 1]) {
      const backoff = new Backoff({ base: 1, cap: 20_000 }, () => part);
      let pause = Number.NaN;
      for (let attempt = 0; attempt < 1e6; attempt += 1) pause = backoff.next();
      assert.equal(pause, part * 20_000);
    }
  });

  it("keeps every pause between 0 and the smaller of cap and base * 2 ** n", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 1, max: 10_000, noNaN: true }),
        fc.double({ min: 1, max: 100_000, noNaN: true }),
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 1, maxLength: 40 }),
        (base, cap, parts) => {
          let attempt = 0;
          const backoff = new Backoff({ base, cap }, () => parts[attempt] as number);
          for (; attempt < parts.length; attempt += 1) {
            const pause = backoff.next();
            assert.equal(pause, (parts[attempt] as number) * Math.min(cap, base * 2 ** attempt));
          }
        },
      ),
    );
  });
});
