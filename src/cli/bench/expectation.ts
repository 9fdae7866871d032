/** The conditions of `--expect`, and the verdict on a result. */

import { UsageError } from "../flags.ts";
import { type BenchResult, PERCENTILES, type Summary } from "./result.ts";

type Comparison = "<" | "<=" | ">" | ">=" | "=";

const COMPARISONS: Readonly<Record<Comparison, (value: number, bound: number) => boolean>> = {
  "<": (value, bound) => value < bound,
  "<=": (value, bound) => value <= bound,
  ">": (value, bound) => value > bound,
  ">=": (value, bound) => value >= bound,
  "=": (value, bound) => value === bound,
};

const UNITS: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000 };

/** Facts that are zero in a run without a fault. */
export const FAULTS = ["lost", "reordered", "duplicated", "changed", "ended", "failed", "unsent"] as const;

const TIMES = ["min", "mean", ...Object.keys(PERCENTILES), "max"];

/** The facts that a condition may be about. */
export const FACTS: readonly string[] = [
  ...TIMES,
  ...TIMES.map((name) => `last.${name}`),
  ...FAULTS,
  ...["late", "endedSlow", "rate", "sent", "memory"],
];

export interface Expectation {
  readonly text: string;
  readonly fact: string;
  readonly comparison: Comparison;
  /** Milliseconds for a time. */
  readonly bound: number;
}

/** A condition and whether it is met. `value` is undefined if the run does not show it. */
export interface Verdict {
  readonly text: string;
  readonly met: boolean;
  readonly value: number | undefined;
  /** Whether the value is a time in milliseconds. */
  readonly time: boolean;
}

/** Parses a condition such as `p99<50ms`. Throws UsageError. */
export function parseExpectation(text: string): Expectation {
  const [, fact = "", comparison = "", number = "", unit = ""] =
    /^\s*([\w.]+)\s*(<=|>=|<|>|=)\s*(\d+(?:\.\d+)?)\s*(\w*)\s*$/.exec(text) ?? [];
  const refuse = (expected: string): never => {
    throw new UsageError(`cannot use --expect ${JSON.stringify(text)}: expected ${expected}`);
  };
  if (fact === "") return refuse('a fact, one of < <= > >= =, and a value, such as "p99<50ms"');
  if (!FACTS.includes(fact)) return refuse(`one of the facts ${FACTS.join(", ")}`);
  if (isTime(fact) !== unit in UNITS || (unit !== "" && !(unit in UNITS))) {
    return refuse(isTime(fact) ? "a time in us, ms or s" : "a number without a unit");
  }
  return { text: text.trim(), fact, comparison: comparison as Comparison, bound: Number(number) * (UNITS[unit] ?? 1) };
}

function isTime(fact: string): boolean {
  return TIMES.includes(fact.replace(/^last\./, ""));
}

/** The verdicts on the given conditions, and on faults for which no condition was given and which did happen. */
export function judge(expectations: readonly Expectation[], result: BenchResult): Verdict[] {
  const given = expectations.map(({ text, fact, comparison, bound }) => {
    const value = figureOf(fact, result);
    return { text, met: value !== undefined && COMPARISONS[comparison](value, bound), value, time: isTime(fact) };
  });
  const faults = FAULTS.filter((fact) => result.counts[fact] > 0 && !expectations.some((one) => one.fact === fact));
  return [
    ...given,
    ...faults.map((fact) => ({ text: `${fact}=0`, met: false, value: result.counts[fact], time: false })),
  ];
}

function figureOf(fact: string, { latency, last, counts, rate, memory }: BenchResult): number | undefined {
  if (fact === "rate") return rate.received;
  if (fact === "sent") return rate.sent;
  if (fact === "memory") return memory?.perConnection;
  if (isTime(fact)) {
    const summary = fact.startsWith("last.") ? last : latency;
    return summary?.[fact.replace(/^last\./, "") as keyof Summary];
  }
  return counts[fact as keyof typeof counts];
}
