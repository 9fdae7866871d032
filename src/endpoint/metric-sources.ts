/** The sources of metrics of this process: its servers, its clients, and what is built on them. */

import type { MetricProtocol } from "../base/vocabulary.ts";
import { compressionCounters } from "../connection/compression/compression-counters.ts";
import { collectConnections } from "../connection/connection-gauges.ts";
import { Counters } from "../connection/counters.ts";
import { groupCounters } from "../connection/group-counters.ts";
import type { TransportConnection } from "../connection/transport-connection.ts";
import type { ConnectionWatcher } from "../connection/watcher.ts";
import { Collector, type MetricSource } from "../engine/metrics/collector.ts";
import { ConnectionList } from "./connection-list.ts";

/** The connections of a server, as its metrics use them. */
export interface MeasuredRoster {
  readonly connections: Iterable<object> & { readonly size: number };
  readonly reserved: number;
}

function sizesOf(roster: MeasuredRoster | undefined): { readonly size: number; readonly reserved: number } {
  return { size: roster?.connections.size ?? 0, reserved: roster?.reserved ?? 0 };
}

/** A server, as the dashboard shows it. */
export interface WatchedServer {
  /** Empty if the application has forgotten the server, or while the HTTP server of an attachment does not listen. */
  readonly url: string;
  readonly connections: number;
  /** Openings in progress. */
  readonly opening: number;
  /** Infinity: no limit. */
  readonly limit: number;
}

/** What can be watched: a server, or all of the process. */
export interface WatchedSource extends MetricSource {
  /** The connections that are open or closing now. */
  connections(): Iterable<object>;
  servers(): WatchedServer[];
  /** Reports the rare events of all connections, also of servers that start later, until the returned function is called. */
  watch(watcher: ConnectionWatcher): () => void;
}

/** A server: what its connections have counted, and what they hold now. */
export class ServerMetrics implements WatchedSource {
  readonly counters: Counters;
  readonly #maxConnections: number;
  readonly #roster: WeakRef<MeasuredRoster>;
  // Weak: the process knows this object for as long as there are connections, also if the application has forgotten the server.
  readonly #url: WeakRef<() => string>;

  constructor(counters: Counters, maxConnections: number, roster: MeasuredRoster, url: () => string) {
    this.counters = counters;
    this.#maxConnections = maxConnections;
    this.#roster = new WeakRef(roster);
    this.#url = new WeakRef(url);
  }

  connections(): Iterable<object> {
    return this.#roster.deref()?.connections ?? [];
  }

  servers(): WatchedServer[] {
    const { size: connections, reserved: opening } = sizesOf(this.#roster.deref());
    return [{ url: this.#url.deref()?.() ?? "", connections, opening, limit: this.#maxConnections }];
  }

  watch(watcher: ConnectionWatcher): () => void {
    return this.counters.watch(watcher);
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
export class LooseConnections implements WatchedSource {
  readonly counters: Counters;
  readonly #connections = new ConnectionList<unknown>();
  /** Number of openings in progress. */
  opening = 0;

  constructor(counters: Counters) {
    this.counters = counters;
  }

  connections(): Iterable<object> {
    return this.#connections;
  }

  servers(): WatchedServer[] {
    return [];
  }

  watch(watcher: ConnectionWatcher): () => void {
    return this.counters.watch(watcher);
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
class ProcessMetrics implements WatchedSource {
  readonly #sources = new Set<MetricSource | WatchedSource>();
  /** The watchers, with the functions that end the watch of each source. */
  readonly #watchers = new Map<ConnectionWatcher, Map<MetricSource, () => void>>();
  readonly #past = new Collector();
  readonly #forgotten = new FinalizationRegistry<ServerMetrics>((server) => this.#retire(server));

  /** Adds a source for the life of the process. */
  add(source: MetricSource | WatchedSource): void {
    this.#sources.add(source);
    for (const [watcher, ends] of this.#watchers) watchSource(source, watcher, ends);
  }

  /** Adds a server, until it is closed or, if the application has forgotten it, its roster is collected. */
  addServer(server: ServerMetrics, roster: MeasuredRoster): void {
    this.add(server);
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

  *connections(): Generator<object, undefined> {
    for (const source of this.#sources) if ("connections" in source) yield* source.connections();
  }

  servers(): WatchedServer[] {
    return [...this.#sources].flatMap((source) => ("servers" in source ? source.servers() : []));
  }

  watch(watcher: ConnectionWatcher): () => void {
    const ends = new Map<MetricSource, () => void>();
    this.#watchers.set(watcher, ends);
    for (const source of this.#sources) watchSource(source, watcher, ends);
    return () => {
      this.#watchers.delete(watcher);
      for (const end of ends.values()) end();
    };
  }

  #retire(server: ServerMetrics): void {
    if (this.#sources.delete(server)) server.counters.collect(this.#past);
    for (const ends of this.#watchers.values()) ends.delete(server);
  }
}

function watchSource(
  source: MetricSource | WatchedSource,
  watcher: ConnectionWatcher,
  ends: Map<MetricSource, () => void>,
): void {
  if ("watch" in source) ends.set(source, source.watch(watcher));
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
