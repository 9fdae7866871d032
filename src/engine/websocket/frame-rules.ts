/** Checks a frame header against RFC 6455, RFC 7692 and the configured limits. */

import type { ProtocolErrorReason } from "../../base/protocol-reasons.ts";
import type { DecoderLimits, LimitViolation, ProtocolViolation, Violation } from "../protocol.ts";
import { PROTOCOL_ERROR, TOO_BIG } from "./close-codes.ts";
import { BINARY, CONTINUATION, type HeaderParser, MAX_CONTROL, PONG, RSV1 } from "./frame.ts";

/**
 * Returns the violation in the frame; undefined if there is none. `masked`: received frames must be masked. `inside`: a
 * fragmented message is in progress. `size`: its payload bytes so far. `fragments`: the number of its frames, this one included.
 * `deflate`: permessage-deflate is in use, so RSV1 is allowed.
 */
export function frameViolation(
  header: HeaderParser,
  masked: boolean,
  inside: boolean,
  size: number,
  fragments: number,
  limits: DecoderLimits,
  deflate: boolean,
): Violation | undefined {
  const { opcode, length } = header;
  if (header.rsv !== 0) {
    if (!deflate) {
      const problem = `reserved bits ${header.rsv} are set, and no extension was agreed on`;
      return protocolViolation("reserved-bits", "5.2", problem);
    }
    if (header.rsv !== RSV1) {
      const problem = `reserved bits ${header.rsv} are set, where RSV1 alone has a meaning`;
      return protocolViolation("reserved-bits", "5.2", problem);
    }
    if (header.control || opcode === CONTINUATION) return rsv1Violation(opcode);
  }
  if (header.control ? opcode > PONG : opcode > BINARY)
    return protocolViolation("invalid-opcode", "5.2", `opcode ${opcode} is not defined`);
  if (header.masked !== masked) {
    return masked
      ? protocolViolation("unmasked-frame", "5.1", "a frame to a server is not masked")
      : protocolViolation("masked-frame", "5.1", "a frame to a client is masked");
  }
  if (header.negative)
    return protocolViolation("invalid-length", "5.2", "the most significant bit of a 64-bit length is set");
  if (!header.minimal)
    return protocolViolation("invalid-length", "5.2", `length ${length} is not written in the fewest bytes`);
  if (header.control) {
    if (!header.fin) {
      const problem = `a control frame with opcode ${opcode} is fragmented`;
      return protocolViolation("fragmented-control-frame", "5.5", problem);
    }
    if (length > MAX_CONTROL) {
      const problem = `a control frame has ${length} bytes of payload, where ${MAX_CONTROL} are allowed`;
      return protocolViolation("control-frame-too-large", "5.5", problem);
    }
    return undefined;
  }
  if (opcode === CONTINUATION && !inside)
    return protocolViolation("unexpected-continuation", "5.4", "a continuation frame continues nothing");
  if (opcode !== CONTINUATION && inside) {
    const problem = `a frame with opcode ${opcode} begins a message inside another one`;
    return protocolViolation("missing-continuation", "5.4", problem);
  }
  // A streamed message is not stored, so its size needs no limit.
  if (limits.streaming) return undefined;
  if (fragments > limits.maxFragments) return limitViolation("maxFragments", limits.maxFragments, fragments);
  if (size + length > limits.maxMessageSize) {
    return limitViolation("maxMessageSize", limits.maxMessageSize, size + length);
  }
  return undefined;
}

function rsv1Violation(opcode: number): ProtocolViolation {
  const problem = `RSV1 is set on a frame with opcode ${opcode}, which does not begin a message`;
  return { closeCode: PROTOCOL_ERROR, reason: "reserved-bits", clause: "RFC 7692 6.1", problem };
}

function protocolViolation(reason: ProtocolErrorReason, section: string, problem: string): ProtocolViolation {
  return { closeCode: PROTOCOL_ERROR, reason, clause: `RFC 6455 ${section}`, problem };
}

function limitViolation(name: "maxFragments" | "maxMessageSize", maximum: number, actual: number): LimitViolation {
  const what = name === "maxFragments" ? "fragments" : "bytes";
  return {
    closeCode: TOO_BIG,
    clause: "RFC 6455 10.4",
    problem: `a message of ${actual} ${what} is over the limit of ${maximum}`,
    limit: { name, maximum, actual },
  };
}
