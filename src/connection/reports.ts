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
import { beginTally, tallyOf } from "./tally.ts";

/** A connection whose events are reported. */
type ReportedConnection = ConnectionRecord & Parameters<typeof emit>[0] & { readonly connection: Connection };

/** The connection is open. */
export function reportOpened(record: ReportedConnection): void {
  const { options, connection } = record;
  options.counters.opened += 1;
  if (options.counters.tallies) beginTally(connection);
  if (!isObserved(record, "open")) return;
  const { remoteAddress, remotePort } = record.endpoints;
  emit(record, { type: "open", id: connection.id, remoteAddress, remotePort });
}

/** The send queue had no room for a message, to which `policy` was applied. */
export function reportOverflow(record: ReportedConnection, policy: Exclude<Overflow, "wait">): void {
  record.options.counters.overflowed(policy);
  if (!isObserved(record, "overflow")) return;
  const [queuedBytes, queuedMessages] = [queuedBytesOf(record), queuedMessagesOf(record)];
  emit(record, { type: "overflow", id: record.connection.id, policy, queuedBytes, queuedMessages });
}

/**
 * Reading has stopped, or continues. `full`: it stopped because the inbox is full. Otherwise the connection ends, or another thread works
 * on a message.
 */
export function reportReading(record: ReportedConnection, type: "pause" | "resume", full: boolean): void {
  if (full) record.options.counters.pauses += 1;
  if (isObserved(record, type)) emit(record, { type, id: record.connection.id });
}

/** The peer has sent its FIN. */
export function reportPeerEnded(record: ReportedConnection): void {
  if (isObserved(record, "peerEnded")) emit(record, { type: "peerEnded", id: record.connection.id });
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
  const age = between(record.openedAt, clock.now());
  counters.connectionEnded(cause, age);
  if (record.suspendedAt !== undefined) {
    countPause(record, record.suspendedAt, clock.now());
    record.suspendedAt = undefined;
  }
  if (isObserved(record, "close")) emit(record, { type: "close", id: record.connection.id, ...info });
  logEnd(record, { cause, age, info });
}

function logEnd(
  { connection, options, endpoints }: ReportedConnection,
  ended: Pick<Parameters<typeof endLine>[0], "cause" | "age" | "info">,
): void {
  const tally = tallyOf(connection);
  if (options.log === undefined || tally === undefined) return;
  const { id, url, kind } = connection;
  try {
    options.log.info(endLine({ id, url, kind, endpoints, tally, ...ended }));
  } catch (error) {
    options.onError(error, { place: "log", connection });
  }
}
