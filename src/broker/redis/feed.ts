/** The subscriptions of this process to one topic: they share one channel. */

import type { BrokerEntry, BrokerListener, BrokerSubscription } from "../broker.ts";
import { brokerClosed } from "../failures.ts";

/** Whether the server has the subscription to the channel. */
export type ChannelState = "absent" | "changing" | "present";

interface Subscriber {
  readonly listener: BrokerListener;
  readonly settle: (error?: Error) => void;
  /** The entries that it gets are all entries: it is ready, and was not interrupted since. */
  whole: boolean;
  ready: boolean;
}

/** What a feed reports. */
export interface FeedOwner {
  /** The first subscription was added, or the last one was closed. */
  changed(feed: TopicFeed): void;
  /** There are no subscriptions any more, and the server has none. */
  gone(feed: TopicFeed): void;
}

export class TopicFeed {
  readonly topic: string;
  readonly channel: string;
  readonly partition: number;
  /** Kept here by the connection that subscribes. */
  state: ChannelState = "absent";
  readonly #subscribers: Set<Subscriber> = new Set();
  readonly #owner: FeedOwner;

  constructor(topic: string, channel: string, partition: number, owner: FeedOwner) {
    this.topic = topic;
    this.channel = channel;
    this.partition = partition;
    this.#owner = owner;
  }

  get wanted(): boolean {
    return this.#subscribers.size > 0;
  }

  add(listener: BrokerListener): BrokerSubscription {
    let settle: Subscriber["settle"] = () => undefined;
    const ready = new Promise<void>((resolve, reject) => {
      settle = (error) => (error === undefined ? resolve() : reject(error));
    });
    // The caller may have no use for it.
    ready.catch(() => undefined);
    const subscriber = { listener, settle, whole: false, ready: false };
    this.#subscribers.add(subscriber);
    if (this.state === "present") admit(subscriber);
    else if (this.#subscribers.size === 1) this.#owner.changed(this);
    return {
      ready,
      close: () => {
        if (!this.#subscribers.delete(subscriber)) return;
        if (!subscriber.ready) settle(brokerClosed());
        if (this.#subscribers.size === 0) this.#owner.changed(this);
      },
    };
  }

  /** The server has the subscription. */
  confirmed(): void {
    this.state = "present";
    for (const subscriber of this.#subscribers) admit(subscriber);
  }

  gone(): void {
    this.#owner.gone(this);
  }

  /** From here on entries may be missing. */
  interrupted(cause: unknown): void {
    for (const subscriber of this.#subscribers) {
      if (!subscriber.whole) continue;
      subscriber.whole = false;
      subscriber.listener.interrupted(cause);
    }
  }

  /** Entries may be missing before this moment, and none will be from now on. */
  doubted(cause: unknown): void {
    if (this.state !== "present") return;
    this.interrupted(cause);
    this.confirmed();
  }

  deliver(entry: BrokerEntry): void {
    for (const { listener } of this.#subscribers) listener.entry(entry);
  }

  invalid(error: Error, offset: number | undefined): void {
    for (const { listener } of this.#subscribers) listener.invalid(error, offset);
  }

  /** Ends all subscriptions. */
  close(error: Error): void {
    for (const { settle } of this.#subscribers) settle(error);
    this.#subscribers.clear();
  }
}

function admit(subscriber: Subscriber): void {
  if (subscriber.whole) return;
  subscriber.whole = true;
  if (subscriber.ready) subscriber.listener.restored();
  else subscriber.settle();
  subscriber.ready = true;
}
