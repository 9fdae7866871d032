/** The places where an error can happen that no caller receives, in code of the application or of the library. */

/** Where an error happened. A closed set: a `switch` over it can be complete. docs/failures.md describes each place. */
export type ErrorPlace =
  | "accept"
  | "authorize"
  | "close"
  | "closing"
  | "connect"
  | "exchange"
  | "farewell"
  | "handler"
  | "highWater"
  | "inflate"
  | "log"
  | "lowWater"
  | "message"
  | "observe"
  | "onError"
  | "open"
  | "origin"
  | "ping"
  | "pong"
  | "request"
  | "send"
  | "session"
  | "state"
  | "topic"
  | "upgrade"
  | "worker"
  | "write";

/** The name of each place in an error report. */
export const ERROR_PLACES: Readonly<Record<ErrorPlace, string>> = Object.freeze({
  accept: "accepting connections",
  authorize: "authorize",
  close: "the close hook",
  closing: "the closing hook",
  connect: "reconnecting",
  exchange: "an exchange between processes",
  farewell: "the farewell function",
  handler: "the handler",
  highWater: "the highWater hook",
  inflate: "decompressing a message",
  log: "writing to the log",
  lowWater: "the lowWater hook",
  message: "the message hook",
  observe: "the observe function",
  onError: "the onError function",
  open: "the open hook",
  origin: "the origin function",
  ping: "the ping hook",
  pong: "the pong hook",
  request: "answering an HTTP request",
  send: "a send call",
  session: "the session of reconnect",
  state: "the state hook",
  topic: "a topic of a hub",
  upgrade: "answering an upgrade request",
  worker: "the function of a worker",
  write: "writing queued messages",
});

/** The facts of a connection that an error report shows. */
export interface ConnectionIdentity {
  readonly id: number;
  readonly url: string;
  readonly remoteAddress: string;
  readonly remotePort: number | undefined;
}

/** The facts that are reported together with an error. */
export interface ErrorFacts<Identity extends ConnectionIdentity = ConnectionIdentity> {
  readonly place: ErrorPlace;
  /** The connection on which the error happened. Undefined if there is no connection: not yet, or no longer. */
  readonly connection: Identity | undefined;
  /** The path of the upgrade request. Present only if there is a request and no connection yet. */
  readonly path?: string;
  /** The IP address and the port of the peer. Present only if there is a request and no connection yet. */
  readonly remoteAddress?: string;
  readonly remotePort?: number | undefined;
}

/** Receives an error that has no other listener. Never throws. */
export type ReportError<Identity extends ConnectionIdentity = ConnectionIdentity> = (
  error: unknown,
  facts: ErrorFacts<Identity>,
) => void;
