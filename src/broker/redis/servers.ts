/** The servers that hold the topics, and which partition is on which of them. */

import { after, type Clock, type Wakeup } from "../../base/time.ts";
import { askCluster, askSentinels, masterTarget, nameOf, nodeTarget, type ServerAddress } from "./addresses.ts";
import type { TopicFeed } from "./feed.ts";
import type {
  JudgedTarget,
  RedisBrokerSettings,
  RedisClientTarget,
  RedisClusterTarget,
  RedisSentinelTarget,
} from "./options.ts";
import { Partitions } from "./partitions.ts";
import { RedisServer } from "./server.ts";

/** What the servers report. */
export interface ServersOwner {
  /** Commands for some partitions can be sent now. */
  usable(): void;
  /** Commands for some partitions cannot be sent. */
  unusable(cause: unknown): void;
}

export interface Servers {
  readonly partitions: Partitions;
  /** The server that has the partition; undefined while it is not known. */
  of(partition: number): RedisServer | undefined;
  /** Subscribes to the channel of the feed, or unsubscribes from it. */
  update(feed: TopicFeed): void;
  /** A server has refused a command because it is not the right one for it. */
  refused(server: RedisServer, cause: unknown): void;
  close(): void;
}

/** How often Sentinel or the cluster is asked whether something has moved. */
const ASK_INTERVAL = 4_000;

export function openServers(
  judged: JudgedTarget,
  settings: RedisBrokerSettings,
  owner: ServersOwner,
  clock: Clock,
): Servers {
  if (judged.kind === "cluster") return new ClusterServers(judged.target, settings, owner, clock);
  return new OneServer(judged, settings.prefix, owner, clock);
}

/** One server, or the master that Sentinel names. */
class OneServer implements Servers {
  readonly partitions: Partitions = new Partitions(1);
  readonly #server: RedisServer;
  readonly #asking: Asking | undefined;
  #address = "";

  constructor(judged: Exclude<JudgedTarget, { kind: "cluster" }>, name: string, owner: ServersOwner, clock: Clock) {
    const prefix = this.partitions.prefix(name, 0);
    const target = judged.kind === "server" ? async () => judged.target : () => this.#master(judged.target, clock);
    this.#server = new RedisServer({ ...owned(owner), target, moved: () => undefined }, clock, prefix, false);
    if (judged.kind === "sentinel") this.#asking = new Asking(() => this.#follow(judged.target, clock), clock);
  }

  of(): RedisServer {
    return this.#server;
  }

  update(feed: TopicFeed): void {
    this.#server.update(feed);
  }

  refused(server: RedisServer, cause: unknown): void {
    server.drop(cause);
  }

  close(): void {
    this.#asking?.close();
    this.#server.close();
  }

  async #master(target: RedisSentinelTarget, clock: Clock): Promise<RedisClientTarget> {
    const address = await askSentinels(target, clock);
    this.#address = nameOf(address);
    return masterTarget(target, address);
  }

  /** A master that Sentinel has replaced may still answer, cut off from the others. */
  async #follow(target: RedisSentinelTarget, clock: Clock): Promise<void> {
    const name = nameOf(await askSentinels(target, clock));
    if (this.#address !== "" && name !== this.#address)
      this.#server.drop(new Error(`Sentinel names another master: ${name}`));
  }
}

/** The nodes of a cluster that have slots. */
class ClusterServers implements Servers {
  readonly partitions: Partitions;
  readonly #target: RedisClusterTarget;
  readonly #settings: RedisBrokerSettings;
  readonly #owner: ServersOwner;
  readonly #clock: Clock;
  readonly #asking: Asking;
  readonly #servers: Map<string, { readonly address: ServerAddress; readonly server: RedisServer }> = new Map();
  readonly #places: (RedisServer | undefined)[];
  /** The feeds of partitions that are on no server. */
  readonly #homeless: Set<TopicFeed> = new Set();

  constructor(target: RedisClusterTarget, settings: RedisBrokerSettings, owner: ServersOwner, clock: Clock) {
    this.partitions = new Partitions(settings.partitions);
    this.#target = target;
    this.#settings = settings;
    this.#owner = owner;
    this.#clock = clock;
    this.#places = new Array<RedisServer | undefined>(settings.partitions).fill(undefined);
    this.#asking = new Asking(() => this.#follow(), clock);
    this.#asking.now();
  }

