/** What `holdfast doctor URL` reports: one finding for each check, in the order of the checks. */

/** The checks of a WebSocket server, in their order, each with what it asks. A TCP server has the first two and the last. */
export const PROBE_CHECKS = {
  reach: "how long DNS, TCP, TLS and the upgrade take",
  certificate: "how long the certificate is valid, and the version of TLS",
  handshake: "the answer to a valid request",
  compression: "whether permessage-deflate is accepted",
  ping: "whether a Ping is answered, and the round-trip time",
  close: "whether a Close is answered with its code, and TCP is ended by the server",
  unoffered: "whether an extension or a subprotocol is chosen that was not offered",
  "reserved-bits": "whether a frame with a reserved bit is answered with Close 1002",
  version: "whether another Sec-WebSocket-Version is answered with 426",
  key: "whether a request without Sec-WebSocket-Key is refused",
  upgrade: "what a request without Upgrade is answered with",
  origin: "whether a page of any site can connect: cross-site WebSocket hijacking",
  masking: "whether a frame without a mask is answered with Close 1002",
  utf8: "whether a text that is not UTF-8 is answered with Close 1007",
  "message-size": "the largest message, by a search that doubles it",
  idle: "the idle limit, by a search that doubles the silence; which side ends the connection and how",
} as const;

export type ProbeCheck = keyof typeof PROBE_CHECKS;

export interface ProbeFinding {
  readonly check: ProbeCheck;
  /** `fault`: something must change. `note`: a fact, or a deviation that does no harm by itself. */
  readonly level: "ok" | "note" | "fault";
  /** What was seen: one line without control characters. */
  readonly text: string;
  /** What must change, and where. Each fault has it. */
  readonly change?: string | undefined;
  /** The values in `text`, for programs. Durations are in milliseconds, sizes in bytes. */
  readonly facts?: Readonly<Record<string, unknown>> | undefined;
}

/** What a check has found; the name is added by the caller. */
export type CheckResult = Omit<ProbeFinding, "check">;
