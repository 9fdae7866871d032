/** The values of all metrics at one moment, for programs. */

import { judgeChoice, judgeOptions } from "../base/judge.ts";
import { METRICS, type MetricName } from "../base/vocabulary.ts";
import { Histogram } from "../engine/histogram.ts";
import type { Collector, MetricLabels, MetricSeries } from "../engine/metrics/collector.ts";
import { EXPOSITION_TYPE, expositionOf } from "../engine/metrics/exposition.ts";

const HISTOGRAMS = Object.keys(METRICS).filter((name) => METRICS[name as MetricName].type === "histogram");
const NUMBERS = Object.keys(METRICS).filter((name) => !HISTOGRAMS.includes(name));

/** The values of all metrics at one moment. */
export class MetricsSnapshot {
  /** The media type of `text`, for the Content-Type of a response. */
  readonly contentType: string = EXPOSITION_TYPE;
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
    return this.#collector.series;
  }

  /**
   * The values in Prometheus' text format 0.0.4. All names begin with `holdfast_`, so the text can follow that of another library:
   * ``response.end(`${await register.metrics()}\n${snapshot.text()}`)``.
   */
  text(): string {
    return expositionOf(this.#collector);
  }

  toJSON(): readonly MetricSeries[] {
    return this.series;
  }
}

function has(labels: MetricLabels, wanted: MetricLabels): boolean {
  return Object.entries(wanted).every(([label, value]) => labels[label] === value);
}
