/** Turns what waits to be sent into the bytes of one write. */

import { lengthOf } from "../base/bytes.js";
import type { Encoder, Part } from "../engine/protocol.js";
import type { Deflating } from "./deflating.js";
import type { Control, ControlLane } from "./lane.js";
import { Outgoing, type Queued } from "./outgoing.js";
import { beginning, giveBack, SLAB, takeShared } from "./shared-slab.js";
import { straight } from "./straight.js";

/** The bytes of one write, and what a failure to write them is to be called. */
export interface Filled {
  readonly bytes: Uint8Array;
  readonly operation: "write:data" | Control["operation"];
  /** Whether they are those of the shared slab. */
  readonly shared?: boolean;
}

/** The messages that wait, from the oldest to the newest. By index, because this loop is the hottest there is. */
export interface Messages {
  readonly length: number;
  at(index: number): Queued;
}

interface Large {
  readonly message: Outgoing;
  readonly payload: Uint8Array;
  readonly size: number;
  readonly part: Part;
  offset: number;
}

const NONE = Buffer.alloc(0);

export class SlabWriter {
  readonly #encoder: Encoder;
  readonly #deflating: Deflating | undefined;
  readonly #ready: () => void;
  /** A message larger than a slab, with how much of its payload has been written. */
  #large: Large | undefined;
  /** What is being filled, up to which index, and what it holds. */
  #slab: Buffer = NONE;
  #at = 0;
  #operation: Filled["operation"] | undefined;
  /** Whether the last write had to wait. Then so will the next, which gets no more memory than it needs. */
  #waits = true;

  /** `ready` is called when a message that had to be compressed elsewhere can be written. */
  constructor(encoder: Encoder, deflating: Deflating | undefined, ready: () => void) {
    this.#encoder = encoder;
    this.#deflating = deflating;
    this.#ready = ready;
  }

