/** Watches the connections of a server or of the process: once a second for the history, and more closely while there is a viewer. */

import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { getHeapStatistics } from "node:v8";
import { END_CAUSES, type EndCause } from "../base/end-causes.ts";
import { REFUSALS, type Refusal } from "../base/refusals.ts";
import { after, between, type Clock, type Instant, type Wakeup } from "../base/time.ts";
import { VERSION } from "../base/version.ts";
import { SOCKET_STATES } from "../base/vocabulary.ts";
import {
  type Connection,
  type EndedFacts,
  Inspection,
  type Message,
  memoryBudget,
  type WatchedSource,
} from "../core.ts";
import { Hub } from "../hub/hub.ts";
import type { Metrics } from "../metrics/metrics.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import { usesFastTransport } from "../transport/fast/select.ts";
import { act } from "./actions.ts";
import { detailOf, endedDetail } from "./detail.ts";
import {
  type ActionMessage,
  type ConnectionDetail,
  ENDED_KEPT,
  FEED_VERSION,
  type GroupRow,
  type HelloMessage,
  MAX_ROWS,
  type NextMessage,
  type ResultMessage,
  type ServerRow,
  type TopicRow,
  type UpdateMessage,
} from "./feed.ts";
import { Frames } from "./frames.ts";
import { History } from "./history.ts";
import { Journal } from "./journal.ts";
import { KernelView } from "./kernel-view.ts";
import { SecondNumbers } from "./numbers.ts";
import type { SettledDashboard } from "./options.ts";
import { ConnectionPaces } from "./pace.ts";
import { type Seen, type SelectedRows, type Selection, selected, shortened } from "./rows.ts";
import { Viewer } from "./viewer.ts";

const SECOND = 1_000;

/** For viewers and clients of a dashboard that has ended. */
export const DASHBOARD_CLOSED = "the dashboard is closed";

/** The most groups and topics in an update. */
const MOST_NAMES = 200;

export class Monitor {
  readonly clock: Clock;
  closed = false;
  readonly #source: WatchedSource;
  readonly #metrics: Metrics;
  readonly #options: SettledDashboard;
  readonly #hello: Omit<HelloMessage, "transport">;
  readonly #began: Instant;
  readonly #history = new History();
  readonly #numbers = new SecondNumbers();
  readonly #journal: Journal;
  readonly #paces = new ConnectionPaces();
  readonly #kernel = new KernelView();
  readonly #frames: Frames;
  readonly #viewers = new Map<Connection, Viewer>();
  /** What viewers that have left had done, and how many there were. */
  readonly #past = { opened: 0, messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 };
  readonly #endWatch: () => void;
  #sampledAt: Instant;
  /** Of the last second. */
  #snapshot: MetricsSnapshot;
  #wakeup: Wakeup;

