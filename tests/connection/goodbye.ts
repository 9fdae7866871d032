/** What a connection told its peer at the end. */

import type { Wire } from "../../src/testing/index.js";
import { FrameReader } from "../frames.js";

/** The code in the Close frame that a WebSocket has sent; 1005 if the frame has none, undefined if there is no frame. */
export function closeCodeIn(wire: Wire): number | undefined {
  const close = new FrameReader().push(wire.received).find(({ opcode }) => opcode === 8);
  if (close === undefined) return undefined;
  return close.payload.length === 0 ? 1_005 : close.payload.readUInt16BE(0);
}