  /** Takes from `lane` and marks what it takes of `messages`; undefined if there is nothing to write now. */
  fill(lane: ControlLane, messages: Messages): Filled | undefined {
    if (lane.bytes === 0 && messages.length === 0) return undefined;
    straight.owner?.queueStraight();
    const common = this.#waits ? undefined : takeShared();
    this.#slab = common ?? Buffer.allocUnsafe(Math.min(this.#need(lane, messages), SLAB));
    this.#at = 0;
    this.#operation = undefined;
    if (this.#large !== undefined) this.#goOn(this.#large);
    // Never inside a frame, not even a control frame (RFC 6455 5.4).
    if (this.#large === undefined && this.#takeControls(lane)) this.#begin(messages);
    const bytes = beginning(this.#slab, this.#at);
    this.#slab = NONE;
    const shared = common !== undefined;
    if (this.#operation !== undefined) return { bytes, operation: this.#operation, shared };
    if (shared) giveBack(true);
    return undefined;
  }

  /** Whether what is written next goes into the shared slab. */
  get shares(): boolean {
    return !this.#waits;
  }

  /** What was filled is written; `done` tells whether the kernel has it all by now, `shared` whether it lies in the shared slab. */
  handedOver(done: boolean, shared: boolean): void {
    if (shared) giveBack(done);
    this.#waits = !done;
  }

  #need(lane: ControlLane, messages: Messages): number {
    let need = lane.bytes;
    if (this.#large !== undefined) need += this.#large.size - this.#large.offset + this.#encoder.overhead;
    for (let index = 0; index < messages.length; index += 1) {
      const queued = messages.at(index);
      if (queued instanceof Outgoing) need += this.#most(queued);
      else for (const part of queued.parts) need += this.#most(part, true);
      if (need >= SLAB || (!(queued instanceof Outgoing) && !queued.ended)) break;
    }
    return need;
  }

  /** Most bytes that `message` will take on the wire, or that a `part` of one will. */
  #most({ state, frame, size, packed }: Outgoing, part: boolean = false): number {
    if (state !== "waiting") return 0;
    if (frame !== undefined) return frame.length;
    if (packed instanceof Uint8Array) return packed.length + this.#encoder.overhead;
    // A part that is compressed because those before it were may grow by that.
    const growth = part && packed === undefined && this.#deflating !== undefined ? (size >> 3) + 64 : 0;
    return size + growth + this.#encoder.overhead;
  }

  /** Answers whether all of them found room. */
  #takeControls(lane: ControlLane): boolean {
    for (let next = lane.next; next !== undefined; next = lane.next) {
      if (this.#at + next.frame.length > this.#slab.length) return false;
      this.#slab.set(next.frame, this.#at);
      this.#at += next.frame.length;
      this.#operation ??= next.operation;
      lane.take();
    }
    return true;
  }

  #begin(messages: Messages): void {
    for (let index = 0; index < messages.length; index += 1) {
      const queued = messages.at(index);
      if (queued instanceof Outgoing) {
        if (queued.state === "waiting" && !this.#put(queued, "whole")) return;
        continue;
      }
      for (const part of queued.parts) {
        if (part.state !== "waiting") continue;
        if (!this.#put(part, queued.position(part))) return;
        queued.begun = true;
      }
      // What is behind a stream waits until that has ended.
      if (!queued.ended) return;
    }
  }

  /** Writes `message`, or of a large one as much as fits; false if it, or what is behind it, has to wait for another slab. */
  #put(message: Outgoing, part: Part): boolean {
    if (this.#large !== undefined || !this.#packed(message, part)) return false;
    const { frame, text, packed } = message;
    // Not by comparison with the data: a text may be the very word that says it is not compressed.
    const isPacked = packed instanceof Uint8Array;
    const data = isPacked ? packed : message.data;
    const size = isPacked ? packed.length : message.size;
    const encoder = this.#encoder;
    const most = this.#most(message);
    const large = most > SLAB;
    if (this.#at + (large ? 2 * encoder.overhead + 1 : most) > this.#slab.length) return false;
    this.#operation = "write:data";
    this.#deflating?.written(message, part);
    if (large) {
      message.state = "started";
      const payload = frame ?? (typeof data === "string" ? Buffer.from(data) : data);
      this.#large = { message, payload, size: frame?.length ?? size, part, offset: 0 };
      if (frame === undefined) this.#at = encoder.before(this.#slab, this.#at, size, text, part, isPacked);
      this.#goOn(this.#large);
      return true;
    }
    message.state = "written";
    if (frame !== undefined) {
      this.#slab.set(frame, this.#at);
      this.#at += frame.length;
      return true;
    }
    const start = encoder.before(this.#slab, this.#at, size, text, part, isPacked);
    if (typeof data === "string") this.#slab.write(data, start, size, "utf8");
    else copy(data, 0, size, this.#slab, start);
    encoder.cover(this.#slab, start, start + size);
    this.#at = encoder.after(this.#slab, start + size, part);
    return true;
  }

  /** Whether it is known what is to be written for `message`. */
  #packed(message: Outgoing, part: Part): boolean {
    return (
      this.#deflating === undefined || message.frame !== undefined || this.#deflating.pack(message, part, this.#ready)
    );
  }

  #goOn(large: Large): void {
    const { message, payload, size, part } = large;
    const encoder = this.#encoder;
    this.#operation = "write:data";
    // Room for what follows the payload is kept, so that the end of a message is written with its last byte.
    const step = Math.min(size - large.offset, this.#slab.length - this.#at - encoder.overhead);
    const end = this.#at + step;
    copy(payload, large.offset, large.offset + step, this.#slab, this.#at);
    if (message.frame === undefined) encoder.cover(this.#slab, this.#at, end);
    large.offset += step;
    this.#at = end;
    if (large.offset < size) return;
    if (message.frame === undefined) this.#at = encoder.after(this.#slab, end, part);
    message.state = "written";
    this.#large = undefined;
  }
}

/**
 * Copies the bytes `from` to `to` of a payload. Its owner may have transferred or resized its buffer since it was handed
 * over: what is gone is sent as zeros. The frame has to be as long as it says, and a slab that is not filled would tell the
 * peer what this memory held before.
 */
export function copy(payload: Uint8Array, from: number, to: number, slab: Buffer, at: number): void {
  const length = lengthOf(payload);
  if (from === 0 && to === length) {
    slab.set(payload, at);
    return;
  }
  const end = Math.max(from, Math.min(to, length));
  if (end > from) slab.set(payload.subarray(from, end), at);
  slab.fill(0, at + end - from, at + to - from);
}
