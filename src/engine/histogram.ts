/** A histogram whose buckets grow by a constant factor, as Prometheus' and OpenTelemetry's exponential histograms do. */

import { judgeNumber } from "../base/judge.ts";

/** Values below 2^LOWEST count in the lowest bucket, those above 2^HIGHEST in the highest. */
const LOWEST = -30;
const HIGHEST = 50;

/** What a histogram holds, as plain data: for another process, a file, or an exposition format. */
export interface HistogramData {
  /** The buckets of one doubling are 2^schema. */
  readonly schema: number;
  readonly sum: number;
  /** Smallest value. Absent while there are no values. */
  readonly min?: number;
  /** Largest value. Absent while there are no values. */
  readonly max?: number;
  /** Number of values that are zero or negative. */
  readonly zeros: number;
  /** Index and count of each bucket that is not empty, in ascending order. Bucket i has the values v with base^(i-1) < v <= base^i. */
  readonly buckets: readonly (readonly [index: number, count: number])[];
}

/**
 * Counts values in buckets of equal relative width: with the default schema 3 the factor between two bounds is 2^(1/8), so that a
 * percentile is wrong by 9 % at most, whatever the unit. To record a value costs a logarithm and a few stores, and allocates nothing.
 */
export class Histogram {
  readonly schema: number;
  readonly #scale: number;
  readonly #counts: Float64Array;
  #count = 0;
  #sum = 0;
  #min = Infinity;
  #max = -Infinity;
  #zeros = 0;

  /** @param schema 0 to 8; each step halves the width of the buckets, and doubles their memory: 5 kB with 3, 41 kB with 6. */
  constructor(schema = 3) {
    judgeNumber("schema", schema, { least: 0, most: 8, whole: true });
    this.schema = schema;
    this.#scale = 2 ** schema;
    this.#counts = new Float64Array((HIGHEST - LOWEST) * this.#scale + 1);
  }

  get count(): number {
    return this.#count;
  }

  get sum(): number {
    return this.#sum;
  }

  /** Smallest recorded value; `Infinity` while there is none. */
  get min(): number {
    return this.#min;
  }

  /** Largest recorded value; `-Infinity` while there is none. */
  get max(): number {
    return this.#max;
  }

  /** Counts one value. NaN is ignored. */
  record(value: number): void {
    // A comparison with NaN is false.
    if (value > 0) this.#add(this.#slot(value), 1);
    else if (value <= 0) this.#zeros += 1;
    else return;
    this.#count += 1;
    this.#sum += value;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /**
   * Counts a delay, and the delays of everything that was due each `interval` while it lasted: value, value - interval,
   * value - 2 × interval ... down to the interval. Without them a stall of one second is one sample among thousands, and no
   * percentile shows it. Its cost is bounded by the number of buckets, however long the delay.
   */
  recordLate(value: number, interval: number): void {
    const total = Math.floor(value / interval);
    // Also true of NaN, of an interval of 0, and of an infinite delay: there is nothing to fill in.
    if (!(total > 1 && total < Infinity)) {
      this.record(value);
      return;
    }
    let counted = 0;
    for (let slot = this.#slot(value); counted < total; slot--) {
      // How many of the delays are above the lower bound of this bucket.
      const above = slot === 0 ? total : Math.min(total, Math.ceil((value - this.#bound(slot - 1)) / interval));
      this.#add(slot, above - counted);
      counted = above;
    }
    this.#count += total;
    this.#sum += total * value - (interval * total * (total - 1)) / 2;
    this.#min = Math.min(this.#min, value - (total - 1) * interval);
    this.#max = Math.max(this.#max, value);
  }

  /** Adds what another histogram of the same schema has counted. Another schema is a RangeError. */
  merge(other: Histogram | HistogramData): void {
    const {
      schema,
      sum,
      min = Infinity,
      max = -Infinity,
      zeros,
      buckets,
    } = other instanceof Histogram ? other.data() : other;
    if (schema !== this.schema)
      throw new RangeError(`Cannot merge a histogram of schema ${schema}: this one has schema ${this.schema}`);
    let count = zeros;
    for (const [index, counted] of buckets) {
      this.#add(Math.min(Math.max(index - LOWEST * this.#scale, 0), this.#counts.length - 1), counted);
      count += counted;
    }
    this.#count += count;
    this.#sum += sum;
    this.#zeros += zeros;
    this.#min = Math.min(this.#min, min);
    this.#max = Math.max(this.#max, max);
  }

  /**
   * The value below which `percent` percent of the values are, from 0 to 100: interpolated within its bucket, and never outside
   * the smallest and largest recorded value. NaN while there are no values.
   */
  percentile(percent: number): number {
    judgeNumber("percent", percent, { least: 0, most: 100 });
    if (this.#count === 0) return Number.NaN;
    const rank = (percent / 100) * this.#count;
    let below = this.#zeros;
    if (rank <= below && below > 0) return Math.min(0, this.#max);
    for (let slot = 0; slot < this.#counts.length; slot++) {
      const here = this.#counts[slot] ?? 0;
      if (here > 0 && below + here >= rank) {
        const lower = Math.max(this.#bound(slot - 1), this.#min);
        const upper = Math.max(Math.min(this.#bound(slot), this.#max), lower);
        return lower + ((upper - lower) * (rank - below)) / here;
      }
      below += here;
    }
    return this.#max;
  }

  /** Number of values up to `bound`. Exact if the bound is one of a bucket, as all powers of two from 2^-30 to 2^50 are. */
  countUpTo(bound: number): number {
    if (bound < 0) return 0;
    if (bound === Infinity) return this.#count;
    const last = bound === 0 ? -1 : this.#slot(bound);
    let count = this.#zeros;
    for (let slot = 0; slot <= last; slot++) count += this.#counts[slot] ?? 0;
    return count;
  }

  /** The buckets that are not empty, in ascending order: count of the values above `lower` and up to `upper`. */
  buckets(): { lower: number; upper: number; count: number }[] {
    const found = this.#zeros > 0 ? [{ lower: -Infinity, upper: 0, count: this.#zeros }] : [];
    this.#counts.forEach((count, slot) => {
      if (count > 0) found.push({ lower: this.#bound(slot - 1), upper: this.#bound(slot), count });
    });
    return found;
  }

  /** All of it as plain data, which `merge` takes. */
  data(): HistogramData {
    const buckets: [number, number][] = [];
    this.#counts.forEach((count, slot) => {
      if (count > 0) buckets.push([slot + LOWEST * this.#scale, count]);
    });
    const ends = this.#count > 0 && { min: this.#min, max: this.#max };
    return { schema: this.schema, sum: this.#sum, ...ends, zeros: this.#zeros, buckets };
  }

  /** Forgets all values. */
  clear(): void {
    this.#counts.fill(0);
    this.#count = this.#sum = this.#zeros = 0;
    this.#min = Infinity;
    this.#max = -Infinity;
  }

  #add(slot: number, count: number): void {
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
  }

  #slot(value: number): number {
    const slot = Math.ceil(Math.log2(value) * this.#scale) - LOWEST * this.#scale;
    return slot < 0 ? 0 : slot < this.#counts.length ? slot : this.#counts.length - 1;
  }

  /** The upper bound of a bucket; of a fraction, the place within it. */
  #bound(slot: number): number {
    return 2 ** (slot / this.#scale + LOWEST);
  }
}
