/** The decoder of RFC 6455: chunks that the network splits at any place become messages. */

import { NO_BYTES } from "../../base/bytes.ts";
import type { Progress } from "../../base/errors.ts";
import type { Decoder, DecoderLimits, Violation, Visitor } from "../protocol.ts";
import { parseClose } from "./close-codes.ts";
import {
  CLOSE,
  CONTINUATION,
  HeaderParser,
  KEY_SIZE,
  MIN_MASKED_HEADER,
  PING,
  RSV1,
  readWord,
  shortMessageEnd,
  TEXT,
} from "./frame.ts";
import { frameViolation } from "./frame-rules.ts";
import { MIN_FOR_WORDS, mask, Words } from "./mask.ts";
import { MessageAssembler, plainBytes } from "./message-assembler.ts";
import { MessageBuffer } from "./message-buffer.ts";

// The largest payload that the shortest header can announce.
const MAX_SHORT = 125;

/** After a Close frame or a violation, the decoder consumes and ignores all bytes. */
export class WebSocketDecoder implements Decoder {
  readonly #limits: DecoderLimits;
  /** The limits of compressed messages. Undefined if permessage-deflate is not in use. */
  readonly #compressedLimits: DecoderLimits | undefined;
  /** True if received frames must be masked: the peer is a client. */
  readonly #masked: boolean;
  /** True if a short message that lies completely in the chunk is always within the limits. */
  readonly #fastPath: boolean;
  readonly #header = new HeaderParser();
  readonly #assembler: MessageAssembler;
  #announced: boolean = false;
  #ended: boolean = false;
  /** The number of payload bytes of this frame so far. Not the missing bytes: a double cannot count down from 2^60 exactly. */
  #received = 0;
  /**
   * The received bytes of a compressed message, which is decompressed as a whole. Undefined if no compressed message is in
   * progress.
   */
  #compressed: MessageBuffer | undefined;
  #compressedType: "text" | "binary" = "binary";
  /** The payload of the control frame in progress. */
  #control: Uint8Array = NO_BYTES;
  /** The number of frames of this message so far. */
  #fragments = 0;
  /** The size on the wire of the complete frames of this message, headers included. */
  #completeSize = 0;

  /** `deflate`: true if permessage-deflate is in use. */
  constructor(role: "server" | "client", limits: DecoderLimits, deflate: boolean = false) {
    this.#limits = limits;
    this.#compressedLimits = deflate ? limitsOfCompressed(limits) : undefined;
    this.#masked = role === "server";
    this.#fastPath =
      this.#masked && !limits.streaming && limits.maxFragments >= 1 && limits.maxMessageSize >= MAX_SHORT;
    this.#assembler = new MessageAssembler(limits, "RFC 6455 8.1");
  }

