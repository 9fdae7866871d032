/** The cause of a failed attempt or of a lost connection: its facts, and its kind, by which the policy decides. */

import { isError } from "../base/forms.ts";
import {
  ClosedError,
  type CloseInfo,
  type Connection,
  type ConnectionError,
  type ConnectionSide,
  type ConnectPhase,
  HandshakeError,
  isConnectionError,
  LimitError,
  ProtocolError,
  TimeoutError,
  TransportError,
} from "../core.ts";
import { ABNORMAL, INTERNAL_ERROR, UNSUPPORTED_DATA } from "../engine/websocket/close-codes.ts";

/**
 * Where the failure happened. `target` is the target function. A `Phase` is a phase of opening. The other values are on an open
 * connection: `open` is its `open` hook, `message` is its `message` hook or another hook, and `session` is everything else.
 */
export type ReconnectPhase = "target" | ConnectPhase | "open" | "message" | "session";

/**
 * The kind of a cause. The default policy decides only by the kind. The table in docs/reconnect.md has the decision and its
 * reason for each kind.
 */
export type ReconnectKind =
  | "misuse"
  | "target"
  | "unknown-name"
  | "tls"
  | "unreachable"
  | "refused-for-good"
  | "refused-for-now"
  | "closed-for-good"
  | "closed-for-now"
  | "lost"
  | "limit"
  | "message-type"
  | "protocol"
  | "hook"
  | "timeout"
  | "session"
  | "requested";

/** The cause of a failed attempt, or of the end of a connection. */
export interface ReconnectCause {
  readonly kind: ReconnectKind;
  readonly phase: ReconnectPhase;
  /** The error that the application's code threw. If there is none, the error of the attempt or of the connection. */
  readonly error: unknown;
  /**
   * The close code (RFC 6455 section 7.1.5): 1005 if there was no code, 1006 if there was no closing handshake. Undefined if no
   * WebSocket has ended: before the connection was open, while it was still open, and on TCP.
   */
  readonly code: number | undefined;
  readonly reason: string;
  /**
   * True for a complete closing handshake without a failure on this side, or on TCP for a FIN in both directions at a message
   * boundary.
   */
  readonly wasClean: boolean;
  /**
   * The side that began to end the connection. Undefined if there was no connection, or if it was still open when the
   * application's code failed.
   */
  readonly by: ConnectionSide | undefined;
  /** The HTTP status of the server's answer, if it was not 101. */
  readonly status: number | undefined;
  /** The header fields of that answer, with names in lower case. Empty if there was none. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * The number of failures in a row, including this one. 0 after a connection that lived for `stableAfter`. A call of
   * `reconnect()` is not a failure and does not increase the number.
   */
  readonly failures: number;
  /** How long the connection was open, in milliseconds. 0 if it was never open. */
  readonly lived: number;
  /** The wall-clock time of the failure. */
  readonly at: Date;
}

/** The facts of one failure. `ReconnectLoop` adds the number of failures and the time. */
export type Failure = Omit<ReconnectCause, "failures" | "at">;

type Facts = Omit<Failure, "kind">;

const NO_FACTS = {
  ...{ code: undefined, reason: "", wasClean: false, by: undefined, status: undefined, headers: {}, lived: 0 },
} as const;

/**
 * Thrown by the session of a `ReconnectingConnection` to name the hook that failed, or a call of `reconnect()`. Any other error
 * that a session throws has the phase `session`.
 */
export class Interruption {
  readonly phase: "open" | "message" | "requested";
  /** The error of the hook; undefined for `requested`. */
  readonly error: unknown;

  constructor(phase: Interruption["phase"], error?: unknown) {
    this.phase = phase;
    this.error = error;
  }
}

/** The failure of the target function: it threw, rejected, or did not settle within `openTimeout`. */
export function targetFailure(error: unknown): Failure {
  return { ...NO_FACTS, kind: "target", phase: "target", error };
}

/** The failure of an attempt to connect. */
export function attemptFailure(error: unknown): Failure {
  if (error instanceof HandshakeError) {
    const { phase, status, headers } = error;
    return withKind({ ...NO_FACTS, phase, error, status, headers });
  }
  const phase = error instanceof TimeoutError ? (error.operation.replace("connect:", "") as ConnectPhase) : "dns";
  return withKind({ ...NO_FACTS, phase, error });
}

/**
 * The failure of the application's code: it threw while its connection was open, or its error does not come from this connection.
 */
export function codeFailure(phase: "open" | "message" | "session", error: unknown, lived: number): Failure {
  return withKind({ ...NO_FACTS, phase, error, lived });
}

/**
 * The failure for a connection that has ended: by an error of its own, because one side closed it, or because a hook failed.
 * `hook` is the phase for a hook that failed.
 */
export function endFailure(connection: Connection, info: CloseInfo, lived: number, hook: "open" | "message"): Failure {
  const error = connection.signal.reason as ConnectionError;
  const facts = { ...NO_FACTS, ...factsOfEnd(connection, info), lived };
  if (closedByHook(error)) return withKind({ ...facts, phase: hook, error: error.cause });
  return withKind({ ...facts, phase: "session", error });
}

