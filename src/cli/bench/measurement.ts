/** What one process measures: latencies and numbers of messages, by slices of the measured time. */

import { Histogram, type HistogramData } from "../../engine/histogram.ts";
import { type Counts, type LoadResult, type Milliseconds, SCHEMA, SLICES } from "./plan.ts";

/** A message that is sent later than this after its time counts as late. */
const LATE = 1;

/** Different reasons that are counted. Texts of a server could be different each time. */
const MAX_REASONS = 20;

type Tally = { -readonly [Name in keyof Counts]: number };

export class Measurement {
  /** When the measurement begins and ends, in milliseconds since the start of the run. */
  readonly from: Milliseconds;
  to: Milliseconds;
  readonly counts: Tally = {
    ...{ sent: 0, received: 0, late: 0, unsent: 0, lost: 0, reordered: 0, duplicated: 0, changed: 0 },
    ...{ ended: 0, endedSlow: 0, failed: 0 },
  };
  readonly #perMillisecond: number;
  readonly #latency: (Histogram | undefined)[] = new Array(SLICES).fill(undefined);
  readonly #sentIn: number[] = new Array(SLICES).fill(0);
  readonly #receivedIn: number[] = new Array(SLICES).fill(0);
  readonly #reasons: Record<string, number> = {};
  #recent: Histogram | undefined;

  constructor({ warmup, duration, progress }: { warmup: number; duration: number; progress: boolean }) {
    this.from = warmup;
    this.to = warmup + duration;
    this.#perMillisecond = SLICES / duration;
    this.#recent = progress ? new Histogram(SCHEMA) : undefined;
  }

  /** A message that was scheduled for `scheduled` is sent at `now`. */
  sent(scheduled: Milliseconds, now: Milliseconds): void {
    const slice = this.#sliceOf(now);
    if (slice === undefined) return;
    this.#sentIn[slice] = (this.#sentIn[slice] ?? 0) + 1;
    this.counts.sent += 1;
    if (now - scheduled > LATE) this.counts.late += 1;
  }

  /** The answer to a message that was scheduled for `scheduled` has arrived at `now`. */
  received(scheduled: Milliseconds, now: Milliseconds): void {
    const arrivedIn = this.#sliceOf(now);
    if (arrivedIn !== undefined) {
      this.#receivedIn[arrivedIn] = (this.#receivedIn[arrivedIn] ?? 0) + 1;
      this.counts.received += 1;
    }
    // By the time that it was due, so that the answers which a stall delays beyond the end are measured all the same.
    const slice = this.#sliceOf(scheduled);
    if (slice === undefined) return;
    let histogram = this.#latency[slice];
    if (histogram === undefined) {
      histogram = new Histogram(SCHEMA);
      this.#latency[slice] = histogram;
    }
    histogram.record(now - scheduled);
    this.#recent?.record(now - scheduled);
  }

  /** Counts a reason for a failure or an end. */
  because(given: string): void {
    const known = given in this.#reasons || Object.keys(this.#reasons).length < MAX_REASONS;
    const reason = known ? given : "other reasons";
    this.#reasons[reason] = (this.#reasons[reason] ?? 0) + 1;
  }

  /** Ends the measured time at `now`. */
  cut(now: Milliseconds): void {
    this.to = Math.max(this.from, Math.min(this.to, now));
  }

  /** The latencies since the last call. */
  takeRecent(): HistogramData {
    const recent = this.#recent ?? new Histogram(SCHEMA);
    const data = recent.data();
    recent.clear();
    return data;
  }

  result(): LoadResult {
    return {
      latency: this.#latency.map((histogram) => histogram?.data()),
      sentIn: this.#sentIn,
      receivedIn: this.#receivedIn,
      counts: { ...this.counts },
      reasons: this.#reasons,
    };
  }

  #sliceOf(time: Milliseconds): number | undefined {
    if (time < this.from || time >= this.to) return undefined;
    return Math.min(SLICES - 1, Math.floor((time - this.from) * this.#perMillisecond));
  }
}
