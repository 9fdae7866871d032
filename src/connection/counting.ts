/** Counts what a connection does: for its server or for all clients, and for itself if numbers of each connection are wanted. */

import { between, type Instant } from "../base/time.ts";
import type { Connection } from "./contract.ts";
import type { SettledOptions } from "./options.ts";
import { tallyOf } from "./tally.ts";

/** A connection that counts. */
export interface CountingConnection {
  readonly connection: Connection;
  readonly options: SettledOptions;
}

/** Bytes were received. */
export function countReceived({ connection, options: { counters } }: CountingConnection, bytes: number): void {
  counters.bytesIn += bytes;
  const tally = counters.tallies ? tallyOf(connection) : undefined;
  if (tally !== undefined) tally.bytesIn += bytes;
}

/** A message was received. */
export function countMessage({ connection, options: { counters } }: CountingConnection): void {
  counters.messagesIn += 1;
  const tally = counters.tallies ? tallyOf(connection) : undefined;
  if (tally !== undefined) tally.messagesIn += 1;
}

/** `bytes` were passed to the transport, in one write if there are any, and `messages` were taken by the kernel. */
export function countWrite(
  { connection, options: { counters } }: CountingConnection,
  bytes: number,
  messages: number,
): void {
  if (bytes > 0) counters.writes += 1;
  counters.bytesOut += bytes;
  counters.messagesOut += messages;
  const tally = counters.tallies ? tallyOf(connection) : undefined;
  if (tally === undefined) return;
  tally.bytesOut += bytes;
  tally.messagesOut += messages;
}

/** The send queue has grown to `bytes`. */
export function countQueue({ connection, options: { counters } }: CountingConnection, bytes: number): void {
  const tally = counters.tallies ? tallyOf(connection) : undefined;
  if (tally !== undefined && bytes > tally.largestQueue) tally.largestQueue = bytes;
}

/** The peer answers the Ping of the heartbeat that was sent at `pingedAt`, in whole milliseconds. */
export function countPing(
  { connection, options: { counters } }: CountingConnection,
  pingedAt: Instant,
  now: Instant,
): void {
  const rtt = counters.pingAnswered(pingedAt, now);
  const tally = counters.tallies && rtt !== undefined ? tallyOf(connection) : undefined;
  if (tally !== undefined) tally.rtt = rtt;
}

/** For how long a connection has not read at `now`, in seconds. Its pause began at a whole millisecond, which may be later. */
export function pausedFor(since: Instant | undefined, now: Instant): number {
  return since === undefined ? 0 : Math.max(between(since, now), 0) / 1_000;
}

/** The connection reads again, or ends, after it has not read since `since`. */
export function countPause({ options }: CountingConnection, since: Instant | undefined, now: Instant): void {
  options.counters.pausedSeconds += pausedFor(since, now);
}
