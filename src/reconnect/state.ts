/** The states of a client that reconnects. */

import type { ReconnectCause } from "./cause.ts";

/** An attempt to connect is in progress. */
export interface ConnectingState {
  readonly name: "connecting";
  /** The number of the attempt in a row, from 1. */
  readonly attempt: number;
  /** When the last connection ended. Before the first connection: when the first attempt began. */
  readonly since: Date;
}

/** A connection is open. */
export interface OpenState {
  readonly name: "open";
  readonly since: Date;
}

/** An attempt has failed, or a connection has ended, and another attempt follows. */
export interface WaitingState {
  readonly name: "waiting";
  /** The number in a row of the attempt that follows. */
  readonly attempt: number;
  /** When that attempt begins, unless a call of `reconnect()` starts it at once. */
  readonly until: Date;
  /** The cause of the wait. `why.kind` is its kind; docs/reconnect.md lists the kinds. */
  readonly why: ReconnectCause;
}

/** The client has ended. No attempt follows. */
export interface EndedState {
  readonly name: "ended";
  /** Undefined for an intended end: the session returned, the application closed, or the peer closed with 1000. */
  readonly cause: unknown;
}

/** The state of a client that reconnects. `name` distinguishes the members of the union. Dates are wall-clock times. */
export type ReconnectState = ConnectingState | OpenState | WaitingState | EndedState;
