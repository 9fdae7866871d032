/** Raw framing: each received chunk is a message. */

import type { Progress } from "../../base/errors.ts";
import type { Decoder, DecoderLimits, MessageContent, Part, Visitor } from "../protocol.ts";
import { MessageAssembler, plainBytes } from "../websocket/message-assembler.ts";
import { FramingEncoder } from "./encoder.ts";

const NO_PROGRESS: Progress = Object.freeze({ received: 0, expected: undefined });

/**
 * Each chunk is a binary message. A chunk longer than `maxMessageSize` becomes several messages: it violates no rule of a
 * protocol.
 */
export class RawDecoder implements Decoder {
  readonly #maxMessageSize: number;
  readonly #assembler: MessageAssembler;

  constructor(limits: DecoderLimits) {
    this.#maxMessageSize = limits.streaming ? Infinity : limits.maxMessageSize;
    this.#assembler = new MessageAssembler(limits, "text framing");
  }

  get partial(): Progress {
    return NO_PROGRESS;
  }

  get heldBytes(): number {
    return 0;
  }

  discard(): void {}

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    const bytes = plainBytes(chunk);
    let at = from;
    let proceed = true;
    while (proceed && at < bytes.length) {
      const start = at;
      at = Math.min(start + this.#maxMessageSize, bytes.length);
      proceed = this.#assembler.deliverWhole(false, bytes, start, at, visitor);
    }
    return at;
  }
}

export class RawEncoder extends FramingEncoder {
  override readonly streams = true;

  payload(data: MessageContent, part: Part): MessageContent {
    if (part === "whole" && data.length === 0) {
      throw new RangeError("Cannot send an empty message: no bytes represent it in raw framing");
    }
    return data;
  }
}
