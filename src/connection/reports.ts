/** Counts the events of a connection, and reports them to its observer. */

import { between } from "../base/time.ts";
import { endCauseOf } from "./close/end-cause.ts";
import type { CloseInfo, Connection } from "./contract.ts";
import { emit } from "./hooks.ts";
import { queuedBytesOf, queuedMessagesOf } from "./lazy-parts.ts";
import type { Overflow } from "./options.ts";
import type { ConnectionRecord } from "./record.ts";

/** A connection whose events are reported. */
type ReportedConnection = ConnectionRecord & Parameters<typeof emit>[0] & { readonly connection: Connection };

/** The connection is open. */
export function reportOpened(record: ReportedConnection): void {
  const { options, connection, endpoints } = record;
  options.counters.opened += 1;
  if (options.observe === undefined) return;
  const { remoteAddress, remotePort } = endpoints;
  emit(record, { type: "open", id: connection.id, remoteAddress, remotePort });
}

/** The send queue had no room for a message, to which `policy` was applied. */
export function reportOverflow(record: ReportedConnection, policy: Exclude<Overflow, "wait">): void {
  record.options.counters.overflowed(policy);
  if (record.options.observe === undefined) return;
  const [queuedBytes, queuedMessages] = [queuedBytesOf(record), queuedMessagesOf(record)];
  emit(record, { type: "overflow", id: record.connection.id, policy, queuedBytes, queuedMessages });
}

/** Reading has stopped. `full`: the inbox is full. Otherwise the connection ends, or another thread works on a message. */
export function reportPaused(record: ReportedConnection, full: boolean): void {
  if (full) record.options.counters.pauses += 1;
  if (record.options.observe !== undefined) emit(record, { type: "pause", id: record.connection.id });
}

/** Reading continues. */
export function reportResumed(record: ReportedConnection): void {
  if (record.options.observe !== undefined) emit(record, { type: "resume", id: record.connection.id });
}

/** The peer has sent its FIN. */
export function reportPeerEnded(record: ReportedConnection): void {
  if (record.options.observe !== undefined) emit(record, { type: "peerEnded", id: record.connection.id });
}

/** The connection has ended. */
export function reportEnd(record: ReportedConnection, info: CloseInfo): void {
  const { counters, clock, observe } = record.options;
  const cause = endCauseOf(info, record.rareParts?.draining !== undefined);
  counters.connectionEnded(cause, between(record.openedAt, clock.now()));
  if (observe !== undefined) emit(record, { type: "close", id: record.connection.id, ...info });
}
