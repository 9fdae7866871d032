/** The histogram, compared with a sorted list of the same values. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Histogram } from "../../src/engine/histogram.ts";
import { runs } from "../kit/random.ts";

function holding(values: Iterable<number>, schema?: number): Histogram {
  const histogram = new Histogram(schema);
  for (const value of values) histogram.record(value);
  return histogram;
}

const near = (actual: number, expected: number, share: number): void =>
  assert.ok(Math.abs(actual - expected) <= share * Math.abs(expected) + 1e-12, `${actual} is not near ${expected}`);

const values = fc.array(fc.oneof(fc.double({ min: 1e-8, max: 1e12, noNaN: true }), fc.constant(0)), { minLength: 1 });

describe("a histogram", () => {
  it("has no values at first", () => {
    const empty = new Histogram();
    assert.equal(empty.count, 0);
    assert.equal(empty.sum, 0);
    assert.equal(empty.min, Infinity);
    assert.equal(empty.max, -Infinity);
    assert.equal(empty.percentile(50), Number.NaN);
    assert.deepEqual(empty.buckets(), []);
    assert.equal(empty.countUpTo(Infinity), 0);
  });

  it("counts a value in the bucket whose upper bound it does not exceed", () => {
    const base = 2 ** (1 / 8);
    assert.deepEqual(holding([1]).buckets(), [{ lower: 1 / base, upper: 1, count: 1 }]);
    assert.deepEqual(holding([1.001, 1.09]).buckets(), [{ lower: 1, upper: base, count: 2 }]);
    assert.deepEqual(holding([0, 0.5, 1], 0).buckets(), [
      { lower: -Infinity, upper: 0, count: 1 },
      { lower: 0.25, upper: 0.5, count: 1 },
      { lower: 0.5, upper: 1, count: 1 },
    ]);
  });

  it("has each value between the bounds of its bucket", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-8, max: 1e15, noNaN: true }), fc.integer({ min: 0, max: 8 }), (value, schema) => {
        const [bucket, ...others] = holding([value], schema).buckets();
        assert.ok(bucket && others.length === 0);
        assert.ok(bucket.lower * (1 - 1e-12) <= value && value <= bucket.upper * (1 + 1e-12));
        near(bucket.upper / bucket.lower, 2 ** (1 / 2 ** schema), 1e-9);
      }),
      runs(300),
    );
  });

  it("counts zero and negative values apart, and ignores NaN", () => {
    const histogram = holding([0, -3, Number.NaN, 1]);
    assert.equal(histogram.count, 3);
    assert.equal(histogram.sum, -2);
    assert.equal(histogram.min, -3);
    assert.equal(histogram.countUpTo(0), 2);
    assert.equal(histogram.countUpTo(-1), 0);
    assert.equal(histogram.percentile(50), 0);
    assert.equal(holding([-3]).percentile(100), -3);
  });

  it("counts values outside its range in the first and the last bucket", () => {
    const histogram = holding([1e-300, 1e300, Infinity]);
    assert.equal(histogram.count, 3);
    assert.equal(histogram.max, Infinity);
    assert.deepEqual(
      histogram.buckets().map(({ upper, count }) => [upper, count]),
      [
        [2 ** -30, 1],
        [2 ** 50, 2],
      ],
    );
    assert.equal(histogram.countUpTo(1e-9), 1);
    assert.equal(histogram.countUpTo(1e-12), 1);
  });

  it("has the percentiles of the sorted values, within the width of a bucket", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 0, max: 100 }), (list, percent) => {
        const sorted = [...list].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil((percent / 100) * sorted.length) - 1)] ?? 0;
        near(holding(list).percentile(percent), exact, 2 ** (1 / 8) - 1 + 1e-9);
      }),
      runs(300),
    );
  });

  it("interpolates within a bucket", () => {
    const histogram = holding(Array.from({ length: 10_000 }, (_, index) => (index + 1) / 10));
    for (const percent of [1, 10, 50, 90, 99, 99.9]) near(histogram.percentile(percent), percent * 10, 0.01);
  });

  it("counts the values up to a power of two exactly", () => {
    fc.assert(
      fc.property(values, fc.integer({ min: -27, max: 40 }), (list, power) => {
        assert.equal(holding(list).countUpTo(2 ** power), list.filter((value) => value <= 2 ** power).length);
      }),
      runs(300),
    );
  });

  it("adds what another one has counted, also as data that went through JSON", () => {
    fc.assert(
      fc.property(values, values, (left, right) => {
        const both = holding([...left, ...right]);
        const merged = holding(left);
        merged.merge(holding(right));
        const copied = holding(left);
        copied.merge(JSON.parse(JSON.stringify(holding(right).data())));
        for (const one of [merged, copied]) {
          assert.deepEqual(one.buckets(), both.buckets());
          assert.equal(one.count, both.count);
          assert.equal(one.min, both.min);
          assert.equal(one.max, both.max);
          near(one.sum, both.sum, 1e-9);
        }
      }),
      runs(100),
    );
  });

  it("adds the data of an empty one", () => {
    const histogram = holding([2]);
    histogram.merge(new Histogram());
    histogram.merge(JSON.parse(JSON.stringify(new Histogram().data())));
    assert.deepEqual([histogram.count, histogram.min, histogram.max], [1, 2, 2]);
  });

  it("refuses another schema, and arguments outside their ranges", () => {
    assert.throws(() => new Histogram(3).merge(new Histogram(4)), RangeError);
    for (const schema of [-1, 9, 1.5]) assert.throws(() => new Histogram(schema), RangeError);
    assert.throws(() => new Histogram().percentile(101), RangeError);
    assert.throws(() => new Histogram().percentile("50" as never), TypeError);
  });

  it("has nothing after clear", () => {
    const histogram = holding([0, 1, 2]);
    histogram.clear();
    assert.deepEqual(histogram.data(), new Histogram().data());
    assert.equal(histogram.count, 0);
  });
});

describe("recordLate", () => {
  it("counts the delays of everything that was due during a delay", () => {
    const late = new Histogram();
    late.recordLate(500, 10);
    const each = holding(Array.from({ length: 50 }, (_, index) => 500 - 10 * index));
    assert.deepEqual(late.buckets(), each.buckets());
    assert.equal(late.count, 50);
    assert.equal(late.sum, each.sum);
    assert.deepEqual([late.min, late.max], [10, 500]);
  });

  it("equals single records for every delay and interval", () => {
    const delay = fc.double({ min: 1e-3, max: 1e4, noNaN: true });
    fc.assert(
      fc.property(delay, fc.double({ min: 1e-2, max: 1e3, noNaN: true }), (value, interval) => {
        fc.pre(value / interval < 1e4);
        const late = new Histogram();
        late.recordLate(value, interval);
        const number = Math.max(1, Math.floor(value / interval));
        assert.equal(late.count, number);
        let counted = 0;
        for (const bucket of late.buckets()) counted += bucket.count;
        assert.equal(counted, number);
        // A delay at the bound of a bucket may be rounded to either side.
        const each = holding(Array.from({ length: number }, (_, index) => value - interval * index));
        near(late.sum, each.sum, 1e-9);
        for (const percent of [1, 50, 99]) near(late.percentile(percent), each.percentile(percent), 0.1);
      }),
      runs(300),
    );
  });

  it("shows a block of 500 ms in 2 s in the 99th percentile, where single samples hide it", () => {
    const filled = new Histogram();
    const single = new Histogram();
    for (let sample = 0; sample < 150; sample++) {
      filled.recordLate(0.1, 10);
      single.record(0.1);
    }
    filled.recordLate(500, 10);
    single.record(500);
    assert.ok(filled.percentile(99) >= 400);
    assert.ok(single.percentile(99) < 1);
  });

  it("counts an infinite delay, one of NaN and an interval of 0 without a loop", () => {
    const histogram = new Histogram();
    histogram.recordLate(Infinity, 10);
    histogram.recordLate(Number.NaN, 10);
    histogram.recordLate(5, 0);
    histogram.recordLate(1e15, 1e-3);
    assert.equal(histogram.count, 2 + 1e18);
  });
});
