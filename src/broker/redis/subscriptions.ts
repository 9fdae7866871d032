/** The subscriptions of one connection: few commands at a time, for many channels each. */

import type { ChannelReceiver, RedisClient } from "./client.ts";
import type { TopicFeed } from "./feed.ts";

/** Most channels of one command: Redis answers nothing else meanwhile. */
const BATCH = 512;
/** Most commands that wait for an answer. */
const MAX_COMMANDS = 4;

export class Subscriptions {
  readonly #sharded: boolean;
  readonly #feeds: Map<string, TopicFeed> = new Map();
  /** The feeds whose state on the server may not be the wanted one, by partition: a command in a cluster has channels of one slot. */
  readonly #stale: Map<number, Set<TopicFeed>> = new Map();
  #client: RedisClient | undefined;
  #failed: (cause: unknown) => void = () => undefined;
  #commands = 0;
  #scheduled = false;
  /** Other channels, with what they receive. They are subscribed before all feeds, in the same way after each reconnect. */
  readonly #own: ReadonlyMap<string, (message: Buffer) => void>;
  readonly #deliver: (feed: TopicFeed, message: Buffer) => void;

  constructor(
    sharded: boolean,
    own: ReadonlyMap<string, (message: Buffer) => void>,
    deliver: (feed: TopicFeed, message: Buffer) => void,
  ) {
    this.#sharded = sharded;
    this.#own = own;
    this.#deliver = deliver;
  }

  get feeds(): Iterable<TopicFeed> {
    return this.#feeds.values();
  }

  /** Subscribes to the channel of the feed, or unsubscribes from it, as soon as there is a connection. */
  update(feed: TopicFeed): void {
    this.#feeds.set(feed.channel, feed);
    const stale = this.#stale.get(feed.partition) ?? new Set();
    this.#stale.set(feed.partition, stale.add(feed));
    if (this.#scheduled) return;
    this.#scheduled = true;
    // All changes of this turn share their commands.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#continue();
    });
  }

  /** The feed moves to another server. */
  remove(feed: TopicFeed): void {
    this.#feeds.delete(feed.channel);
    this.#stale.get(feed.partition)?.delete(feed);
    const client = this.#client;
    const { state } = feed;
    feed.state = "absent";
    if (client !== undefined && state !== "absent") this.#send(client, false, [feed.channel]).catch(() => undefined);
  }

  /** `failed` is called if the server refuses a subscription: the connection must end then. */
  async open(client: RedisClient, failed: (cause: unknown) => void): Promise<void> {
    this.#client = client;
    this.#failed = failed;
    const sent = this.#send(client, true, [...this.#own.keys()]);
    for (const feed of this.#feeds.values()) this.update(feed);
    await sent;
  }

  lost(cause: unknown): void {
    this.#client = undefined;
    this.#commands = 0;
    this.#stale.clear();
    for (const feed of this.#feeds.values()) {
      feed.state = "absent";
      feed.interrupted(cause);
      if (!feed.wanted) this.#forget(feed);
    }
  }

  #continue(): void {
    while (this.#client !== undefined && this.#commands < MAX_COMMANDS) {
      const [partition, feeds] = this.#stale.entries().next().value ?? [];
      if (feeds === undefined) return;
      const subscribe: TopicFeed[] = [];
      const unsubscribe: TopicFeed[] = [];
      for (const feed of feeds) {
        if (subscribe.length === BATCH || unsubscribe.length === BATCH) break;
        feeds.delete(feed);
        if (feed.wanted && feed.state === "absent") subscribe.push(feed);
        else if (!feed.wanted && feed.state === "present") unsubscribe.push(feed);
        else if (!feed.wanted && feed.state === "absent") this.#forget(feed);
      }
      if (feeds.size === 0) this.#stale.delete(partition as number);
      if (subscribe.length > 0) this.#change(this.#client, true, subscribe);
      if (unsubscribe.length > 0) this.#change(this.#client, false, unsubscribe);
    }
  }

  #change(client: RedisClient, present: boolean, feeds: readonly TopicFeed[]): void {
    for (const feed of feeds) feed.state = "changing";
    this.#commands += 1;
    const changed = (): void => {
      if (client !== this.#client) return;
      this.#commands -= 1;
      for (const feed of feeds) {
        // It moved to another server meanwhile.
        if (this.#feeds.get(feed.channel) !== feed) continue;
        if (present) feed.confirmed();
        else feed.state = "absent";
        if (feed.wanted !== present) this.update(feed);
        else if (!present) this.#forget(feed);
      }
      this.#continue();
    };
    this.#send(
      client,
      present,
      feeds.map(({ channel }) => channel),
    ).then(changed, (cause) => {
      if (client === this.#client) this.#failed(cause);
    });
  }

  #forget(feed: TopicFeed): void {
    this.#feeds.delete(feed.channel);
    feed.gone();
  }

  #send(client: RedisClient, subscribe: boolean, channels: string[]): Promise<void> {
    if (subscribe) {
      return this.#sharded
        ? client.sSubscribe(channels, this.#receive, true)
        : client.subscribe(channels, this.#receive, true);
    }
    return this.#sharded ? client.sUnsubscribe(channels) : client.unsubscribe(channels);
  }

  readonly #receive: ChannelReceiver = (message, channel) => {
    const name = channel.toString();
    const feed = this.#feeds.get(name);
    if (feed !== undefined) this.#deliver(feed, message);
    else this.#own.get(name)?.(message);
  };
}
