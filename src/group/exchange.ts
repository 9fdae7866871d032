/** Defines the interface through which groups reach members in other processes. */

/** The function that a subscription calls with each message of its channel. */
export type ExchangeReceiver = (message: Uint8Array) => void;

/**
 * Carries messages between processes. The exchange of `startWorkers` connects the workers of one machine. For a message broker,
 * an application can implement the same two methods.
 *
 * The messages of one publisher arrive in the order in which they were published, each at most once. A message that cannot be
 * carried is refused or counted as lost. The memory for waiting messages is limited.
 */
export interface Exchange {
  /**
   * Passes a message to all subscriptions of the channel, in this process and in other processes. `except` is the `receive` of a
   * subscription that does not get it. The caller must not change the bytes afterwards: the exchange owns them. Returns false if
   * there is no room for the message: then no other process gets it.
   */
  publish(channel: string, message: Uint8Array, except?: ExchangeReceiver): boolean;
  /**
   * Calls `receive` with every message that is published to the channel from then on, until the subscription is closed. Each call
   * makes a subscription of its own, also with the same function.
   */
  subscribe(channel: string, receive: ExchangeReceiver): ExchangeSubscription;
}

/** A subscription to a channel of an exchange. */
export interface ExchangeSubscription {
  /** Resolves when the other processes know the subscription: messages that they publish from then on arrive. */
  readonly ready: Promise<void>;
  /** Ends the subscription: `receive` is no longer called. */
  close(): void;
}
