/** The metrics of all processes of a program, joined in the first process. */

import { after, type Clock } from "../base/time.ts";
import { METRICS, type MetricName } from "../base/vocabulary.ts";
import { Collector, type MetricSeries } from "../engine/metrics/collector.ts";
import { collectProcess } from "../metrics/metrics.ts";
import type { Post } from "./cluster.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

// How long a worker may take to answer, in milliseconds. Prometheus waits 10 s for the whole answer by default.
const ANSWER_TIME = 1_000;

/** Metrics of connections. With workers the first process has no connections, so its own values are left out. */
const OF_CONNECTIONS: readonly MetricName[] = ["holdfast_build_info", "holdfast_memory_limit_bytes"];

/** A worker whose metrics are joined. */
export class MeasuredWorker {
  readonly #post: Post;
  readonly #removed: (worker: MeasuredWorker) => void;
  /** The values of its last answer. */
  series: readonly MetricSeries[] = [];
  /** The number of the latest question, and of the latest one that it has answered. */
  asked = 0;
  answered = 0;
  /** Called at its next answer, and at its end. */
  settled: () => void = () => undefined;

  constructor(post: Post, removed: (worker: MeasuredWorker) => void) {
    this.#post = post;
    this.#removed = removed;
  }

  ask(number: number): void {
    this.asked = number;
    this.#post({ holdfast: "measure", number } satisfies ToWorker, () => undefined);
  }

  /** Handles an answer, which may be late. A worker also answers, without a question (0), when it is about to end. */
  handle({ number, series }: Extract<FromWorker, { readonly holdfast: "measured" }>): void {
    this.series = series;
    this.answered = Math.max(this.answered, number);
    if (number === this.asked) this.settled();
  }

  /** The process has ended. */
  remove(): void {
    this.#removed(this);
    this.settled();
  }
}

/**
 * No counter of the joined values ever goes down: what an ended process has counted stays, and a worker that does not answer in time
 * keeps the counters of its last answer. The first process asks all workers at once, and only one question is on its way at a time.
 */
export class JoinedMetrics {
  readonly #clock: Clock;
  readonly #workers = new Set<MeasuredWorker>();
  /** The counters of the processes that have ended. */
  readonly #past = new Collector();
  #questions = 0;
  #joining: Promise<Collector> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Adds a process that serves, until it ends. */
  add(post: Post): MeasuredWorker {
    const worker = new MeasuredWorker(post, (removed) => {
      if (this.#workers.delete(removed)) this.#past.addSeries(countersOf(removed.series));
    });
    this.#workers.add(worker);
    return worker;
  }

  /** The values of all processes. Calls at the same time share one result. */
  collect(): Promise<Collector> {
    this.#joining ??= this.#join().finally(() => {
      this.#joining = undefined;
    });
    return this.#joining;
  }

  async #join(): Promise<Collector> {
    this.#questions += 1;
    const number = this.#questions;
    await this.#answers(number, [...this.#workers]);
    const joined = new Collector();
    joined.addAll(this.#past);
    let unanswered = 0;
    for (const { series, answered } of this.#workers) {
      joined.addSeries(answered === number ? series : countersOf(series));
      if (answered !== number) unanswered += 1;
    }
    const known = joined.numbers("holdfast_build_info").length > 0;
    const { series: own } = collectProcess();
    joined.addSeries(known ? own.filter(({ name }) => !OF_CONNECTIONS.includes(name)) : own);
    joined.add("holdfast_workers_unanswered", unanswered);
    return joined;
  }

  /** Resolves when each of these workers has answered or ended, or the time is over. */
  #answers(number: number, workers: readonly MeasuredWorker[]): Promise<void> {
    return new Promise((resolve) => {
      let missing = workers.length;
      const timer = this.#clock.wakeAt(after(this.#clock.now(), ANSWER_TIME), () => resolve());
      const settled = (): void => {
        missing -= 1;
        if (missing > 0) return;
        timer.cancel();
        resolve();
      };
      for (const worker of workers) {
        worker.settled = () => {
          worker.settled = () => undefined;
          settled();
        };
        worker.ask(number);
      }
      if (workers.length === 0) settled();
    });
  }
}

function countersOf(series: readonly MetricSeries[]): readonly MetricSeries[] {
  return series.filter(({ name }) => METRICS[name]?.type !== "gauge");
}
