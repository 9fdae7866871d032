/** The sources of metrics of this process: its servers, its clients, and what is built on them. */

import type { MetricProtocol } from "../base/vocabulary.ts";
import { compressionCounters } from "../connection/compression/compression-counters.ts";
import { collectConnections } from "../connection/connection-gauges.ts";
import { Counters } from "../connection/counters.ts";
import { groupCounters } from "../connection/group-counters.ts";
import type { TransportConnection } from "../connection/transport-connection.ts";
import { Collector, type MetricSource } from "../engine/metrics/collector.ts";
import { ConnectionList } from "./connection-list.ts";

/** The connections of a server, as its metrics use them. */
export interface MeasuredRoster {
  readonly connections: Iterable<object>;
  readonly reserved: number;
}

/** A server: what its connections have counted, and what they hold now. */
export class ServerMetrics implements MetricSource {
  readonly counters: Counters;
  readonly #maxConnections: number;
  readonly #roster: WeakRef<MeasuredRoster>;

  constructor(counters: Counters, maxConnections: number, roster: MeasuredRoster) {
    this.counters = counters;
    this.#maxConnections = maxConnections;
    this.#roster = new WeakRef(roster);
  }

  collect(into: Collector): void {
    const { counters } = this;
    const { role, protocol } = counters;
    counters.collect(into);
    const { connections = [], reserved: opening = 0 } = this.#roster.deref() ?? {};
    collectConnections({ role, protocol, connections, opening }, into);
    into.add("holdfast_connections_limit", this.#maxConnections);
  }
}

/** Connections without a server: those of `connect`, and of `accept`. */
export class LooseConnections implements MetricSource {
  readonly counters: Counters;
  readonly #connections = new ConnectionList<unknown>();
  /** Number of openings in progress. */
  opening = 0;

  constructor(counters: Counters) {
    this.counters = counters;
  }

  /** Adds an open connection, until it ends. `ended` is called at its end, too. */
  add(connection: TransportConnection<never>, ended?: () => void): void {
    const added = connection as TransportConnection<unknown>;
    this.#connections.add(added);
    // One function for nearly all connections, to save memory.
    if (ended === undefined) added.onEnd(this.#ended);
    else
      added.onEnd(() => {
        this.#connections.delete(added);
        ended();
      });
  }

  collect(into: Collector): void {
    const { counters, opening } = this;
    const { role, protocol } = counters;
    counters.collect(into);
    collectConnections({ role, protocol, connections: this.#connections, opening }, into);
  }

  readonly #ended = (connection: TransportConnection<unknown>): void => this.#connections.delete(connection);
}

/** All sources. A source that has ended leaves what it has counted, so that no counter of the process ever goes down. */
class ProcessMetrics implements MetricSource {
  readonly #sources = new Set<MetricSource>();
  readonly #past = new Collector();
  readonly #forgotten = new FinalizationRegistry<ServerMetrics>((server) => this.#retire(server));

  /** Adds a source for the life of the process. */
  add(source: MetricSource): void {
    this.#sources.add(source);
  }

  /** Adds a server, until it is closed or, if the application has forgotten it, its roster is collected. */
  addServer(server: ServerMetrics, roster: MeasuredRoster): void {
    this.#sources.add(server);
    this.#forgotten.register(roster, server, server);
  }

  /** The server has closed: its connections have ended. */
  removeServer(server: ServerMetrics): void {
    this.#forgotten.unregister(server);
    this.#retire(server);
  }

  collect(into: Collector): void {
    into.addAll(this.#past);
    for (const source of this.#sources) source.collect(into);
  }

  #retire(server: ServerMetrics): void {
    if (this.#sources.delete(server)) server.counters.collect(this.#past);
  }
}

export const processMetrics: ProcessMetrics = new ProcessMetrics();
processMetrics.add(compressionCounters);
processMetrics.add(groupCounters);

const loose = new Map<string, LooseConnections>();

/** The connections of `connect` or `accept` in this process. Their series exist from the first call on. */
export function looseConnections(role: "client" | "server", protocol: MetricProtocol): LooseConnections {
  const key = `${role} ${protocol}`;
  const known = loose.get(key);
  if (known !== undefined) return known;
  const created = new LooseConnections(new Counters(role, protocol));
  loose.set(key, created);
  processMetrics.add(created);
  return created;
}
