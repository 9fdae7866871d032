/** The TCP sockets of this process by their state in the kernel, as a metric. */

import { after, type Clock, type Instant, reached } from "../base/time.ts";
import { SOCKET_STATES } from "../base/vocabulary.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";
import { countSocketStates, type StateCounts } from "../kernel/state-counts.ts";

/** Least time between two readings, in milliseconds: with 10,000 sockets one takes about 90 ms of processor time, half of it in the kernel. */
const INTERVAL = 5_000;

/**
 * Reading takes a while, and a collector must not wait. So each collection has the counts of the last reading, and begins the next one if
 * the last is older than 5 s: the values of a scrape are those of the scrape before. Until the first reading is complete, and where the
 * kernel has no such table, there is no series. Nothing is read while nothing is collected.
 */
export class TcpSockets implements MetricSource {
  readonly #clock: Clock;
  readonly #count: () => Promise<StateCounts | undefined>;
  #counts: StateCounts | undefined;
  #reading = false;
  #due: Instant | undefined;

  constructor(clock: Clock, count: () => Promise<StateCounts | undefined> = countSocketStates) {
    this.#clock = clock;
    this.#count = count;
  }

  /** Begins a reading, if none is under way and the last one began 5 s ago. */
  refresh(): void {
    const now = this.#clock.now();
    if (this.#reading || (this.#due !== undefined && !reached(this.#due, now))) return;
    this.#reading = true;
    this.#due = after(now, INTERVAL);
    void this.#read();
  }

  collect(into: Collector): void {
    this.refresh();
    if (this.#counts === undefined) return;
    const counts = new Map(Array.from(this.#counts, ([state, count]) => [state.toLowerCase(), count]));
    for (const state of SOCKET_STATES) into.add("holdfast_tcp_sockets", counts.get(state) ?? 0, { state });
  }

  async #read(): Promise<void> {
    try {
      this.#counts = await this.#count();
    } catch {
      // Without a free descriptor, or under Node's permission model. The last counts stay, and the next collection tries again.
    } finally {
      this.#reading = false;
    }
  }
}
