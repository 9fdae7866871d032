/** Rarely used parts of a connection, allocated together on first use to save memory. */

import type { ConnectionError } from "../base/errors.ts";
import type { ForwardedClient } from "../engine/handshake/forwarded.ts";
import type { CallContext } from "../transport/call-context.ts";
import type { ClosedPromise } from "./close/closed-promise.ts";
import type { DeferredClose } from "./close/deferred-close.ts";
import { Tally } from "./tally.ts";
import type { PendingCalls } from "./time/pending-calls.ts";
import type { Pings } from "./time/pings.ts";
import type { UnhandledCalls } from "./time/unhandled-calls.ts";
import type { InFlight } from "./write/in-flight.ts";

/** State of a connection while its server closes: it finishes the work that it has, and then closes. */
export interface Draining {
  /** Code and reason of the later Close frame. */
  readonly code: number;
  readonly reason: string;
  /** Error for calls that wait for a message, after the received messages are taken. */
  readonly error: ConnectionError;
}

/**
 * The numbers of the connection are the first fields of this object, so that counting a message reads one more cache line. When they were in
 * an object of their own, it read four more, and an echo over 1,000 connections with a dashboard took about 2 % more processor time.
 */
export class RareParts extends Tally {
  calls: PendingCalls | undefined;
  pings: Pings | undefined;
  deferredClose: DeferredClose | undefined;
  closedPromise: ClosedPromise | undefined;
  draining: Draining | undefined;
  unhandledCalls: UnhandledCalls | undefined;
  inFlight: InFlight | undefined;
  /** The context of the `open` hook, or of `connect`, for hooks that are called by the sends or timers of other connections. */
  context: CallContext | undefined;
  /** The client behind a trusted proxy. Undefined if it is the peer of the socket. */
  client: ForwardedClient | undefined;
  /** True while the dashboard keeps the connection from reading. */
  readingHeld: true | undefined;
}
