/** The result as a page with charts, in one file that needs no network. */

import { readFileSync } from "node:fs";
import type { ComparedFigure } from "./comparison.ts";
import type { Verdict } from "./expectation.ts";
import { type BenchResult, histogramOf } from "./result.ts";

/** Points of the curve of percentiles for each halving of the distance to 100 %. */
const POINTS_PER_HALF = 4;

/** What the page shows. It computes nothing but the form. */
interface PageData {
  readonly result: BenchResult;
  readonly verdicts: readonly Verdict[];
  readonly compared: readonly ComparedFigure[];
  /** Percent and latency, in ascending order. */
  readonly percentiles: readonly (readonly [percent: number, latency: number])[];
  /** Upper bound of each bucket, and its share of all messages in percent. */
  readonly buckets: readonly (readonly [upper: number, share: number])[];
}

/** The page. Its template lies beside this file, with the library of the charts in it, which the build has put there. */
export function htmlReport(
  result: BenchResult,
  verdicts: readonly Verdict[],
  compared: readonly ComparedFigure[] = [],
): string {
  const template = readFileSync(new URL("./report.html", import.meta.url), "utf8");
  const data: PageData = { result, verdicts, compared, percentiles: percentilesOf(result), buckets: bucketsOf(result) };
  // No text of a server can end the element that holds the data.
  const json = JSON.stringify(data).replaceAll("<", "\\u003c");
  // A function, since "$&" in a text would mean something.
  return template.replace('"RESULT_JSON"', () => json);
}

function percentilesOf({ histogram, latency }: BenchResult): (readonly [number, number])[] {
  const whole = histogramOf(histogram);
  const points: [number, number][] = [];
  // Beyond 10 values above it, a percentile is one of the slowest messages and no property of the server.
  for (let distance = 1; distance * latency.count >= 10; distance /= 2 ** (1 / POINTS_PER_HALF)) {
    const percent = 100 * (1 - distance);
    points.push([percent, whole.percentile(percent)]);
  }
  return points;
}

/** Two buckets for each doubling: those of the histogram are too fine for bars. */
function bucketsOf({ histogram }: BenchResult): (readonly [number, number])[] {
  const whole = histogramOf(histogram);
  const { min, max, count } = whole;
  const buckets: [number, number][] = [];
  let below = 0;
  for (let half = Math.floor(2 * Math.log2(min)) + 1; count > 0 && below < count; half++) {
    const upper = 2 ** (half / 2);
    const upTo = upper >= max ? count : whole.countUpTo(upper);
    buckets.push([upper, ((upTo - below) * 100) / count]);
    below = upTo;
  }
  return buckets;
}
