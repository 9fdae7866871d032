/** The rows of connections: their columns, their order, and which of thousands are shown. */

import { joinHostPort } from "../base/host-port.ts";
import type { Connection, Inspection } from "../core.ts";
import { type ConnectionRow, MAX_TEXT, type SortColumn } from "./feed.ts";
import type { ConnectionPace } from "./pace.ts";

/** A connection with what the dashboard knows of it. */
export interface Seen {
  readonly inspection: Inspection;
  readonly pace: ConnectionPace | undefined;
  readonly viewer: boolean;
}

/** Which connections are shown, in which order. */
export interface Selection {
  readonly sort: SortColumn;
  readonly descending: boolean;
  /** In lower case. Empty: all. */
  readonly filter: string;
  readonly most: number;
}

/** The result of a selection. */
export interface SelectedRows {
  readonly rows: readonly ConnectionRow[];
  readonly total: number;
  /** How many fit the filter. */
  readonly matching: number;
}

/** At most MAX_TEXT characters of a text of a peer. */
export function shortened(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT - 1)}…`;
}

/** The path of the URL of a connection, without the query. Empty on TCP. */
export function pathOf({ url, kind }: Pick<Connection, "url" | "kind">): string {
  if (kind === "tcp") return "";
  const path = url.replace(/^\w+:\/\/[^/]*/, "").replace(/\?.*/s, "");
  return shortened(path === "" ? "/" : path);
}

/** The address and port of the peer. Empty if it has none. */
export function remoteOf({ remoteAddress, remotePort }: Pick<Connection, "remoteAddress" | "remotePort">): string {
  return remoteAddress === "" ? "" : joinHostPort(remoteAddress, remotePort);
}

export function rowOf({ inspection, pace, viewer }: Seen): ConnectionRow {
  const { connection, tally } = inspection;
  const { id, kind, secure, state, protocol } = connection;
  const { messagesIn, messagesOut, bytesIn, bytesOut, largestQueue, rtt } = tally;
  return {
    ...{ id, role: inspection.role, kind, remote: remoteOf(connection), path: pathOf(connection) },
    ...{ subprotocol: shortened(protocol), secure, state, age: Math.round(inspection.age) },
    ...{ messagesIn, messagesOut, bytesIn, bytesOut },
    messagesInRate: pace?.messagesIn ?? 0,
    messagesOutRate: pace?.messagesOut ?? 0,
    bytesInRate: pace?.bytesIn ?? 0,
    bytesOutRate: pace?.bytesOut ?? 0,
    ...{ queuedBytes: inspection.queuedBytes, queuedMessages: inspection.queuedMessages, largestQueue },
    ...{ inboxBytes: inspection.inboxBytes, inboxMessages: inspection.inboxMessages },
    rtt: rounded(rtt),
    paused: rounded(inspection.pausedFor),
    peerEnded: rounded(inspection.peerEndedFor),
    viewer,
  };
}

/** A number of the feed, with three decimals at most. Null for a number that is not known. */
export function rounded(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : Math.round(value * 1_000) / 1_000;
}

const KEYS: Readonly<Record<SortColumn, (seen: Seen) => number | string>> = {
  id: ({ inspection }) => inspection.connection.id,
  role: ({ inspection }) => inspection.role,
  kind: ({ inspection }) => inspection.connection.kind,
  remote: ({ inspection }) => remoteOf(inspection.connection).toLowerCase(),
  path: ({ inspection }) => pathOf(inspection.connection).toLowerCase(),
  state: ({ inspection }) => inspection.connection.state,
  age: ({ inspection }) => inspection.age,
  messagesIn: ({ inspection }) => inspection.tally.messagesIn,
  messagesOut: ({ inspection }) => inspection.tally.messagesOut,
  bytesIn: ({ inspection }) => inspection.tally.bytesIn,
  bytesOut: ({ inspection }) => inspection.tally.bytesOut,
  messagesInRate: ({ pace }) => pace?.messagesIn ?? 0,
  messagesOutRate: ({ pace }) => pace?.messagesOut ?? 0,
  bytesInRate: ({ pace }) => pace?.bytesIn ?? 0,
  bytesOutRate: ({ pace }) => pace?.bytesOut ?? 0,
  queuedBytes: ({ inspection }) => inspection.queuedBytes,
  queuedMessages: ({ inspection }) => inspection.queuedMessages,
  largestQueue: ({ inspection }) => inspection.tally.largestQueue,
  inboxBytes: ({ inspection }) => inspection.inboxBytes,
  inboxMessages: ({ inspection }) => inspection.inboxMessages,
  // An unknown value is below all known ones.
  rtt: ({ inspection }) => inspection.tally.rtt ?? -1,
  paused: ({ inspection }) => inspection.pausedFor ?? -1,
  peerEnded: ({ inspection }) => inspection.peerEndedFor ?? -1,
};

function fits({ inspection: { connection } }: Seen, filter: string): boolean {
  const { id, state, protocol } = connection;
  const texts = [String(id), state, remoteOf(connection), pathOf(connection), protocol];
  return texts.some((text) => text.toLowerCase().includes(filter));
}

/**
 * The first connections by an order. Keeps no more than the wanted number of them at any time: a sort of all, each second, would take
 * several times as long. Equal ones are in the order of their ids.
 */
export function selected(all: Iterable<Seen>, { sort, descending, filter, most }: Selection): SelectedRows {
  const keyOf = KEYS[sort];
  const sign = descending ? -1 : 1;
  const best: { readonly key: number | string; readonly seen: Seen }[] = [];
  let [total, matching] = [0, 0];
  for (const seen of all) {
    total += 1;
    if (filter !== "" && !fits(seen, filter)) continue;
    matching += 1;
    const key = keyOf(seen);
    const before = (one: { readonly key: number | string; readonly seen: Seen }): boolean => {
      if (one.key !== key) return one.key < key === sign > 0;
      return one.seen.inspection.connection.id < seen.inspection.connection.id;
    };
    const last = best.at(-1);
    if (best.length === most && last !== undefined && before(last)) continue;
    // The number of rows that stay before it.
    let [low, high] = [0, best.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (before(best[middle] as (typeof best)[number])) low = middle + 1;
      else high = middle;
    }
    best.splice(low, 0, { key, seen });
    if (best.length > most) best.pop();
  }
  return { rows: best.map(({ seen }) => rowOf(seen)), total, matching };
}