/** The failure for a connection that was closed because of an interruption. */
export function interruptionFailure(
  { phase, error }: Interruption,
  connection: Connection,
  info: CloseInfo,
  lived: number,
): Failure {
  const facts = { ...NO_FACTS, ...factsOfEnd(connection, info), lived };
  if (phase !== "requested") return withKind({ ...facts, phase, error });
  return { ...facts, kind: "requested", phase: "session", error: connection.signal.reason };
}

function factsOfEnd({ kind }: Connection, { code, reason, wasClean, by }: CloseInfo): Partial<Facts> {
  return { code: kind === "websocket" ? code : undefined, reason, wasClean, by };
}

/**
 * True if this side closed because a hook of the connection threw. The error then has code 1011, and the hook's error as its
 * cause.
 */
function closedByHook(error: unknown): error is ClosedError {
  if (!(error instanceof ClosedError)) return false;
  return error.by === "local" && error.closeCode === INTERNAL_ERROR && error.cause !== undefined;
}

/**
 * True if `error`, thrown by code that used `connection`, reports the end of that connection. False if the error belongs to
 * another connection that the same code used: it is then treated like any other error of the application.
 */
export function isEndOf(connection: Connection, { code, by, cause }: CloseInfo, error: unknown): boolean {
  if (error === connection.signal.reason || error === cause) return true;
  // After the FIN of a TCP peer, receive() rejects with a ClosedError that is not yet the reason of `connection.signal`.
  if (error instanceof ClosedError) return error.closeCode === code && error.by === by;
  // The time limit of a single call. The error does not name its connection, but this connection has ended in any case.
  return error instanceof TimeoutError;
}

/** True if the application closed the connection, and the end was clean. */
export function closedByApplication({ signal }: Connection): boolean {
  const { reason } = signal;
  return reason instanceof ClosedError && reason.by === "local" && reason.wasClean && reason.cause === undefined;
}

function withKind(facts: Facts): Failure {
  return { ...facts, kind: reconnectKindOf(facts) };
}

/** Derives the kind of a cause from its facts. The kinds `target` and `requested` are set without it. */
export function reconnectKindOf(facts: Facts): ReconnectKind {
  const { phase, error } = facts;
  if (phase === "target") return "target";
  if (phase === "open" || phase === "message") return "hook";
  if (!isConnectionError(error)) return phase === "session" ? "session" : "misuse";
  return phase === "session" ? kindOfEnd(facts, error) : kindOfAttempt(facts, error);
}

// The 4xx statuses that the same request may not get again. Every other 4xx is a fault of the request, which remains in the next
// request (RFC 9110 section 15).
const PASSING_REFUSALS: readonly number[] = [408, 421, 425, 429];
// The other statuses that the same request gets again: permanent redirections, which `connect` does not follow, and features that
// the server does not implement.
const FINAL_ANSWERS: readonly number[] = [300, 301, 308, 501, 505];
// Errors of the network during a TLS handshake. Every other error is one of TLS itself: a certificate, a version, a cipher.
const NETWORK_ERRORS: readonly string[] = [
  ...["ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"],
];

function kindOfAttempt({ phase, status }: Facts, error: ConnectionError): ReconnectKind {
  if (status !== undefined) {
    const client = status >= 400 && status < 500;
    const final = client ? !PASSING_REFUSALS.includes(status) : FINAL_ANSWERS.includes(status);
    return final ? "refused-for-good" : "refused-for-now";
  }
  if (!(error.cause instanceof TransportError)) return "unreachable";
  const { cause, errno } = error.cause;
  // Node validates some options only when the handshake begins, for example a TLS version that does not exist.
  if (isError(cause) && (cause.name === "TypeError" || cause.name === "RangeError")) return "misuse";
  if (phase === "tls" && !NETWORK_ERRORS.includes(errno)) return "tls";
  return phase === "dns" && errno === "ENOTFOUND" ? "unknown-name" : "unreachable";
}

/**
 * Close codes after which the default policy does not connect again (RFC 6455 section 7.4.1; for 3000 and 3003 the registry that
 * it creates): the conversation is complete (1000), the peer cannot accept the messages of this side (1002, 1003, 1007, 1009), an
 * extension is missing (1010), or access is denied (1008, 3000, 3003). Codes 4000 to 4999 belong to the application, and so does
 * the decision about them.
 */
const FINAL_CODES: readonly number[] = [1000, 1002, 1003, 1007, 1008, 1009, 1010, 3000, 3003];

function kindOfEnd({ by, code }: Facts, error: ConnectionError): ReconnectKind {
  // The session threw while its connection was open, or threw an error of another connection. A TimeoutError of a call is
  // passing.
  if (by === undefined) return error instanceof TimeoutError ? "timeout" : "session";
  if (by === "local") {
    // The send queue of this side was full (`overflow: "close"`) because the peer did not read. The next connection may be
    // faster.
    if (error instanceof LimitError) return error.limit.startsWith("maxQueued") ? "lost" : "limit";
    if (!(error instanceof ProtocolError)) return "lost";
    return error.closeCode === UNSUPPORTED_DATA ? "message-type" : "protocol";
  }
  // TCP has no close codes, and a FIN does not give a reason.
  if (code === undefined || code === ABNORMAL) return "lost";
  return FINAL_CODES.includes(code) ? "closed-for-good" : "closed-for-now";
}
