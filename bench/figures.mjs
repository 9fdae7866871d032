/** What the runs of a work say together: medians, ratios with their spread, and whether the goals are reached. */

export function median(values) {
  const sorted = values.filter((value) => value !== null && value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median and extremes. */
export function spread(values) {
  const known = values.filter((value) => Number.isFinite(value));
  if (known.length === 0) return null;
  return { median: median(known), least: Math.min(...known), most: Math.max(...known) };
}

/** How a pair of runs is compared, by measure: ours and theirs of the same minute. */
export const RATIOS = {
  rate: (ours, theirs) => ours.rate / theirs.rate,
  cpu: (ours, theirs) => ours.cpu / theirs.cpu,
  memory: (ours, theirs) => theirs.memory / ours.memory,
  growth: (ours, theirs) => theirs.growth / ours.growth,
};

/** The ratios of all pairs with one peer. */
export function ratiosOf(pairs) {
  return Object.fromEntries(
    Object.entries(RATIOS)
      .map(([measure, ratio]) => [measure, pairs.map(({ ours, theirs }) => ratio(ours, theirs))])
      .map(([measure, values]) => [measure, { each: values.filter((one) => Number.isFinite(one)), ...spread(values) }])
      .filter(([, { each }]) => each.length > 0),
  );
}

/** Every goal of a work with what came of it; no `value` where the peer was not there. */
export function judge(goals, { ours, against }) {
  return goals.map((goal) => {
    const value =
      goal.peer === undefined ? spread(ours.map((run) => run[goal.measure])) : against[goal.peer]?.[goal.measure];
    if (value === undefined || value === null) return { ...goal };
    const met = goal.atLeast === undefined ? value.median <= goal.atMost : value.median >= goal.atLeast;
    return { ...goal, value: value.median, met };
  });
}

/** The median of each figure over the runs of one server; a list of booleans is true if one is. */
export function summary(runs) {
  const [first] = runs;
  if (first === undefined) return {};
  return Object.fromEntries(
    Object.entries(first).map(([name, sample]) => {
      const values = runs.map((run) => run[name]);
      if (typeof sample === "boolean") return [name, values.includes(true)];
      if (typeof sample === "object" && sample !== null) return [name, summary(values)];
      return [name, median(values)];
    }),
  );
}
