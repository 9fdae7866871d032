/** Writes collected metrics as text for Prometheus: format 0.0.4, in which OpenMetrics can follow as a second function. */

import { METRICS, type MetricFacts, type MetricName } from "../../base/vocabulary.ts";
import type { Histogram } from "../histogram.ts";
import type { Collector, MetricLabels } from "./collector.ts";

/** The media type of the text. Prometheus 3 rejects an answer without one. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The text of all metrics that have a series, in the order of the vocabulary. Ends with a line break. */
export function expositionOf(collector: Collector): string {
  let text = "";
  for (const [key, facts] of Object.entries(METRICS)) {
    const name = key as MetricName;
    const lines = facts.type === "histogram" ? histogramLines(name, facts, collector) : numberLines(name, collector);
    if (lines !== "") text += `# HELP ${name} ${escapeHelp(facts.help)}\n# TYPE ${name} ${facts.type}\n${lines}`;
  }
  return text;
}

/** The upper bounds of the buckets of a histogram, in ascending order, without +Inf. */
export function boundsOf({ bounds = { first: 0, last: 0, step: 1 } }: MetricFacts): readonly number[] {
  const { first, last, step } = bounds;
  return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, index) => 2 ** (first + index * step));
}

function numberLines(name: MetricName, collector: Collector): string {
  let lines = "";
  for (const { labels, value } of collector.numbers(name)) lines += line(name, labelsText(labels), value);
  return lines;
}

function histogramLines(name: MetricName, facts: MetricFacts, collector: Collector): string {
  let lines = "";
  for (const { labels, histogram } of collector.histograms(name)) {
    for (const [bound, count] of cumulativeCounts(histogram, boundsOf(facts)))
      lines += line(`${name}_bucket`, labelsText({ ...labels, le: numberText(bound) }), count);
    lines += line(`${name}_sum`, labelsText(labels), histogram.sum);
    lines += line(`${name}_count`, labelsText(labels), histogram.count);
  }
  return lines;
}

/** The number of values up to each bound, and up to +Inf. */
export function cumulativeCounts(histogram: Histogram, bounds: readonly number[]): [bound: number, count: number][] {
  return [...bounds, Infinity].map((bound) => [bound, histogram.countUpTo(bound)]);
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels} ${numberText(value)}\n`;
}

function labelsText(labels: MetricLabels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeValue(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

// No text of the vocabulary has these characters. The escapes keep that from being a condition.
const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
const escapeValue = (text: string): string => escapeHelp(text).replaceAll('"', '\\"');
