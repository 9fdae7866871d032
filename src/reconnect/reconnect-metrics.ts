/** What the clients of this process that reconnect have done, as a source of its metrics. */

import { ATTEMPT_OUTCOMES, type AttemptOutcome } from "../base/attempt-outcomes.ts";
import { processMetrics } from "../core.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";

const OUTCOMES = Object.keys(ATTEMPT_OUTCOMES) as AttemptOutcome[];

class ReconnectMetrics implements MetricSource {
  inDoubt = 0;
  readonly #attempts = new Map<AttemptOutcome, number>();
  #added = false;

  /** A client begins. The series exist from the first one on. */
  begin(): void {
    if (!this.#added) processMetrics.add(this);
    this.#added = true;
  }

  attempted(outcome: AttemptOutcome): void {
    this.#attempts.set(outcome, (this.#attempts.get(outcome) ?? 0) + 1);
  }

  collect(into: Collector): void {
    for (const outcome of OUTCOMES)
      into.add("holdfast_reconnect_attempts_total", this.#attempts.get(outcome) ?? 0, { outcome });
    into.add("holdfast_in_doubt_total", this.inDoubt);
  }
}

export const reconnectMetrics: ReconnectMetrics = new ReconnectMetrics();
