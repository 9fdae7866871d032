/** Whether numbered messages arrive completely and in order. */

/** Missing numbers that are remembered. Beyond them an old message counts as duplicated, as nothing tells otherwise. */
const MAX_MISSING = 65_536;

/** Checks the numbers 0, 1, 2 ... of one sender at one receiver. */
export class SequenceCheck {
  #next = 0;
  #missing: Set<number> | undefined;
  /** Messages that arrived, each counted once. */
  received = 0;
  /** Messages that arrived after a later one. */
  reordered = 0;
  /** Messages that arrived again. */
  duplicated = 0;

  /** A message with this number has arrived. Returns false if it had arrived before. */
  arrived(number: number): boolean {
    if (number === this.#next) {
      this.#next += 1;
    } else if (number > this.#next) {
      this.#missing ??= new Set();
      for (let one = this.#next; one < number && this.#missing.size < MAX_MISSING; one++) this.#missing.add(one);
      this.#next = number + 1;
    } else if (this.#missing?.delete(number)) {
      this.reordered += 1;
    } else {
      this.duplicated += 1;
      return false;
    }
    this.received += 1;
    return true;
  }
}
