/** The interface of a client that reconnects, as its hooks get it. */

import type { Connection, Message, MessageReceiver, MessageSender, Sendable } from "../core.ts";
import type { ReconnectState } from "./state.ts";

/** A sender and receiver of messages, over one connection after another. `ReconnectingConnection` is the class that does this. */
export interface ReconnectingClient<UserData = undefined, In = Message, Out = Sendable>
  extends MessageSender<Out>,
    MessageReceiver<In> {
  /** The current state. The `state` hook is called at each change. */
  readonly state: ReconnectState;

  /** The current connection, for example to read its addresses or to ping. Undefined while there is none. */
  readonly connection: Connection<UserData, In, Out> | undefined;

  /**
   * Number of messages in doubt: it is unknown whether they have arrived, and they were not sent again. Includes those of
   * `trySend`.
   */
  readonly messagesInDoubt: number;

  /**
   * Replaces the current connection by a new one. Use it if the program finds that its data is stale, or that the network has
   * changed. Closes the current connection with 1000 and `reason` (at most 123 bytes), and connects again without a call of
   * `shouldReconnect`: at once if that connection was open for `stableAfter`, otherwise after a pause of the backoff, so that
   * repeated calls do not flood the server. The call does not count as a failure. During a pause, the call skips the pause, also
   * one that the server requested.
   *
   * Resolves when the file descriptor of the former connection is free, within `closeTimeout`. The next connection is not open at
   * that time. Has no effect during an attempt to connect, while the connection is already ending, and after the final end. May
   * be called in the `open` and `message` hooks. Rejects with a TypeError or RangeError for a reason that a Close frame cannot
   * contain.
   */
  reconnect(reason?: string): Promise<void>;
}
