/** Counts what a connection does: for its server or for all clients, and for itself if numbers of each connection are wanted. */

import { between, type Instant } from "../base/time.ts";
import type { SettledOptions } from "./options.ts";
import type { Tally } from "./tally.ts";

/** A connection that counts. */
export interface CountingConnection {
  readonly options: SettledOptions;
  /** Its own numbers. Undefined if it has counted none. */
  readonly tally: Tally | undefined;
  /** Creates `tally`. */
  beginTally(): Tally;
}

function tallyFor(connection: CountingConnection): Tally {
  return connection.tally ?? connection.beginTally();
}

/** Bytes were received. */
export function countReceived(connection: CountingConnection, bytes: Uint8Array): void {
  const { counters } = connection.options;
  counters.bytesIn += bytes.length;
  if (!counters.tallies) return;
  const tally = tallyFor(connection);
  tally.bytesIn += bytes.length;
  tally.received?.read(bytes);
}

/** A message was received. */
export function countMessage(connection: CountingConnection): void {
  const { counters } = connection.options;
  counters.messagesIn += 1;
  if (counters.tallies) tallyFor(connection).messagesIn += 1;
}

/** `bytes` are passed to the transport in one write. */
export function countWrite(connection: CountingConnection, bytes: Uint8Array): void {
  const { counters } = connection.options;
  counters.writes += 1;
  counters.bytesOut += bytes.length;
  if (!counters.tallies) return;
  const tally = tallyFor(connection);
  tally.bytesOut += bytes.length;
  tally.sent?.read(bytes);
}

/** The kernel has taken `messages`. */
export function countSent(connection: CountingConnection, messages: number): void {
  const { counters } = connection.options;
  counters.messagesOut += messages;
  if (counters.tallies) tallyFor(connection).messagesOut += messages;
}

/** The send queue has grown to `bytes`. */
export function countQueue(connection: CountingConnection, bytes: number): void {
  if (!connection.options.counters.tallies) return;
  const tally = tallyFor(connection);
  if (bytes > tally.largestQueue) tally.largestQueue = bytes;
}

/** The peer answers the Ping of the heartbeat that was sent at `pingedAt`, in whole milliseconds. */
export function countPing(connection: CountingConnection, pingedAt: Instant, now: Instant): void {
  const { counters } = connection.options;
  const rtt = counters.pingAnswered(pingedAt, now);
  if (counters.tallies && rtt !== undefined) tallyFor(connection).rtt = rtt;
}

/** For how long a connection has not read at `now`, in seconds. Its pause began at a whole millisecond, which may be later. */
export function pausedFor(since: Instant | undefined, now: Instant): number {
  return since === undefined ? 0 : Math.max(between(since, now), 0) / 1_000;
}

/** The connection reads again, or ends, after it has not read since `since`. */
export function countPause({ options }: CountingConnection, since: Instant | undefined, now: Instant): void {
  options.counters.pausedSeconds += pausedFor(since, now);
}
