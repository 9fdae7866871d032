/** Collects the values of metrics at one moment, from any number of sources. */

import { METRICS, type MetricFacts, type MetricName } from "../../base/vocabulary.ts";
import { Histogram, type HistogramData } from "../histogram.ts";

/** Names and values of labels. */
export type MetricLabels = Readonly<Record<string, string>>;

/** One series of a metric: a number, or of a histogram what it holds. */
export interface MetricSeries {
  readonly name: MetricName;
  readonly labels: MetricLabels;
  readonly value: number | HistogramData;
}

/** One series of a counter or a gauge. */
export interface NumberSample {
  readonly labels: MetricLabels;
  readonly value: number;
}

/** One series of a histogram. */
export interface HistogramSample {
  readonly labels: MetricLabels;
  readonly histogram: Histogram;
}

/** What has values of its own. */
export interface MetricSource {
  /** Adds the values of this moment. Must not throw, and must not wait. */
  collect(into: Collector): void;
}

const NO_LABELS: MetricLabels = Object.freeze({});

/**
 * A source adds to a series, so several servers add up. Throws RangeError for a label or a value that the vocabulary does not have:
 * an error of this library, which its tests find.
 */
export class Collector {
  readonly #numbers = new Map<MetricName, Map<string, { readonly labels: MetricLabels; value: number }>>();
  readonly #histograms = new Map<MetricName, Map<string, HistogramSample>>();

  /** Adds `value` to a counter or gauge. */
  add(name: MetricName, value: number, labels: MetricLabels = NO_LABELS): void {
    this.#number(name, labels).value += value;
  }

  /** Raises a gauge to `value`, if it is less: for the largest of something. */
  raise(name: MetricName, value: number, labels: MetricLabels = NO_LABELS): void {
    const sample = this.#number(name, labels);
    sample.value = Math.max(sample.value, value);
  }

  /** Lowers a gauge to `value`, if it is more or 0: for the oldest of something. A `value` of 0 means that there is none. */
  lower(name: MetricName, value: number, labels: MetricLabels = NO_LABELS): void {
    const sample = this.#number(name, labels);
    if (sample.value === 0 || (value > 0 && value < sample.value)) sample.value = value;
  }

  /** Adds the values of `histogram`, which is not changed. */
  addHistogram(
    name: MetricName,
    histogram: Histogram | HistogramData | undefined,
    labels: MetricLabels = NO_LABELS,
  ): void {
    const sample = seriesOf(this.#histograms, name, labels, () => ({ labels, histogram: new Histogram() }));
    if (histogram !== undefined) sample.histogram.merge(histogram);
  }

  /** Joins all that `other` has collected with what this one has. */
  addAll(other: Collector): void {
    for (const [name, samples] of other.#numbers)
      for (const { labels, value } of samples.values()) this.#join(name, value, labels);
    for (const [name, samples] of other.#histograms)
      for (const { labels, histogram } of samples.values()) this.addHistogram(name, histogram, labels);
  }

  /** Joins the series of another process. Those that this version of the library does not know are left out. */
  addSeries(series: readonly MetricSeries[]): void {
    for (const { name, labels, value } of series) {
      if (!isKnown(name, labels) || (METRICS[name].type === "histogram") !== (typeof value === "object")) continue;
      if (typeof value === "number") this.#join(name, value, labels);
      else this.addHistogram(name, value, labels);
    }
  }

  /** All series, in the order of the documentation. */
  get series(): MetricSeries[] {
    return Object.keys(METRICS).flatMap((key) => {
      const name = key as MetricName;
      const numbers = this.numbers(name).map(({ labels, value }) => ({ name, labels, value }));
      const histograms = this.histograms(name).map(({ labels, histogram }) => {
        return { name, labels, value: histogram.data() };
      });
      return [...numbers, ...histograms];
    });
  }

  /** The series of a counter or gauge. */
  numbers(name: MetricName): readonly NumberSample[] {
    return [...(this.#numbers.get(name)?.values() ?? [])];
  }

  /** The series of a histogram. */
  histograms(name: MetricName): readonly HistogramSample[] {
    return [...(this.#histograms.get(name)?.values() ?? [])];
  }

  #join(name: MetricName, value: number, labels: MetricLabels): void {
    const { joined } = METRICS[name];
    if (joined === "largest") this.raise(name, value, labels);
    else if (joined === "oldest") this.lower(name, value, labels);
    else this.add(name, value, labels);
  }

  #number(name: MetricName, labels: MetricLabels): { value: number } {
    return seriesOf(this.#numbers, name, labels, () => ({ labels, value: 0 }));
  }
}

function seriesOf<Sample>(
  all: Map<MetricName, Map<string, Sample>>,
  name: MetricName,
  labels: MetricLabels,
  create: () => Sample,
): Sample {
  const key = Object.values(labels).join("\n");
  let samples = all.get(name);
  if (samples === undefined) {
    samples = new Map();
    all.set(name, samples);
  }
  let sample = samples.get(key);
  if (sample === undefined) {
    judgeLabels(name, labels);
    sample = create();
    samples.set(key, sample);
  }
  return sample;
}

function judgeLabels(name: MetricName, labels: MetricLabels): void {
  if (isKnown(name, labels)) return;
  throw new RangeError(`Cannot add to ${name}: it has no series ${JSON.stringify(labels)}`);
}

/** True if the labels are in the order of the vocabulary: equal labels have equal keys then. */
function isKnown(name: string, labels: MetricLabels): boolean {
  const known = (METRICS as Readonly<Record<string, MetricFacts>>)[name]?.labels;
  if (known === undefined) return false;
  const given = Object.entries(labels);
  const expected = Object.keys(known);
  return (
    given.length === expected.length &&
    given.every(([label, value], index) => {
      const values = known[label];
      return label === expected[index] && (values?.length === 0 || values?.includes(value));
    })
  );
}
