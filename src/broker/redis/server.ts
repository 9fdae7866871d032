/** One server of Redis, with two connections: one for commands, one for subscriptions. */

import { after, type Clock, type Wakeup } from "../../base/time.ts";
import { randomToken } from "../../transport/random.ts";
import { AS_TEXT, type RedisClient } from "./client.ts";
import { RedisConnection, type ServerFacts } from "./connection.ts";
import type { TopicFeed } from "./feed.ts";
import type { RedisClientTarget } from "./options.ts";
import { SCRIPTS, type ScriptName } from "./scripts.ts";
import { Subscriptions } from "./subscriptions.ts";
import { decodeLive, historyOf } from "./wire-form.ts";

/** An open connection for commands. */
export interface CommandConnection {
  readonly client: RedisClient;
  /** The names under which the server knows the scripts. */
  readonly scripts: Readonly<Record<ScriptName, string>>;
  /** The replication history of the server, as `historyOf` names it. */
  history: string;
}

/** What a server reports. */
export interface ServerOwner {
  target(): Promise<RedisClientTarget>;
  /** Commands can be sent now. */
  usable(): void;
  /** There is no connection for commands. */
  unusable(cause: unknown): void;
  /** The server may have lost some of its slots. */
  moved(): void;
}

/** How often a message must come back through a channel of its own, and how long that may take. */
const PROBE_INTERVAL = 4_000;
const PROBE_TIMEOUT = 4_000;
/** Most replication histories that are accepted on one connection without a new one. More than a few are damage or an attack. */
const MAX_HISTORIES = 8;

export class RedisServer {
  line: CommandConnection | undefined;
  readonly #owner: ServerOwner;
  readonly #clock: Clock;
  readonly #sharded: boolean;
  readonly #probeChannel: string;
  readonly #commands: RedisConnection;
  readonly #subscriber: RedisConnection;
  readonly #subscriptions: Subscriptions;
  #subscribed: RedisClient | undefined;
  /** The histories of the messages since the subscriptions began. */
  readonly #histories: Set<string> = new Set();
  #probing: { readonly token: string; late: boolean } | undefined;
  #probe: Wakeup;

  /** `prefix` is what the probe's channel begins with; `sharded` is for servers of a cluster. */
  constructor(owner: ServerOwner, clock: Clock, prefix: string, sharded: boolean) {
    this.#owner = owner;
    this.#clock = clock;
    this.#sharded = sharded;
    this.#probeChannel = `${prefix}probe:${randomToken()}`;
    const own = new Map([[this.#probeChannel, (message: Buffer): void => this.#probeBack(message.toString("latin1"))]]);
    this.#subscriptions = new Subscriptions(sharded, own, (feed, message) => this.#deliver(feed, message));
    const target = (): Promise<RedisClientTarget> => owner.target();
    this.#commands = new RedisConnection(
      {
        target,
        opened: (client, facts) => this.#commandsOpened(client, facts),
        lost: (cause) => {
          this.line = undefined;
          this.#probing = undefined;
          owner.unusable(cause);
        },
        failed: (cause) => owner.unusable(cause),
        changed: ({ replicationId }) => {
          if (this.line !== undefined) this.line.history = historyOf(replicationId);
        },
      },
      clock,
    );
    this.#subscriber = new RedisConnection(
      {
        target,
        opened: (client, facts) => this.#subscriberOpened(client, facts),
        lost: (cause) => {
          this.#subscribed = undefined;
          // A message to a lost connection does not come back.
          this.#probing = undefined;
          this.#subscriptions.lost(cause);
        },
        failed: () => undefined,
        changed: () => this.#subscriber.drop(new Error("The server of Redis has another replication history")),
      },
      clock,
    );
    this.#probe = this.#armProbe();
  }

  get feeds(): Iterable<TopicFeed> {
    return this.#subscriptions.feeds;
  }

  update(feed: TopicFeed): void {
    this.#subscriptions.update(feed);
  }

  remove(feed: TopicFeed): void {
    this.#subscriptions.remove(feed);
  }

  /** Ends both connections, and opens others. */
  drop(cause: unknown): void {
    this.#commands.drop(cause);
    this.#subscriber.drop(cause);
  }

  close(): void {
    this.#probe.cancel();
    this.#commands.close();
    this.#subscriber.close();
  }

  async #commandsOpened(client: RedisClient, { replicationId }: ServerFacts): Promise<void> {
    const names = Object.keys(SCRIPTS) as ScriptName[];
    const load = (name: ScriptName): Promise<unknown> => client.sendCommand(["SCRIPT", "LOAD", SCRIPTS[name]], AS_TEXT);
    const loaded = await Promise.all(names.map(async (name) => [name, String(await load(name))] as const));
    const scripts = Object.fromEntries(loaded) as CommandConnection["scripts"];
    this.line = { client, scripts, history: historyOf(replicationId) };
    this.#owner.usable();
  }

