/** The broker on Redis or Valkey. */

import { isObject } from "../../base/forms.ts";
import type { Clock } from "../../base/time.ts";
import { systemClock } from "../../transport/clock.ts";
import { holdProcess, letProcessGo } from "../../transport/process-hold.ts";
import { randomToken } from "../../transport/random.ts";
import { judgePublication, judgeTopicName } from "../arguments.ts";
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
} from "../broker.ts";
import { brokerClosed, producerFenced } from "../failures.ts";
import { Calls, type RedisCommand } from "./calls.ts";
import { AS_BYTES, AS_TEXT } from "./client.ts";
import { TopicFeed } from "./feed.ts";
import {
  judgeTarget,
  type RedisBrokerOptions,
  type RedisBrokerSettings,
  type RedisTarget,
  settledOptions,
} from "./options.ts";
import type { CommandConnection } from "./server.ts";
import { openServers, type Servers } from "./servers.ts";
import { encodeUnkept, liveHeader } from "./wire-form.ts";

/** The largest whole number that both Lua and JavaScript have. Stands for "no limit". */
const MOST = Number.MAX_SAFE_INTEGER;
/** How long `renew` and `claim`, which have no timeout of their own, may take. */
const CALL_TIMEOUT = 5_000;

/** What the broker on Redis promises. */
export const REDIS_HONOURS: BrokerHonours = Object.freeze({
  log: true,
  contiguous: true,
  survives: "node",
  once: true,
  fence: true,
});

class RedisBroker implements Broker {
  readonly honours: BrokerHonours = REDIS_HONOURS;
  readonly #settings: RedisBrokerSettings;
  readonly #servers: Servers;
  readonly #calls: Calls;
  readonly #feeds: Map<string, TopicFeed> = new Map();
  /** Epochs are made in Redis, which has no random numbers in scripts: each call that may need one brings a new one. */
  readonly #token: string = randomToken();
  #epochs = 0;
  readonly #publishCommand: string;
  #closed = false;

