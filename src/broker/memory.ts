/** A broker in the memory of this process, for hubs of one process and for tests. */

import { reasonOf } from "../base/forms.ts";
import { judgeOptions } from "../base/judge.ts";
import { between, type Clock, type Instant } from "../base/time.ts";
import { systemClock } from "../transport/clock.ts";
import { randomToken } from "../transport/random.ts";
import { judgePublication, judgeTopicName } from "./arguments.ts";
import {
  type Broker,
  type BrokerEntry,
  type BrokerHonours,
  type BrokerListener,
  type BrokerPublishOptions,
  type BrokerSubscription,
  type HistoryLimits,
  ONCE_WINDOW,
  type Published,
  type ReadRequest,
  type Slice,
} from "./broker.ts";
import { brokerClosed, producerFenced } from "./failures.ts";

/** Options of `memoryBroker`. */
export interface MemoryBrokerOptions {
  /** The source of time, for the age of messages. @default the system's */
  readonly clock?: Clock | undefined;
}

/** Most ids that the log of one topic remembers. A topic with more of them within `ONCE_WINDOW` forgets the oldest. */
const MAX_IDS = 100_000;

interface Kept {
  readonly entry: BrokerEntry;
  readonly at: Instant;
}

/** The log of one topic. */
class TopicLog {
  epoch: string = randomToken();
  top = 0;
  bytes = 0;
  kept: Kept[] = [];
  readonly ids: Map<string, { readonly offset: number; readonly at: Instant }> = new Map();
  readonly fences: Map<string, number> = new Map();

  get first(): number {
    return this.kept[0]?.entry.offset ?? this.top + 1;
  }

  append(message: Uint8Array, limits: HistoryLimits, now: Instant): BrokerEntry {
    this.top += 1;
    const entry = { epoch: this.epoch, offset: this.top, previous: undefined, message };
    this.kept.push({ entry, at: now });
    this.bytes += message.length;
    this.trim(limits, now);
    return entry;
  }

  trim({ messages, bytes, age }: HistoryLimits, now: Instant): void {
    let removed = 0;
    for (const { entry, at } of this.kept) {
      const fits = this.kept.length - removed <= messages && this.bytes <= bytes && between(at, now) < age;
      if (fits) break;
      removed += 1;
      this.bytes -= entry.message.length;
    }
    if (removed > 0) this.kept.splice(0, removed);
  }

  /** The offset of the message that was published with `id` before. */
  known(id: string, now: Instant): number | undefined {
    for (const [old, { at }] of this.ids) {
      if (this.ids.size <= MAX_IDS && between(at, now) < ONCE_WINDOW) break;
      this.ids.delete(old);
    }
    return this.ids.get(id)?.offset;
  }
}

class MemoryBroker implements Broker {
  readonly honours: BrokerHonours = { log: true, contiguous: true, survives: "nothing", once: true, fence: true };
  readonly #clock: Clock;
  readonly #logs = new Map<string, TopicLog>();
  readonly #listeners = new Map<string, Set<BrokerListener>>();
  /** Entries of the calls of `publish` that listeners make. They are delivered after the entry that is being delivered. */
  readonly #deliveries: { readonly topic: string; readonly entry: BrokerEntry }[] = [];
  #delivering = false;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published> {
    judgePublication(topic, message, options.id);
    this.#throwIfClosed();
    const { history, id, fence, signal } = options;
    if (signal?.aborted) throw reasonOf(signal);
    if (fence !== undefined && fence.attempt < (this.#logs.get(topic)?.fences.get(fence.producer) ?? 0)) {
      throw producerFenced(fence.producer, fence.attempt);
    }
    if (history === undefined) {
      this.#deliver(topic, { epoch: "", offset: 0, previous: undefined, message });
      return { epoch: "", offset: 0, duplicate: false };
    }
    const log = this.#logOf(topic);
    const now = this.#clock.now();
    const known = id === undefined ? undefined : log.known(id, now);
    if (known !== undefined) return { epoch: log.epoch, offset: known, duplicate: true };
    const entry = log.append(message, history, now);
    if (id !== undefined) log.ids.set(id, { offset: entry.offset, at: now });
    this.#deliver(topic, entry);
    return { epoch: log.epoch, offset: entry.offset, duplicate: false };
  }

  subscribe(topic: string, listener: BrokerListener): BrokerSubscription {
    judgeTopicName(topic);
    // A copy, so that two subscriptions with one listener are two.
    const own = { ...bound(listener) };
    const listeners = this.#listeners.get(topic) ?? new Set();
    if (!this.#closed) this.#listeners.set(topic, listeners.add(own));
    const ready = this.#closed ? Promise.reject(brokerClosed()) : Promise.resolve();
    ready.catch(() => undefined);
    return {
      ready,
      close: () => {
        if (listeners.delete(own) && listeners.size === 0) this.#listeners.delete(topic);
      },
    };
  }

  async read(topic: string, request: ReadRequest): Promise<Slice> {
    judgeTopicName(topic);
    this.#throwIfClosed();
    if (request.signal?.aborted) throw reasonOf(request.signal);
    const { after = 0, before = Infinity, reverse = false, messages, bytes, history } = request;
    const log = this.#logOf(topic);
    log.trim(history, this.#clock.now());
    const { epoch, top, first } = log;
    const found = log.kept.map(({ entry }) => entry).filter(({ offset }) => offset > after && offset < before);
    if (reverse) found.reverse();
    let [count, size] = [0, 0];
    for (const { message } of found) {
      size += message.length;
      if (count >= messages || (count > 0 && size > bytes)) break;
      count += 1;
    }
    return { epoch, first, top, entries: found.slice(0, count) };
  }

  async renew(topic: string, epoch: string): Promise<string> {
    this.#throwIfClosed();
    const log = this.#logOf(topic);
    if (log.epoch === epoch) {
      log.epoch = randomToken();
      log.kept = log.kept.map(({ entry, at }) => ({ entry: { ...entry, epoch: log.epoch }, at }));
    }
    return log.epoch;
  }

  async claim(topic: string, producer: string, attempt: number): Promise<boolean> {
    this.#throwIfClosed();
    const { fences } = this.#logOf(topic);
    if (attempt < (fences.get(producer) ?? 0)) return false;
    fences.set(producer, attempt);
    return true;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#logs.clear();
    this.#listeners.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #logOf(topic: string): TopicLog {
    let log = this.#logs.get(topic);
    if (log === undefined) {
      log = new TopicLog();
      this.#logs.set(topic, log);
    }
    return log;
  }

  #deliver(topic: string, entry: BrokerEntry): void {
    this.#deliveries.push({ topic, entry });
    if (this.#delivering) return;
    this.#delivering = true;
    for (let next = this.#deliveries.shift(); next !== undefined; next = this.#deliveries.shift()) {
      for (const listener of this.#listeners.get(next.topic) ?? []) listener.entry(next.entry);
    }
    this.#delivering = false;
  }

  #throwIfClosed(): void {
    if (this.#closed) throw brokerClosed();
  }
}

function bound(listener: BrokerListener): BrokerListener {
  return {
    entry: (entry) => listener.entry(entry),
    interrupted: (cause) => listener.interrupted(cause),
    restored: () => listener.restored(),
    invalid: (error, offset) => listener.invalid(error, offset),
  };
}

/** A broker for the hubs of this process. Its messages are lost with the process. */
export function memoryBroker(options: MemoryBrokerOptions = {}): Broker {
  judgeOptions(options);
  return new MemoryBroker(options.clock ?? systemClock);
}
