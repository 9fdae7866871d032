/** Framing by functions of the application. */

import { asData, isBytes, lengthOf, type MessageBytes, NO_BYTES, ownData, utf8Length } from "../../base/bytes.ts";
import type { Progress } from "../../base/errors.ts";
import { isError } from "../../base/forms.ts";
import type { Decoder, DecoderLimits, Message, MessageContent, Visitor } from "../protocol.ts";
import { textBytes } from "../text-bytes.ts";
import { plainBytes } from "../websocket/message-assembler.ts";
import { FramingEncoder, utf8Bytes } from "./encoder.ts";

/** A message that `decode` found. */
export interface DecodedMessage {
  /** The message without framing. It arrives as a string or as bytes, as `decode` returns it. */
  readonly message: string | Uint8Array;
  /** The number of pending bytes that the message takes, framing included: at least 1, at most the length of `pending`. */
  readonly size: number;
}

/**
 * A framing by functions of the application. One object serves all connections that use it, so it must keep no state between
 * calls. Its messages cannot be written in parts. With streaming reads, each message arrives as one piece, when it is complete.
 */
export interface CustomFraming {
  /**
   * Returns the bytes that represent a message on the wire, at least one byte. The library copies them at once. If this function
   * throws, `send` rejects with the same error, and `trySend` throws it.
   */
  encode(message: string | Uint8Array): Uint8Array;
  /**
   * Returns the first message in `pending` and the number of bytes that it takes, framing included. Returns undefined if the
   * message is incomplete. `pending` holds all received bytes that are not decoded yet. The function is called once for each
   * received chunk and once after each message. It should find out from the first bytes whether a message is complete: if it
   * reads all of `pending` in each call, a peer that sends few bytes at a time makes it slow. It must not change `pending`, and
   * must not use it after the call; the returned message may be a part of it. If the function throws, the connection ends with
   * close code 1002. If a message, or its bytes with framing, exceed `maxMessageSize`, the connection ends with close code 1009.
   */
  decode(pending: Uint8Array): DecodedMessage | undefined;
}

const CLAUSE = "custom framing";

const MIN_CAPACITY = 64;

export class CustomDecoder implements Decoder {
  readonly #framing: CustomFraming;
  readonly #maxMessageSize: number;
  readonly #streaming: boolean;
  readonly #textAsBytes: boolean;
  /** The first `#pendingSize` bytes are the beginning of a message. The rest is free space. */
  #pending: Uint8Array = NO_BYTES;
  #pendingSize = 0;
  #failed = false;

  constructor(framing: CustomFraming, limits: DecoderLimits) {
    this.#framing = framing;
    this.#maxMessageSize = limits.maxMessageSize;
    this.#streaming = limits.streaming;
    this.#textAsBytes = limits.messageType === "bytes";
  }

