/**
 * The choices of a run. They are drawn from a seed and recorded, so that a run can be repeated from the list and made smaller: 0 is
 * always the plainest choice, and behind the end of a list there is nothing but zeros.
 */

/** A generator of numbers from 0 to 1: mulberry32. */
export function numbers(seed: number): () => number {
  let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export class Entropy {
  /** The choices so far. */
  readonly choices: number[] = [];
  readonly #given: readonly number[] | undefined;
  readonly #random: () => number;
  /** The number of choices of a seed's run. */
  readonly #length: number;

  /** A seed, or the choices of an earlier run. `fixed` is the number of choices in front of the steps. */
  constructor(source: number | readonly number[], fixed: number, perStep: number) {
    this.#given = typeof source === "number" ? undefined : source;
    this.#random = numbers(typeof source === "number" ? source : 0);
    this.#length = fixed + perStep * (6 + Math.floor(this.#random() * 26));
  }

  /** True if there are further choices. */
  get more(): boolean {
    return this.choices.length < (this.#given?.length ?? this.#length);
  }

  /** A choice from 0 to `count` - 1. */
  pick(count: number): number {
    const given =
      this.#given === undefined ? Math.floor(this.#random() * count) : (this.#given[this.choices.length] ?? 0);
    const choice = given % count;
    this.choices.push(choice);
    return choice;
  }
}
