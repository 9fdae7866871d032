/** The entry point `holdfast/nats`: the broker on NATS. Needs the package `@nats-io/transport-node`. */

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
export { natsBroker } from "./broker.ts";
export {
  NATS_BROKER_DEFAULTS,
  type NatsBrokerDefaults,
  type NatsBrokerOptions,
  type NatsStreamOptions,
} from "./options.ts";
