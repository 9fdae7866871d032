/** Measures for how long the event loop is blocked: how late a timer of its own is called. */

import { after, between, type Clock, type Instant, type Wakeup } from "../base/time.ts";
import { Histogram } from "../engine/histogram.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";

/** Milliseconds between two samples: 50 wakeups in a second, which take about a thousandth of a core. */
const INTERVAL = 20;

/**
 * Each sample is the delay of a timer. What would have been sampled during a block is filled in: a block of 500 ms in 2 s is a
 * quarter of the samples, as it is a quarter of the time in which a message could arrive. `monitorEventLoopDelay` of Node counts the
 * block once, so that its 99th percentile does not show it.
 */
export class LoopMonitor implements MetricSource {
  readonly #clock: Clock;
  readonly #delays = new Histogram();
  #wakeup: Wakeup | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Starts to measure. Has no effect if it has started. Its timer does not keep the process alive. */
  start(): void {
    if (this.#wakeup === undefined) this.#await(after(this.#clock.now(), INTERVAL));
  }

  stop(): void {
    this.#wakeup?.cancel();
    this.#wakeup = undefined;
  }

  collect(into: Collector): void {
    into.addHistogram("holdfast_loop_blocked_seconds", this.#delays);
  }

  #await(due: Instant): void {
    this.#wakeup = this.#clock.wakeAt(due, (now) => {
      this.#delays.recordLate(Math.max(between(due, now), 0) / 1_000, INTERVAL / 1_000);
      this.#await(after(now, INTERVAL));
    });
  }
}
