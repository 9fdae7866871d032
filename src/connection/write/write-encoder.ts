/** Encodes waiting messages into the bytes of one write. */

import type { Encoder, Part } from "../../engine/protocol.ts";
import type { Deflater } from "../compression/deflate.ts";
import type { ControlQueue } from "./control-queue.ts";
import { corkedWrites } from "./corked-writes.ts";
import { FENCE_SIZE, type InFlight } from "./in-flight.ts";
import { OutgoingMessage, type Queued } from "./outgoing-message.ts";
import {
  acquireSharedBuffer,
  type EncodedWrite,
  firstBytes,
  releaseSharedBuffer,
  WRITE_BUFFER_SIZE,
  writePayload,
} from "./write-buffer.ts";

/** The waiting messages, from the oldest to the newest. Accessed by index, because this loop is the hottest of all. */
export interface Messages {
  readonly length: number;
  at(index: number): Queued;
}

interface Large {
  readonly message: OutgoingMessage;
  readonly payload: Uint8Array;
  readonly size: number;
  readonly part: Part;
  offset: number;
}

const NONE = Buffer.alloc(0);

export class WriteEncoder {
  readonly #encoder: Encoder;
  readonly #deflater: Deflater | undefined;
  readonly #ready: () => void;
  /** A message larger than the write buffer, with the number of payload bytes already encoded. */
  #large: Large | undefined;
  /** The buffer that is being filled, the number of bytes in it, and the operation that they belong to. */
  #buffer: Buffer = NONE;
  #at = 0;
  #operation: EncodedWrite["operation"] | undefined;
  /** Bytes of control frames in it. */
  #controlBytes = 0;
  /** The bound of the bytes in flight. Undefined if there is none. */
  #inFlight: InFlight | undefined;
  /** True if the kernel did not accept the last write at once. The next one may wait too, so it only gets the memory it needs. */
  #lastWriteWaited = true;
  /** True if the last part that was written is not the last one of its message. */
  #insideMessage = false;

  /** `ready` is called when a message that another thread compressed can be written. */
  constructor(encoder: Encoder, deflater: Deflater | undefined, ready: () => void) {
    this.#encoder = encoder;
    this.#deflater = deflater;
    this.#ready = ready;
  }

