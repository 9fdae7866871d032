/** Counts of events in the runs, by name. A campaign fails if one of the wanted names is too rare. */

export class Reach {
  readonly counts: Map<string, number> = new Map();

  /** Counts the name once per run. */
  readonly #seen = new Set<string>();

  saw(name: string): void {
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  nextRun(): void {
    this.#seen.clear();
  }
}
