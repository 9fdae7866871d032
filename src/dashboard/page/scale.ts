/** Where the ticks of an axis are: at round values. */

/** The ticks from 0 up to a round value that is at least `largest`: at most `most` behind 0. `whole`: no parts of 1. */
export function ticks(largest: number, most: number, whole: boolean): number[] {
  const least = Math.max(largest, whole ? 1 : Number.MIN_VALUE) / most;
  const power = 10 ** Math.floor(Math.log10(least));
  const step = Math.max(
    whole ? 1 : 0,
    power * ([1, 2, 5, 10].find((factor) => factor * power >= least * (1 - 1e-9)) ?? 10),
  );
  const count = Math.max(1, Math.ceil(largest / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, at) => at * step);
}

/** The multiples of `step` between two times, in the viewer's time zone. */
export function timeTicks(from: number, to: number, step: number, offset: number): number[] {
  const first = Math.ceil((from + offset) / step) * step - offset;
  return Array.from({ length: Math.max(0, Math.floor((to - first) / step) + 1) }, (_, at) => first + at * step);
}
