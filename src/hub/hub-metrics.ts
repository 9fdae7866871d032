/** The hubs of this process, as a source of its metrics. */

import type { MetricName } from "../base/vocabulary.ts";
import { processMetrics } from "../core.ts";
import type { Collector, MetricSource } from "../engine/metrics/collector.ts";
import type { HubCounts } from "./events.ts";
import type { GapReason } from "./position.ts";

const COUNTERS = [
  ["holdfast_topic_publishes_total", "publishes"],
  ["holdfast_topic_publishes_in_doubt_total", "inDoubt"],
  ["holdfast_topic_entries_total", "entries"],
  ["holdfast_topic_reads_total", "reads"],
  ["holdfast_topic_holes_total", "holes"],
  ["holdfast_topic_healed_holes_total", "healedHoles"],
  ["holdfast_topic_told_holes_total", "toldHoles"],
  ["holdfast_topic_ended_holes_total", "endedHoles"],
  ["holdfast_topic_healed_entries_total", "healedEntries"],
  ["holdfast_topic_forks_total", "forks"],
  ["holdfast_topic_unreadable_total", "unreadable"],
] as const satisfies readonly (readonly [MetricName, keyof HubCounts])[];

const GAUGES = [
  ["holdfast_topics", "topics"],
  ["holdfast_topic_members", "members"],
  ["holdfast_topic_members_behind", "behind"],
  ["holdfast_topic_history_bytes", "historyBytes"],
  ["holdfast_topic_publishing", "publishing"],
] as const satisfies readonly (readonly [MetricName, keyof HubCounts])[];

/** The counters of ended hubs stay, so that no counter of the process ever goes down. */
export class HubMetrics implements MetricSource {
  readonly #open = new Set<HubCounts>();
  #past: HubCounts | undefined;

  add(counts: HubCounts): void {
    // The series exist from the first hub on.
    if (this.#past === undefined && this.#open.size === 0) processMetrics.add(this);
    this.#open.add(counts);
  }

  remove(counts: HubCounts): void {
    if (!this.#open.delete(counts)) return;
    const past = this.#past;
    if (past === undefined) {
      this.#past = counts;
      return;
    }
    for (const [, name] of COUNTERS) past[name] += counts[name];
    for (const reason of Object.keys(past.gaps) as GapReason[]) past.gaps[reason] += counts.gaps[reason];
  }

  collect(into: Collector): void {
    for (const counts of this.#open) for (const [metric, name] of GAUGES) into.add(metric, counts[name]);
    if (this.#open.size === 0) for (const [metric] of GAUGES) into.add(metric, 0);
    for (const counts of this.#past === undefined ? this.#open : [this.#past, ...this.#open]) {
      for (const [metric, name] of COUNTERS) into.add(metric, counts[name]);
      for (const [reason, gaps] of Object.entries(counts.gaps)) into.add("holdfast_topic_gaps_total", gaps, { reason });
    }
  }
}

export const hubMetrics: HubMetrics = new HubMetrics();
