/** What the encoders of framed TCP have in common: nothing is masked, and most write little around a payload. */

import type { Data, Encoder, Part } from "../protocol.js";

export abstract class FramingEncoder implements Encoder {
  readonly overhead: number = 0;
  readonly shareable: boolean = true;
  readonly streams: boolean = false;

  abstract payload(data: Data, part: Part): Data;

  before(_target: Uint8Array, at: number, _size: number, _text: boolean, _part: Part): number {
    return at;
  }

  cover(_target: Uint8Array, _from: number, _to: number): void {}

  after(_target: Uint8Array, at: number, _part: Part): number {
    return at;
  }
}

const utf8 = new TextEncoder();

/** The bytes of `data`: a string's in UTF-8. */
export function bytesOf(data: Data): Uint8Array {
  return typeof data === "string" ? utf8.encode(data) : data;
}
