/** The rules of a protocol that a peer can violate: one set of names for programs, events and documents. */

/** The rule that was violated. A closed set. docs/failures.md gives the meaning of each reason. */
export type ProtocolErrorReason =
  | "control-frame-too-large"
  | "fragmented-control-frame"
  | "invalid-close-code"
  | "invalid-close-payload"
  | "invalid-compressed-data"
  | "invalid-framing"
  | "invalid-length"
  | "invalid-opcode"
  | "invalid-utf8"
  | "masked-frame"
  | "message-type"
  | "missing-continuation"
  | "reserved-bits"
  | "uncountable-length"
  | "undecodable"
  | "unexpected-continuation"
  | "unexpected-eof"
  | "unmasked-frame";

/** The status code that the Close frame carries for each reason. `none`: no Close frame is sent. */
export const PROTOCOL_ERROR_REASONS: Readonly<Record<ProtocolErrorReason, number | "none">> = Object.freeze({
  "control-frame-too-large": 1002,
  "fragmented-control-frame": 1002,
  "invalid-close-code": 1002,
  "invalid-close-payload": 1002,
  "invalid-compressed-data": 1007,
  "invalid-framing": 1002,
  "invalid-length": 1002,
  "invalid-opcode": 1002,
  "invalid-utf8": 1007,
  "masked-frame": 1002,
  "message-type": 1003,
  "missing-continuation": 1002,
  "reserved-bits": 1002,
  "uncountable-length": 1009,
  undecodable: 1007,
  "unexpected-continuation": 1002,
  "unexpected-eof": "none",
  "unmasked-frame": 1002,
});