  constructor(target: string | URL | RedisTarget, options: RedisBrokerOptions, clock: Clock) {
    const judged = judgeTarget(target);
    this.#settings = settledOptions(options);
    this.#publishCommand = judged.kind === "cluster" ? "SPUBLISH" : "PUBLISH";
    this.#calls = new Calls(
      {
        serverOf: (partition) => this.#servers.of(partition),
        refused: (server, cause) => this.#servers.refused(server, cause),
      },
      this.#settings,
      clock,
    );
    const owner = {
      usable: () => this.#calls.flush(),
      unusable: (cause: unknown) => {
        this.#calls.cause = cause;
      },
    };
    this.#servers = openServers(judged, this.#settings, owner, clock);
    holdProcess();
  }

  async publish(topic: string, message: Uint8Array, options: BrokerPublishOptions): Promise<Published> {
    judgePublication(topic, message, options.id);
    const { history, timeout, signal, fence, id = "" } = options;
    const partition = this.#servers.partitions.of(topic);
    const channel = this.#key(partition, "c", topic);
    const call = { operation: "publish", partition, message, timeout, signal, replies: AS_TEXT } as const;
    if (history === undefined) {
      const command = (line: CommandConnection): RedisCommand => {
        const args = [this.#publishCommand, channel, encodeUnkept(line.history, message)];
        if (fence === undefined) return { args };
        const key = this.#claimKey(partition, topic, fence.producer);
        return { script: "pass", args: ["1", key, String(fence.attempt), ...args] };
      };
      return published(await this.#calls.run({ ...call, command }), options);
    }
    const keys = ["m", "l", "i0", "i1"].map((kind) => this.#key(partition, kind, topic));
    if (fence !== undefined) keys.push(this.#claimKey(partition, topic, fence.producer));
    const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
    const epoch = this.#newEpoch();
    const reply = await this.#calls.run({
      ...call,
      command: (line) => ({
        script: "publish",
        args: [
          ...[String(keys.length), ...keys],
          ...[bytes, channel, this.#publishCommand, liveHeader(line.history), epoch],
          ...[...limitsOf(history), String(this.#settings.topicExpiry)],
          ...[id, fence === undefined ? "" : String(fence.attempt), String(ONCE_WINDOW)],
        ],
      }),
    });
    return published(reply, options);
  }

  subscribe(topic: string, listener: BrokerListener): BrokerSubscription {
    judgeTopicName(topic);
    if (this.#closed) {
      const ready = Promise.reject(brokerClosed());
      ready.catch(() => undefined);
      return { ready, close: () => undefined };
    }
    let feed = this.#feeds.get(topic);
    if (feed === undefined) {
      const partition = this.#servers.partitions.of(topic);
      feed = new TopicFeed(topic, this.#key(partition, "c", topic), partition, {
        changed: (changed) => this.#servers.update(changed),
        gone: () => this.#feeds.delete(topic),
      });
      this.#feeds.set(topic, feed);
    }
    return feed.add(listener);
  }

  async read(topic: string, request: ReadRequest): Promise<Slice> {
    judgeTopicName(topic);
    const { after = 0, before = MOST, reverse = false, messages, bytes, history, timeout, signal } = request;
    const partition = this.#servers.partitions.of(topic);
    const args = [
      ...["2", this.#key(partition, "m", topic), this.#key(partition, "l", topic), this.#newEpoch()],
      ...[whole(after), whole(before), reverse ? "1" : "0", whole(messages), whole(bytes)],
      ...[...limitsOf(history), String(this.#settings.topicExpiry)],
    ];
    const command = () => ({ script: "read", args }) as const;
    const reply = await this.#calls.run({
      operation: "history",
      partition,
      command,
      replies: AS_BYTES,
      timeout,
      signal,
    });
    return this.#slice(topic, reply);
  }

  async renew(topic: string, epoch: string): Promise<string> {
    judgeTopicName(topic);
    const partition = this.#servers.partitions.of(topic);
    const args = ["1", this.#key(partition, "m", topic), epoch, this.#newEpoch()];
    const command = () => ({ script: "renew", args }) as const;
    const reply = await this.#calls.run({
      operation: "history",
      partition,
      command,
      replies: AS_TEXT,
      timeout: CALL_TIMEOUT,
    });
    if (typeof reply === "string") return reply;
    // The topic was lost meanwhile: it has a new epoch in any case.
    const history = { messages: MOST, bytes: MOST, age: Infinity };
    return (await this.read(topic, { messages: 0, bytes: 0, history, timeout: CALL_TIMEOUT })).epoch;
  }

  async claim(topic: string, producer: string, attempt: number): Promise<boolean> {
    judgeTopicName(topic);
    const partition = this.#servers.partitions.of(topic);
    const args = ["1", this.#claimKey(partition, topic, producer), String(attempt), String(this.#settings.topicExpiry)];
    const command = () => ({ script: "claim", args }) as const;
    const reply = await this.#calls.run({
      operation: "history",
      partition,
      command,
      replies: AS_TEXT,
      timeout: CALL_TIMEOUT,
    });
    return reply === 1;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const feed of this.#feeds.values()) feed.close(brokerClosed());
    this.#feeds.clear();
    this.#calls.close();
    this.#servers.close();
    letProcessGo();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #key(partition: number, kind: string, topic: string): string {
    return `${this.#servers.partitions.prefix(this.#settings.prefix, partition)}${kind}:${topic}`;
  }

  #claimKey(partition: number, topic: string, producer: string): string {
    return this.#key(partition, "f", `${topic.length}:${topic}:${producer}`);
  }

  #newEpoch(): string {
    this.#epochs += 1;
    return `${this.#token}${this.#epochs.toString(36)}`;
  }

  #slice(topic: string, reply: unknown): Slice {
    const [named, first, top, found] = reply as [Buffer, number, number, (Buffer | null)[]];
    const epoch = named.toString("latin1");
    const entries: BrokerEntry[] = [];
    for (let index = 0; index < found.length; index += 2) {
      const id = (found[index] as Buffer).toString("latin1");
      const offset = /^\d+-0$/.test(id) ? Number.parseInt(id, 10) : undefined;
      const message = found[index + 1];
      if (offset !== undefined && isObject(message)) {
        // A copy: a short message would keep the whole buffer of its read in memory.
        entries.push({ epoch, offset, previous: undefined, message: new Uint8Array(message as Buffer) });
        continue;
      }
      const error = new Error(`Cannot read the entry ${id} of topic ${JSON.stringify(topic)}: it has another form`);
      this.#feeds.get(topic)?.invalid(error, offset);
    }
    return { epoch, first, top, entries };
  }
}

function published(reply: unknown, { fence, history }: BrokerPublishOptions): Published {
  const [, mark, offset, epoch] = /^([=!]?)(\d*):?([\w-]*)$/.exec(String(reply)) ?? [];
  if (mark === "!" && fence !== undefined) throw producerFenced(fence.producer, fence.attempt);
  if (history === undefined) return { epoch: "", offset: 0, duplicate: false };
  return { epoch: epoch ?? "", offset: Number(offset), duplicate: mark === "=" };
}

function limitsOf({ messages, bytes, age }: HistoryLimits): [string, string, string] {
  return [whole(messages), whole(bytes), age === Infinity ? "0" : whole(Math.max(age, 1))];
}

/** A number for Lua. */
function whole(value: number): string {
  return String(Math.min(Math.floor(value), MOST));
}

/**
 * Connects hubs through Redis 7 or later, or Valkey. Needs the package `redis` (`npm install redis`).
 *
 * `target` is a URL (`redis://`, `rediss://`, `unix://`), or the options of `createClient`, `createCluster` or `createSentinel` of that
 * package. The broker opens connections of its own with these options, two for each server. Those about reconnecting, timeouts and
 * queues have no effect: the broker reconnects for as long as it exists, waits at most 5 s for a server, and limits what is pending.
 *
 * Returns at once. Calls wait for the connection within their timeout. Throws TypeError for an invalid target or option, RangeError
 * for a value out of range.
 */
export function redisBroker(target: string | URL, options?: RedisBrokerOptions): Broker;
export function redisBroker<Target extends RedisTarget>(target: Target, options?: RedisBrokerOptions): Broker;
export function redisBroker(target: string | URL | RedisTarget, options: RedisBrokerOptions = {}): Broker {
  return new RedisBroker(target, options, systemClock);
}
