/** Exponential backoff: growing pauses between attempts, with jitter so that many clients do not retry at the same time. */

/** Limits of the pauses, in milliseconds. */
export interface BackoffPauses {
  /** The maximum of the first pause. More than 0. */
  readonly base: number;
  /** The maximum of every pause. Finite. */
  readonly cap: number;
}

/** The pauses after a failed `accept` (EMFILE). Go's net/http uses the same values. Used with `NO_JITTER`. */
export const ACCEPT_PAUSES: BackoffPauses = Object.freeze({ base: 5, cap: 1_000 });

/** Replaces the source of random numbers for a backoff without jitter: each pause has its maximum length. */
export const NO_JITTER = (): number => 1;

/**
 * Exponential backoff with full jitter. Pause number `n`, counted from 0, is random: from 0 to `min(cap, base * 2 ** n)` ms.
 * Of the known forms of jitter, full jitter causes the least load on a server that becomes available again.
 */
export class Backoff {
  readonly #pauses: BackoffPauses;
  readonly #random: () => number;
  // Doubled and capped, not computed from a count of attempts: 2 ** 1e6 is Infinity, and Infinity times a random 0 is NaN.
  #longest: number;

  /** `random` returns numbers from 0 to 1, such as `Math.random`. */
  constructor(pauses: BackoffPauses, random: () => number) {
    this.#pauses = pauses;
    this.#random = random;
    this.#longest = Math.min(pauses.base, pauses.cap);
  }

  /** Returns the pause before the next attempt, in milliseconds, and doubles the maximum of the pause after it, up to `cap`. */
  next(): number {
    const pause = this.#random() * this.#longest;
    this.#longest = Math.min(this.#longest * 2, this.#pauses.cap);
    return pause;
  }

  /** Call this after a lasting success: the next pause is again at most `base`. */
  reset(): void {
    this.#longest = Math.min(this.#pauses.base, this.#pauses.cap);
  }
}
