/** Makes the list of choices of a failing run small, while the same rule is broken. */

import { FIXED, type Outcome, PER_STEP, type Settings, simulate } from "./simulate.ts";

/** Returns the smallest list that was found in `length` milliseconds, without the zeros at its end. */
export async function shrink(
  failing: Outcome,
  { length = 8_000, ...settings }: Settings & { readonly length?: number } = {},
  run: typeof simulate = simulate,
): Promise<readonly number[]> {
  const rule = failing.violations[0]?.rule;
  const end = performance.now() + length;
  let best = trimmed(failing.choices);
  const better = async (list: readonly number[]): Promise<boolean> => {
    if (performance.now() > end) return false;
    const { violations } = await run(list, settings);
    if (violations[0]?.rule !== rule) return false;
    best = trimmed(list);
    return true;
  };
  for (let size = -1, rounds = 0; size !== best.length && rounds < 20; rounds += 1) {
    size = best.length;
    // Whole steps, many at once at first.
    const steps = (): number => Math.ceil((best.length - FIXED) / PER_STEP);
    for (let many = steps(); many >= 1; many = Math.floor(many / 2)) {
      for (let at = steps() - many; at >= 0; at -= many) {
        const from = FIXED + at * PER_STEP;
        await better([...best.slice(0, from), ...best.slice(from + many * PER_STEP)]);
      }
    }
    for (let index = best.length - 1; index >= 0; index -= 1) {
      const value = best[index] ?? 0;
      if (value === 0) continue;
      for (const plainer of [0, value >> 1, value - 1])
        if (await better(best.map((one, at) => (at === index ? plainer : one)))) break;
    }
  }
  return best;
}

function trimmed(list: readonly number[]): readonly number[] {
  return list.slice(0, list.findLastIndex((one) => one !== 0) + 1);
}
