/** How things stand with a connection that is opened again and again: a union of facts. */

import type { ReconnectCause } from "./reconnect-cause.js";

/** An attempt is under way. */
export interface ConnectingState {
  readonly name: "connecting";
  /** 1 for the first one in a row. */
  readonly attempt: number;
  /** Since when there has been no connection. */
  readonly since: Date;
}

export interface OpenState {
  readonly name: "open";
  readonly since: Date;
}

/** There was a connection, or an attempt, and there will be another attempt. */
export interface WaitingState {
  readonly name: "waiting";
  /** The number that it will have. */
  readonly attempt: number;
  readonly until: Date;
  readonly why: ReconnectCause;
}

/** There will be no connection any more. */
export interface EndedState {
  readonly name: "ended";
  /** Undefined for an end that was wanted: the session returned, or somebody closed. */
  readonly cause: unknown;
}

/** Told by `name`. Dates are moments on the wall. */
export type ReconnectState = ConnectingState | OpenState | WaitingState | EndedState;
