/** The common base of the encoders for framed TCP: no masking, and by default no bytes before or after a payload. */

import type { Encoder, MessageContent, Part } from "../protocol.ts";

export abstract class FramingEncoder implements Encoder {
  readonly overhead: number = 0;
  readonly shareable: boolean = true;
  readonly streams: boolean = false;

  abstract payload(data: MessageContent, part: Part): MessageContent;

  before(_target: Uint8Array, at: number, _size: number, _text: boolean, _part: Part): number {
    return at;
  }

  mask(_target: Uint8Array, _from: number, _to: number): void {}

  after(_target: Uint8Array, at: number, _part: Part): number {
    return at;
  }
}

const utf8 = new TextEncoder();

/** The bytes of `data`. A string is encoded as UTF-8. */
export function utf8Bytes(data: MessageContent): Uint8Array {
  return typeof data === "string" ? utf8.encode(data) : data;
}