  get partial(): Progress {
    if (this.#ended) return { received: 0, expected: undefined };
    const header = this.#header;
    // A control frame between the fragments of a message does not announce the size of that message.
    const known = header.sized && (header.control ? this.#completeSize === 0 : header.fin);
    return {
      received: this.#completeSize + header.received + this.#received,
      expected: known ? this.#completeSize + header.size + header.length : undefined,
    };
  }

  get heldBytes(): number {
    return this.#assembler.heldBytes + (this.#compressed?.heldBytes ?? 0);
  }

  discard(): void {
    this.#assembler.clear();
    this.#compressed?.clear();
    this.#ended = true;
  }

  receive(chunk: Uint8Array, from: number, visitor: Visitor): number {
    // Converted here too, not only before copies: this loop is fast only if it always sees the same class of array.
    const bytes = plainBytes(chunk);
    const end = bytes.length;
    const header = this.#header;
    // One view serves all frames of the chunk.
    const words = this.#masked && end - from >= MIN_FOR_WORDS ? new Words(bytes) : undefined;
    let at = from;
    let proceed = true;
    const short = this.#fastPath;
    while (proceed && at < end && !this.#ended) {
      // Fast path for most messages: a short message in one frame that lies completely in the chunk.
      const shortEnd = short && header.received === 0 && this.#betweenMessages() ? shortMessageEnd(bytes, at) : -1;
      if (shortEnd > 0) {
        proceed = this.#shortMessage(bytes, at, shortEnd, visitor, words);
        at = shortEnd;
        continue;
      }
      if (!header.complete) {
        at = header.push(bytes, at);
        if (header.sized && !this.#announced) this.#announce(visitor);
        if (!header.complete || this.#ended) break;
        this.#begin(end - at);
      }
      const start = at;
      at = Math.min(end, start + header.length - this.#received);
      if (this.#masked) mask(bytes, start, at, header.key, this.#received, words);
      this.#received += at - start;
      proceed = header.control
        ? this.#controlBytes(bytes, start, at, visitor)
        : this.#dataBytes(bytes, start, at, visitor);
    }
    return this.#ended ? end : at;
  }

  /** True if no message is in progress. */
  #betweenMessages(): boolean {
    return !this.#assembler.active && this.#compressed === undefined;
  }

  #shortMessage(bytes: Uint8Array, at: number, end: number, visitor: Visitor, words: Words | undefined): boolean {
    const from = at + MIN_MASKED_HEADER;
    mask(bytes, from, end, readWord(bytes, from - KEY_SIZE), 0, words);
    const proceed = this.#assembler.deliverWhole((bytes[at] as number) === 0x80 + TEXT, bytes, from, end, visitor);
    if (this.#assembler.failed) this.#ended = true;
    return proceed;
  }

  /** Checks a frame by its header, before any byte of its payload is stored. */
  #announce(visitor: Visitor): void {
    const header = this.#header;
    const assembler = this.#assembler;
    this.#announced = true;
    if (!header.control) this.#fragments++;
    const compressed = this.#compressed;
    const active = assembler.active || compressed !== undefined;
    const first = header.rsv === RSV1 && !active;
    const limits = (first || compressed !== undefined ? this.#compressedLimits : undefined) ?? this.#limits;
    const size = compressed?.size ?? assembler.size;
    const deflate = this.#compressedLimits !== undefined;
    const violation = frameViolation(header, this.#masked, active, size, this.#fragments, limits, deflate);
    if (violation !== undefined) this.#fail(violation, visitor);
  }

  /** Prepares for the payload of a frame whose header is complete. The chunk holds `available` more bytes. */
  #begin(available: number): void {
    const header = this.#header;
    const assembler = this.#assembler;
    if (header.control) {
      this.#control = new Uint8Array(header.length);
      return;
    }
    if (header.opcode !== CONTINUATION && header.rsv === RSV1) {
      this.#compressed = new MessageBuffer();
      this.#compressedType = header.opcode === TEXT ? "text" : "binary";
    }
    if (this.#compressed !== undefined) {
      if (header.fin) this.#compressed.expect(this.#compressed.size + header.length);
      return;
    }
    if (header.opcode !== CONTINUATION) {
      // A message in one frame that lies completely in the chunk needs no assembly.
      if (header.fin && header.length <= available) return;
      assembler.begin(header.opcode === TEXT);
    }
    if (header.fin) assembler.expect(assembler.size + header.length);
  }

  #dataBytes(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const assembler = this.#assembler;
    const { fin, opcode, size, length } = this.#header;
    let proceed: boolean;
    if (this.#compressed !== undefined) return this.#compressedBytes(this.#compressed, bytes, from, to, visitor);
    if (this.#received < length) {
      proceed = assembler.append(bytes, from, to, visitor);
    } else if (fin) {
      this.#frameDone();
      this.#fragments = 0;
      this.#completeSize = 0;
      proceed = assembler.active
        ? assembler.finishWith(bytes, from, to, visitor)
        : assembler.deliverWhole(opcode === TEXT, bytes, from, to, visitor);
    } else {
      this.#frameDone();
      this.#completeSize += size + length;
      proceed = assembler.append(bytes, from, to, visitor);
    }
    if (assembler.failed) this.#ended = true;
    return proceed;
  }

  #compressedBytes(compressed: MessageBuffer, bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const { fin, size, length } = this.#header;
    compressed.append(bytes, from, to);
    if (this.#received < length) return true;
    this.#frameDone();
    if (!fin) {
      this.#completeSize += size + length;
      return true;
    }
    this.#fragments = 0;
    this.#completeSize = 0;
    this.#compressed = undefined;
    return visitor.compressed?.(this.#compressedType, compressed.take()) ?? true;
  }

  #controlBytes(bytes: Uint8Array, from: number, to: number, visitor: Visitor): boolean {
    const { opcode, length } = this.#header;
    const payload = this.#control;
    payload.set(bytes.subarray(from, to), this.#received - (to - from));
    if (this.#received < length) return true;
    this.#frameDone();
    this.#control = NO_BYTES;
    if (opcode === PING) return visitor.ping(payload);
    if (opcode !== CLOSE) return visitor.pong(payload);
    const parsed = parseClose(payload);
    if ("closeCode" in parsed) {
      this.#fail(parsed, visitor);
    } else {
      this.#end();
      visitor.close(parsed.code, parsed.reason);
    }
    return false;
  }

  #frameDone(): void {
    this.#header.reset();
    this.#announced = false;
    this.#received = 0;
  }

  #fail(violation: Violation, visitor: Visitor): void {
    this.#end();
    visitor.fail(violation);
  }

  #end(): void {
    this.#ended = true;
    this.#assembler.clear();
    this.#compressed = undefined;
  }
}

/**
 * The limits of the compressed form of a message. A compressed message is stored even when streaming, because it is decompressed
 * as a whole. Compression makes incompressible data a little larger, and a message of the maximum size must pass with any zlib
 * settings of its sender. So the limit is above `maxMessageSize`.
 */
function limitsOfCompressed({ maxMessageSize, maxFragments, streaming }: DecoderLimits): DecoderLimits {
  const maximum = maxMessageSize + Math.ceil(maxMessageSize / 16) + 64;
  return { maxMessageSize: maximum, maxFragments: streaming ? Infinity : maxFragments, streaming: false };
}
