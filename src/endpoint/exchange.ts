/** The seam by which groups reach members in other processes. */

/** One who is told the messages of a channel. */
export type Receive = (message: Uint8Array) => void;

/**
 * Carries messages between processes. That of `startWorkers` carries them between the workers of one machine; whoever has a
 * broker can put it behind the same two calls.
 *
 * The messages of one publisher arrive in the order in which it has published them, each at most once. What cannot be
 * carried is refused or counted, never kept without bound.
 */
export interface Exchange {
  /**
   * Hands a message to all who are subscribed to the channel, here and in other processes, but for `except`. Its bytes are
   * the exchange's from here on. False if there is no room for it: then it goes to nobody in another process.
   */
  publish(channel: string, message: Uint8Array, except?: Receive): boolean;
  /** Calls `receive` with every message that is published from then on, until the subscription is closed. */
  subscribe(channel: string, receive: Receive): Subscription;
}

export interface Subscription {
  /** Resolves when other processes know of it: what they publish from then on arrives. */
  readonly ready: Promise<void>;
  close(): void;
}
