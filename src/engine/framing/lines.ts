/** Encodes messages as lines; `DelimitedDecoder` decodes them. */

import type { MessageContent, Part } from "../protocol.ts";
import { CR, LF } from "./delimiter.ts";
import { FramingEncoder } from "./encoder.ts";

/** The bytes that end a line on the wire. */
export type EndOfLine = "\n" | "\r\n";

export class LinesEncoder extends FramingEncoder {
  override readonly overhead: number;
  override readonly streams = true;
  readonly #eol: EndOfLine;
  /** True if the parts of the message so far end in a carriage return. */
  #endsInCr = false;

  constructor(eol: EndOfLine) {
    super();
    this.#eol = eol;
    this.overhead = eol.length;
  }

  payload(data: MessageContent, part: Part): MessageContent {
    if (typeof data === "string" ? data.includes("\n") : data.includes(LF)) {
      throw new RangeError("Cannot send a line that contains a newline");
    }
    const last = typeof data === "string" ? data.charCodeAt(data.length - 1) : data[data.length - 1];
    const stillInCr = (part === "middle" || part === "last") && data.length === 0 && this.#endsInCr;
    const endsInCr = last === CR || stillInCr;
    if (endsInCr && (part === "whole" || part === "last")) {
      throw new RangeError(
        "Cannot send a line that ends in a carriage return: a receiver would take it for a part of the line end",
      );
    }
    if (part !== "whole") this.#endsInCr = endsInCr;
    return data;
  }

  override after(target: Uint8Array, at: number, part: Part): number {
    if (part === "first" || part === "middle") return at;
    let end = at;
    if (this.#eol === "\r\n") target[end++] = CR;
    target[end++] = LF;
    return end;
  }
}