  get partial(): Progress {
    return { received: this.#failed ? 0 : this.#pendingSize, expected: undefined };
  }

  get heldBytes(): number {
    return this.#pending.length;
  }

  discard(): void {
    this.#pending = NO_BYTES;
    this.#failed = true;
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    let at = from;
    while (at < chunk.length && !this.#failed) {
      const stored = this.#pendingSize;
      if (stored > 0) this.#append(chunk, at);
      const pending = stored > 0 ? viewOf(this.#pending, 0, this.#pendingSize) : viewOf(chunk, at, chunk.length);
      const decoded = this.#decode(pending, visitor);
      if (decoded === undefined) {
        if (this.#failed) this.#pending = NO_BYTES;
        else if (stored === 0) this.#append(chunk, at);
        break;
      }
      const { message, size } = decoded;
      // A message that is a view of the pending bytes is copied, because their memory is about to change.
      const isView = typeof message !== "string" && message.buffer === pending.buffer;
      const data = isView ? plainBytes(message).slice() : (message as Message);
      // A framing may wait for bytes that follow a message. Such a message can end in the stored bytes, before this chunk.
      at += Math.max(size - stored, 0);
      this.#pendingSize = Math.max(stored - size, 0);
      if (this.#pendingSize > 0) this.#pending.copyWithin(0, size, stored);
      else this.#pending = NO_BYTES;
      if (!this.#deliver(data, visitor)) return at;
    }
    return chunk.length;
  }

  /** Calls the application's `decode`. Returns undefined if it needs more bytes, or after a call of `visitor.fail`. */
  #decode(pending: Uint8Array, visitor: Visitor): DecodedMessage | undefined {
    let decoded: DecodedMessage | undefined;
    try {
      const result = this.#framing.decode(pending);
      // Each property is read once, then checked and used: a getter may return another value for a second read.
      if (result !== undefined) decoded = { message: result.message, size: result.size };
    } catch (error) {
      this.#fail(`decode threw ${isError(error) ? `${error.name}: ${error.message}` : typeof error}`, visitor);
      return undefined;
    }
    if (decoded === undefined) {
      this.#checkMaxSize(pending.length, visitor);
      return undefined;
    }
    const { message, size } = decoded;
    if (!Number.isSafeInteger(size) || size < 1 || size > pending.length) {
      const given = typeof size === "number" ? size : `of type ${typeof size}`;
      this.#fail(`decode returned a size ${given}: expected 1 to ${pending.length}, the bytes pending`, visitor);
    } else if (typeof message !== "string" && !isBytes(message)) {
      this.#fail(`decode returned a message of type ${typeof message}: expected a string or a Uint8Array`, visitor);
    } else {
      this.#checkMaxSize(Math.max(size, this.#byteLength(message)), visitor);
    }
    return this.#failed ? undefined : decoded;
  }

  #byteLength(message: MessageContent): number {
    // A UTF-16 unit takes at most three bytes in UTF-8. So the exact size is computed only for long strings.
    return typeof message === "string" && message.length * 3 > this.#maxMessageSize
      ? utf8Length(message)
      : message.length;
  }

  #checkMaxSize(size: number, visitor: Visitor): void {
    const maximum = this.#maxMessageSize;
    if (size <= maximum) return;
    this.#failed = true;
    visitor.fail({
      closeCode: 1009,
      clause: CLAUSE,
      problem: `a message takes ${size} bytes, and maxMessageSize is ${maximum}`,
      limit: { name: "maxMessageSize", maximum, actual: size },
    });
  }

  #fail(problem: string, visitor: Visitor): void {
    this.#failed = true;
    visitor.fail({ closeCode: 1002, reason: "invalid-framing", clause: CLAUSE, problem });
  }

  #deliver(data: Message, visitor: Visitor): boolean {
    const content = typeof data === "string" && this.#textAsBytes ? textBytes(utf8Bytes(data) as MessageBytes) : data;
    if (!this.#streaming) return visitor.message(content);
    return visitor.piece(typeof data === "string" ? "text" : "binary", utf8Bytes(data) as MessageBytes, true);
  }

  #append(chunk: Uint8Array, from: number): void {
    const size = this.#pendingSize + chunk.length - from;
    if (size > this.#pending.length) {
      const grown = new Uint8Array(Math.max(size, this.#pending.length * 2, MIN_CAPACITY));
      grown.set(this.#pending.subarray(0, this.#pendingSize));
      this.#pending = grown;
    }
    this.#pending.set(chunk.subarray(from), this.#pendingSize);
    this.#pendingSize = size;
  }
}

// Returns a plain Uint8Array, never a Buffer: `Buffer.prototype.slice` returns a view, but `Uint8Array.prototype.slice` a copy.
const viewOf = (bytes: Uint8Array, from: number, to: number): Uint8Array =>
  new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);

export class CustomEncoder extends FramingEncoder {
  readonly #framing: CustomFraming;

  constructor(framing: CustomFraming) {
    super();
    this.#framing = framing;
  }

  payload(data: MessageContent): MessageContent {
    const bytes: unknown = this.#framing.encode(data);
    if (!isBytes(bytes)) {
      throw new TypeError(
        `Cannot send: encode returned ${bytes === null ? "null" : typeof bytes}, expected a Uint8Array`,
      );
    }
    const checked = asData(bytes) as Uint8Array;
    if (lengthOf(checked) === 0) {
      throw new RangeError("Cannot send: encode returned no bytes, which no decoder can receive");
    }
    // A copy, because the bytes may be the memory of the message itself, or a buffer that the framing uses again.
    return ownData(checked);
  }
}
