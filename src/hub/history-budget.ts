/** What the histories of all topics of a hub hold in memory together, and which entries leave first at the limit. */

/** The entries of one topic, as the budget uses them. */
export interface BudgetedRing {
  readonly size: number;
  /** True while members are behind, which read from it. */
  readonly inUse: boolean;
  /** Removes the oldest entry, which the log of the broker still has. */
  evictFirst(): void;
}

/** What an entry takes beside its bytes: its object, the object of its bytes, and the name of its hub. */
const OVERHEAD = 256;

/** What an entry of so many bytes takes. */
export function costOf(bytes: number): number {
  return bytes + OVERHEAD;
}

export class HistoryBudget {
  readonly #most: number;
  readonly #counts: { historyBytes: number };
  /** Those with entries. The one that got an entry least recently is the first. */
  readonly #rings = new Set<BudgetedRing>();
  #latest: BudgetedRing | undefined;

  /** `most` in bytes. `counts` gets the number of bytes that are held. */
  constructor(most: number, counts: { historyBytes: number }) {
    this.#most = most;
    this.#counts = counts;
  }

  /** A ring has got entries that take `cost` bytes. */
  add(ring: BudgetedRing, cost: number): void {
    if (ring !== this.#latest) {
      this.#rings.delete(ring);
      this.#rings.add(ring);
      this.#latest = ring;
    }
    this.#counts.historyBytes += cost;
  }

  /** Entries that take `cost` bytes were removed from a ring. */
  remove(ring: BudgetedRing, cost: number): void {
    this.#counts.historyBytes -= cost;
    if (ring.size > 0) return;
    this.#rings.delete(ring);
    if (ring === this.#latest) this.#latest = undefined;
  }

  /** Removes entries beyond the limit. The last `keeps` ones of `used` stay, also beyond it: they are needed now. */
  enforce(used: BudgetedRing, keeps: number): void {
    if (this.#counts.historyBytes <= this.#most) return;
    // What members need that are behind would only be read again.
    for (const inUse of [false, true]) {
      for (const ring of this.#rings) {
        if (ring.inUse !== inUse) continue;
        const least = ring === used ? keeps : 0;
        while (this.#counts.historyBytes > this.#most && ring.size > least) ring.evictFirst();
        if (this.#counts.historyBytes <= this.#most) return;
      }
    }
  }
}
