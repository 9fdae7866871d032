/** The codes of Close frames: their names, who may send them, and what stands in the frame. */

import type { Violation } from "./protocol.js";

// RFC 6455 7.4.1, and the registry of RFC 6455 11.7 for 1012 to 1014.
export const NORMAL = 1000;
export const GOING_AWAY = 1001;
export const PROTOCOL_ERROR = 1002;
export const UNSUPPORTED_DATA = 1003;
/** The peer's Close frame held no code. Never on the wire. */
export const NO_STATUS = 1005;
/** The connection ended without a Close frame. Never on the wire. */
export const ABNORMAL = 1006;
export const INVALID_PAYLOAD = 1007;
export const POLICY_VIOLATION = 1008;
export const TOO_BIG = 1009;
export const MANDATORY_EXTENSION = 1010;
export const INTERNAL_ERROR = 1011;
export const SERVICE_RESTART = 1012;
export const TRY_AGAIN_LATER = 1013;

const BAD_GATEWAY = 1014;

// A control frame holds 125 bytes (RFC 6455 5.5), and the code takes two of them.
const LONGEST_REASON = 123;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** What a Close frame said. */
export interface CloseFacts {
  /** 1005 when there was no code. */
  readonly code: number;
  readonly reason: string;
}

/** Whether `code` may stand in a Close frame (RFC 6455 7.4). */
export function isWireCode(code: number): boolean {
  if (!Number.isInteger(code)) return false;
  if (code >= 3000) return code <= 4999;
  return (code >= NORMAL && code <= UNSUPPORTED_DATA) || (code >= INVALID_PAYLOAD && code <= BAD_GATEWAY);
}

/**
 * The payload of a Close frame. A code that is no integer or a reason that is no string is a `TypeError`; a code that
 * may not be sent or a reason of more than 123 bytes of UTF-8 is a `RangeError`.
 */
export function closePayload(code: number, reason: string): Uint8Array {
  // Checked although the types forbid it: a typed array taken for a reason has leaked memory elsewhere (CVE-2026-45736).
  if (typeof code !== "number" || !Number.isInteger(code)) {
    throw new TypeError(`Cannot close with code ${typeof code === "number" ? code : typeof code}: expected an integer`);
  }
  if (typeof reason !== "string") {
    throw new TypeError(`Cannot close with a reason of type ${typeof reason}: expected a string`);
  }
  if (!isWireCode(code)) {
    throw new RangeError(`Cannot close with code ${code}: expected 1000 to 1003, 1007 to 1014 or 3000 to 4999`);
  }
  const text = encoder.encode(reason);
  if (text.length > LONGEST_REASON) {
    throw new RangeError(`Cannot close with a reason of ${text.length} bytes: at most ${LONGEST_REASON} fit`);
  }
  const payload = new Uint8Array(2 + text.length);
  payload[0] = code >> 8;
  payload[1] = code & 0xff;
  payload.set(text, 2);
  return payload;
}

/** What the peer's Close frame says, or how it breaks the rules. */
export function parseClose(payload: Uint8Array): CloseFacts | Violation {
  if (payload.length === 0) return { code: NO_STATUS, reason: "" };
  if (payload.length === 1) {
    return {
      closeCode: PROTOCOL_ERROR,
      clause: "RFC 6455 5.5.1",
      problem: "a Close frame of 1 byte has no room for a code of 2",
    };
  }
  const code = ((payload[0] as number) << 8) | (payload[1] as number);
  if (!isWireCode(code)) {
    return { closeCode: PROTOCOL_ERROR, clause: "RFC 6455 7.4", problem: `a Close frame may not hold code ${code}` };
  }
  try {
    return { code, reason: decoder.decode(payload.subarray(2)) };
  } catch {
    return {
      closeCode: INVALID_PAYLOAD,
      clause: "RFC 6455 8.1",
      problem: `the reason in a Close frame with code ${code} is not UTF-8`,
    };
  }
}
