/** What one process measures: latencies and numbers of messages, by slices of the measured time. */

import { Histogram, type HistogramData } from "../../engine/histogram.ts";
import { type Counts, type LoadResult, type Milliseconds, SCHEMA, SLICES } from "./plan.ts";

/** A message that is sent later than this after its time counts as late. */
const LATE = 1;

/** Different reasons that are counted. Texts of a server could be different each time. */
const MAX_REASONS = 20;

/**
 * Place 0 of each list belongs to the warm-up, which is not in the result. The slices follow. The warm-up and the measurement run the same
 * code, without a branch between them. With a branch, V8 would discard optimised code at the first measured message, and the latencies of
 * the next 100 ms would contain the pauses of its compiler.
 */
const PLACES = SLICES + 1;

type Tally = { -readonly [Name in keyof Counts]: number };

export class Measurement {
  /** When the measurement begins and ends, in milliseconds since the start of the run. */
  readonly from: Milliseconds;
  to: Milliseconds;
  readonly counts: Tally = noCounts();
  /** Of the warm-up, and of the measurement. */
  readonly #counts: readonly [Tally, Tally] = [noCounts(), this.counts];
  readonly #perMillisecond: number;
  readonly #latency: readonly Histogram[] = Array.from({ length: PLACES }, () => new Histogram(SCHEMA));
  readonly #sentIn: number[] = new Array(PLACES).fill(0);
  readonly #receivedIn: number[] = new Array(PLACES).fill(0);
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
    const place = this.#placeOf(now);
    if (place === undefined) return;
    this.#sentIn[place] = (this.#sentIn[place] ?? 0) + 1;
    const counts = this.#countsAt(place);
    counts.sent += 1;
    if (now - scheduled > LATE) counts.late += 1;
  }

  /** The answer to a message that was scheduled for `scheduled` has arrived at `now`. */
  received(scheduled: Milliseconds, now: Milliseconds): void {
    const arrivedAt = this.#placeOf(now);
    if (arrivedAt !== undefined) {
      this.#receivedIn[arrivedAt] = (this.#receivedIn[arrivedAt] ?? 0) + 1;
      this.#countsAt(arrivedAt).received += 1;
    }
    // By the time that it was due, so that the answers which a stall delays beyond the end are measured all the same.
    const place = this.#placeOf(scheduled);
    if (place === undefined) return;
    this.#latency[place]?.record(now - scheduled);
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
      latency: this.#latency.slice(1).map((histogram) => (histogram.count === 0 ? undefined : histogram.data())),
      sentIn: this.#sentIn.slice(1),
      receivedIn: this.#receivedIn.slice(1),
      counts: { ...this.counts },
      reasons: this.#reasons,
    };
  }

  #countsAt(place: number): Tally {
    return this.#counts[Math.min(place, 1)] as Tally;
  }

  /** Undefined after the end. */
  #placeOf(time: Milliseconds): number | undefined {
    if (time >= this.to) return undefined;
    const slice = Math.floor((time - this.from) * this.#perMillisecond);
    return Math.max(0, Math.min(SLICES, slice + 1));
  }
}

function noCounts(): Tally {
  return {
    ...{ sent: 0, received: 0, late: 0, unsent: 0, lost: 0, reordered: 0, duplicated: 0, changed: 0 },
    ...{ ended: 0, endedSlow: 0, failed: 0 },
  };
}
