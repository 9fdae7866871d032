/** A broker in the memory of this process, for hubs of one process and for tests. */

import { present, reasonOf } from "../base/forms.ts";
import { COUNT, judgeNames, judgeNumber, judgeOptions } from "../base/judge.ts";
import type { Clock } from "../base/time.ts";
import { systemClock } from "../transport/clock.ts";
import { randomToken } from "../transport/random.ts";
import { judgePublication, judgeTopicName } from "./arguments.ts";
import type {
  Broker,
  BrokerEntry,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  Published,
  ReadRequest,
  Slice,
} from "./broker.ts";
import { brokerClosed } from "./failures.ts";
import { LOG_STORE_DEFAULTS, LogStore, type LogStoreLimits } from "./log-store.ts";

/** Options of `memoryBroker`. */
export interface MemoryBrokerOptions {
  /**
   * Most memory that the logs of all topics use, in bytes. Beyond it the oldest entries of the topics that were published to least
   * recently are removed: a member that comes back to one of these gets a gap. @default 268_435_456
   */
  readonly maxBytes?: number | undefined;
  /**
   * Most topics that have a log. Beyond it the topic that was published to least recently is forgotten: its next message begins
   * a new epoch. A topic uses about 300 bytes. @default 1_000_000
   */
  readonly maxTopics?: number | undefined;
  /** The source of time, for the age of messages. @default the system's */
  readonly clock?: Clock | undefined;
}

/** What the memory broker promises. */
export const MEMORY_HONOURS: BrokerHonours = Object.freeze({
  log: true,
  contiguous: true,
  survives: "nothing",
  once: true,
  fence: true,
});

/** One subscription. `open` is false after its end, also during the delivery of an entry. */
interface Subscriber {
  readonly listener: BrokerListener;
  open: boolean;
}

class MemoryBroker implements Broker {
  readonly honours: BrokerHonours = MEMORY_HONOURS;
  readonly #logs: LogStore;
  readonly #topics = new Map<string, Set<Subscriber>>();
  /** Entries of the calls of `publish` that listeners make. They are delivered after the entry that is being delivered. */
  #deliveries: { readonly topic: string; readonly entry: BrokerEntry }[] = [];
  #delivering = false;
  #closed = false;

  constructor(clock: Clock, limits: LogStoreLimits) {
    this.#logs = new LogStore(clock, randomToken, (topic) => this.#topics.has(topic), limits);
  }

  async publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published> {
    judgePublication(topic, message, options.id);
    this.#throwIfOver(options.signal);
    const { published, entry } = this.#logs.publish(topic, message, options);
    if (entry !== undefined) this.#deliver(topic, entry);
    return published;
  }

  subscribe(topic: string, listener: BrokerListener): BrokerSubscription {
    judgeTopicName(topic);
    if (this.#closed) {
      const ready = Promise.reject(brokerClosed());
      // Prevents an unhandled rejection.
      ready.catch(() => undefined);
      return { ready, close: () => undefined };
    }
    const subscriber: Subscriber = { listener, open: true };
    const subscribers = this.#topics.get(topic) ?? new Set();
    this.#topics.set(topic, subscribers.add(subscriber));
    return {
      ready: Promise.resolve(),
      close: () => {
        subscriber.open = false;
        subscribers.delete(subscriber);
        if (subscribers.size === 0 && this.#topics.get(topic) === subscribers) this.#topics.delete(topic);
      },
    };
  }

  async read(topic: string, request: ReadRequest): Promise<Slice> {
    judgeTopicName(topic);
    this.#throwIfOver(request.signal);
    return this.#logs.read(topic, request);
  }

  async renew(topic: string, epoch: string): Promise<string> {
    judgeTopicName(topic);
    this.#throwIfOver(undefined);
    return this.#logs.renew(topic, epoch);
  }

  async claim(topic: string, producer: string, attempt: number): Promise<boolean> {
    judgeTopicName(topic);
    this.#throwIfOver(undefined);
    return this.#logs.claim(topic, producer, attempt);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#logs.clear();
    for (const subscribers of this.#topics.values()) for (const subscriber of subscribers) subscriber.open = false;
    this.#topics.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #deliver(topic: string, entry: BrokerEntry): void {
    this.#deliveries.push({ topic, entry });
    if (this.#delivering) return;
    this.#delivering = true;
    try {
      // An array that grows while it is iterated over: `shift` would move all that wait each time.
      for (const next of this.#deliveries) {
        for (const { listener, open } of [...(this.#topics.get(next.topic) ?? [])])
          if (open) listener.entry(next.entry);
      }
    } finally {
      this.#deliveries = [];
      this.#delivering = false;
    }
  }

  #throwIfOver(signal: AbortSignal | undefined): void {
    if (this.#closed) throw brokerClosed();
    if (signal?.aborted) throw reasonOf(signal);
  }
}

/**
 * A broker for the hubs of this process. It keeps its logs in memory: they end with the process. Several hubs can use one. Throws
 * TypeError or RangeError for an invalid option.
 */
export function memoryBroker(options: MemoryBrokerOptions = {}): Broker {
  judgeOptions(options);
  const given = present(options);
  judgeNames(Object.keys(given), (name) => ["clock", ...Object.keys(LOG_STORE_DEFAULTS)].includes(name));
  const settled = { clock: systemClock, ...LOG_STORE_DEFAULTS, ...given };
  for (const name of ["maxBytes", "maxTopics"] as const) judgeNumber(name, settled[name], COUNT);
  return new MemoryBroker(settled.clock, settled);
}
