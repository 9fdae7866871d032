/** Counts the events of a connection, and reports them to its observer, its log and the diagnostics channels. */

import type { TimeoutError } from "../base/errors.ts";
import { between } from "../base/time.ts";
import { endCauseOf } from "./close/end-cause.ts";
import type { CloseInfo, Connection } from "./contract.ts";
import { countPause } from "./counting.ts";
import { endLine } from "./end-line.ts";
import { emit, isObserved } from "./hooks.ts";
import { queuedBytesOf, queuedMessagesOf } from "./lazy-parts.ts";
import type { Overflow } from "./options.ts";
import type { ConnectionRecord } from "./record.ts";
import { NO_TALLY } from "./tally.ts";
import type { RareEvent } from "./watcher.ts";

/** A connection whose events are reported. */
type ReportedConnection = ConnectionRecord & Parameters<typeof emit>[0] & { readonly connection: Connection };

/** The connection is open. */
export function reportOpened(record: ReportedConnection): void {
  const { options, connection } = record;
  options.counters.opened += 1;
  if (!isObserved(record, "open")) return;
  const { remoteAddress, remotePort } = record.endpoints;
  emit(record, { type: "open", id: connection.id, remoteAddress, remotePort });
}

/** The send queue had no room for a message, to which `policy` was applied. */
export function reportOverflow(record: ReportedConnection, policy: Exclude<Overflow, "wait">): void {
  record.options.counters.overflowed(policy);
  reportRare(record, "overflow", policy);
  if (!isObserved(record, "overflow")) return;
  const [queuedBytes, queuedMessages] = [queuedBytesOf(record), queuedMessagesOf(record)];
  emit(record, { type: "overflow", id: record.connection.id, policy, queuedBytes, queuedMessages });
}

/**
 * Reading has stopped, or continues; the peer has sent its FIN; the end has begun. `full`: reading stopped because the inbox is full.
 * Otherwise the connection ends, or another thread works on a message.
 */
export function reportEvent(
  record: ReportedConnection,
  type: "pause" | "resume" | "peerEnded" | "closing",
  full = false,
): void {
  if (full) record.options.counters.pauses += 1;
  reportRare(record, type);
  // The hook `closing` reports the beginning of an end.
  if (type !== "closing" && isObserved(record, type)) emit(record, { type, id: record.connection.id });
}

/** A time limit of the connection, or of one of its calls, was reached. */
export function reportTimeout(record: ReportedConnection, { operation, limit, bound, after }: TimeoutError): void {
  if (!isObserved(record, "timeout")) return;
  emit(record, { type: "timeout", id: record.connection.id, operation, limit, bound, after });
}

/** The connection has ended. */
export function reportEnd(record: ReportedConnection, info: CloseInfo): void {
  const { counters, clock } = record.options;
  const cause = endCauseOf(info, record.rareParts?.draining !== undefined);
  // The stored time is rounded up, to up to a millisecond after now.
  const age = Math.max(0, between(record.openedAt, clock.now()));
  counters.connectionEnded(cause, age);
  if (record.suspendedAt !== undefined) {
    countPause(record, record.suspendedAt, clock.now());
    record.suspendedAt = undefined;
  }
  if (isObserved(record, "close")) emit(record, { type: "close", id: record.connection.id, ...info });
  for (const watcher of counters.watchers)
    watcher.ended(record.connection, { cause, age, info, tally: record.tally ?? NO_TALLY });
  logEnd(record, { cause, age, info });
}

function reportRare({ options, connection }: ReportedConnection, event: RareEvent, detail = ""): void {
  for (const watcher of options.counters.watchers) watcher.happened(connection, event, detail);
}

function logEnd(
  record: ReportedConnection,
  ended: Pick<Parameters<typeof endLine>[0], "cause" | "age" | "info">,
): void {
  const { connection, options, endpoints } = record;
  if (options.log === undefined) return;
  const tally = record.tally ?? NO_TALLY;
  const { id, url, kind } = connection;
  try {
    options.log.info(endLine({ id, url, kind, endpoints, tally, ...ended }));
  } catch (error) {
    options.onError(error, { place: "log", connection });
  }
}
