/** A map that forgets what has not been used for long, without a search for the oldest. */

/**
 * Holds between `maximum` / 2 and `maximum` entries. To remove the oldest entry of a Map for each new one is slow: V8 leaves removed
 * entries in the table, and a search for the first one passes all of them. So there are two maps, and the older one is dropped as a whole.
 */
export class RecentMap<Key, Value> {
  readonly #half: number;
  #recent = new Map<Key, Value>();
  #older = new Map<Key, Value>();

  constructor(maximum: number) {
    this.#half = Math.ceil(maximum / 2);
  }

  /** At most `maximum`. An entry that was set twice may count twice. */
  get size(): number {
    return this.#recent.size + this.#older.size;
  }

  get(key: Key): Value | undefined {
    return this.#recent.get(key) ?? this.#older.get(key);
  }

  /** Adds or replaces the entry, and makes it the latest. */
  set(key: Key, value: Value): void {
    if (this.#recent.size >= this.#half && !this.#recent.has(key)) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, value);
  }

  delete(key: Key): void {
    this.#recent.delete(key);
    this.#older.delete(key);
  }

  clear(): void {
    this.#recent.clear();
    this.#older.clear();
  }
}
