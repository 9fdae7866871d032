/** Joins messages for one write that many connections share: their frames are adjacent in memory. */

import { NO_BYTES } from "../../base/bytes.ts";
import { MESSAGE_OVERHEAD } from "../../engine/queue/overflow-queue.ts";
import type { Protocol } from "../protocol.ts";
import type { OutgoingMessage } from "./outgoing-message.ts";
import type { EncodedMessage, Prepared } from "./prepared-message.ts";
import { WRITE_BUFFER_SIZE } from "./write-buffer.ts";

/** The messages from one index to the last. */
export interface Batch {
  /** The frames. They are not modified afterwards. */
  readonly bytes: Uint8Array;
  /** The messages, as a connection queues them individually. */
  toQueue(): OutgoingMessage[];
}

export class BatchBuilder {
  #messages: Prepared[] = [];
  #forms: EncodedMessage[] = [];
  #frames: Uint8Array = NO_BYTES;
  /** Start of each frame, and the end of the last one. */
  #starts: number[] = [];
  #byteLength = 0;
  /** The last batch that was used, and its index: nearly all connections write the same messages as the one before. */
  #batch: Batch | undefined;
  #batchIndex = 0;
  /** Size of the messages as a queue counts it: bytes of their payloads and the overhead of each. */
  size = 0;

  get length(): number {
    return this.#messages.length;
  }

  /** True if all messages and this one fit into one write. */
  fits({ frame }: EncodedMessage): boolean {
    return this.#byteLength + frame.length <= WRITE_BUFFER_SIZE;
  }

  append(message: Prepared, form: EncodedMessage): void {
    const { frame, size } = form;
    this.#messages.push(message);
    this.#forms.push(form);
    this.#starts.push(this.#byteLength);
    if (this.#byteLength === 0) this.#frames = frame;
    else {
      // Bytes that are being written are not modified: new bytes are only appended.
      if (this.#byteLength + frame.length > this.#frames.length) this.#grow(frame.length);
      this.#frames.set(frame, this.#byteLength);
    }
    this.#byteLength += frame.length;
    this.size += size + MESSAGE_OVERHEAD;
    this.#batch = undefined;
  }

  /** Size of the messages from `index` on, as a queue counts it. */
  sizeFrom(index: number): number {
    if (index === 0) return this.size;
    let size = 0;
    for (let at = index; at < this.#forms.length; at += 1)
      size += (this.#forms[at] as EncodedMessage).size + MESSAGE_OVERHEAD;
    return size;
  }

  /** True if the last messages are these. */
  endsWith(messages: readonly { readonly message: Prepared }[]): boolean {
    const start = this.#messages.length - messages.length;
    return start >= 0 && messages.every(({ message }, at) => this.#messages[start + at] === message);
  }

  /** All messages from `index` on, as connections with the kind of `protocol` write them. */
  from(index: number, protocol: Protocol): Batch {
    if (this.#batch === undefined || this.#batchIndex !== index) {
      this.#batch = this.#newBatch(index, protocol);
      this.#batchIndex = index;
    }
    return this.#batch;
  }

  /** Removes the first `count` messages: every connection has written them. */
  removeFirst(count: number): void {
    if (count === 0) return;
    const start = this.#starts[count] as number;
    this.size = this.sizeFrom(count);
    // A view: not moved, because a pending write may use the bytes. It is full, so the next message is appended to a copy.
    this.#frames = this.#frames.subarray(start, this.#byteLength);
    this.#byteLength -= start;
    this.#messages = this.#messages.slice(count);
    this.#forms = this.#forms.slice(count);
    this.#starts = this.#starts.slice(count).map((at) => at - start);
    this.#batch = undefined;
  }

  /** Frees the memory. The group keeps this object until its next message, which may take long. */
  clear(): void {
    this.#messages = [];
    this.#forms = [];
    this.#frames = NO_BYTES;
    this.#starts = [];
    this.#byteLength = 0;
    this.#batch = undefined;
    this.size = 0;
  }

  #newBatch(index: number, protocol: Protocol): Batch {
    const messages = this.#messages.slice(index);
    const forms = this.#forms.slice(index);
    return {
      bytes: this.#frames.subarray(this.#starts[index], this.#byteLength),
      toQueue: () => messages.map((message, at) => message.toOutgoing(protocol, forms[at])),
    };
  }

  #grow(by: number): void {
    const larger = Buffer.allocUnsafeSlow(
      Math.min(WRITE_BUFFER_SIZE, Math.max(MIN_BUFFER_SIZE, 2 * (this.#byteLength + by))),
    );
    larger.set(this.#frames.subarray(0, this.#byteLength));
    this.#frames = larger;
  }
}

/** Size of the first buffer for more than one message, in bytes. */
const MIN_BUFFER_SIZE = 4_096;
