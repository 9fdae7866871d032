/** Numbers the messages that a hub publishes, in each topic without holes. */

const MAX_TOPICS = 10_000;
const MODULUS = 2 ** 32;

export class PublishNumbers {
  readonly #last = new Map<string, number>();
  /** A series that begins again must not seem to continue, or to repeat, an earlier one of the same topic. */
  #begin = 0;

  next(topic: string): number {
    const last = this.#last.get(topic);
    if (last === undefined) return this.#first(topic);
    const number = (last + 1) % MODULUS;
    this.#last.set(topic, number);
    return number;
  }

  #first(topic: string): number {
    for (const oldest of this.#last.keys()) {
      if (this.#last.size < MAX_TOPICS) break;
      this.#last.delete(oldest);
    }
    this.#begin = (this.#begin + 2 ** 20) % MODULUS;
    this.#last.set(topic, this.#begin);
    return this.#begin;
  }
}
