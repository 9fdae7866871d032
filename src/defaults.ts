/** The default of every option, in one tree. */

import {
  CLIENT_DEFAULTS,
  type ClientDefaults,
  COMPRESSION_DEFAULTS,
  CONNECTION_DEFAULTS,
  type CompressionDefaults,
  type ConnectionDefaults,
  SERVER_DEFAULTS,
  type ServerDefaults,
} from "./core.ts";
import { HUB_DEFAULTS, type HubDefaults, TOPIC_DEFAULTS, type TopicDefaults } from "./hub/options.ts";
import { RECONNECT_DEFAULTS, type ReconnectDefaults } from "./reconnect/options.ts";

/** The type of `DEFAULTS`. */
export interface Defaults {
  /** Options of every connection. */
  readonly connection: ConnectionDefaults;
  /** Further options of `connect`. */
  readonly client: ClientDefaults;
  /** Further options of `listen` and `attach`; in `close`, those of `server.close`. */
  readonly server: ServerDefaults;
  /** Options of compression. In `server` and `client`, those that differ by role. */
  readonly compression: CompressionDefaults;
  /** Further options of `reconnect` and `ReconnectingConnection`. */
  readonly reconnect: ReconnectDefaults;
  /** Options of `Hub`. */
  readonly hub: HubDefaults;
  /** Options of `hub.topic`. */
  readonly topic: TopicDefaults;
}

/**
 * The default of every option that has a plain value. Frozen: a change would have no effect. The defaults of `startWorkers` are
 * `WORKER_DEFAULTS` of `holdfast/workers`.
 */
export const DEFAULTS: Defaults = Object.freeze({
  connection: CONNECTION_DEFAULTS,
  client: CLIENT_DEFAULTS,
  server: SERVER_DEFAULTS,
  compression: COMPRESSION_DEFAULTS,
  reconnect: RECONNECT_DEFAULTS,
  hub: HUB_DEFAULTS,
  topic: TOPIC_DEFAULTS,
});
