/** The vocabulary of what can be watched: small facts, finished when they arrive, which no observer can change. */

import type { Side } from "./errors.js";

/** One frame or framed message on the wire. */
export interface FrameEvent {
  readonly type: "frame";
  readonly id: number;
  readonly direction: "in" | "out";
  /** RFC 6455 section 5.2: 0 continuation, 1 text, 2 binary, 8 close, 9 ping, 10 pong. */
  readonly opcode: number;
  readonly fin: boolean;
  readonly rsv: number;
  readonly masked: boolean;
  /** Payload bytes, as announced. */
  readonly length: number;
}

/** An opening handshake was answered, by us or to us. */
export interface HandshakeEvent {
  readonly type: "handshake";
  readonly direction: "in" | "out";
  readonly status: number;
  /** Why it was refused; undefined when it was not. */
  readonly refusal: string | undefined;
  readonly requestHeaders: Readonly<Record<string, string>>;
  readonly responseHeaders: Readonly<Record<string, string>>;
}

export interface OpenEvent {
  readonly type: "open";
  readonly id: number;
  readonly remoteAddress: string;
}

/** A queue reached its bound, and this is what became of a message. */
export interface OverflowEvent {
  readonly type: "overflow";
  readonly id: number;
  readonly policy: "reject" | "drop-newest" | "drop-oldest" | "coalesce" | "close";
  readonly queuedBytes: number;
  readonly queuedMessages: number;
}

/** Reading stopped because nobody takes what has arrived, or went on. */
export interface PauseEvent {
  readonly type: "pause" | "resume";
  readonly id: number;
}

/** The peer sent its FIN. */
export interface PeerEndedEvent {
  readonly type: "peerEnded";
  readonly id: number;
}

export interface CloseEvent {
  readonly type: "close";
  readonly id: number;
  readonly code: number;
  readonly reason: string;
  readonly by: Side;
  readonly wasClean: boolean;
  readonly cause: unknown;
}

export type ConnectionEvent =
  | FrameEvent
  | HandshakeEvent
  | OpenEvent
  | OverflowEvent
  | PauseEvent
  | PeerEndedEvent
  | CloseEvent;

export type Observer = (event: ConnectionEvent) => void;

/** An observer is a guest: it may fail, and the connection does not notice. Its failure goes to whoever brought it. */
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
