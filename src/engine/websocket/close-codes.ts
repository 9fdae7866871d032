/** The status codes of Close frames: their names, which of them may be sent, and the payload of a Close frame. */

import { NO_BYTES } from "../../base/bytes.ts";
import type { ProtocolViolation } from "../protocol.ts";
import { strictDecoder } from "./utf8.ts";

// RFC 6455 7.4.1; for 1012 to 1014 the registry of RFC 6455 11.7.
export const NORMAL = 1000;
export const GOING_AWAY = 1001;
export const PROTOCOL_ERROR = 1002;
export const UNSUPPORTED_DATA = 1003;
/** The Close frame has no code. Never the code in a frame. */
export const NO_STATUS = 1005;
/** The connection ended without a Close frame. Never sent in a frame. */
export const ABNORMAL = 1006;
export const INVALID_PAYLOAD = 1007;
export const POLICY_VIOLATION = 1008;
export const TOO_BIG = 1009;
export const MANDATORY_EXTENSION = 1010;
export const INTERNAL_ERROR = 1011;
export const SERVICE_RESTART = 1012;
export const TRY_AGAIN_LATER = 1013;

const BAD_GATEWAY = 1014;

// In bytes. A control frame holds at most 125 bytes (RFC 6455 5.5), and the code takes two of them.
const MAX_REASON = 123;

const encoder = new TextEncoder();

/** True if `code` means a normal end: 1000, 1001 (the server goes away), or 1005 (no code). */
export function isNormalEnd(code: number): boolean {
  return code === NORMAL || code === GOING_AWAY || code === NO_STATUS;
}

/** The contents of a Close frame. */
export interface CloseFacts {
  /** 1005 if the frame has no code. */
  readonly code: number;
  readonly reason: string;
}

/** True if a Close frame may contain `code` (RFC 6455 7.4): 1000 to 1003, 1007 to 1014, and 3000 to 4999. */
export function isWireCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= NORMAL && code <= UNSUPPORTED_DATA) || (code >= INVALID_PAYLOAD && code <= BAD_GATEWAY);
}

/**
 * Encodes the payload of a Close frame. 1005 stands for a frame without a code, as in the API of Go's WebSocket packages. Throws
 * TypeError if the code is not a number or the reason is not a string. Throws RangeError if the code must not be sent, or if the
 * reason takes more than 123 bytes in UTF-8.
 */
export function closePayload(code: number, reason: string): Uint8Array {
  // Checked although the types forbid it: in another library, a typed array as the reason leaked memory (CVE-2026-45736).
  if (typeof code !== "number")
    throw new TypeError(`Cannot close with a code of type ${typeof code}: expected a number`);
  if (typeof reason !== "string") {
    throw new TypeError(`Cannot close with a reason of type ${typeof reason}: expected a string`);
  }
  if (code === NO_STATUS) {
    if (reason !== "") throw new RangeError("Cannot close with code 1005 and a reason: a reason follows a code");
    return NO_BYTES;
  }
  if (!isWireCode(code)) {
    const expected = "expected 1000 to 1003, 1007 to 1014, 3000 to 4999, or 1005 for none";
    throw new RangeError(`Cannot close with code ${code}: ${expected}`);
  }
  const text = encoder.encode(reason);
  if (text.length > MAX_REASON) {
    throw new RangeError(`Cannot close with a reason of ${text.length} bytes: at most ${MAX_REASON} fit`);
  }
  const payload = new Uint8Array(2 + text.length);
  payload[0] = code >> 8;
  payload[1] = code & 0xff;
  payload.set(text, 2);
  return payload;
}

/** Returns `reason`, or if it does not fit in a Close frame, as many of its first characters as fit. */
export function fittingReason(reason: string): string {
  const bytes = encoder.encode(reason);
  if (bytes.length <= MAX_REASON) return reason;
  let end = MAX_REASON;
  // A byte 10xxxxxx continues the character before it.
  while (((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return strictDecoder.decode(bytes.subarray(0, end));
}

/** Parses the payload of the peer's Close frame. Returns the violation if it is invalid. */
export function parseClose(payload: Uint8Array): CloseFacts | ProtocolViolation {
  if (payload.length === 0) return { code: NO_STATUS, reason: "" };
  if (payload.length === 1) {
    return {
      closeCode: PROTOCOL_ERROR,
      reason: "invalid-close-payload",
      clause: "RFC 6455 5.5.1",
      problem: "a Close frame of 1 byte has no room for a code of 2",
    };
  }
  const code = ((payload[0] as number) << 8) | (payload[1] as number);
  if (!isWireCode(code)) {
    const problem = `a Close frame may not hold code ${code}`;
    return { closeCode: PROTOCOL_ERROR, reason: "invalid-close-code", clause: "RFC 6455 7.4", problem };
  }
  try {
    return { code, reason: strictDecoder.decode(payload.subarray(2)) };
  } catch {
    return {
      closeCode: INVALID_PAYLOAD,
      reason: "invalid-utf8",
      clause: "RFC 6455 8.1",
      problem: `the reason in a Close frame with code ${code} is not UTF-8`,
    };
  }
}
