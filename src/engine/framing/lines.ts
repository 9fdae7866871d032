/** Writes lines. They are read by the decoder of delimited messages. */

import type { Data, Part } from "../protocol.js";
import { FramingEncoder } from "./encoder.js";

const CR = 0x0d;
const LF = 0x0a;

export class LinesEncoder extends FramingEncoder {
  override readonly overhead = 1;
  override readonly streams = true;
  /** Whether the parts so far end in a carriage return. */
  #returned = false;

  payload(data: Data, part: Part): Data {
    if (typeof data === "string" ? data.includes("\n") : data.includes(LF)) {
      throw new RangeError("Cannot send a line that holds a newline");
    }
    const last = typeof data === "string" ? data.charCodeAt(data.length - 1) : data[data.length - 1];
    const carried = (part === "middle" || part === "last") && data.length === 0 && this.#returned;
    const returned = last === CR || carried;
    if (returned && (part === "whole" || part === "last")) {
      throw new RangeError("Cannot send a line that ends in a carriage return: the receiver would strip it");
    }
    if (part !== "whole") this.#returned = returned;
    return data;
  }

  override after(target: Uint8Array, at: number, part: Part): number {
    if (part === "first" || part === "middle") return at;
    target[at] = LF;
    return at + 1;
  }
}
