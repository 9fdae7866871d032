/** Collects the values of metrics at one moment, from any number of sources. */

import { METRICS, type MetricName } from "../../base/vocabulary.ts";
import { Histogram } from "../histogram.ts";

/** Names and values of labels. */
export type MetricLabels = Readonly<Record<string, string>>;

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
  addHistogram(name: MetricName, histogram: Histogram | undefined, labels: MetricLabels = NO_LABELS): void {
    const sample = seriesOf(this.#histograms, name, labels, () => ({ labels, histogram: new Histogram() }));
    if (histogram !== undefined) sample.histogram.merge(histogram);
  }

  /** Adds all that `other` has collected. */
  addAll(other: Collector): void {
    for (const [name, samples] of other.#numbers)
      for (const { labels, value } of samples.values()) this.add(name, value, labels);
    for (const [name, samples] of other.#histograms)
      for (const { labels, histogram } of samples.values()) this.addHistogram(name, histogram, labels);
  }

  /** The series of a counter or gauge. */
  numbers(name: MetricName): readonly NumberSample[] {
    return [...(this.#numbers.get(name)?.values() ?? [])];
  }

  /** The series of a histogram. */
  histograms(name: MetricName): readonly HistogramSample[] {
    return [...(this.#histograms.get(name)?.values() ?? [])];
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

/** In the order of the vocabulary: equal labels have equal keys then. */
function judgeLabels(name: MetricName, labels: MetricLabels): void {
  const known = METRICS[name].labels;
  const given = Object.entries(labels);
  const expected = Object.keys(known);
  const valid =
    given.length === expected.length &&
    given.every(([label, value], index) => {
      const values = known[label];
      return label === expected[index] && (values?.length === 0 || values?.includes(value));
    });
  if (!valid) throw new RangeError(`Cannot add to ${name}: it has no series ${JSON.stringify(labels)}`);
}
