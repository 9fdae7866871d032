/** Entries of one topic that came before the one that precedes them, for a short time. */

import { clearTimeout, setTimeout } from "../../transport/timers.ts";
import type { BrokerEntry } from "../broker.ts";

/**
 * nats-server 2.9 stores a message under a lock and republishes it after that. So a message of one publisher may be republished after
 * later ones of another, usually less than a millisecond. After this time the entry counts as lost. In milliseconds.
 */
const LONGEST_DELAY = 250;
const MAX_ENTRIES = 1_000;
const MAX_BYTES = 1_048_576;

export class EarlyEntries {
  /** By the offset of the entry before. */
  readonly #entries = new Map<number, BrokerEntry>();
  readonly #timer: ReturnType<typeof setTimeout>;
  #bytes = 0;

  /** `expired` is called after the longest delay of the first entry. */
  constructor(expired: () => void) {
    this.#timer = setTimeout(expired, LONGEST_DELAY);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Returns false if too many wait. */
  add(entry: BrokerEntry): boolean {
    this.#entries.set(entry.previous ?? 0, entry);
    this.#bytes += entry.message.length;
    return this.#entries.size < MAX_ENTRIES && this.#bytes < MAX_BYTES;
  }

  /** Removes and returns the entry that follows this offset. */
  after(offset: number): BrokerEntry | undefined {
    const found = this.#entries.get(offset);
    this.#entries.delete(offset);
    this.#bytes -= found?.message.length ?? 0;
    return found;
  }

  /** All of them, in the order of the log. */
  all(): BrokerEntry[] {
    return [...this.#entries.values()].sort((one, other) => one.offset - other.offset);
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
