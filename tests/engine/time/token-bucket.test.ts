/** Tests of the token bucket. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { instant } from "../../../src/base/time.ts";
import { FILL_TIME, TokenBucket } from "../../../src/engine/time/token-bucket.ts";
import { runs } from "../../kit/random.ts";

const at = instant;

/** How many of `count` takes at the instant `ms` succeed. */
function taken(bucket: TokenBucket, count: number, ms: number): number {
  let sum = 0;
  for (let index = 0; index < count; index += 1) if (bucket.take(at(ms))) sum += 1;
  return sum;
}

describe("a token bucket", () => {
  for (const size of [1, 3, 7, 1_000]) {
    it(`of ${size} has ${size} tokens at first, and after each second of pause`, () => {
      const bucket = new TokenBucket(size, at(0.1));
      assert.equal(taken(bucket, size + 1, 0.1), size);
      assert.equal(taken(bucket, size + 1, 0.1 + FILL_TIME), size);
      assert.equal(taken(bucket, size + 1, 100_000), size);
    });
  }

  it("has a token after its share of a second, and says when", () => {
    const bucket = new TokenBucket(4, at(0));
    assert.equal(bucket.wait, 0);
    assert.equal(taken(bucket, 5, 0), 4);
    assert.equal(bucket.wait, 250);
    assert.equal(bucket.take(at(100)), false);
    assert.equal(bucket.wait, 150);
    assert.equal(bucket.take(at(249)), false);
    assert.equal(bucket.take(at(250)), true);
    assert.equal(bucket.take(at(250)), false);
  });

  it("gives at most its size and its rate, in every interval", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 }),
        (size, pauses) => {
          const bucket = new TokenBucket(size, at(0));
          const times: number[] = [];
          let now = 0;
          for (const pause of pauses) {
            now += pause;
            if (bucket.take(at(now))) times.push(now);
          }
          for (const [first, from] of times.entries()) {
            for (let last = first; last < times.length; last += 1) {
              const length = (times[last] as number) - from;
              assert.ok(last - first + 1 <= size + (length * size) / FILL_TIME + 1e-6);
            }
          }
        },
      ),
      runs(100),
    );
  });
});
