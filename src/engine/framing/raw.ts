/** Raw framing: what the network gives is the message. */

import type { Progress } from "../../base/errors.js";
import { Assembler, plain } from "../assembler.js";
import type { Data, Decoder, DecoderLimits, Part, Visitor } from "../protocol.js";
import { FramingEncoder } from "./encoder.js";

const AT_BOUNDARY: Progress = Object.freeze({ received: 0, expected: undefined });

/** Each chunk is a binary message. One longer than `maxMessageSize` becomes several: there is no rule that it breaks. */
export class RawDecoder implements Decoder {
  readonly #maxMessageSize: number;
  readonly #assembler: Assembler;

  constructor(limits: DecoderLimits) {
    this.#maxMessageSize = limits.streaming ? Infinity : limits.maxMessageSize;
    this.#assembler = new Assembler(limits, "text framing");
  }

  get partial(): Progress {
    return AT_BOUNDARY;
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    const bytes = plain(chunk);
    let at = from;
    let goOn = true;
    while (goOn && at < bytes.length) {
      const start = at;
      at = Math.min(start + this.#maxMessageSize, bytes.length);
      goOn = this.#assembler.whole(false, bytes, start, at, visitor);
    }
    return at;
  }
}

export class RawEncoder extends FramingEncoder {
  override readonly streams = true;

  payload(data: Data, part: Part): Data {
    if (part === "whole" && data.length === 0) {
      throw new RangeError("Cannot send an empty message: raw framing has no bytes that stand for one");
    }
    return data;
  }
}
