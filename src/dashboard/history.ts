/** The numbers of the last 10 minutes: one value of each number for each second, in memory of a fixed size. */

import { HISTORY_SECONDS, NUMBER_NAMES, type NumberName, type Sample } from "./feed.ts";

/** The numbers of one second. A number that is absent or NaN is not known. */
export type Numbers = Partial<Record<NumberName, number | undefined>>;

const WIDTH = NUMBER_NAMES.length;

export class History {
  readonly #values: Float64Array = new Float64Array(HISTORY_SECONDS * WIDTH);
  /** The second in each place. A second in which the event loop was blocked has none. */
  readonly #seconds: Float64Array = new Float64Array(HISTORY_SECONDS).fill(-1);
  #newest = -1;

  /** The newest second. -1 before the first one. */
  get newest(): number {
    return this.#newest;
  }

  add(second: number, numbers: Numbers): void {
    const place = second % HISTORY_SECONDS;
    this.#seconds[place] = second;
    this.#newest = second;
    NUMBER_NAMES.forEach((name, index) => {
      this.#values[place * WIDTH + index] = numbers[name] ?? Number.NaN;
    });
  }

  /** The samples behind `second`, the oldest first. */
  after(second: number): Sample[] {
    const samples: Sample[] = [];
    const oldest = Math.max(second + 1, this.#newest - HISTORY_SECONDS + 1, 0);
    for (let at = oldest; at <= this.#newest; at += 1) {
      const place = at % HISTORY_SECONDS;
      if (this.#seconds[place] !== at) continue;
      const values = this.#values.subarray(place * WIDTH, (place + 1) * WIDTH);
      samples.push([at, ...Array.from(values, (value) => (Number.isNaN(value) ? null : shortNumber(value)))]);
    }
    return samples;
  }
}

/** With three decimals at most, so that the text is short. */
function shortNumber(value: number): number {
  return Number.isInteger(value) ? value : Math.round(value * 1_000) / 1_000;
}
