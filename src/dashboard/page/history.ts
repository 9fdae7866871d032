/** What the page keeps of the updates: the seconds of 10 minutes, the ends in them, and the ended connections. */

import {
  ENDED_KEPT,
  type EndCount,
  type EndedRow,
  HISTORY_SECONDS,
  NUMBER_NAMES,
  type NumberName,
  type UpdateMessage,
} from "../feed.ts";

export class FeedHistory {
  /** The numbers of the seconds, the oldest first. */
  readonly seconds: number[] = [];
  /** The ended connections, the newest first. */
  ended: readonly EndedRow[] = [];
  readonly #columns: (number | null)[][] = NUMBER_NAMES.map(() => []);
  /** The largest value of each column, or null if it has to be looked for. */
  readonly #largest: (number | null)[] = NUMBER_NAMES.map(() => null);
  #endCounts: readonly EndCount[] = [];

  /** The newest second, or undefined. */
  get newest(): number | undefined {
    return this.seconds.at(-1);
  }

  /** The number of the newest ended connection, or undefined. */
  get newestEnded(): number | undefined {
    return this.ended[0]?.number;
  }

  get endCounts(): readonly EndCount[] {
    return this.#endCounts;
  }

  /** The values of a number, one for each of `seconds`. */
  column(name: NumberName): readonly (number | null)[] {
    return this.#columns[NUMBER_NAMES.indexOf(name)] ?? [];
  }

  /** The newest value of a number. */
  now(name: NumberName): number | null {
    return this.column(name).at(-1) ?? null;
  }

  /** The largest value of a number. Null: there is none. */
  largest(name: NumberName): number | null {
    const at = NUMBER_NAMES.indexOf(name);
    let largest = this.#largest[at] ?? null;
    if (largest !== null) return largest;
    for (const value of this.column(name)) if (value !== null && (largest === null || value > largest)) largest = value;
    this.#largest[at] = largest;
    return largest;
  }

  add(update: Pick<UpdateMessage, "samples" | "endCounts" | "ended">): void {
    for (const [second = null, ...values] of update.samples) {
      // A question that was replaced may have been answered before.
      if (second === null || second <= (this.newest ?? -1)) continue;
      this.seconds.push(second);
      this.#columns.forEach((column, at) => {
        const value = values[at] ?? null;
        column.push(value);
        const largest = this.#largest[at] ?? null;
        if (largest !== null && value !== null && value > largest) this.#largest[at] = value;
      });
    }
    const oldest = (this.newest ?? 0) - HISTORY_SECONDS;
    const old = this.seconds.findIndex((second) => second > oldest);
    if (old > 0) {
      this.seconds.splice(0, old);
      this.#columns.forEach((column, at) => {
        // Looked for again only if it has left.
        if (column.splice(0, old).includes(this.#largest[at] ?? null)) this.#largest[at] = null;
      });
    }
    const known = this.#endCounts.at(-1)?.[0] ?? -1;
    const later = update.endCounts.filter(([second]) => second > known);
    this.#endCounts = [...this.#endCounts, ...later].filter(([second]) => second > oldest);
    const newest = this.newestEnded ?? -1;
    const ends = update.ended.filter(({ number }) => number > newest).reverse();
    if (ends.length > 0) this.ended = [...ends, ...this.ended].slice(0, ENDED_KEPT);
  }

  clear(): void {
    for (const column of [this.seconds, ...this.#columns]) column.length = 0;
    this.#largest.fill(null);
    this.#endCounts = [];
    this.ended = [];
  }
}
