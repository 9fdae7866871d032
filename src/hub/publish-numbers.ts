/** Numbers the messages that a hub publishes, in each topic without holes. */

import { RecentMap } from "../engine/queue/recent-map.ts";

/** Most topics whose number is remembered. */
const MAX_TOPICS = 10_000;
const MODULUS = 2 ** 32;
/** The distance between the beginnings of two series. */
const SERIES = 2 ** 20;

export class PublishNumbers {
  readonly #last = new RecentMap<string, number>(MAX_TOPICS);
  /** A series that begins again must not seem to continue, or to repeat, an earlier one of the same topic. */
  #begin = 0;

  next(topic: string): number {
    const number = (this.last(topic) + 1) % MODULUS;
    this.#last.set(topic, number);
    return number;
  }

  /** The last number; before the first message, the one before it. */
  last(topic: string): number {
    const last = this.#last.get(topic);
    if (last !== undefined) return last;
    this.#begin = (this.#begin + SERIES) % MODULUS;
    this.#last.set(topic, this.#begin);
    return this.#begin;
  }
}