  of(partition: number): RedisServer | undefined {
    return this.#places[partition];
  }

  update(feed: TopicFeed): void {
    const server = this.#places[feed.partition];
    if (server !== undefined) server.update(feed);
    else if (feed.wanted) this.#homeless.add(feed);
    else if (this.#homeless.delete(feed)) feed.gone();
  }

  refused(): void {
    this.#asking.now();
  }

  close(): void {
    this.#asking.close();
    for (const { server } of this.#servers.values()) server.close();
  }

  async #follow(): Promise<void> {
    const known = Array.from(this.#servers.values(), ({ address }) => address);
    const ranges = await askCluster(this.#target, known, this.#clock).catch((cause) => {
      this.#owner.unusable(cause);
      throw cause;
    });
    if (this.#asking.closed) return;
    const before = [...this.#places];
    const used = new Set<string>();
    const prefixes = new Map<string, string>();
    for (let partition = 0; partition < this.#places.length; partition += 1) {
      const slot = this.partitions.slot(partition);
      const master = ranges.find(({ from, to }) => from <= slot && slot <= to)?.master;
      if (master !== undefined && !prefixes.has(nameOf(master))) {
        // The channel of the probe must be in a slot of the server.
        prefixes.set(nameOf(master), this.partitions.prefix(this.#settings.prefix, partition));
      }
      this.#places[partition] = master && this.#serverAt(master, prefixes.get(nameOf(master)) as string);
      if (master !== undefined) used.add(nameOf(master));
    }
    this.#move(before);
    for (const [name, { server }] of this.#servers) {
      if (used.has(name)) continue;
      this.#servers.delete(name);
      server.close();
    }
    this.#owner.usable();
  }

  #serverAt(address: ServerAddress, prefix: string): RedisServer {
    const name = nameOf(address);
    let known = this.#servers.get(name);
    if (known === undefined) {
      const owner = {
        ...owned(this.#owner),
        target: async () => nodeTarget(this.#target, address),
        moved: () => this.#asking.now(),
      };
      known = { address, server: new RedisServer(owner, this.#clock, prefix, true) };
      this.#servers.set(name, known);
    }
    return known.server;
  }

  #move(before: readonly (RedisServer | undefined)[]): void {
    const moved = (feed: TopicFeed): boolean => this.#places[feed.partition] !== before[feed.partition];
    const leaving = [...new Set(before)].flatMap((server) =>
      server === undefined ? [] : [...server.feeds].filter(moved),
    );
    for (const feed of leaving) {
      before[feed.partition]?.remove(feed);
      feed.interrupted(new Error("The slot of the topic has moved to another node of the cluster"));
    }
    const homeless = [...this.#homeless];
    this.#homeless.clear();
    for (const feed of [...leaving, ...homeless]) this.update(feed);
  }
}

function owned(owner: ServersOwner): ServersOwner {
  return { usable: () => owner.usable(), unusable: (cause) => owner.unusable(cause) };
}

/** Asks a question in intervals, and at once when there is a reason; one at a time. */
class Asking {
  closed = false;
  readonly #ask: () => Promise<void>;
  readonly #clock: Clock;
  #wakeup: Wakeup;
  #asked = false;
  #again = false;

  constructor(ask: () => Promise<void>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
    this.#wakeup = this.#arm(ASK_INTERVAL);
  }

  now(): void {
    if (this.#asked) {
      this.#again = true;
      return;
    }
    this.#wakeup.cancel();
    void this.#run();
  }

  close(): void {
    this.closed = true;
    this.#wakeup.cancel();
  }

  async #run(): Promise<void> {
    this.#asked = true;
    // A failure shows in the calls: there is no server for them.
    await this.#ask().catch(() => undefined);
    this.#asked = false;
    if (this.closed) return;
    // A pause also after a reason: the answer may not have changed yet.
    this.#wakeup = this.#arm(this.#again ? 100 : ASK_INTERVAL);
    this.#again = false;
  }

  #arm(pause: number): Wakeup {
    return this.#clock.wakeAt(after(this.#clock.now(), pause), () => void this.#run());
  }
}
