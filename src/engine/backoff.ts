/** Pauses between attempts: longer and longer up to a cap, and scattered so that many do not come back at once. */

/** Lengths in milliseconds; `base` is more than 0, `cap` is finite. */
export interface Pauses {
  /** The longest first pause. */
  readonly base: number;
  /** The longest pause of all. */
  readonly cap: number;
}

/** Between attempts to accept after a failed one (EMFILE). Go's net/http has the same. To be used with `UNSCATTERED`. */
export const ACCEPT_PAUSES: Pauses = Object.freeze({ base: 5, cap: 1_000 });

/** In place of a source of random numbers: each pause is then the longest that it may be. */
export const UNSCATTERED = (): number => 1;

/**
 * Exponential backoff with full jitter: the pause after `n` failures is anything from 0 to `min(cap, base * 2 ** n)`.
 * Of the known ways to scatter, the one with the least work for a server that comes back.
 */
export class Backoff {
  readonly #pauses: Pauses;
  readonly #random: () => number;
  // Doubled and capped, never computed from a count: 2 ** 1e6 is Infinity, and so would be its product with a random 0.
  #longest: number;

  /** `random` gives numbers from 0 to 1. */
  constructor(pauses: Pauses, random: () => number) {
    this.#pauses = pauses;
    this.#random = random;
    this.#longest = Math.min(pauses.base, pauses.cap);
  }

  /** How long to pause before the next attempt, in milliseconds. */
  next(): number {
    const pause = this.#random() * this.#longest;
    this.#longest = Math.min(this.#longest * 2, this.#pauses.cap);
    return pause;
  }

  /** An attempt has succeeded for good: the next pause is a first one again. */
  restored(): void {
    this.#longest = Math.min(this.#pauses.base, this.#pauses.cap);
  }
}
