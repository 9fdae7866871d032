/** The events that an observer receives: small readonly objects that are complete when the observer is called. */

import type { AttemptOutcome } from "./attempt-outcomes.ts";
import type { ConnectionOperation, ConnectionSide, ConnectPhase, LimitError } from "./errors.ts";
import type { Refusal } from "./refusals.ts";

/** One WebSocket frame, or one framed message on plain TCP, was read or written. */
export interface FrameEvent {
  readonly type: "frame";
  readonly id: number;
  readonly direction: "in" | "out";
  /** RFC 6455 section 5.2: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly opcode: number;
  readonly fin: boolean;
  /** The three reserved bits as one number: RSV1 is 4, RSV2 is 2, RSV3 is 1. */
  readonly rsv: number;
  readonly masked: boolean;
  /** The payload length in bytes. For a WebSocket frame: the length that its header announces. */
  readonly length: number;
}

/**
 * A client's attempt to connect has reached a phase. An attempt has only the phases that it needs: with an IP address there is no
 * `dns`, only a WebSocket has `queue` and `upgrade`, and only `wss:` and `tls:` have `tls`. If the attempt succeeds, the `open`
 * event follows its last phase.
 */
export interface PhaseEvent {
  readonly type: "phase";
  readonly phase: ConnectPhase;
}

/** An opening handshake succeeded. `in`: this side is the server. `out`: this side is the client. The `open` event follows. */
export interface AcceptedEvent {
  readonly type: "accepted";
  readonly direction: "in" | "out";
  /** The path of the request, without the query. */
  readonly path: string;
  readonly localAddress: string;
  readonly localPort: number | undefined;
  readonly remoteAddress: string;
  readonly remotePort: number | undefined;
  /** The subprotocols that the client offered, in its order of preference. */
  readonly offered: readonly string[];
  /** The subprotocol in use. Empty if none was agreed on, even if the client offered some. */
  readonly subprotocol: string;
  /**
   * True if the client offered subprotocols and none was agreed on. The connection is open for the server, but browsers and most
   * clients close it at once, without a reason (RFC 6455 4.1; WHATWG WebSockets).
   */
  readonly subprotocolMismatch: boolean;
  readonly requestHeaders: Readonly<Record<string, string>>;
  /** Without Set-Cookie. */
  readonly responseHeaders: Readonly<Record<string, string>>;
  /** The lines of Set-Cookie of the response, one for each cookie. */
  readonly setCookie: readonly string[];
}

/**
 * An attempt to open a connection failed. A server emits one event for each attempt: for each refused request, and for each
 * socket that was closed or lost before a request was read. A client emits the event only if the server has responded. All other
 * failures of `connect` are visible in its rejection.
 */
export interface RefusedEvent {
  readonly type: "refused";
  readonly direction: "in" | "out";
  readonly reason: Refusal;
  /** One sentence for people, with the values that were compared or exceeded. Its text may change in any version. */
  readonly detail: string;
  /** The limit that was reached, its maximum and the value beyond it, if that is the reason. Undefined for other reasons. */
  readonly cause: LimitError | undefined;
  /** The HTTP status of the response; undefined if there was no response. */
  readonly status: number | undefined;
  /** The path of the request, without the query. Undefined if no request was read. */
  readonly path: string | undefined;
  /** The addresses and ports are undefined if `accept` itself failed. */
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  readonly requestHeaders: Readonly<Record<string, string>> | undefined;
  /** Without Set-Cookie. */
  readonly responseHeaders: Readonly<Record<string, string>> | undefined;
  /** The lines of Set-Cookie of the response, one for each cookie. */
  readonly setCookie: readonly string[];
}

/** The connection is open. */
export interface OpenEvent {
  readonly type: "open";
  readonly id: number;
  readonly remoteAddress: string;
  readonly remotePort: number | undefined;
}

/** The send queue had no room for a message. `policy` says what happened to a message for that reason. */
export interface OverflowEvent {
  readonly type: "overflow";
  readonly id: number;
  readonly policy: "reject" | "drop-newest" | "drop-oldest" | "coalesce" | "close";
  readonly queuedBytes: number;
  readonly queuedMessages: number;
}

/** `pause`: reading stopped, because received messages wait for the application. `resume`: reading continues. */
export interface PauseEvent {
  readonly type: "pause" | "resume";
  readonly id: number;
}

/**
 * A time limit was reached: one of the connection, which ends it (`close` follows), or one of a single call. A call that is interrupted
 * inside a message ends the connection, too.
 */
export interface TimeoutEvent {
  readonly type: "timeout";
  readonly id: number;
  /** The call or the work that took too long, as in `TimeoutError.operation`. */
  readonly operation: ConnectionOperation;
  /** The name of the limit: that of its option, or `timeout`, `deadline`, `readDeadline`, `writeDeadline` of a call. */
  readonly limit: string;
  /** The limit in milliseconds; a Date for a deadline. */
  readonly bound: number | Date;
  /** How long it had taken, in milliseconds. */
  readonly after: number;
}

/** An attempt of a client that reconnects has ended. */
export interface ReconnectEvent {
  readonly type: "reconnect";
  /** The id of the connection that was opened. Undefined if the attempt has opened none. */
  readonly id: number | undefined;
  /** The number of the attempt in a row, from 1. */
  readonly attempt: number;
  readonly outcome: AttemptOutcome;
  /** The error of the attempt. Undefined if it has opened a connection. */
  readonly error: unknown;
}

/** The peer sent its FIN. */
export interface PeerEndedEvent {
  readonly type: "peerEnded";
  readonly id: number;
}

/** The connection has ended. */
export interface CloseEvent {
  readonly type: "close";
  readonly id: number;
  /** The status code of RFC 6455 section 7.1.5; 1006 if there was no closing handshake. */
  readonly code: number;
  readonly reason: string;
  /** The side that began to close. */
  readonly by: ConnectionSide;
  /** True if both sides agreed to end, as in `ClosedError.wasClean`. */
  readonly wasClean: boolean;
  /** The first error that caused the end; undefined for a clean end. */
  readonly cause: unknown;
}

/** All events that an observer can receive. `id` is the number of the connection; events before `open` have none. */
export type ConnectionEvent =
  | FrameEvent
  | PhaseEvent
  | AcceptedEvent
  | RefusedEvent
  | OpenEvent
  | OverflowEvent
  | PauseEvent
  | TimeoutEvent
  | ReconnectEvent
  | PeerEndedEvent
  | CloseEvent;

/** A function of the application that receives the events. If it throws, `onError` is called, and the connection continues. */
export type Observer = (event: ConnectionEvent) => void;

/** Wraps `observe` so that it never throws: its error goes to `report`, and the connection continues. */
export function guarded<Event = ConnectionEvent>(
  observe: (event: Event) => void,
  report: (error: unknown) => void,
): (event: Event) => void {
  return (event) => {
    try {
      observe(event);
    } catch (error) {
      report(error);
    }
  };
}
