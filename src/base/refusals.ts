/** The reasons for which no connection was opened: one set of names for events, counters and documents. */

/** Why no connection was opened. A closed set. docs/failures.md gives the meaning of each reason and what to do. */
export type Refusal =
  | "accept"
  | "answer"
  | "authorize"
  | "authorizeTimeout"
  | "capacity"
  | "closing"
  | "disconnected"
  | "failed"
  | "headers"
  | "httpVersion"
  | "incomplete"
  | "method"
  | "origin"
  | "path"
  | "perAddress"
  | "request"
  | "silence"
  | "tls"
  | "upgrade"
  | "version";

/** The HTTP status of the response for each reason. `none`: there is no request to respond to. `any`: the status varies. */
export const REFUSALS: Readonly<Record<Refusal, number | "none" | "any">> = Object.freeze({
  accept: "none",
  answer: "any",
  authorize: "any",
  authorizeTimeout: 503,
  capacity: 503,
  closing: 503,
  disconnected: "none",
  failed: 500,
  headers: 431,
  httpVersion: 426,
  incomplete: "none",
  method: 405,
  origin: 403,
  path: 404,
  perAddress: 429,
  request: 400,
  silence: "none",
  tls: "none",
  upgrade: 426,
  version: 426,
});