  constructor(source: WatchedSource, scope: HelloMessage["scope"], measured: Metrics, options: SettledDashboard) {
    const { clock, readOnly, workers } = options;
    this.clock = clock;
    this.#source = source;
    this.#metrics = measured;
    this.#options = options;
    this.#began = clock.now();
    this.#sampledAt = this.#began;
    this.#frames = new Frames(clock);
    this.#hello = {
      ...{ type: "hello", feed: FEED_VERSION, instance: randomBytes(16).toString("hex"), version: VERSION },
      ...{ node: process.version, pid: process.pid, host: hostname() },
      processStartedAt: Math.round(Date.now() - process.uptime() * 1_000),
      startedAt: Math.round(clock.wallTime()),
      ...{ readOnly, workers, scope },
    };
    const before = measured.quickSnapshot();
    this.#snapshot = before;
    this.#numbers.take(before, this.#ownShare(), this.#otherCounts({ local: 0, peer: 0 }), 1);
    const totals = (Object.keys(END_CAUSES) as EndCause[]).map((cause) => {
      return [cause, before.value("holdfast_connections_closed_total", { cause })] as const;
    });
    this.#journal = new Journal(this, new Map(totals));
    this.#endWatch = source.watch(this.#journal);
    this.#wakeup = this.#awaitSecond();
  }

  get viewers(): number {
    return this.#viewers.size;
  }

  // For the journal

  get second(): number {
    return Math.floor(between(this.#began, this.clock.now()) / SECOND);
  }

  isViewer(connection: Connection): boolean {
    return this.#viewers.has(connection);
  }

  viewerEnded(connection: Connection, { tally }: EndedFacts): void {
    for (const way of ["messagesIn", "messagesOut", "bytesIn", "bytesOut"] as const) this.#past[way] += tally[way];
    this.leave(connection);
  }

  // Viewers

  join(connection: Connection): void {
    if (this.closed) {
      // It was allowed before the end. Its own end would not be noticed here.
      void connection.close(1001, DASHBOARD_CLOSED);
      return;
    }
    const viewer = new Viewer(connection, this);
    this.#viewers.set(connection, viewer);
    if (this.#isWatched(connection)) this.#past.opened += 1;
    if (this.#viewers.size === 1) this.#paces.measure(this.#inspections(), this.clock.now());
    viewer.send(this.hello);
  }

  receive(connection: Connection, message: Message): void {
    this.#viewers.get(connection)?.receive(message);
  }

  leave(connection: Connection): void {
    this.#viewers.get(connection)?.leave();
    this.#viewers.delete(connection);
    if (this.#viewers.size > 0) return;
    this.#paces.forget();
    this.#frames.clear();
  }

  /** Stops watching, and closes the viewers. */
  close(): void {
    this.closed = true;
    this.#wakeup.cancel();
    this.#endWatch();
    for (const { connection } of [...this.#viewers.values()]) void connection.close(1001, DASHBOARD_CLOSED);
  }

  update(question: NextMessage): UpdateMessage {
    const began = performance.now();
    const { second = -1, ended = 0, connection: id, frame = 0 } = question;
    const samples = this.#history.after(second);
    const { rows, total, matching } = this.select({
      sort: question.sort ?? "queuedBytes",
      descending: question.descending ?? true,
      filter: (question.filter ?? "").toLowerCase(),
      most: MAX_ROWS,
    });
    const { limit } = memoryBudget;
    return {
      ...{ type: "update", at: Math.round(this.clock.wallTime()), samples },
      endCounts: this.#journal.endCountsAfter(second),
      ends: this.#journal.totals,
      refusals: this.#refusals(),
      memoryLimit: limit === Infinity ? null : limit,
      heapLimit: getHeapStatistics().heap_size_limit,
      kernel: socketStates(this.#snapshot),
      servers: this.servers(),
      ...{ connections: rows, total, matching },
      ended: this.endedAfter(ended),
      connection: id === undefined ? null : this.#detail(id, frame),
      groups: this.groups(),
      topics: this.topics(),
      viewers: this.viewers,
      took: Math.round((performance.now() - began) * 1_000) / 1_000,
    };
  }

  act(message: ActionMessage, held: Set<Connection>): Promise<ResultMessage> {
    const find = (id: number): Connection | undefined => this.#find(id);
    const { readOnly } = this.#options;
    return act({ readOnly, journal: this.#journal, frames: this.#frames, find, held }, message);
  }

  release(held: Iterable<Connection>): void {
    for (const connection of held) if (connection.state === "OPEN") Inspection.of(connection)?.holdReading(false);
  }

  // Tables

  get hello(): HelloMessage {
    // The process chooses the transport when it first listens or connects, which may be later than the dashboard.
    return { ...this.#hello, transport: usesFastTransport() ? "fast" : "socket" };
  }

  get history(): History {
    return this.#history;
  }

  select(selection: Selection): SelectedRows {
    return selected(this.#seen(), selection);
  }

  endedAfter(number: number): UpdateMessage["ended"] {
    return this.#journal.endedAfter(number).slice(-ENDED_KEPT);
  }

  servers(): ServerRow[] {
    return this.#source.servers().map(({ url, connections, opening, limit }) => {
      return { url, connections, opening, limit: limit === Infinity ? null : limit };
    });
  }

  groups(): GroupRow[] | null {
    const { groups } = this.#options;
    if (groups === undefined) return null;
    const rows = Object.entries(groups).map(([name, { size }]) => ({ name: shortened(name), members: size }));
    return rows.slice(0, MOST_NAMES);
  }

  /** The topics with the most members. */
  topics(): TopicRow[] | null {
    const { hubs } = this.#options;
    if (hubs === undefined) return null;
    const all = Object.entries(hubs).flatMap(([name, hub]) => topicRows(name, hub));
    return all.sort((one, other) => other.members - one.members).slice(0, MOST_NAMES);
  }

  // Each second

  #awaitSecond(): Wakeup {
    return this.clock.wakeAt(after(this.#began, (this.second + 1) * SECOND), (now) => this.#secondEnded(now));
  }

  #secondEnded(now: Instant): void {
    const seconds = Math.max(between(this.#sampledAt, now), 1) / SECOND;
    this.#sampledAt = now;
    if (this.#viewers.size > 0) {
      this.#paces.measure(this.#inspections(), now);
      this.#frames.retry();
    }
    const others = this.#otherCounts(this.#journal.sides);
    this.#snapshot = this.#viewers.size > 0 ? this.#metrics.snapshot() : this.#metrics.quickSnapshot();
    this.#history.add(this.second - 1, {
      ...this.#numbers.take(this.#snapshot, this.#ownShare(), others, seconds),
      rss: residentBytes(),
      heapUsed: getHeapStatistics().used_heap_size,
    });
    for (const viewer of [...this.#viewers.values()]) viewer.secondEnded();
    this.#wakeup = this.#awaitSecond();
  }

  #otherCounts(sides: Readonly<Record<"local" | "peer", number>>): Parameters<SecondNumbers["take"]>[2] {
    const { user, system } = process.cpuUsage();
    return { closedLocal: sides.local, closedPeer: sides.peer, wallTime: this.clock.wallTime(), cpu: user + system };
  }

  /** What viewers have caused in the numbers of the source. */
  #ownShare(): Parameters<SecondNumbers["take"]>[1] {
    const share = { open: 0, ...this.#past };
    for (const connection of this.#viewers.keys()) {
      const tally = Inspection.of(connection)?.tally;
      if (tally === undefined || !this.#isWatched(connection)) continue;
      share.open += connection.state === "OPEN" ? 1 : 0;
      for (const way of ["messagesIn", "messagesOut", "bytesIn", "bytesOut"] as const) share[way] += tally[way];
    }
    return share;
  }

  /** False for a viewer of another server than the one that is watched. */
  #isWatched(connection: Connection): boolean {
    return this.#hello.scope === "process" || this.#find(connection.id) !== undefined;
  }

  *#inspections(): Generator<Inspection, undefined> {
    for (const connection of this.#source.connections()) {
      const inspection = Inspection.of(connection);
      if (inspection !== undefined) yield inspection;
    }
  }

  *#seen(): Generator<Seen, undefined> {
    for (const inspection of this.#inspections()) {
      const { connection } = inspection;
      yield { inspection, pace: this.#paces.of(connection), viewer: this.#viewers.has(connection) };
    }
  }

  #find(id: number): Connection | undefined {
    for (const connection of this.#source.connections()) {
      if ((connection as Connection).id === id) return connection as Connection;
    }
    return undefined;
  }

  #detail(id: number, frame: number): ConnectionDetail | null {
    const connection = this.#find(id);
    if (connection === undefined) {
      const ended = this.#journal.endedWith(id);
      return ended === undefined ? null : endedDetail(ended);
    }
    const sources = { clock: this.clock, journal: this.#journal, frames: this.#frames, kernel: this.#kernel };
    const seen = { pace: this.#paces.of(connection), viewer: this.#viewers.has(connection) };
    return detailOf(sources, connection, seen, frame);
  }

  #refusals(): Record<string, number> {
    const counts = (Object.keys(REFUSALS) as Refusal[]).map((reason) => {
      return [reason, this.#snapshot.value("holdfast_handshakes_refused_total", { reason })] as const;
    });
    return Object.fromEntries(counts.filter(([, count]) => count > 0));
  }
}

/** Null while the kernel's table is not known. */
function socketStates(snapshot: MetricsSnapshot): Record<string, number> | null {
  const states = SOCKET_STATES.map(
    (state) => [state.toUpperCase(), snapshot.value("holdfast_tcp_sockets", { state })] as const,
  );
  const found = states.filter(([, count]) => count > 0);
  return found.length === 0 ? null : Object.fromEntries(found);
}

function topicRows(name: string, hub: Hub): TopicRow[] {
  return Hub.topicsOf(hub).map(({ name: topic, members, behind, position: { epoch, offset } }) => {
    const position = epoch === "" ? null : `${shortened(epoch)}:${offset}`;
    return { hub: shortened(name), name: shortened(topic), members, behind, position };
  });
}

/** Undefined in a process without a free descriptor: on Linux the number is in a file. */
function residentBytes(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}
