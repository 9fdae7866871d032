/** The entries of a topic that no broker keeps. The hub numbers them itself, and a loss is a gap: nothing can be read again. */

import type { BrokerEntry, BrokerListener, BrokerSubscription, HistoryLimits } from "../broker/broker.ts";
import { RecentMap } from "../engine/queue/recent-map.ts";
import { type KeptEntry, keptEntry } from "./entry.ts";
import { type LiveLog, type LogOwner, type LogSetup, positionOf } from "./live-log.ts";
import type { Position } from "./position.ts";
import { Ring, type RingOwner } from "./ring.ts";

/** Most hubs of which the number of the last message is remembered. */
const MAX_NODES = 1_024;
/** A larger step is another series of numbers: the hub has left the topic, and published in it again. */
const LARGEST_STEP = 100_000;

export class LooseLog implements LiveLog, BrokerListener, RingOwner {
  readonly #topic: string;
  readonly #setup: LogSetup;
  readonly #owner: LogOwner;
  readonly #subscription: BrokerSubscription;
  readonly #numbers = new RecentMap<string, number>(MAX_NODES);
  readonly epoch: string;
  readonly ring: Ring;
  offset = 0;
  last: KeptEntry | undefined;
  removed: KeptEntry | undefined;
  readonly filled = true;
  live = false;
  closed = false;
  readonly #ready: Promise<void>;

  constructor(topic: string, history: HistoryLimits, epoch: string, setup: LogSetup, owner: LogOwner) {
    this.#topic = topic;
    this.epoch = epoch;
    this.#setup = setup;
    this.#owner = owner;
    this.ring = new Ring(history, setup.budget, this);
    this.#subscription = setup.broker.subscribe(topic, this);
    this.#ready = this.#subscription.ready.then(
      () => {
        this.live = !this.closed;
      },
      () => undefined,
    );
  }

  get position(): Position {
    return positionOf(this);
  }

  verified(): Promise<void> {
    return this.#ready;
  }

  verifiedAfter(): Promise<void> {
    return Promise.resolve();
  }

  fill(): Promise<void> {
    return Promise.resolve();
  }

  trim(): void {
    this.ring.trim(this.#setup.clock.now());
  }

  probe(): void {
    this.trim();
  }

  close(): void {
    this.closed = true;
    this.live = false;
    this.#subscription.close();
    this.ring.clear();
  }

  // RingOwner

  entryRemoved(entry: KeptEntry): void {
    this.removed = entry;
  }

  entryEvicted(): void {
    // There is no log to read it from: to a member that is behind it is a gap.
  }

  // BrokerListener

  interrupted(cause: unknown): void {
    this.#owner.suspected(cause);
  }

  restored(): void {
    // What the other hubs have published meanwhile cannot be read.
    this.#numbers.clear();
    if (this.live) this.#lose(undefined);
    this.#owner.healed(0);
  }

  invalid(error: Error, offset: number | undefined): void {
    this.#owner.unreadable(error, offset);
  }

  entry({ message }: BrokerEntry): void {
    const offset = this.offset + 1;
    const kept = keptEntry({ offset, previous: this.offset, bytes: message, at: this.#setup.clock.now() });
    if (kept.problem !== undefined) {
      this.#owner.unreadable(kept.problem, undefined);
      return;
    }
    const lost = this.#lostBefore(kept);
    if (lost > 0) {
      const { counts } = this.#setup;
      counts.holes += 1;
      counts.toldHoles += 1;
      this.#lose(lost);
      this.#append(keptEntry({ offset: this.offset + 1, previous: this.offset, bytes: message, at: kept.at }));
    } else this.#append(kept);
  }

  #append(kept: KeptEntry): void {
    this.ring.push(kept);
    this.last = kept;
    this.offset = kept.offset;
    this.#owner.appended(kept);
  }

  /** How many messages of the same hub should have come before this one. */
  #lostBefore({ node, number }: KeptEntry): number {
    const before = this.#numbers.get(node);
    this.#numbers.set(node, number);
    const step = before === undefined ? 1 : (number - before) >>> 0;
    return step > 0 && step <= LARGEST_STEP ? step - 1 : 0;
  }

  #lose(count: number | undefined): void {
    const from = this.position;
    // An unknown number counts as one, so that a position before the gap differs from the one behind it.
    this.offset += count ?? 1;
    this.last = undefined;
    this.removed = undefined;
    this.ring.clear();
    this.#owner.gapFound({ type: "gap", topic: this.#topic, reason: "lost", from, to: this.position, count });
  }
}
