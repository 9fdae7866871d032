/** Server code that reads the entries of a topic in a loop: from the history, or from a ring of its own where there is none. */

import type { KeptEntry, TopicEntry } from "./entry.ts";
import { topicEntry } from "./entry.ts";
import type { HistoryBudget } from "./history-budget.ts";
import { type LiveLog, positionAt } from "./live-log.ts";
import { TOPIC_DEFAULTS } from "./options.ts";
import { type Gap, gapBehind } from "./position.ts";
import { Ring } from "./ring.ts";
import type { Start } from "./start.ts";

/** What waits for a loop over a topic without history. Nothing is too old: no history says what is. */
const MOST_WAITING = { ...TOPIC_DEFAULTS.history, age: Infinity };

export class Follower {
  readonly #topic: string;
  readonly #log: LiveLog;
  readonly #contiguous: boolean;
  readonly #gapTold: (gap: Gap) => void;
  /** The entries that it has not read. Undefined if the log has them. */
  readonly #unread: Ring | undefined;
  #offset: number;
  #gap: Gap | undefined;
  #wake: (() => void) | undefined;

  /** `budget`: that of the entries which wait for it, in a topic without history. */
  constructor(
    topic: string,
    log: LiveLog,
    start: Start,
    contiguous: boolean,
    gapTold: (gap: Gap) => void,
    budget: HistoryBudget | undefined,
  ) {
    this.#topic = topic;
    this.#log = log;
    this.#contiguous = contiguous;
    this.#gapTold = gapTold;
    this.#offset = start.position.offset;
    this.#gap = start.gap;
    const owner = { entryRemoved: () => undefined, entryEvicted: () => undefined };
    // A message that is larger than the limit must arrive, too.
    if (budget !== undefined) this.#unread = new Ring(MOST_WAITING, budget, owner, 1);
  }

  /** An entry has arrived. */
  appended(entry: KeptEntry): void {
    this.#unread?.push(entry);
    this.wake();
  }

  /** It reads no more. */
  end(): void {
    this.#unread?.clear();
  }

  /** All members have a gap. */
  gapFound(gap: Gap): void {
    this.#gap = gapBehind(gap, this.#gap, this.#offset, this.#contiguous);
    this.#offset = gap.to.offset;
    this.#unread?.clear();
    this.wake();
  }

  /** The entries belong to another epoch from now on: those behind a gap, too. */
  renewed(): void {
    const gap = this.#gap;
    if (gap !== undefined) this.#gap = { ...gap, to: { ...gap.to, epoch: this.#log.epoch } };
  }

  /** Something may have changed. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Resolves at the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** The next entry or gap. Undefined if there is none now; `"fill"` if older entries must be read first. */
  next(): TopicEntry | Gap | "fill" | undefined {
    if (this.#gap !== undefined) return this.#tell(this.#gap);
    for (let entry = this.#entry(); entry !== undefined; entry = this.#entry()) {
      if (entry === "fill") return "fill";
      if ("reason" in entry) return this.#tell(entry);
      this.#offset = entry.offset;
      this.#unread?.evictFirst();
      if (entry.problem === undefined) return topicEntry(this.#topic, this.#log.epoch, entry);
    }
    return undefined;
  }

  #entry(): KeptEntry | Gap | "fill" | undefined {
    const log = this.#log;
    if (this.#offset >= log.offset) return undefined;
    const ring = this.#unread ?? log.ring;
    const { first } = ring;
    if (first !== undefined && first.previous <= this.#offset) return ring.after(this.#offset);
    if (!log.filled) return "fill";
    const to = positionAt(log, first?.previous ?? log.offset);
    const count = this.#contiguous ? to.offset - this.#offset : undefined;
    return { topic: this.#topic, type: "gap", reason: "trimmed", from: positionAt(log, this.#offset), to, count };
  }

  #tell(gap: Gap): Gap {
    this.#gap = undefined;
    this.#offset = gap.to.offset;
    this.#gapTold(gap);
    return gap;
  }
}
