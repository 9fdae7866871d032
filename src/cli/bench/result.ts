/** The result of a run: the document that `--json` prints, and from which all reports are made. */

import { Histogram, type HistogramData } from "../../engine/histogram.ts";
import { type Counts, type LoadResult, type Milliseconds, type Plan, SCHEMA, SLICES } from "./plan.ts";

/** Changes when a reader of the document would have to change. */
export const FORMAT = "holdfast-bench-1";

/** Parts of the measured time whose figures are compared with each other, to know the noise. */
export const ROUNDS = 5;

/** The percentiles of a summary, by their names. */
export const PERCENTILES = { p50: 50, p90: 90, p99: 99, "p99.9": 99.9, "p99.99": 99.99 } as const;
export type PercentileName = keyof typeof PERCENTILES;

/** The least number of values above a percentile: fewer say nothing of it. */
const LEAST_ABOVE = 10;

/** Latencies in milliseconds. A percentile with too few values above it is absent; all are absent if there are no values. */
export type Summary = { readonly count: number } & {
  readonly [Name in "min" | "mean" | "max" | PercentileName]?: number;
};

/** One round. */
export interface Round {
  /** Received messages per second. */
  readonly rate: number;
  readonly latency: Summary;
}

/** Memory of the server with idle connections. */
export interface ServerMemory {
  readonly pids: readonly number[];
  /** Resident bytes with a tenth of the connections, and with all. */
  readonly before: number;
  readonly after: number;
  /** Resident bytes for each connection, by which the two differ. */
  readonly perConnection: number;
}

export interface BenchResult {
  readonly format: typeof FORMAT;
  /** The time of the start, as an ISO 8601 text. */
  readonly startedAt: string;
  readonly node: string;
  readonly url: string;
  readonly work: Plan["work"];
  /** `open`: latency from the scheduled time of each message. `closed`: from when it was sent, which hides stalls. */
  readonly loop: "open" | "closed";
  readonly connections: number;
  readonly slow: number;
  readonly processes: number;
  readonly size: number;
  readonly inFlight: number;
  /** The measured time, in milliseconds. */
  readonly duration: Milliseconds;
  /** Messages per second. With `broadcast`, `received` counts the deliveries to all subscribers. */
  readonly rate: { readonly scheduled: number | null; readonly sent: number; readonly received: number };
  readonly latency: Summary;
  /** With `broadcast`: the latency of the last subscriber, for each message. */
  readonly last: Summary | null;
  readonly counts: Counts;
  readonly reasons: Readonly<Record<string, number>>;
  /** With `idle`, if a process of the server was found. */
  readonly memory: ServerMemory | null;
  readonly rounds: readonly Round[];
  /** Figures of equal parts of the measured time. Null where there are no values. */
  readonly series: {
    /** The length of a part, in milliseconds. */
    readonly interval: Milliseconds;
    readonly sent: readonly number[];
    readonly received: readonly number[];
    readonly p50: readonly (number | null)[];
    readonly p99: readonly (number | null)[];
    readonly max: readonly (number | null)[];
  };
  readonly histogram: HistogramData;
  readonly lastHistogram: HistogramData | null;
}

/** What a run of all processes has measured. */
export interface Measured {
  readonly results: readonly LoadResult[];
  /** With `broadcast`: latencies of the last subscriber. */
  readonly last: Histogram | undefined;
  /** The measured time: shorter than planned if it was stopped. */
  readonly duration: Milliseconds;
  readonly startedAt: Date;
}

/** Joins the results of all processes. */
export function resultOf(
  plan: Plan,
  { results, last, duration, startedAt }: Measured,
  memory: ServerMemory | null,
): BenchResult {
  const interval = plan.duration / SLICES;
  // Slices after a stop have no time, and so no rate.
  const slices = Math.min(SLICES, Math.ceil(duration / interval));
  const latency = Array.from({ length: SLICES }, (_, slice) => merged(results.map((one) => one.latency[slice])));
  const sums = (name: "sentIn" | "receivedIn"): number[] =>
    Array.from({ length: slices }, (_, slice) => sum(results.map((one) => one[name][slice] ?? 0)));
  const [sent, received] = [sums("sentIn"), sums("receivedIn")];
  const all = merged(latency);
  const counts = results.map((one) => one.counts).reduce(added);
  const perSecond = (count: number, time: Milliseconds): number => (time > 0 ? (count * 1_000) / time : 0);
  const { url, work, connections, slow, processes, size, inFlight, rate } = plan;
  const each = latency.slice(0, slices);
  const figure = (value: number): number | null => (Number.isFinite(value) ? value : null);
  return {
    format: FORMAT,
    startedAt: startedAt.toISOString(),
    node: process.version,
    ...{ url, work, connections, slow, processes, size, inFlight, duration },
    loop: rate === undefined ? "closed" : "open",
    rate: {
      scheduled: rate ?? null,
      sent: perSecond(counts.sent, duration),
      received: perSecond(counts.received, duration),
    },
    latency: summaryOf(all),
    last: last === undefined ? null : summaryOf(last),
    counts,
    reasons: results.map(({ reasons }) => reasons).reduce(added),
    memory,
    rounds: Array.from({ length: ROUNDS }, (_, round) => {
      const [from, to] = [(round * SLICES) / ROUNDS, ((round + 1) * SLICES) / ROUNDS];
      const time = Math.max(0, Math.min(duration, to * interval) - from * interval);
      return {
        rate: perSecond(sum(received.slice(from, to)), time),
        latency: summaryOf(merged(latency.slice(from, to))),
      };
    }).filter((_, round) => (round * duration) / ROUNDS < duration),
    series: {
      ...{ interval, sent, received },
      p50: each.map((histogram) => figure(histogram.percentile(50))),
      p99: each.map((histogram) => figure(histogram.percentile(99))),
      max: each.map(({ max }) => figure(max)),
    },
    histogram: all.data(),
    lastHistogram: last?.data() ?? null,
  };
}

/** The histogram of a result. */
export function histogramOf(data: HistogramData): Histogram {
  const histogram = new Histogram(data.schema);
  histogram.merge(data);
  return histogram;
}

export function summaryOf(histogram: Histogram): Summary {
  const { count, sum: total, min, max } = histogram;
  if (count === 0) return { count };
  const known = Object.entries(PERCENTILES).filter(([, percent]) => hasEnough(count, percent));
  const percentiles = known.map(([name, percent]) => [name, histogram.percentile(percent)]);
  return { count, min, mean: total / count, ...Object.fromEntries(percentiles), max };
}

/** Whether `count` values are enough for this percentile. */
export function hasEnough(count: number, percent: number): boolean {
  // 99.9 has no exact form: without the allowance, 10,000 values would be too few by a billionth.
  return (count * (100 - percent)) / 100 >= LEAST_ABOVE - 1e-6;
}

function merged(parts: readonly (Histogram | HistogramData | undefined)[]): Histogram {
  const whole = new Histogram(SCHEMA);
  for (const part of parts) if (part !== undefined) whole.merge(part);
  return whole;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}

/** The sums of two records of numbers, by name. */
function added<Record extends Readonly<{ [name: string]: number }> | Counts>(one: Record, other: Record): Record {
  const total: { [name: string]: number } = { ...one };
  for (const [name, count] of Object.entries(other)) total[name] = (total[name] ?? 0) + count;
  return total as Record;
}
