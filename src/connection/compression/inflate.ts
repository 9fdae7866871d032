/** Decompresses the messages received on one connection, one at a time and within limits (RFC 7692 section 7.2.2). */

import type { ErrorPlace } from "../../base/error-context.ts";
import { between } from "../../base/time.ts";
import { SlidingWindow } from "../../engine/deflate/sliding-window.ts";
import type { DecoderLimits, Violation } from "../../engine/protocol.ts";
import { INVALID_PAYLOAD, TOO_BIG } from "../../engine/websocket/close-codes.ts";
import { MessageAssembler, type MessageVisitor } from "../../engine/websocket/message-assembler.ts";
import { systemClock } from "../../transport/clock.ts";
import { type Inflated, inflateLater, inflateNow, MAX_SYNCHRONOUS } from "../../transport/zlib/zlib.ts";
import { compressionCounters } from "./compression-counters.ts";
import { maxInflatedSize } from "./options.ts";

/** Events that an `Inflater` reports to its connection. */
export interface InflaterOwner extends MessageVisitor {
  /**
   * Another thread has decompressed a message. `deliver` delivers it or fails. After that, the bytes behind it may be decoded.
   */
  inflated(deliver: () => void): void;
  /** Decompression failed because of this process, not because of the peer. */
  fault(error: unknown, place: ErrorPlace): void;
}

export interface InflaterOptions {
  readonly maxInflationRatio: number;
  /** Window that the peer's messages may refer to. Undefined if each message stands alone. */
  readonly windowBits: number | undefined;
}

export class Inflater {
  readonly #limits: DecoderLimits;
  readonly #ratio: number;
  readonly #window: SlidingWindow | undefined;
  #busy = false;
  /** The memory of the message that another thread decompresses, in bytes. */
  heldBytes = 0;

  constructor(limits: DecoderLimits, { maxInflationRatio, windowBits }: InflaterOptions) {
    this.#limits = limits;
    this.#ratio = maxInflationRatio;
    this.#window = windowBits === undefined ? undefined : new SlidingWindow(windowBits);
  }

  /** True while another thread decompresses a message. The bytes behind it must not be decoded yet. */
  get busy(): boolean {
    return this.#busy;
  }

  /**
   * Decompresses and delivers a message, or fails. Returns `false`, as a visitor does, if the decoder must stop. That includes a
   * message that another thread has to decompress.
   */
  decompress(type: "text" | "binary", compressed: Uint8Array, owner: InflaterOwner): boolean {
    const maxSize = this.#maxInflatedSize(compressed.length);
    const dictionary = this.#window?.bytes;
    if (compressed.length <= MAX_SYNCHRONOUS) {
      const began = systemClock.now();
      const inflated = inflateNow(compressed, dictionary, Math.min(maxSize, MAX_SYNCHRONOUS));
      // A message that is too large for this thread is started again on another thread. The work done so far is lost.
      const larger = inflated.bytes === undefined && inflated.why === "over" && maxSize > MAX_SYNCHRONOUS;
      count(larger ? 0 : compressed.length, inflated, between(began, systemClock.now()));
      if (!larger) return this.#deliver(type, compressed.length, inflated, owner);
    }
    this.#busy = true;
    this.heldBytes = compressed.length;
    inflateLater(compressed, dictionary, maxSize, (inflated, length) => {
      count(compressed.length, inflated, length);
      this.#busy = false;
      this.heldBytes = 0;
      owner.inflated(() => this.#deliver(type, compressed.length, inflated, owner));
    });
    return false;
  }

  /** Most bytes to which `compressedSize` bytes may inflate. */
  #maxInflatedSize(compressedSize: number): number {
    return Math.min(this.#limits.maxMessageSize, maxInflatedSize(compressedSize, this.#ratio));
  }

  #deliver(type: "text" | "binary", compressedSize: number, inflated: Inflated, owner: InflaterOwner): boolean {
    if (inflated.bytes !== undefined) {
      this.#window?.push(inflated.bytes);
      const assembler = new MessageAssembler(this.#limits, "RFC 6455 8.1");
      return assembler.deliverWhole(type === "text", inflated.bytes, 0, inflated.bytes.length, owner);
    }
    if (inflated.why === "failed") owner.fault(inflated.error, "inflate");
    else owner.fail(inflated.why === "over" ? this.#tooLarge(compressedSize) : invalidData(inflated.problem));
    return false;
  }

  #tooLarge(compressedSize: number): Violation {
    const { maxMessageSize } = this.#limits;
    const maxSize = this.#maxInflatedSize(compressedSize);
    const facts = { closeCode: TOO_BIG, clause: "RFC 6455 10.4" };
    if (maxSize === maxMessageSize) {
      const problem = `a compressed message of ${compressedSize} bytes inflates to more than ${maxMessageSize}`;
      return { ...facts, problem, limit: { name: "maxMessageSize", maximum: maxMessageSize, actual: maxSize + 1 } };
    }
    const problem = `a compressed message of ${compressedSize} bytes inflates to more than ${this.#ratio} times as many`;
    const actual = Math.ceil((maxSize + 1) / compressedSize);
    return { ...facts, problem, limit: { name: "maxInflationRatio", maximum: this.#ratio, actual } };
  }
}

/** `length`: how long it took, in milliseconds. */
function count(compressedSize: number, { bytes }: Inflated, length: number): void {
  compressionCounters.in.count(compressedSize, bytes?.length ?? 0, length);
}

function invalidData(problem: string): Violation {
  return { closeCode: INVALID_PAYLOAD, reason: "invalid-compressed-data", clause: "RFC 7692 7.2.2", problem };
}