  async #subscriberOpened(client: RedisClient, { replicationId }: ServerFacts): Promise<void> {
    client.on("sharded-channel-moved", () => this.#owner.moved());
    this.#histories.clear();
    this.#histories.add(historyOf(replicationId));
    await this.#subscriptions.open(client, (cause) => {
      this.#owner.moved();
      this.#subscriber.drop(cause);
    });
    this.#subscribed = client;
  }

  #deliver(feed: TopicFeed, bytes: Buffer): void {
    const live = decodeLive(bytes);
    if ("problem" in live) {
      const { problem, offset } = live;
      const place = offset === undefined ? "" : ` with offset ${offset}`;
      const error = new Error(`Cannot read a message of topic ${JSON.stringify(feed.topic)}${place}: ${problem}`);
      feed.invalid(error, offset);
      return;
    }
    const { history, epoch, offset, message } = live;
    if (!this.#histories.has(history)) this.#otherHistory(history);
    feed.deliver({ epoch, offset, previous: undefined, message });
  }

  /**
   * The message was published on a server that has another history of its data than the server of this connection had: after a failover
   * known offsets can belong to other messages. It is noticed here before the first of them is delivered.
   */
  #otherHistory(history: string): void {
    if (this.#histories.size === MAX_HISTORIES) this.#histories.clear();
    this.#histories.add(history);
    const cause = new Error("A message comes from a server of Redis with another replication history");
    for (const feed of this.#subscriptions.feeds) feed.doubted(cause);
  }

  /**
   * Publishes a message that must come back. Both connections can be open while no message arrives: they lead to different servers, or
   * the server is not the one on which others publish.
   */
  #armProbe(): Wakeup {
    return this.#clock.wakeAt(after(this.#clock.now(), PROBE_INTERVAL), () => {
      this.#probe = this.#armProbe();
      const { line } = this;
      if (line === undefined || this.#subscribed === undefined || this.#probing !== undefined) return;
      const probing = { token: randomToken(), late: false };
      this.#probing = probing;
      const command = [this.#sharded ? "SPUBLISH" : "PUBLISH", this.#probeChannel, probing.token];
      line.client.sendCommand(command, AS_TEXT).catch(() => undefined);
      this.#clock.wakeAt(after(this.#clock.now(), PROBE_TIMEOUT), () => this.#probeLate(probing));
    });
  }

  #probeBack(token: string): void {
    if (token === this.#probing?.token) this.#probing = undefined;
  }

  #probeLate(probing: { late: boolean }): void {
    if (probing !== this.#probing) return;
    if (!probing.late) {
      // The event loop may have been blocked. What has arrived by then is read before the next timer.
      probing.late = true;
      this.#clock.wakeAt(after(this.#clock.now(), 100), () => this.#probeLate(probing));
      return;
    }
    this.#probing = undefined;
    this.drop(new Error(`Connection ended: a published message did not come back for ${PROBE_TIMEOUT} ms`));
  }
}
