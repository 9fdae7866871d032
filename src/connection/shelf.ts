/** Where the connections of one server leave parts that are at rest, for whoever is next to need one. */

import type { Delivery } from "./delivery.js";
import type { Intake } from "./intake.js";
import type { Outbox } from "./outbox.js";

// Almost always there is one of each at most: who leaves it has handled a chunk, and so has the next who takes it.
const MOST = 8;

export class Shelf<T> {
  readonly #parts: T[] = [];

  take(): T | undefined {
    return this.#parts.pop();
  }

  /** False if there are enough. */
  put(part: T): boolean {
    return this.#parts.length < MOST && this.#parts.push(part) > 0;
  }
}

/**
 * Those of one wire and its options. With a set of parts for each of 1,000 connections, every message would find them outside
 * the processor's cache; one that goes from hand to hand stays in it.
 */
export class Shelves {
  readonly intakes: Shelf<Intake> = new Shelf();
  readonly outboxes: Shelf<Outbox> = new Shelf();
  readonly deliveries: Shelf<Delivery> = new Shelf();
}
