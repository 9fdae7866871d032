/** Pools of parts in their initial state, which the connections of one server share. */

// A pool mostly holds one part: a connection returns its part after a chunk, and the next connection takes it for its chunk.
const MAX_PARTS = 8;

export class PartPool<T> {
  readonly #parts: T[] = [];

  get(): T | undefined {
    return this.#parts.pop();
  }

  /** Returns false if the pool is full. */
  put(part: T): boolean {
    return this.#parts.length < MAX_PARTS && this.#parts.push(part) > 0;
  }
}

/**
 * The pools of one protocol and its options. If each of 1,000 connections had its own parts, each message would find them outside
 * the processor's cache. Parts that connections share stay in the cache. `lazy-parts.ts` knows the types of the parts: they refer
 * to the protocol, which holds this object.
 */
export interface PartPools<ReadPump = unknown, Outbox = unknown, Dispatcher = unknown> {
  readonly readPumps: PartPool<ReadPump>;
  readonly outboxes: PartPool<Outbox>;
  readonly dispatchers: PartPool<Dispatcher>;
}

export function newPartPools(): PartPools {
  return { readPumps: new PartPool(), outboxes: new PartPool(), dispatchers: new PartPool() };
}
