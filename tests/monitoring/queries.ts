/** Builds PromQL from the vocabulary: a metric, a label or a value that the process does not expose cannot be written. */

import { METRICS, type MetricName } from "../../src/base/vocabulary.ts";

/** The series of a histogram in Prometheus. */
type HistogramSeries = `${MetricName}_${"bucket" | "sum" | "count"}`;

/** For each label, the one value or the values that it may have. */
export type Matchers = Readonly<Record<string, string | readonly string[]>>;

/**
 * A selector. `more` has further matchers as text, of labels that Prometheus adds, such as `job`. Throws RangeError for a label or a
 * value that the vocabulary does not have.
 */
export function select(
  name: MetricName | HistogramSeries,
  matchers: Matchers = {},
  more: readonly string[] = [],
): string {
  const base = (Object.hasOwn(METRICS, name) ? name : name.replace(/_(bucket|sum|count)$/, "")) as MetricName;
  const { type, labels } = METRICS[base];
  if ((type === "histogram") === (base === name)) throw new RangeError(`${name} is no series: ${base} is a ${type}`);
  const own = Object.entries(matchers).map(([label, given]) => {
    const values = [given].flat();
    for (const value of values)
      if (!labels[label]?.includes(value)) throw new RangeError(`${base} has no series with ${label} ${value}`);
    // A dot of a value stands for any character in a regular expression. No two values differ only there.
    return values.length === 1 ? `${label}="${values[0]}"` : `${label}=~"${values.join("|")}"`;
  });
  const all = [...own, ...more];
  return all.length === 0 ? name : `${name}{${all.join(",")}}`;
}

/** The metrics that a query names: each with the values that it requires of labels. */
export function namedIn(
  query: string,
): { readonly series: string; readonly matchers: ReadonlyMap<string, string[]> }[] {
  return Array.from(query.matchAll(/\b(holdfast_\w+)(?:\{([^}]*)\})?/g), ([, series = "", text = ""]) => {
    const matchers = Array.from(
      text.matchAll(/(\w+)(=~|!=|!~|=)"([^"]*)"/g),
      ([, label = "", , value = ""]): [string, string[]] => [label, value.split("|")],
    );
    return { series, matchers: new Map(matchers) };
  });
}

// What Prometheus adds to each series.
const TARGET_LABELS = ["job", "instance", "le"];

/** What a query names that no process of this version exposes, one text each. Reads the text, not how it was built. */
export function unknownIn(query: string): string[] {
  return namedIn(query).flatMap(({ series, matchers }) => {
    const [name, facts] =
      Object.entries(METRICS).find(([metric, { type }]) =>
        type === "histogram"
          ? ["bucket", "sum", "count"].some((suffix) => series === `${metric}_${suffix}`)
          : series === metric,
      ) ?? [];
    if (name === undefined || facts === undefined) return [`there is no series ${series}`];
    return [...matchers].flatMap(([label, values]) => {
      if (TARGET_LABELS.includes(label)) return [];
      const known = facts.labels[label] ?? [];
      return values.filter((value) => !known.includes(value)).map((value) => `${series} has no ${label} ${value}`);
    });
  });
}
