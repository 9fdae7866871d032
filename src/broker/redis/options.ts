/** The target and the options of `redisBroker`, with their defaults. */

import { type Complete, isObject, kindOf, present } from "../../base/forms.ts";
import { COUNT, judgeNames, judgeNumber, judgeOptions, judgeString, type NumberRange } from "../../base/judge.ts";

/** The options of `createClient` of the package `redis`. These are the usual ones; all of its others are passed on. */
export interface RedisClientTarget {
  /** `redis://`, `rediss://` or `unix://`. */
  readonly url?: string | undefined;
  /** Host, port, path, TLS and so on. Its `reconnectStrategy` and `socketTimeout` have no effect: see `redisBroker`. */
  readonly socket?: object | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly database?: number | undefined;
  /** The name of the connections in `CLIENT LIST`. */
  readonly name?: string | undefined;
}

/** The options of `createCluster` of the package `redis` that have an effect. */
export interface RedisClusterTarget {
  /** Nodes from which the others are found. */
  readonly rootNodes: readonly RedisClientTarget[];
  /** Options of the connections to all nodes, such as the password. */
  readonly defaults?: RedisClientTarget | undefined;
  /** Translates the addresses that the nodes report, as with `redis`. */
  readonly nodeAddressMap?: object | undefined;
}

/** The options of `createSentinel` of the package `redis` that have an effect. */
export interface RedisSentinelTarget {
  /** The name of the master. */
  readonly name: string;
  readonly sentinelRootNodes: readonly { readonly host: string; readonly port: number }[];
  /** Options of the connections to the master, such as the password. */
  readonly nodeClientOptions?: RedisClientTarget | undefined;
  /** Options of the connections to the sentinels. */
  readonly sentinelClientOptions?: RedisClientTarget | undefined;
  /** Translates the addresses that the sentinels report, as with `redis`. */
  readonly nodeAddressMap?: object | undefined;
}

/** A server, a cluster, or servers that Sentinel watches. */
export type RedisTarget = RedisClientTarget | RedisClusterTarget | RedisSentinelTarget;

/** Options of `redisBroker`. */
export interface RedisBrokerOptions {
  /**
   * The first part of the names of all keys and channels: applications with different prefixes can share a server. The user of an
   * ACL needs `~prefix:*` and `&prefix:*`. At most 64 bytes; braces are not allowed. @default "holdfast"
   */
  readonly prefix?: string | undefined;
  /**
   * Into how many parts the topics of a cluster are divided. Each is on one node. All processes must have the same number, and it must
   * not change while there are topics whose history matters. Without a cluster it has no effect. From 2 to 4,096. @default 128
   */
  readonly partitions?: number | undefined;
  /**
   * How long the epoch and the last offset of a topic are kept after its last use, beyond the age of its history, in milliseconds. A
   * member that comes back later gets a gap, also if nothing was published. Claims of producers are kept as long. One topic takes about
   * 200 bytes of the server's memory in that time, which is why there is an end. From 60,000. @default 86_400_000
   */
  readonly topicExpiry?: number | undefined;
  /**
   * Most calls that may wait for a connection or for an answer of the server. A further one rejects with LimitError. @default 10_000
   */
  readonly maxPending?: number | undefined;
  /**
   * Most bytes of messages in these calls. A further publish rejects with LimitError; a message that is larger than this can never be
   * published. @default 67_108_864
   */
  readonly maxPendingBytes?: number | undefined;
}

export type RedisBrokerSettings = Complete<RedisBrokerOptions>;

export const REDIS_BROKER_DEFAULTS: Complete<RedisBrokerOptions> = Object.freeze({
  prefix: "holdfast",
  partitions: 128,
  topicExpiry: 86_400_000,
  maxPending: 10_000,
  maxPendingBytes: 67_108_864,
});

const RANGES: Readonly<Record<Exclude<keyof RedisBrokerOptions, "prefix">, NumberRange>> = {
  partitions: { least: 2, most: 4_096, whole: true },
  topicExpiry: { least: 60_000, most: 2 ** 40, whole: true, unit: "ms" },
  maxPending: COUNT,
  maxPendingBytes: COUNT,
};

const MAX_PREFIX = 64;

/** Validates the options, and fills in the defaults. */
export function settledOptions(given: RedisBrokerOptions): RedisBrokerSettings {
  judgeOptions(given);
  const options = present(given);
  judgeNames(Object.keys(options), (name) => name in REDIS_BROKER_DEFAULTS);
  const settings = { ...REDIS_BROKER_DEFAULTS, ...options } as RedisBrokerSettings;
  judgeString("prefix", settings.prefix);
  const bytes = Buffer.byteLength(settings.prefix);
  if (bytes === 0 || bytes > MAX_PREFIX || /[{}]/.test(settings.prefix)) {
    throw new RangeError(
      `Cannot use prefix ${JSON.stringify(settings.prefix)}: expected 1 to ${MAX_PREFIX} bytes without braces`,
    );
  }
  for (const name of Object.keys(RANGES) as (keyof typeof RANGES)[]) judgeNumber(name, settings[name], RANGES[name]);
  return Object.freeze(settings);
}

/** What a target is. */
export type JudgedTarget =
  | { readonly kind: "server"; readonly target: RedisClientTarget }
  | { readonly kind: "cluster"; readonly target: RedisClusterTarget }
  | { readonly kind: "sentinel"; readonly target: RedisSentinelTarget };

/** Throws TypeError if `given` is no target. */
export function judgeTarget(given: string | URL | RedisTarget): JudgedTarget {
  if (typeof given === "string" || given instanceof URL) {
    const url = String(given);
    if (!/^(rediss?|unix):\/\//.test(url)) {
      throw new TypeError(
        `Cannot use target ${JSON.stringify(withoutPassword(url))}: expected redis://, rediss:// or unix://`,
      );
    }
    return { kind: "server", target: { url } };
  }
  if (!isObject(given) || Array.isArray(given)) {
    throw new TypeError(`Cannot use target: expected a URL or the options of a client of redis, got ${kindOf(given)}`);
  }
  const target: object = given;
  if ("rootNodes" in target) return { kind: "cluster", target: judgeNodes("rootNodes", target as RedisClusterTarget) };
  if ("sentinelRootNodes" in target) {
    const sentinel = judgeNodes("sentinelRootNodes", target as RedisSentinelTarget);
    judgeString("name", sentinel.name);
    return { kind: "sentinel", target: sentinel };
  }
  if (typeof (target as { connect?: unknown }).connect === "function") {
    throw new TypeError(
      "Cannot use a client of redis as target: the broker opens connections of its own, so pass the options",
    );
  }
  return { kind: "server", target };
}

function judgeNodes<Target extends object>(name: keyof Target & string, target: Target): Target {
  const nodes: unknown = target[name];
  if (Array.isArray(nodes) && nodes.length > 0 && nodes.every(isObject)) return target;
  throw new TypeError(`Cannot use ${name}: expected at least one node`);
}

function withoutPassword(url: string): string {
  return url.replace(/:\/\/[^@]*@/, "://...@");
}
