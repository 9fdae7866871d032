/** The values of all metrics at one moment, for programs. */

import { judgeChoice, judgeOptions } from "../base/judge.ts";
import { METRICS, type MetricName } from "../base/vocabulary.ts";
import { Histogram, type HistogramData } from "../engine/histogram.ts";
import type { Collector, MetricLabels } from "../engine/metrics/collector.ts";

/** One series of a metric: a number, or of a histogram what it holds. */
export interface MetricSeries {
  readonly name: MetricName;
  readonly labels: MetricLabels;
  readonly value: number | HistogramData;
}

const HISTOGRAMS = Object.keys(METRICS).filter((name) => METRICS[name as MetricName].type === "histogram");
const NUMBERS = Object.keys(METRICS).filter((name) => !HISTOGRAMS.includes(name));

/** The values of all metrics at one moment. */
export class MetricsSnapshot {
  readonly #collector: Collector;

  /** @internal */
  constructor(collector: Collector) {
    this.#collector = collector;
  }

  /**
   * The sum of the series of a counter or gauge that have these labels, 0 if there is none:
   * `value("holdfast_messages_total", { direction: "in" })`. Throws RangeError if there is no counter or gauge of this name.
   */
  value(name: MetricName, labels: MetricLabels = {}): number {
    judgeChoice("name", name, NUMBERS);
    judgeOptions(labels, "labels");
    const series = this.#collector.numbers(name).filter((one) => has(one.labels, labels));
    return series.reduce((sum, { value }) => sum + value, 0);
  }

  /**
   * The joined series of a histogram that have these labels: `histogram("holdfast_ping_rtt_seconds").percentile(99)`. Its bounds are
   * finer than those of the exposition, so a percentile is wrong by 9 % at most. Throws RangeError if there is no histogram of this
   * name.
   */
  histogram(name: MetricName, labels: MetricLabels = {}): Histogram {
    judgeChoice("name", name, HISTOGRAMS);
    judgeOptions(labels, "labels");
    const joined = new Histogram();
    for (const one of this.#collector.histograms(name)) if (has(one.labels, labels)) joined.merge(one.histogram);
    return joined;
  }

  /** All series, in the order of the documentation. `JSON.stringify(snapshot)` has the same. */
  get series(): readonly MetricSeries[] {
    return Object.keys(METRICS).flatMap((key) => {
      const name = key as MetricName;
      const numbers = this.#collector.numbers(name).map(({ labels, value }) => ({ name, labels, value }));
      const histograms = this.#collector.histograms(name).map(({ labels, histogram }) => {
        return { name, labels, value: histogram.data() };
      });
      return [...numbers, ...histograms];
    });
  }

  toJSON(): readonly MetricSeries[] {
    return this.series;
  }
}

function has(labels: MetricLabels, wanted: MetricLabels): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[label] === value);
}