  /**
   * Takes control frames from `controlQueue`, and marks the messages that it takes from `messages`. Returns undefined if there is
   * nothing to write now. Messages for which `inFlight` has no room are held back.
   */
  fill(controlQueue: ControlQueue, messages: Messages, inFlight?: InFlight): EncodedWrite | undefined {
    if (controlQueue.bytes === 0 && messages.length === 0) return undefined;
    corkedWrites.vacate();
    this.#inFlight = inFlight;
    const sharedBuffer = this.#lastWriteWaited ? undefined : acquireSharedBuffer();
    this.#buffer =
      sharedBuffer ?? Buffer.allocUnsafe(Math.min(this.#neededSize(controlQueue, messages), WRITE_BUFFER_SIZE));
    this.#at = 0;
    this.#controlBytes = 0;
    this.#operation = undefined;
    let write: EncodedWrite | undefined;
    try {
      if (this.#large !== undefined) this.#continueLarge(this.#large);
      // No frame may be inside another frame, not even a control frame (RFC 6455 5.4).
      if (this.#large === undefined && this.#encodeControls(controlQueue)) this.#encodeMessages(messages);
      if (inFlight !== undefined) this.#encodeFence(inFlight);
      const bytes = firstBytes(this.#buffer, this.#at);
      const operation = this.#operation as EncodedWrite["operation"] | undefined;
      if (operation !== undefined) write = { bytes, operation, shared: sharedBuffer !== undefined };
    } finally {
      this.#buffer = NONE;
      this.#inFlight = undefined;
      // All connections share this buffer: release it even if an encoder throws.
      if (write === undefined && sharedBuffer !== undefined) releaseSharedBuffer(true);
    }
    return write;
  }

  /** True if the bytes written so far end inside a message in parts. */
  get insideMessage(): boolean {
    return this.#insideMessage;
  }

  /** True if the next write goes into the shared write buffer. */
  get usesSharedBuffer(): boolean {
    return !this.#lastWriteWaited;
  }

  /** The encoded bytes were passed to the transport. `accepted`: the kernel has all of them. */
  writeReturned(accepted: boolean): void {
    this.#lastWriteWaited = !accepted;
  }

  #neededSize(controlQueue: ControlQueue, messages: Messages): number {
    let size = controlQueue.bytes + (this.#inFlight === undefined ? 0 : FENCE_SIZE);
    if (this.#large !== undefined) size += this.#large.size - this.#large.offset + this.#encoder.overhead;
    for (let index = 0; index < messages.length; index += 1) {
      const queued = messages.at(index);
      if (queued instanceof OutgoingMessage) size += this.#maxEncodedSize(queued);
      else for (const part of queued.parts) size += this.#maxEncodedSize(part, true);
      if (size >= WRITE_BUFFER_SIZE || (!(queued instanceof OutgoingMessage) && !queued.ended)) break;
    }
    return size;
  }

  /** Most bytes that `message` needs in a write. `part`: it is a part of a message. */
  #maxEncodedSize({ state, frame, size, compressed }: OutgoingMessage, part: boolean = false): number {
    if (state !== "waiting") return 0;
    if (frame !== undefined) return frame.length;
    if (ArrayBuffer.isView(compressed)) return compressed.length + this.#encoder.overhead;
    // A part is compressed if the parts before it were, and may grow by that.
    const growth = part && compressed === undefined && this.#deflater !== undefined ? (size >> 3) + 64 : 0;
    return size + growth + this.#encoder.overhead;
  }

  /** Returns true if all control frames fit. */
  #encodeControls(controlQueue: ControlQueue): boolean {
    for (let next = controlQueue.next; next !== undefined; next = controlQueue.next) {
      if (this.#at + next.frame.length > this.#buffer.length) return false;
      this.#buffer.set(next.frame, this.#at);
      this.#at += next.frame.length;
      this.#operation ??= next.operation;
      this.#controlBytes += next.frame.length;
      controlQueue.shift();
    }
    return true;
  }

  #encodeMessages(messages: Messages): void {
    for (let index = 0; index < messages.length; index += 1) {
      const queued = messages.at(index);
      if (queued instanceof OutgoingMessage) {
        if (queued.state === "waiting" && !this.#encodeMessage(queued, "whole")) return;
        continue;
      }
      for (const part of queued.parts) {
        if (part.state !== "waiting") continue;
        const position = queued.position(part);
        if (!this.#encodeMessage(part, position)) return;
        queued.started = true;
        this.#insideMessage = position === "first" || position === "middle";
      }
      // Messages behind a stream wait until the stream has ended.
      if (!queued.ended) return;
    }
  }

  /**
   * Encodes `message`, or as much of a large one as fits. Returns false if it, or the messages behind it, must wait for another
   * write.
   */
  #encodeMessage(message: OutgoingMessage, part: Part): boolean {
    if (this.#large !== undefined || !this.#compress(message, part)) return false;
    const { frame, text, compressed } = message;
    // Not by comparison with the data: a text message may be the word `plain`.
    const isCompressed = ArrayBuffer.isView(compressed);
    const data = isCompressed ? compressed : message.data;
    const size = isCompressed ? compressed.length : message.size;
    const encoder = this.#encoder;
    const maxSize = this.#maxEncodedSize(message);
    const large = maxSize > WRITE_BUFFER_SIZE;
    if (this.#inFlight !== undefined && !this.#mayLeave(this.#inFlight, maxSize)) return false;
    if (this.#at + (large ? 2 * encoder.overhead + 1 : maxSize) > this.#buffer.length) return false;
    this.#operation = "write:data";
    this.#deflater?.recordWritten(message, part);
    if (large) {
      message.state = "started";
      const payload = frame ?? (typeof data === "string" ? Buffer.from(data) : data);
      this.#large = { message, payload, size: frame?.length ?? size, part, offset: 0 };
      if (frame === undefined) this.#at = encoder.before(this.#buffer, this.#at, size, text, part, isCompressed);
      this.#continueLarge(this.#large);
      return true;
    }
    message.state = "written";
    if (frame !== undefined) {
      this.#buffer.set(frame, this.#at);
      this.#at += frame.length;
      return true;
    }
    const start = encoder.before(this.#buffer, this.#at, size, text, part, isCompressed);
    this.#at = writePayload(encoder, this.#buffer, start, data, size, part);
    return true;
  }

  /** True if `inFlight` has room for a message of `size` bytes. If nothing is in flight, a message of any size may leave. */
  #mayLeave(inFlight: InFlight, size: number): boolean {
    const before = this.#at - this.#controlBytes;
    if (before + size <= inFlight.room || before + inFlight.bytes === 0) return true;
    inFlight.hold(size);
    // Nothing is held back where the kernel cannot be queried.
    return !inFlight.held;
  }

  /** Counts the messages of this write, and encodes a fence behind them if one is due. */
  #encodeFence(inFlight: InFlight): void {
    inFlight.wrote(this.#at - this.#controlBytes);
    // A frame that has no room here is encoded with the next write.
    if (this.#large !== undefined || this.#at + FENCE_SIZE > this.#buffer.length) return;
    const fence = inFlight.fence();
    if (fence === undefined) return;
    this.#buffer.set(fence.bytes, this.#at);
    this.#at += fence.bytes.length;
    this.#operation ??= fence.operation;
  }

  /** True if the bytes to write for `message` are known. False while another thread compresses it. */
  #compress(message: OutgoingMessage, part: Part): boolean {
    return (
      this.#deflater === undefined || message.frame !== undefined || this.#deflater.compress(message, part, this.#ready)
    );
  }

  #continueLarge(large: Large): void {
    const { message, payload, size, part } = large;
    const encoder = this.#encoder;
    this.#operation = "write:data";
    // Keeps room for the bytes behind the payload, so that the end of a message is written with its last byte.
    const step = Math.min(size - large.offset, this.#buffer.length - this.#at - encoder.overhead);
    const end = this.#at + step;
    copy(payload, large.offset, large.offset + step, this.#buffer, this.#at);
    if (message.frame === undefined) encoder.mask(this.#buffer, this.#at, end);
    large.offset += step;
    this.#at = end;
    if (large.offset < size) return;
    if (message.frame === undefined) this.#at = encoder.after(this.#buffer, end, part);
    message.state = "written";
    this.#large = undefined;
  }
}

/** Copies the bytes `from` to `to` of a payload. */
function copy(payload: Uint8Array, from: number, to: number, buffer: Buffer, at: number): void {
  buffer.set(from === 0 && to === payload.length ? payload : payload.subarray(from, to), at);
}
