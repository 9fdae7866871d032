/** What the first process knows of its workers, as a source of its metrics. */

import { WORKER_ENDS } from "../base/vocabulary.ts";
import { processMetrics } from "../core.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";
import type { WorkerEvent } from "./options.ts";

type EndReason = keyof typeof WORKER_ENDS;

const REASONS = Object.keys(WORKER_ENDS) as EndReason[];

/** Counts the events of workers. The numbers stay when the workers of one call of `startWorkers` have ended. */
class WorkerMetrics implements MetricSource {
  /** The events of each process that has not ended. A worker that is replaced has two processes for a time. */
  readonly #processes = new Map<string, Set<WorkerEvent["type"]>>();
  readonly #ends = new Map<EndReason, number>();
  #missed = 0;
  #added = false;

  /** The first workers start: the series exist from now on. */
  begin(): void {
    if (!this.#added) processMetrics.add(this);
    this.#added = true;
  }

  count(event: WorkerEvent): void {
    if (event.type === "missed") {
      this.#missed += event.messages;
      return;
    }
    const key = `${event.worker} ${event.pid}`;
    const before = this.#processes.get(key) ?? new Set();
    if (event.type !== "ended") {
      this.#processes.set(key, before.add(event.type));
      return;
    }
    this.#processes.delete(key);
    const reason = endReason(event, before);
    this.#ends.set(reason, (this.#ends.get(reason) ?? 0) + 1);
  }

  collect(into: Collector): void {
    const serving = [...this.#processes.values()].filter((events) => events.has("serving"));
    into.add("holdfast_workers", serving.length);
    for (const reason of REASONS) into.add("holdfast_worker_ends_total", this.#ends.get(reason) ?? 0, { reason });
    into.add("holdfast_exchange_missed_total", this.#missed);
  }
}

function endReason(
  { expected, signal }: Extract<WorkerEvent, { readonly type: "ended" }>,
  before: ReadonlySet<WorkerEvent["type"]>,
): EndReason {
  if (before.has("killed")) return "killed";
  if (before.has("failed")) return "failed";
  if (expected) return "stopped";
  return signal === null ? "exit" : "signal";
}

export const workerMetrics: WorkerMetrics = new WorkerMetrics();
