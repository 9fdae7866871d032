/** Limits how often something may happen: a number of times per second, and as many at once after a pause. */

import { between, type Instant } from "../../base/time.ts";

/** A full bucket has `size` tokens, and `size` tokens are added per second. So an empty bucket is full after one second. */
export class TokenBucket {
  readonly #size: number;
  #tokens: number;
  /** When `#tokens` was computed. */
  #at: Instant;

  constructor(size: number, now: Instant) {
    this.#size = size;
    this.#tokens = size;
    this.#at = now;
  }

  /** Takes a token. Returns false if there is none. */
  take(now: Instant): boolean {
    this.#tokens = Math.min(this.#size, this.#tokens + (between(this.#at, now) * this.#size) / FILL_TIME);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** The time from the last `take` until there is a token, in milliseconds. */
  get wait(): number {
    return Math.max(0, ((1 - this.#tokens) * FILL_TIME) / this.#size);
  }
}

/** The time in which an empty bucket becomes full, in milliseconds. */
export const FILL_TIME = 1_000;
