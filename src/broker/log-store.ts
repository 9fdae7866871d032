/** The logs of all topics in the memory of one process, bounded in all. The memory broker and the workers' broker use it. */

import { after, type Clock, type Instant, type Wakeup } from "../base/time.ts";
import type { BrokerEntry, BrokerPublishOptions, Published, ReadRequest, Slice } from "./broker.ts";
import { producerFenced, publishRefused } from "./failures.ts";
import { TopicLog } from "./topic-log.ts";

/** How much is kept in all. */
export interface LogStoreLimits {
  readonly maxBytes: number;
  readonly maxTopics: number;
}

/** What the memory broker and the workers' broker keep by default. */
export const LOG_STORE_DEFAULTS: LogStoreLimits = Object.freeze({ maxBytes: 268_435_456, maxTopics: 1_000_000 });

/** How often a part of the topics is searched for entries that are too old, in milliseconds, and how many parts there are. */
const SWEEP = { pause: 5_000, parts: 4 };
/**
 * A topic without entries is forgotten when it was not used for this time, in milliseconds. It is longer than any cut after which
 * a client comes back with its position, because the epoch is another one then.
 */
const FORGET_AFTER = 3_600_000;

/** An appended message. `entry` is undefined for a duplicate, which is not delivered. */
export interface Appended {
  readonly published: Published;
  readonly entry: BrokerEntry | undefined;
}

export class LogStore {
  readonly #clock: Clock;
  readonly #newEpoch: () => string;
  readonly #isSubscribed: (topic: string) => boolean;
  readonly #limits: LogStoreLimits;
  /** The topic that was published to least recently is the first. */
  readonly #logs = new Map<string, TopicLog>();
  /** Those with entries, in the same order. */
  readonly #filled = new Set<TopicLog>();
  #size = 0;
  #sweeper: Wakeup | undefined;
  #swept: Iterator<[string, TopicLog]> | undefined;

  /** A topic is not forgotten while `isSubscribed` returns true for it. */
  constructor(
    clock: Clock,
    newEpoch: () => string,
    isSubscribed: (topic: string) => boolean,
    limits: LogStoreLimits = LOG_STORE_DEFAULTS,
  ) {
    this.#clock = clock;
    this.#newEpoch = newEpoch;
    this.#isSubscribed = isSubscribed;
    this.#limits = limits;
  }

  /** About how much memory the logs use, in bytes. */
  get size(): number {
    return this.#size;
  }

  get topics(): number {
    return this.#logs.size;
  }

  /** Throws ClosedError if the producer is fenced, and LimitError for a message that is longer than the store. */
  publish(
    topic: string,
    message: Uint8Array,
    { history, id, fence }: Pick<BrokerPublishOptions, "history" | "id" | "fence">,
  ): Appended {
    if (fence !== undefined && this.#logs.get(topic)?.isFenced(fence.producer, fence.attempt) === true) {
      throw producerFenced(fence.producer, fence.attempt);
    }
    if (history === undefined) {
      const entry = { epoch: "", offset: 0, previous: undefined, message };
      return { published: { epoch: "", offset: 0, duplicate: false }, entry };
    }
    const { maxBytes } = this.#limits;
    if (message.length > maxBytes) throw publishRefused("maxBytes", maxBytes, message.length, message);
    const now = this.#clock.now();
    const log = this.#logOf(topic, now);
    const before = log.size;
    if (id !== undefined) log.trim(now);
    const known = id === undefined ? undefined : log.offsetOf(id);
    if (known !== undefined) {
      this.#size += log.size - before;
      return { published: { epoch: log.epoch, offset: known, duplicate: true }, entry: undefined };
    }
    const entry = log.append(message, id, history, now);
    this.#size += log.size - before;
    this.#logs.delete(topic);
    this.#logs.set(topic, log);
    this.#filled.delete(log);
    if (log.length > 0) this.#filled.add(log);
    this.#removeBeyondLimits(topic);
    return { published: { epoch: entry.epoch, offset: entry.offset, duplicate: false }, entry };
  }

  read(topic: string, request: ReadRequest): Slice {
    const now = this.#clock.now();
    const log = this.#logOf(topic, now);
    const before = log.size;
    const slice = log.read(request, now);
    this.#size += log.size - before;
    return slice;
  }

  renew(topic: string, epoch: string): string {
    const log = this.#logOf(topic, this.#clock.now());
    if (log.epoch === epoch) log.renew(this.#newEpoch());
    return log.epoch;
  }

  claim(topic: string, producer: string, attempt: number): boolean {
    const now = this.#clock.now();
    const log = this.#logOf(topic, now);
    const before = log.size;
    const claimed = log.claim(producer, attempt, now);
    this.#size += log.size - before;
    this.#removeBeyondLimits(topic);
    return claimed;
  }

  /** Forgets everything. */
  clear(): void {
    this.#sweeper?.cancel();
    this.#sweeper = undefined;
    this.#logs.clear();
    this.#filled.clear();
    this.#size = 0;
  }

  #logOf(topic: string, now: Instant): TopicLog {
    let log = this.#logs.get(topic);
    if (log === undefined) {
      log = new TopicLog(this.#newEpoch(), now);
      this.#logs.set(topic, log);
      this.#removeBeyondLimits(topic);
      this.#sweeper ??= this.#sweepLater(now);
    }
    return log;
  }

  /** Removes the oldest entries of the topics that were published to least recently, then these topics. */
  #removeBeyondLimits(used: string): void {
    const { maxBytes, maxTopics } = this.#limits;
    if (this.#size <= maxBytes && this.#logs.size <= maxTopics) return;
    const least = (log: TopicLog): number => (log === this.#logs.get(used) ? 1 : 0);
    for (const log of this.#filled) {
      while (this.#size > maxBytes && log.length > least(log)) {
        const before = log.size;
        log.removeFirst();
        this.#size += log.size - before;
      }
      if (log.length === 0) this.#filled.delete(log);
      if (this.#size <= maxBytes) break;
    }
    for (const [topic, log] of this.#logs) {
      if (this.#size <= maxBytes && this.#logs.size <= maxTopics) break;
      if (topic !== used) this.#forget(topic, log);
    }
  }

  #forget(topic: string, log: TopicLog): void {
    this.#size -= log.size;
    this.#logs.delete(topic);
    this.#filled.delete(log);
  }

  #sweepLater(now: Instant): Wakeup {
    return this.#clock.wakeAt(after(now, SWEEP.pause), (later) => {
      this.#sweep(later);
      this.#sweeper = this.#logs.size === 0 ? undefined : this.#sweepLater(later);
    });
  }

  /** Removes what is too old in a part of the topics. */
  #sweep(now: Instant): void {
    this.#swept ??= this.#logs.entries();
    for (let count = Math.ceil(this.#logs.size / SWEEP.parts); count > 0; count -= 1) {
      const { done, value } = this.#swept.next();
      if (done) {
        this.#swept = undefined;
        return;
      }
      const [topic, log] = value;
      const before = log.size;
      log.trim(now);
      this.#size += log.size - before;
      if (log.length > 0) continue;
      this.#filled.delete(log);
      if (log.idleFor(now) >= FORGET_AFTER && !this.#isSubscribed(topic)) this.#forget(topic, log);
    }
  }
}
