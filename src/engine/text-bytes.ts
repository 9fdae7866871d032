/** The bytes of a received text, for connections that deliver texts as bytes. */

import { TEXT_BYTES } from "../base/brand.ts";
import { isBytes, type MessageBytes } from "../base/bytes.ts";

// Not exported: a program recognises a text by `isText`. The declaration of a subclass would also need a type parameter that
// TypeScript before 5.7 does not have.
class TextBytes extends Uint8Array {
  /** A part or a copy of a text need not be UTF-8. */
  static get [Symbol.species](): Uint8ArrayConstructor {
    return Uint8Array;
  }
}

Object.defineProperty(TextBytes.prototype, TEXT_BYTES, { value: true });

/** The same memory, as the bytes of a text. `bytes` must be UTF-8. */
export function textBytes(bytes: MessageBytes): MessageBytes {
  return new TextBytes(bytes.buffer, bytes.byteOffset, bytes.length) as Uint8Array as MessageBytes;
}

/**
 * True if a received message is a text: a string, or with `messageType: "bytes"` the bytes of a text. A copy of these bytes is only
 * bytes.
 */
export function isText(message: unknown): boolean {
  return typeof message === "string" || (isBytes(message) && TEXT_BYTES in message);
}
