/** Compares a result with an earlier one, and tells a difference from noise by the rounds of both. */

import { readFileSync } from "node:fs";
import { UsageError } from "../flags.ts";
import type { Style } from "../terminal.ts";
import { bytesText, rateText, threeDigits, timeText } from "./figures.ts";
import { type BenchResult, FORMAT, type Round } from "./result.ts";

/** `noise`: the rounds of both runs overlap, or there are too few. */
export type Difference = "better" | "worse" | "noise";

export interface ComparedFigure {
  readonly name: string;
  readonly before: number;
  readonly now: number;
  /** `now` over `before`. */
  readonly ratio: number;
  readonly difference: Difference;
}

const TIMES = ["p50", "p90", "p99", "p99.9"] as const;

/** Reads a result that `--json` has printed. Throws UsageError. */
export function readResult(path: string): BenchResult {
  let result: Partial<BenchResult> | null;
  try {
    result = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UsageError(`cannot read ${path}: ${code ?? message}`);
  }
  if (result?.format !== FORMAT)
    throw new UsageError(`cannot compare with ${path}: expected a result of holdfast bench --json`);
  return result as BenchResult;
}

/** The figures that both have. Throws UsageError if the two do not measure the same. */
export function compare(before: BenchResult, now: BenchResult): ComparedFigure[] {
  for (const name of ["work", "loop", "connections", "slow", "size"] as const) {
    if (before[name] !== now[name]) {
      throw new UsageError(
        `cannot compare: the earlier run had ${name} ${String(before[name])}, and this one ${String(now[name])}`,
      );
    }
  }
  if (before.rate.scheduled !== now.rate.scheduled) {
    throw new UsageError(
      `cannot compare: the earlier run had the rate ${before.rate.scheduled}, and this one ${now.rate.scheduled}`,
    );
  }
  const times = TIMES.map((name) => figure(name, before, now, ({ latency }) => latency[name], "less"));
  // In the open loop the rate is given, and says nothing.
  const rate = now.loop === "open" ? [] : [figure("rate", before, now, (round) => round.rate, "more")];
  const last = (["p50", "p99"] as const).map((name) => plain(`last.${name}`, before.last?.[name], now.last?.[name]));
  const memory = plain("memory", before.memory?.perConnection, now.memory?.perConnection);
  return [...rate, ...times, ...last, memory].filter((one) => one !== undefined);
}

function figure(
  name: string,
  before: BenchResult,
  now: BenchResult,
  of: (round: Round) => number | undefined,
  better: "less" | "more",
): ComparedFigure | undefined {
  const [old, current] = [before, now].map(({ rounds }) => rounds.map(of).filter((value) => value !== undefined));
  if (old === undefined || current === undefined || old.length === 0 || current.length === 0) return undefined;
  const [was, is] = [medianOf(old), medianOf(current)];
  return { name, before: was, now: is, ratio: is / was, difference: differenceOf(old, current, better) };
}

/** A figure of the whole run, of which there are no rounds: nothing tells its difference from noise. */
function plain(name: string, before: number | undefined, now: number | undefined): ComparedFigure | undefined {
  if (before === undefined || now === undefined) return undefined;
  return { name, before, now, ratio: now / before, difference: "noise" };
}

/**
 * A difference is real if all rounds of one run are on the same side of all rounds of the other. With five rounds each, equal
 * servers give that once in 126 times: 2 of the 252 ways to choose five of ten.
 */
function differenceOf(before: readonly number[], now: readonly number[], better: "less" | "more"): Difference {
  if (before.length < 4 || now.length < 4) return "noise";
  const less = Math.max(...now) < Math.min(...before);
  const more = Math.min(...now) > Math.max(...before);
  if (!less && !more) return "noise";
  return less === (better === "less") ? "better" : "worse";
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  const half = sorted.length / 2;
  return ((sorted[Math.floor(half - 0.5)] ?? 0) + (sorted[Math.floor(half)] ?? 0)) / 2;
}

const TONES = { better: "green", worse: "red", noise: "dim" } as const;

export function comparisonText(figures: readonly ComparedFigure[], style: Style): string {
  const rows = figures.map(({ name, before, now, ratio, difference }) => {
    const shown = (value: number): string =>
      (name === "rate" ? rateText(value) : name === "memory" ? bytesText(value) : timeText(value)).padStart(10);
    return `    ${name.padEnd(9)}${shown(before)} ->${shown(now)}   x ${threeDigits(ratio).padEnd(6)} ${style(TONES[difference], difference)}`;
  });
  return `  compared   medians of the rounds: before, now, ratio\n${rows.join("\n")}\n`;
}
