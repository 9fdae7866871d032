/** What RFC 6455 and our limits demand of a frame, judged by its header alone. */

import { PROTOCOL_ERROR, TOO_BIG } from "./close.js";
import { BINARY, CONTINUATION, type HeaderParser, LONGEST_CONTROL, PONG, RSV1 } from "./frame.js";
import type { DecoderLimits, Violation } from "./protocol.js";

/**
 * How the frame breaks the rules, if it does. `masked` is how frames must come; `inside` whether a fragmented message
 * is under way, with `size` bytes so far; `fragments` counts its frames with this one. `deflate`: RSV1 has a meaning.
 */
export function judge(
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
    if (!deflate) return broken("5.2", `reserved bits ${header.rsv} are set, and no extension was agreed on`);
    if (header.rsv !== RSV1)
      return broken("5.2", `reserved bits ${header.rsv} are set, where RSV1 alone has a meaning`);
    if (header.control || opcode === CONTINUATION) return misplaced(opcode);
  }
  if (header.control ? opcode > PONG : opcode > BINARY) return broken("5.2", `opcode ${opcode} is not defined`);
  if (header.masked !== masked) return broken("5.1", `a frame to a ${masked ? "server is not" : "client is"} masked`);
  if (header.negative) return broken("5.2", "the most significant bit of a 64-bit length is set");
  if (!header.minimal) return broken("5.2", `length ${length} is not written in the fewest bytes`);
  if (header.control) {
    if (!header.fin) return broken("5.5", `a control frame with opcode ${opcode} is fragmented`);
    if (length > LONGEST_CONTROL) {
      return broken("5.5", `a control frame has ${length} bytes of payload, where ${LONGEST_CONTROL} are allowed`);
    }
    return undefined;
  }
  if (opcode === CONTINUATION && !inside) return broken("5.4", "a continuation frame continues nothing");
  if (opcode !== CONTINUATION && inside) {
    return broken("5.4", `a frame with opcode ${opcode} begins a message inside another one`);
  }
  // What streams is not stored, so its size costs us nothing.
  if (limits.streaming) return undefined;
  if (fragments > limits.maxFragments) return exceeded("maxFragments", limits.maxFragments, fragments);
  if (size + length > limits.maxMessageSize) {
    return exceeded("maxMessageSize", limits.maxMessageSize, size + length);
  }
  return undefined;
}

function misplaced(opcode: number): Violation {
  const problem = `RSV1 is set on a frame with opcode ${opcode}, which does not begin a message`;
  return { closeCode: PROTOCOL_ERROR, clause: "RFC 7692 6.1", problem };
}

function broken(section: string, problem: string): Violation {
  return { closeCode: PROTOCOL_ERROR, clause: `RFC 6455 ${section}`, problem };
}

function exceeded(name: "maxFragments" | "maxMessageSize", maximum: number, actual: number): Violation {
  const what = name === "maxFragments" ? "fragments" : "bytes";
  return {
    closeCode: TOO_BIG,
    clause: "RFC 6455 10.4",
    problem: `a message of ${actual} ${what} is over the limit of ${maximum}`,
    limit: { name, maximum, actual },
  };
}
