/** The percentile format of HdrHistogram, which its plotters read: value, percentile, count, and 1 / (1 - percentile). */

import type { Histogram } from "../../engine/histogram.ts";

/** Rows for each halving of the distance to 100 %, as in HdrHistogram. */
const TICKS_PER_HALF = 5;

/** The text, in milliseconds. */
export function hgrmOf(histogram: Histogram): string {
  const { count, sum, max } = histogram;
  const rows = ["       Value     Percentile TotalCount 1/(1-Percentile)", ""];
  for (const percent of count === 0 ? [] : ticks(count)) {
    const value = histogram.percentile(percent);
    const fraction = (percent / 100).toFixed(12);
    const total = Math.round((percent / 100) * count);
    const inverse = percent === 100 ? "" : (100 / (100 - percent)).toFixed(2);
    rows.push(
      `${value.toFixed(6).padStart(12)} ${fraction.padStart(14)} ${String(total).padStart(10)} ${inverse.padStart(14)}`.trimEnd(),
    );
  }
  const mean = count === 0 ? 0 : sum / count;
  const figure = (value: number): string => value.toFixed(6).padStart(12);
  rows.push(`#[Mean    = ${figure(mean)}, StdDeviation   = ${figure(deviationOf(histogram, mean))}]`);
  rows.push(`#[Max     = ${figure(count === 0 ? 0 : max)}, Total count    = ${String(count).padStart(12)}]`);
  rows.push(
    `#[Buckets = ${String(histogram.buckets().length).padStart(12)}, SubBuckets     = ${String(2 ** histogram.schema).padStart(12)}]`,
  );
  return `${rows.join("\n")}\n`;
}

/** Percents from 0 on, closer to each other towards 100, as far as single values can be told apart; and 100. */
function ticks(count: number): number[] {
  const percents: number[] = [];
  for (let distance = 100; distance >= 100 / count; distance /= 2) {
    for (let tick = 0; tick < TICKS_PER_HALF; tick++) {
      percents.push(100 - distance + (distance / 2 / TICKS_PER_HALF) * tick);
    }
  }
  return [...percents, 100];
}

/** Of the middles of the buckets: the values themselves are not kept. */
function deviationOf(histogram: Histogram, mean: number): number {
  if (histogram.count === 0) return 0;
  const squares = histogram.buckets().reduce((total, { lower, upper, count }) => {
    const middle = (Math.max(0, lower) + upper) / 2;
    return total + count * (middle - mean) ** 2;
  }, 0);
  return Math.sqrt(squares / histogram.count);
}
