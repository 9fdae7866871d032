/** What one connection has done, for the line in the log at its end and for the dashboard. Kept only if one of them wants it. */

/** Reads the bytes of one direction. Does not change them. */
export interface Tap {
  read(bytes: Uint8Array): void;
}

/** Numbers of one connection. They begin with 0 at its first byte or message from which on they are wanted. */
export class Tally {
  messagesIn = 0;
  messagesOut = 0;
  /** Bytes with framing and compressed, before TLS, without the opening handshake. */
  bytesIn = 0;
  bytesOut = 0;
  /** Most bytes in the send queue, as `maxQueuedBytes` counts them. */
  largestQueue = 0;
  /** The last round trip, in milliseconds. Undefined if no Ping was answered. */
  rtt: number | undefined = undefined;
  /** Reports the frames of a connection whose trace was switched on while it was open. */
  received: Tap | undefined = undefined;
  sent: Tap | undefined = undefined;
}

/** The numbers of a connection that has counted nothing. */
export const NO_TALLY: Readonly<Tally> = Object.freeze(new Tally());
