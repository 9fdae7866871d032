/** What the groups of this process hold and have done, for its metrics. */

import { Histogram } from "../engine/histogram.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";

/**
 * One object for all groups, because a group has no end at which its numbers could be kept. A send costs a few additions. The time
 * of a burst is taken from clock readings of its turn where there are any, and is exact to a few writes.
 */
class GroupCounters implements MetricSource {
  /** Groups that have members now. */
  groups = 0;
  members = 0;
  sends = 0;
  deliveries = 0;
  // Created on first use: it has some kilobytes.
  #deliveryTimes: Histogram | undefined;

  /** All members on a fan-out have written a burst of messages, `length` milliseconds after the first of them was sent. */
  burstWritten(length: number): void {
    this.#deliveryTimes ??= new Histogram();
    this.#deliveryTimes.record(length / 1_000);
  }

  collect(into: Collector): void {
    into.add("holdfast_groups", this.groups);
    into.add("holdfast_group_members", this.members);
    into.add("holdfast_group_sends_total", this.sends);
    into.add("holdfast_group_deliveries_total", this.deliveries);
    into.addHistogram("holdfast_group_delivery_seconds", this.#deliveryTimes);
  }
}

export const groupCounters: GroupCounters = new GroupCounters();
