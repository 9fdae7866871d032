/** Follows who is in one topic: a table, kept current by the changes that the hubs announce. */

import type { Broker, BrokerSubscription } from "../broker/broker.ts";
import { type Change, channelOfTopic, readChanges } from "./presence-form.ts";
import type { PresenceQuestion } from "./presence-question.ts";
import { type PresenceChange, PresenceTable, type PresentMember } from "./presence-table.ts";
import { decodeHubMessage } from "./wire-form.ts";

/** All members of a topic: the first event of a loop, and again if the loop was too slow for the changes. */
export interface PresenceList {
  readonly type: "present";
  readonly members: readonly PresentMember[];
}

export type PresenceEvent = PresenceList | PresenceChange;

/** Most changes that wait for one loop. Beyond them it gets the whole list. */
const MAX_WAITING = 1_000;
/** Most changes that wait for the answers of the hubs. Beyond them the hubs are asked again. */
const MAX_EARLY = 10_000;

/** One loop over the events. */
export class PresenceReader {
  #events: PresenceChange[] = [];
  #whole = true;
  #wake: (() => void) | undefined;
  readonly #watch: PresenceWatch;

  constructor(watch: PresenceWatch) {
    this.#watch = watch;
  }

  /** The next event. Undefined if there is none now. */
  next(): PresenceEvent | undefined {
    if (this.#whole && this.#watch.known) {
      this.#whole = false;
      return { type: "present", members: [...this.#watch.table.members()] };
    }
    return this.#events.shift();
  }

  changed(changes: readonly PresenceChange[]): void {
    if (!this.#whole) this.#events.push(...changes);
    if (this.#events.length > MAX_WAITING) {
      this.#events = [];
      this.#whole = true;
    }
    this.wake();
  }

  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Resolves at the next change. */
  waits(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

interface Early {
  readonly hub: string;
  readonly number: number;
  readonly changes: readonly Change[];
}

export class PresenceWatch {
  readonly table: PresenceTable = new PresenceTable();
  /** True if the table was filled once. */
  known = false;
  readonly #subscription: BrokerSubscription;
  readonly #ask: () => Promise<PresenceQuestion>;
  readonly #owner: { unused(): void; report(error: unknown): void };
  readonly #readers = new Set<PresenceReader>();
  /** Changes that came while a question is open. */
  #early: Early[] = [];
  #asking = false;
  #again = false;
  #closed = false;

  constructor(
    broker: Broker,
    topic: string,
    ask: () => Promise<PresenceQuestion>,
    owner: { unused(): void; report(error: unknown): void },
  ) {
    this.#ask = ask;
    this.#owner = owner;
    this.#subscription = broker.subscribe(channelOfTopic(topic), {
      entry: ({ message }) => this.#entry(message),
      interrupted: () => undefined,
      restored: () => this.askAgain(),
      invalid: (error) => owner.report(error),
    });
    this.#subscription.ready.then(
      () => this.askAgain(),
      () => undefined,
    );
  }

  add(): PresenceReader {
    const reader = new PresenceReader(this);
    this.#readers.add(reader);
    return reader;
  }

  remove(reader: PresenceReader): void {
    this.#readers.delete(reader);
    if (this.#readers.size > 0) return;
    this.close();
    this.#owner.unused();
  }

  close(): void {
    this.#closed = true;
    this.#subscription.close();
    for (const reader of this.#readers) reader.wake();
  }

  /** Something may be missing in the table. */
  askAgain(): void {
    if (this.#asking) this.#again = true;
    else void this.#fill();
  }

  hubGone(hub: string): void {
    this.#tell(this.table.remove(hub));
  }

  async #fill(): Promise<void> {
    this.#asking = true;
    do {
      this.#again = false;
      try {
        this.#replace(await this.#ask());
      } catch (error) {
        this.#owner.report(error);
        break;
      }
    } while (this.#again && !this.#closed);
    this.#asking = false;
  }

  #replace(question: PresenceQuestion): void {
    if (this.#closed) return;
    const { answers } = question;
    const changes: PresenceChange[] = [];
    for (const [hub, { version, members, left }] of answers)
      if (left === undefined) changes.push(...this.table.replace(hub, version, members));
    // A hub that lives and has not answered in time keeps its members, until its lease ends.
    if (question.complete)
      for (const hub of this.table.hubs) if (!answers.has(hub)) changes.push(...this.table.remove(hub));
    const early = this.#early;
    this.#early = [];
    for (const { hub, number, changes: later } of early) {
      const applied = this.table.apply(hub, number, later);
      if (applied === undefined) this.#again = true;
      else changes.push(...applied);
    }
    const first = !this.known;
    this.known = true;
    if (first) for (const reader of this.#readers) reader.wake();
    else this.#tell(changes);
  }

  #entry(message: Uint8Array): void {
    let decoded: ReturnType<typeof decodeHubMessage>;
    try {
      decoded = decodeHubMessage(message);
    } catch (error) {
      this.#owner.report(error);
      return;
    }
    const { node: hub, number, data } = decoded;
    const changes = typeof data === "string" ? readChanges(data) : undefined;
    if (changes === undefined) return;
    const applied = this.table.apply(hub, number, changes);
    if (applied !== undefined) {
      this.#tell(applied);
      return;
    }
    this.#early.push({ hub, number, changes });
    if (this.#early.length > MAX_EARLY) {
      this.#early = [];
      this.#again = true;
    }
    if (!this.#asking) this.askAgain();
  }

  #tell(changes: readonly PresenceChange[]): void {
    if (changes.length === 0) return;
    for (const reader of this.#readers) reader.changed(changes);
  }
}
