/** Remembers the connections that have ended, and what has happened to each connection. */

import type { EndCause } from "../base/end-causes.ts";
import { END_CAUSES } from "../base/end-causes.ts";
import type { Clock, Connection, ConnectionWatcher, EndedFacts, RareEvent } from "../core.ts";
import { Inspection } from "../core.ts";
import { ENDED_KEPT, type EndCount, type EndedRow, EVENTS_KEPT, HISTORY_SECONDS, type TimelineEvent } from "./feed.ts";
import { pathOf, remoteOf, rounded, shortened } from "./rows.ts";

/** An ended connection, with what happened to it. */
export interface RememberedEnd {
  readonly row: EndedRow;
  readonly events: readonly TimelineEvent[];
}

interface JournalOwner {
  readonly clock: Clock;
  /** True for a connection of the dashboard itself: it is no load of the application. */
  isViewer(connection: Connection): boolean;
  viewerEnded(connection: Connection, facts: EndedFacts): void;
  /** The number of the second that is not complete. */
  readonly second: number;
}

export class Journal implements ConnectionWatcher {
  readonly #owner: JournalOwner;
  readonly #ended: RememberedEnd[] = [];
  #lastNumber = 0;
  readonly #timelines = new WeakMap<Connection, TimelineEvent[]>();
  /** By second, the oldest first. */
  readonly #endCounts = new Map<number, Map<EndCause, number>>();
  readonly #totals = new Map<EndCause, number>();
  readonly #sides = { local: 0, peer: 0 };

  /** `totals`: the ends before now, by cause. */
  constructor(owner: JournalOwner, totals: ReadonlyMap<EndCause, number>) {
    this.#owner = owner;
    this.#totals = new Map(totals);
  }

  /** The numbers of ended connections since the start, by side. */
  get sides(): Readonly<Record<"local" | "peer", number>> {
    return this.#sides;
  }

  /** Ends by cause, those before the start included. */
  get totals(): Partial<Record<EndCause, number>> {
    return Object.fromEntries([...this.#totals].filter(([, count]) => count > 0));
  }

  /** The ended connections behind `number`, the oldest first. */
  endedAfter(number: number): EndedRow[] {
    return this.#ended.filter(({ row }) => row.number > number).map(({ row }) => row);
  }

  /** An ended connection, if it is still known. */
  endedWith(id: number): RememberedEnd | undefined {
    return this.#ended.findLast(({ row }) => row.id === id);
  }

  /** The ends in the seconds behind `second`. */
  endCountsAfter(second: number): EndCount[] {
    return [...this.#endCounts].flatMap(([at, causes]) =>
      at > second && at < this.#owner.second
        ? Array.from(causes, ([cause, count]): EndCount => [at, cause, count])
        : [],
    );
  }

  /** What has happened to a connection, the oldest first, without its opening. */
  eventsOf(connection: Connection): readonly TimelineEvent[] {
    return this.#timelines.get(connection) ?? [];
  }

  /** Adds an event to the life of a connection. */
  note(connection: Connection, type: TimelineEvent["type"], text: string): void {
    const at = Math.round(this.#owner.clock.wallTime());
    const events = this.#timelines.get(connection) ?? [];
    if (events.length === 0) this.#timelines.set(connection, events);
    const last = events.at(-1);
    if (last?.type === type && last.text === text) {
      events[events.length - 1] = { ...last, last: at, count: last.count + 1 };
      return;
    }
    events.push({ at, last: at, count: 1, type, text });
    if (events.length > EVENTS_KEPT) events.shift();
  }

  happened(connection: Connection, event: RareEvent, detail: string): void {
    this.note(connection, event, detail);
  }

  ended(connection: Connection, facts: EndedFacts): void {
    if (this.#owner.isViewer(connection)) {
      this.#owner.viewerEnded(connection, facts);
      return;
    }
    const { cause, age, info, tally } = facts;
    const { by } = END_CAUSES[cause];
    this.#totals.set(cause, (this.#totals.get(cause) ?? 0) + 1);
    this.#sides[by] += 1;
    this.#count(cause);
    const reason = shortened(info.reason);
    this.note(connection, "close", `${cause} ${info.code} ${reason}`.trim());
    const { id, kind } = connection;
    const { messagesIn, messagesOut, bytesIn, bytesOut, largestQueue, rtt } = tally;
    this.#lastNumber += 1;
    const row = {
      ...{ number: this.#lastNumber, at: Math.round(this.#owner.clock.wallTime()), id },
      ...{ role: Inspection.of(connection)?.role ?? ("server" as const), kind },
      ...{ remote: remoteOf(connection), path: pathOf(connection), age: Math.round(age) },
      ...{ messagesIn, messagesOut, bytesIn, bytesOut, largestQueue, rtt: rounded(rtt) },
      ...{ by, cause, code: info.code, reason },
    };
    this.#ended.push({ row, events: this.eventsOf(connection) });
    if (this.#ended.length > ENDED_KEPT) this.#ended.shift();
  }

  #count(cause: EndCause): void {
    const { second } = this.#owner;
    let causes = this.#endCounts.get(second);
    if (causes === undefined) {
      causes = new Map();
      this.#endCounts.set(second, causes);
      for (const at of this.#endCounts.keys()) {
        if (at > second - HISTORY_SECONDS) break;
        this.#endCounts.delete(at);
      }
    }
    causes.set(cause, (causes.get(cause) ?? 0) + 1);
  }
}
