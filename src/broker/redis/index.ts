/** The entry point `holdfast/redis`: the broker on Redis. Needs the package `redis`. */

export type {
  Broker,
  BrokerEntry,
  BrokerHonours,
  BrokerListener,
  BrokerPublishOptions,
  BrokerSubscription,
  HistoryLimits,
  Published,
  ReadRequest,
  Slice,
} from "../broker.ts";
export {
  REDIS_BROKER_DEFAULTS,
  type RedisBrokerOptions,
  type RedisClientTarget,
  type RedisClusterTarget,
  type RedisSentinelTarget,
  type RedisTarget,
} from "./options.ts";
export { redisBroker } from "./redis-broker.ts";
