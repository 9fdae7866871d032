/** The entry point `holdfast/workers`: one program in several processes of one machine. */

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
} from "../broker/broker.ts";
export type { MetricsSnapshot } from "../metrics/snapshot.ts";
export type { CountingExchange } from "./exchange.ts";
export {
  WORKER_DEFAULTS,
  type WorkerEvent,
  type WorkerFunction,
  type WorkerScope,
  type WorkerServer,
  type WorkersOptions,
} from "./options.ts";
export { startWorkers } from "./start.ts";
export type { Workers } from "./supervisor.ts";
