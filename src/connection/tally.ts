/** What one connection has done, for the line in the log at its end and for lists of connections. Kept only if it is wanted. */

/** Numbers of one connection. */
export interface Tally {
  messagesIn: number;
  messagesOut: number;
  /** Bytes with framing and compressed, before TLS, without the opening handshake. */
  bytesIn: number;
  bytesOut: number;
  /** Most bytes in the send queue, as `maxQueuedBytes` counts them. */
  largestQueue: number;
  /** The last round trip, in milliseconds. Undefined if no Ping was answered. */
  rtt: number | undefined;
}

// Not in a field of the connection: an idle connection would be larger, also without a log.
const tallies = new WeakMap<object, Tally>();

/** Counts for `connection` from now on. */
export function beginTally(connection: object): void {
  if (tallies.has(connection)) return;
  tallies.set(connection, { messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0, largestQueue: 0, rtt: undefined });
}

/** The numbers of `connection`. Undefined if it was opened before they were wanted. */
export function tallyOf(connection: object): Tally | undefined {
  return tallies.get(connection);
}
