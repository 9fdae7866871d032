/** What an attempt of a client that reconnects came to: one closed set of words for metrics, events and documents. */

/** A word for what an attempt came to. A closed set: a `switch` over it can be complete. */
export type AttemptOutcome =
  | "open"
  | "target"
  | "dns"
  | "refused"
  | "unreachable"
  | "proxy"
  | "tls"
  | "timeout"
  | "status"
  | "aborted"
  | "other";

/** Every outcome of an attempt, with one sentence for the documents. */
export const ATTEMPT_OUTCOMES: Readonly<Record<AttemptOutcome, string>> = Object.freeze({
  open: "The connection was opened.",
  target: "The function that gives the address threw, or took longer than openTimeout.",
  dns: "The name has no address, or the resolver failed.",
  refused: "No program listens at the address (ECONNREFUSED).",
  unreachable: "The network or the peer ended the attempt in another way.",
  proxy: "The proxy did not connect.",
  tls: "TLS failed: a certificate, a version, a cipher.",
  timeout: "The attempt took longer than openTimeout.",
  status: "The server answered with another status than 101.",
  aborted: "The application ended the client during the attempt.",
  other: "Anything else, such as an invalid option.",
});
