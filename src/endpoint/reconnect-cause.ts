/** Why there is no connection: the facts that a policy decides by. */

import {
  type CloseInfo,
  type Connection,
  type ConnectionError,
  HandshakeError,
  type Phase,
  type Side,
  TimeoutError,
} from "../index.js";

/** How far it had come: finding out where to connect to, one of the phases of opening, or the use of an open connection. */
export type ReconnectPhase = "target" | Phase | "session";

/** What ended an attempt, or the connection that came of it. */
export interface ReconnectCause {
  readonly phase: ReconnectPhase;
  /** What was thrown; the connection's own error if nothing was. */
  readonly error: unknown;
  /**
   * The code of the closing handshake, 1005 or 1006 without one. Undefined where there was no WebSocket that could have
   * ended: before it was open, while it still was, and on TCP.
   */
  readonly code: number | undefined;
  readonly reason: string;
  /** Whether both sides agreed to end. */
  readonly wasClean: boolean;
  /** Who ended the connection; undefined if it never was open, or still was when the session failed. */
  readonly by: Side | undefined;
  /** The HTTP status that was answered instead of 101. */
  readonly status: number | undefined;
  /** The answer's header fields, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Attempts in a row that came to nothing, this one included; 0 for the end of a connection that had lived for `stableAfter`. */
  readonly failures: number;
  /** How long the connection had lived, in milliseconds; 0 if it never was open. */
  readonly lived: number;
  /** When it was, on the wall. */
  readonly at: Date;
}

/** The facts of one failure. What the loop counts, it adds. */
export type Failure = Omit<ReconnectCause, "failures" | "at">;

const NOTHING = {
  ...{ code: undefined, reason: "", wasClean: false, by: undefined, status: undefined, headers: {}, lived: 0 },
} as const;

/** Nobody could say where to connect to. */
export function untargeted(error: unknown): Failure {
  return { ...NOTHING, phase: "target", error };
}

/** The attempt to connect failed. */
export function unopened(error: unknown): Failure {
  if (error instanceof HandshakeError) {
    const { phase, status, headers } = error;
    return { ...NOTHING, phase, error, status, headers };
  }
  const phase = error instanceof TimeoutError ? (error.operation.replace("connect:", "") as Phase) : "dns";
  return { ...NOTHING, phase, error };
}

/** The session threw while its connection was open. */
export function failed(error: unknown, lived: number): Failure {
  return { ...NOTHING, phase: "session", error, lived };
}

/** The connection has ended, and its session with it: by `error`, if that threw one. */
export function lost(
  { protocol, signal }: Connection,
  { code, reason, wasClean, by }: CloseInfo,
  lived: number,
  thrown: { readonly error: unknown } | undefined,
): Failure {
  const { error } = thrown ?? { error: signal.reason as ConnectionError };
  const said = protocol === "websocket" ? code : undefined;
  return { ...NOTHING, phase: "session", error, code: said, reason, wasClean, by, lived };
}
