/** Observable instruments of OpenTelemetry that read the same values as the text for Prometheus. */

import { METRICS, type MetricFacts, type MetricName } from "../base/vocabulary.ts";
import type { Server } from "../core.ts";
import type { MetricLabels } from "../engine/metrics/collector.ts";
import { boundsOf, cumulativeCounts } from "../engine/metrics/exposition.ts";
import { metrics, type ProcessObject } from "../metrics/metrics.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";

/** An instrument, as `Observable` of `@opentelemetry/api`. */
export type ObservableInstrument = object;

/** Options of an instrument. */
export interface ObservableOptions {
  readonly description?: string;
  readonly unit?: string;
}

/** A meter of `@opentelemetry/api`: `metrics.getMeter("holdfast")`. Any version of that package with these methods. */
export interface ObservableMeter {
  createObservableCounter(name: string, options?: ObservableOptions): ObservableInstrument;
  createObservableGauge(name: string, options?: ObservableOptions): ObservableInstrument;
  createObservableUpDownCounter(name: string, options?: ObservableOptions): ObservableInstrument;
  addBatchObservableCallback(callback: ObserveCallback, observables: never[]): void;
  removeBatchObservableCallback(callback: ObserveCallback, observables: never[]): void;
}

/** Reads all instruments at a collection. */
export type ObserveCallback = (result: {
  observe(instrument: never, value: number, attributes?: Record<string, string>): void;
}) => void;

/** The values of a histogram are three instruments: OpenTelemetry has no observable histogram. */
const PARTS = ["count", "sum", "bucket"] as const;

const UNITS: Readonly<Record<string, string>> = { seconds: "s", bytes: "By" };

/**
 * Creates an instrument for each metric of `of`, a server or `process`, and reads all of them at each collection. Returns a function
 * that stops it. docs/metrics.md has the names.
 *
 * ```ts
 * import { metrics } from "@opentelemetry/api";
 *
 * observeMetrics(metrics.getMeter("holdfast"), process);
 * ```
 *
 * Throws TypeError as `metrics` does.
 */
export function observeMetrics(
  meter: ObservableMeter,
  of: Pick<Server, "url" | "close" | "unref"> | ProcessObject,
): () => void {
  const measured = metrics(of);
  const instruments = new Map<string, ObservableInstrument>();
  for (const [name, facts] of Object.entries(METRICS)) create(meter, name as MetricName, facts, instruments);
  const all = [...instruments.values()] as never[];
  const callback: ObserveCallback = (result) => {
    observeAll(measured.snapshot(), (key, value, labels) =>
      result.observe(instruments.get(key) as never, value, attributesOf(labels)),
    );
  };
  meter.addBatchObservableCallback(callback, all);
  return () => meter.removeBatchObservableCallback(callback, all);
}

/** `holdfast_messages_total` is `holdfast.messages`: the unit and the kind of an instrument are no part of its name. */
export function instrumentName(name: MetricName): string {
  return name
    .replace(/^holdfast_/, "holdfast.")
    .replace(/_total$/, "")
    .replace(/_(seconds|bytes)$/, "");
}

/** The attribute for a label: that of OpenTelemetry's conventions if there is one. */
export function attributeName(label: string): string {
  if (label === "protocol") return "network.protocol.name";
  return label === "le" ? "le" : `holdfast.${label}`;
}

function create(
  meter: ObservableMeter,
  name: MetricName,
  { type, help }: MetricFacts,
  into: Map<string, object>,
): void {
  const own = instrumentName(name);
  const unit = UNITS[name.replace(/_total$/, "").replace(/.*_/, "")] ?? "1";
  if (type === "histogram") {
    for (const part of PARTS) {
      const partUnit = part === "sum" ? unit : "1";
      into.set(
        `${name}.${part}`,
        meter.createObservableCounter(`${own}.${part}`, { description: help, unit: partUnit }),
      );
    }
    return;
  }
  const options = { description: help, unit };
  if (type === "counter") into.set(name, meter.createObservableCounter(own, options));
  // A number of connections may be added up; the largest of something, a time or a version may not.
  else if (/largest|timestamp|info|scrape|limit/.test(name)) into.set(name, meter.createObservableGauge(own, options));
  else into.set(name, meter.createObservableUpDownCounter(own, options));
}

function observeAll(
  snapshot: MetricsSnapshot,
  observe: (key: string, value: number, labels: MetricLabels) => void,
): void {
  for (const { name, labels, value } of snapshot.series) {
    if (typeof value === "number") {
      // An exporter may refuse what is no finite number.
      if (Number.isFinite(value)) observe(name, value, labels);
      continue;
    }
    const histogram = snapshot.histogram(name, labels);
    observe(`${name}.count`, histogram.count, labels);
    observe(`${name}.sum`, histogram.sum, labels);
    for (const [bound, count] of cumulativeCounts(histogram, boundsOf(METRICS[name])))
      observe(`${name}.bucket`, count, { ...labels, le: bound === Infinity ? "+Inf" : String(bound) });
  }
}

function attributesOf(labels: MetricLabels): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([label, value]) => [attributeName(label), value]));
}
