/** How many connections ended in each 10 seconds, by cause: a second alone would be thinner than a pixel. */

import { HISTORY_SECONDS } from "../feed.ts";
import type { FeedHistory } from "./history.ts";

const BIN = 10;
/** The causes with a colour of their own. The others are one. */
const SHOWN = 4;
const REST = 6;

export interface EndBins {
  /** Unix times in seconds: the end of each bin. */
  readonly times: readonly number[];
  /** The most frequent cause first. */
  readonly lines: readonly {
    readonly label: string;
    readonly tone: number;
    readonly values: readonly number[];
    readonly largest: number;
  }[];
}

/** `startedAt`: the Unix time of second 0 in milliseconds. */
export function endsByCause(history: FeedHistory, startedAt: number): EndBins {
  const newest = history.newest ?? 0;
  const last = Math.floor(newest / BIN);
  const bins = HISTORY_SECONDS / BIN;
  const byCause = new Map<string, number[]>();
  for (const [second, cause, count] of history.endCounts) {
    const at = bins - 1 - (last - Math.floor(second / BIN));
    if (at < 0) continue;
    const values = byCause.get(cause) ?? new Array<number>(bins).fill(0);
    values[at] = (values[at] ?? 0) + count;
    byCause.set(cause, values);
  }
  const sum = (values: readonly number[]): number => values.reduce((all, one) => all + one, 0);
  const sorted = [...byCause].sort(([, a], [, b]) => sum(b) - sum(a));
  const lines = sorted
    .slice(0, SHOWN)
    .map(([label, values], at) => ({ label, tone: at + 1, values, largest: Math.max(...values) }));
  const others = sorted.slice(SHOWN).map(([, values]) => values);
  if (others.length > 0) {
    const values = Array.from({ length: bins }, (_, at) => sum(others.map((one) => one[at] ?? 0)));
    lines.push({ label: `${others.length} other causes`, tone: REST, values, largest: Math.max(...values) });
  }
  const end = (at: number): number => Math.min(newest, (last - (bins - 1 - at)) * BIN + BIN);
  return { times: Array.from({ length: bins }, (_, at) => startedAt / 1_000 + end(at)), lines };
}
