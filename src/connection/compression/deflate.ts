/** Compresses the messages of one connection, in the order in which they are written (RFC 7692 section 7.2.1). */

import { between } from "../../base/time.ts";
import { SlidingWindow } from "../../engine/deflate/sliding-window.ts";
import type { MessageContent, Part } from "../../engine/protocol.ts";
import { systemClock } from "../../transport/clock.ts";
import { type DeflateOptions, deflateLater, deflateNow, MAX_SYNCHRONOUS } from "../../transport/zlib/zlib.ts";
import type { OutgoingMessage } from "../write/outgoing-message.ts";
import { compressionCounters } from "./compression-counters.ts";
import { COMPRESSION_DEFAULTS, maxInflatedSize } from "./options.ts";

export interface DeflaterOptions {
  /** Smallest message that is compressed, in bytes. */
  readonly threshold: number;
  readonly level: number;
  /** Window that our messages may refer to, as a power of two. */
  readonly windowBits: number;
  /** Whether messages may refer to earlier ones (context takeover). */
  readonly contextTakeover: boolean;
}

export class Deflater {
  readonly #options: DeflaterOptions;
  /** Window with our messages that the peer has received. Undefined if each message stands alone. */
  readonly #window: SlidingWindow | undefined;
  /** Window with the parts already written of the current message in parts. Undefined if that message is not compressed. */
  #parts: SlidingWindow | undefined;

  constructor(options: DeflaterOptions) {
    this.#options = options;
    this.#window = options.contextTakeover ? new SlidingWindow(options.windowBits) : undefined;
  }

  /**
   * Decides what is written for the next message: sets `compressed` to the compressed form, or to `plain`. Returns false
   * if another thread has to compress it: then `ready` is called later. The decision holds until another message is written.
   */
  compress(message: OutgoingMessage, part: Part, ready: () => void): boolean {
    if (message.compressed !== undefined) return message.compressed !== "pending";
    const continued = part === "middle" || part === "last";
    if (continued ? this.#parts === undefined : !this.#shouldCompress(message.size, message.compress)) {
      message.compressed = "plain";
      return true;
    }
    const { level, windowBits } = this.#options;
    const dictionary = (continued ? this.#parts : this.#window)?.bytes;
    const settings = { level, windowBits, dictionary };
    const last = part === "whole" || part === "last";
    const store = (compressed: Uint8Array): void => {
      // RSV1 of the first frame applies to the whole message, so only a message of one frame can still become plain.
      message.compressed = part === "whole" && !isWorthSending(compressed, message.size) ? "plain" : compressed;
    };
    if (message.size <= MAX_SYNCHRONOUS) {
      store(deflateCounted(message.data, message.size, settings, last));
      return true;
    }
    message.compressed = "pending";
    // A copy, because another thread reads it: if the message is dropped meanwhile, its memory is used again.
    deflateLater(Uint8Array.from(asBytes(message.data)), settings, last, (compressed, length) => {
      compressionCounters.out.count(message.size, compressed.length, length);
      store(compressed);
      ready();
    });
    return false;
  }

  /** `message` is written. If it was compressed, adds it to the window, because later messages may refer to it. */
  recordWritten({ data, frame, compressed }: OutgoingMessage, part: Part): void {
    if (part === "first") this.#parts = ArrayBuffer.isView(compressed) ? this.#windowOfParts() : undefined;
    const isCompressed = ArrayBuffer.isView(compressed) || (frame !== undefined && isCompressedFrame(frame));
    if (isCompressed) {
      const bytes = this.#window !== undefined || this.#parts !== undefined ? asBytes(data) : undefined;
      if (bytes !== undefined) {
        this.#window?.push(bytes);
        this.#parts?.push(bytes);
      }
    }
    if (part === "last") this.#parts = undefined;
  }

  /**
   * Compressed form of a message that is the same on many connections and so refers to no other message. Returns undefined if the
   * message itself is to be written.
   */
  compressAlone(data: Uint8Array, compress: boolean | undefined): Uint8Array | undefined {
    if (!this.#shouldCompress(data.length, compress)) return undefined;
    const compressed = deflateCounted(data, data.length, { ...this.#options, dictionary: undefined }, true);
    return isWorthSending(compressed, data.length) ? compressed : undefined;
  }

  #shouldCompress(size: number, compress: boolean | undefined): boolean {
    return compress ?? size >= this.#options.threshold;
  }

  /** Window for the parts of one message. They may refer to earlier messages and to each other. */
  #windowOfParts(): SlidingWindow {
    const parts = new SlidingWindow(this.#options.windowBits);
    const before = this.#window?.bytes;
    if (before !== undefined) parts.push(before);
    return parts;
  }
}

/** `size`: that of `data` in bytes. */
function deflateCounted(data: MessageContent, size: number, how: DeflateOptions, last: boolean): Uint8Array {
  const began = systemClock.now();
  const compressed = deflateNow(data, how, last);
  compressionCounters.out.count(size, compressed.length, between(began, systemClock.now()));
  return compressed;
}

/**
 * True if the compressed form is smaller, but not so small that a receiver with our default `maxInflationRatio` would reject it
 * as a decompression bomb.
 */
function isWorthSending(compressed: Uint8Array, size: number): boolean {
  return compressed.length < size && size <= maxInflatedSize(compressed.length, COMPRESSION_DEFAULTS.maxInflationRatio);
}

/** True if RSV1 is set in the first byte of the frame. */
function isCompressedFrame(frame: Uint8Array): boolean {
  return ((frame[0] as number) & 0x40) !== 0;
}

function asBytes(data: MessageContent): Uint8Array {
  return typeof data === "string" ? Buffer.from(data) : data;
}
