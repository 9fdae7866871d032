/** The metrics of all processes, as one worker asks the first process for them. */

import { TimeoutError } from "../base/errors.ts";
import { after, between, type Clock } from "../base/time.ts";
import { Collector, type MetricSeries } from "../engine/metrics/collector.ts";
import { collectProcess } from "../metrics/metrics.ts";
import { MetricsSnapshot } from "../metrics/snapshot.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

// How long the first process may take, in milliseconds. It waits one second for the workers.
const TIMEOUT = 3_000;

export class MetricsRequest {
  readonly #post: (message: FromWorker, posted?: () => void) => void;
  readonly #clock: Clock;
  #pending: Promise<MetricsSnapshot> | undefined;
  #answer: (series: readonly MetricSeries[]) => void = () => undefined;

  constructor(post: (message: FromWorker, posted?: () => void) => void, clock: Clock) {
    this.#post = post;
    this.#clock = clock;
  }

  /** The values of all processes. Calls at the same time share one result. */
  joined(): Promise<MetricsSnapshot> {
    this.#pending ??= this.#ask().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  /** Handles a message of the first process. */
  handle(message: Extract<ToWorker, { readonly holdfast: "measure" | "joined" }>): void {
    if (message.holdfast === "measure") this.report(message.number);
    else this.#answer(message.series);
  }

  /** Sends the values of this process. `number` is that of the question; 0 if this process is about to end. */
  report(number: number, posted?: () => void): void {
    this.#post({ holdfast: "measured", number, series: collectProcess().series }, posted);
  }

  #ask(): Promise<MetricsSnapshot> {
    return new Promise((resolve, reject) => {
      const began = this.#clock.now();
      const timer = this.#clock.wakeAt(after(began, TIMEOUT), (now) => {
        const facts = { operation: "metrics", limit: "timeout", bound: TIMEOUT, retriable: true } as const;
        const detail = "the first process did not answer";
        reject(new TimeoutError({ ...facts, after: between(began, now), detail }));
      });
      this.#answer = (series) => {
        timer.cancel();
        const collector = new Collector();
        collector.addSeries(series);
        resolve(new MetricsSnapshot(collector));
      };
      this.#post({ holdfast: "join" });
    });
  }
}
