/** One message to send, or one part of a streamed message. */

import { lengthOf } from "../../base/bytes.ts";
import type { LimitError } from "../../base/errors.ts";
import type { Encoder, MessageContent, Part } from "../../engine/protocol.ts";
import { MESSAGE_OVERHEAD } from "../../engine/queue/overflow-queue.ts";
import { processBudget } from "../memory-budget.ts";
import type { PendingCall } from "../time/pending-calls.ts";
import { copyOf, MAX_RETAINED, MIN_RETAINED, RetainedCopy, retainedCopies } from "./retained-copies.ts";
import { WRITE_BUFFER_SIZE } from "./write-buffer.ts";

/** A frame that many connections write. */
export interface SharedForm {
  readonly frame: Uint8Array;
  /** The number of send queues that hold it. The memory budget counts it once. */
  queues: number;
}

/** The sender sets all options of the message before it is queued. They do not change afterwards. */
export class OutgoingMessage {
  /**
   * The message, which the error returns if it is refused: a text, a copy of the bytes, or the reusable memory with that copy.
   */
  original: MessageContent | RetainedCopy | undefined;
  /** The payload to write. No other code can modify its memory. */
  data: MessageContent;
  /** Bytes of payload, as the queue counts them. */
  readonly size: number;
  text: boolean;
  call: PendingCall<void> | undefined;
  key: string | undefined;
  /** Its frame, encoded once for many connections. */
  form: SharedForm | undefined;
  /** Whether it is compressed. Undefined: the threshold of the connection decides. */
  compress: boolean | undefined;
  /** True if the promise of its call is already resolved, so it must not be dropped. */
  promised: boolean = false;
  /** Written instead of `data`. Undefined until that is decided. `pending`: another thread compresses the message. */
  compressed: Uint8Array | "plain" | "pending" | undefined;
  /** `started`: the kernel may have some of its bytes, so it cannot be removed. */
  state: "waiting" | "started" | "written" = "waiting";

  /** `size`: the size of `data`, if it is known. */
  constructor(
    given: MessageContent | RetainedCopy,
    data: MessageContent,
    size: number = typeof data === "string" ? Buffer.byteLength(data) : data.length,
  ) {
    this.original = given;
    this.data = data;
    this.size = size;
    this.text = typeof data === "string";
    this.call = undefined;
    this.key = undefined;
    this.form = undefined;
    this.compress = undefined;
    this.compressed = undefined;
  }

  get frame(): Uint8Array | undefined {
    return this.form?.frame;
  }

  /** The bytes that no other connection shares. */
  get ownSize(): number {
    return this.form === undefined ? this.size : 0;
  }

  entered(): void {
    if (this.form === undefined) return;
    this.form.queues += 1;
    if (this.form.queues === 1) processBudget.sharedChanged(this.size);
  }

  left(): void {
    if (this.form === undefined) return;
    this.form.queues -= 1;
    if (this.form.queues === 0) processBudget.sharedChanged(-this.size);
  }

  /** True if the message may be dropped: none of its bytes was passed to the transport, and its call is not resolved. */
  get droppable(): boolean {
    return this.state === "waiting" && !this.promised;
  }

  get awaited(): boolean {
    return this.call !== undefined;
  }
}

/**
 * The entry in the send queue for a message whose parts follow one by one. Messages behind it wait until it has ended, because
 * RFC 6455 section 5.4 forbids interleaved messages.
 */
export class OutgoingStream {
  // The parts do not count in the queue: otherwise a queue full of messages behind them could never move again. See
  // `PartWriter`.
  readonly size = 0;
  readonly text: boolean;
  readonly compress: boolean | undefined;
  /** Parts that the kernel has not accepted yet, in order. */
  readonly parts: OutgoingMessage[] = [];
  /** Size of the parts as the limits count it: their bytes and the overhead of each. */
  get bytes(): number {
    let bytes = 0;
    for (const { size } of this.parts) bytes += size + MESSAGE_OVERHEAD;
    return bytes;
  }

  /** True if the kernel may have some of its bytes, so it cannot be removed. */
  started = false;
  /** True if no further part follows. */
  ended = false;
  /** Why it was refused, if it was. */
  refusal: LimitError | undefined;

  constructor(text: boolean, compress?: boolean) {
    this.text = text;
    this.compress = compress;
  }

  get key(): undefined {
    return undefined;
  }

  get droppable(): boolean {
    return false;
  }

  get awaited(): boolean {
    return true;
  }

  /** The position of `part` in its message, if it is written next. */
  position(part: OutgoingMessage): Part {
    const last = this.ended && part === this.parts.at(-1);
    if (this.started) return last ? "last" : "middle";
    return last ? "whole" : "first";
  }
}

/** An entry of the send queue. */
export type Queued = OutgoingMessage | OutgoingStream;

/**
 * Creates the message for `data` with a copy of its bytes: the caller's memory is not read after this. `blocked`: the kernel
 * accepts nothing at present, so the message may wait long. Throws what the encoder throws.
 */
export function outgoingOf(data: MessageContent, encoder: Encoder, blocked: boolean): OutgoingMessage {
  if (typeof data === "string") return new OutgoingMessage(data, encoder.payload(data, "whole"));
  const size = lengthOf(data);
  if (size < MIN_RETAINED || size > MAX_RETAINED) {
    const copied = copyOf(data, size, blocked);
    return new OutgoingMessage(copied, encoder.payload(copied, "whole"));
  }
  const copy = retainedCopies.acquire(data, size);
  try {
    return new OutgoingMessage(copy, encoder.payload(copy.bytes, "whole"));
  } catch (misuse) {
    retainedCopies.release(copy);
    throw misuse;
  }
}

/**
 * Moves a text that waits and may be dropped to reusable memory. V8 promotes waiting strings to the old generation, and dropped
 * ones stay there until a major garbage collection: a flood under `drop-oldest` took six times the bound of the queues.
 */
export function retainText(message: OutgoingMessage): void {
  const { data, size, frame } = message;
  // A prepared message is shared with other connections. A text larger than the write buffer is written in several steps.
  if (
    typeof data !== "string" ||
    frame !== undefined ||
    message.original !== data ||
    size < MIN_RETAINED ||
    size > WRITE_BUFFER_SIZE
  )
    return;
  const copy = retainedCopies.acquire(data, size);
  message.original = copy;
  message.data = copy.bytes;
}

/** Ends the use of reusable memory by `message`. Its payload is not read after this. */
export function releaseCopy(message: OutgoingMessage): void {
  if (!(message.original instanceof RetainedCopy)) return;
  retainedCopies.release(message.original);
  message.original = undefined;
}
