/** Why connections end: one closed set of words for metrics, log lines, channels and documents. */

/** Which side ended the connection, for each cause. */
export type EndSide = "local" | "peer";

/** What is known of every end with one cause. */
export interface EndCauseFacts {
  readonly by: EndSide;
  /** One sentence for the documents. */
  readonly help: string;
}

/** A word for why a connection ended. A closed set: a `switch` over it can be complete. */
export type EndCause =
  | "local"
  | "peer"
  | "shutdown"
  | "terminate"
  | "handler"
  | "heartbeat.timeout"
  | "idleTimeout"
  | "writeTimeout"
  | "messageTimeout"
  | "pauseTimeout"
  | "lingerTimeout"
  | "closeTimeout"
  | "lifetime"
  | "readDeadline"
  | "writeDeadline"
  | "maxMessageSize"
  | "maxFragments"
  | "maxInflationRatio"
  | "memoryBudget"
  | "overflow"
  | "messageType"
  | "codec"
  | "protocol"
  | "unexpected-eof"
  | "no-close-frame"
  | "reset"
  | "broken-pipe"
  | "unreachable"
  | "tls"
  | "transport"
  | "other";

/**
 * Every cause of an end. A time limit and a limit of size have the name of their option. `by` is the side that ended the connection:
 * a limit is applied by this side, although the peer is often the reason for it.
 */
export const END_CAUSES: Readonly<Record<EndCause, EndCauseFacts>> = Object.freeze({
  local: { by: "local", help: "The application closed, or its handler returned." },
  peer: { by: "peer", help: "The peer closed: with a Close frame, or on TCP with its FIN." },
  shutdown: { by: "local", help: "The server closed." },
  terminate: { by: "local", help: "The application called terminate." },
  handler: { by: "local", help: "A handler or hook of the application threw." },
  "heartbeat.timeout": { by: "local", help: "The peer did not answer a Ping." },
  idleTimeout: { by: "local", help: "The peer was silent, and there is no heartbeat." },
  writeTimeout: { by: "local", help: "The peer took no bytes." },
  messageTimeout: { by: "local", help: "A message began and did not end." },
  pauseTimeout: { by: "local", help: "The application took no message while messages waited." },
  lingerTimeout: { by: "local", help: "The peer had ended, and the application did not." },
  closeTimeout: { by: "local", help: "The peer did not complete the closing handshake." },
  lifetime: { by: "local", help: "The connection reached its maximum age." },
  readDeadline: { by: "local", help: "A read reached its deadline or timeout, and could not be repeated." },
  writeDeadline: { by: "local", help: "A write reached its deadline or timeout when part of it was written." },
  maxMessageSize: { by: "local", help: "A message was larger than allowed." },
  maxFragments: { by: "local", help: "A message had more fragments than allowed." },
  maxInflationRatio: { by: "local", help: "A compressed message would have grown too much." },
  memoryBudget: { by: "local", help: "The process held too much memory, and this connection most of it." },
  overflow: { by: "local", help: "The send queue was full, with the policy close." },
  messageType: { by: "local", help: "A message was of a type that is not accepted." },
  codec: { by: "local", help: "The codec could not decode a message." },
  protocol: { by: "local", help: "The peer violated the protocol." },
  "unexpected-eof": { by: "peer", help: "The stream ended inside a message." },
  "no-close-frame": { by: "peer", help: "The stream ended without a closing handshake." },
  reset: { by: "peer", help: "The peer's system reset the connection (ECONNRESET)." },
  "broken-pipe": { by: "peer", help: "The peer had gone when this side wrote (EPIPE)." },
  unreachable: { by: "peer", help: "The network lost the peer (ETIMEDOUT, EHOSTUNREACH, ENETUNREACH)." },
  tls: { by: "peer", help: "TLS reported an error." },
  transport: { by: "peer", help: "The system reported another error." },
  other: { by: "local", help: "Anything else." },
});
