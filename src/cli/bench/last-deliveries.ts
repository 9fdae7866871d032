/** Finds the last subscriber of each message of a broadcast, over all processes. */

import { Histogram } from "../../engine/histogram.ts";
import { type LastDelivery, type Milliseconds, type Plan, SCHEMA } from "./plan.ts";

/** The latency of the last subscriber of each message, from what each process reports of its own subscribers. */
export class LastDeliveries {
  readonly histogram: Histogram = new Histogram(SCHEMA);
  readonly #plan: Plan;
  /** The reports of messages that not all processes have reported yet: how many, and the latest. */
  readonly #incomplete: Map<number, { reports: number; last: Milliseconds }> = new Map();

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  add(deliveries: readonly LastDelivery[]): void {
    const { warmup, duration, processes } = this.#plan;
    for (const [number, scheduled, at] of deliveries) {
      const { reports, last } = this.#incomplete.get(number) ?? { reports: 0, last: 0 };
      const message = { reports: reports + 1, last: Math.max(last, at) };
      if (message.reports < processes) {
        this.#incomplete.set(number, message);
        continue;
      }
      this.#incomplete.delete(number);
      if (scheduled >= warmup && scheduled < warmup + duration) this.histogram.record(message.last - scheduled);
    }
  }
}
