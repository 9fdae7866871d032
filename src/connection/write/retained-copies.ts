/** Copies the bytes of sent messages: the caller may reuse its memory as soon as a call has returned. */

import { copyTo } from "../../base/bytes.ts";
import type { MessageContent } from "../../engine/protocol.ts";
import type { NodeBuffer } from "../../transport/node-types.ts";

/**
 * Sizes of payloads, in bytes, that are copied to reusable memory. For smaller ones, the bookkeeping costs more than an
 * allocation.
 */
export const MIN_RETAINED = 512;
export const MAX_RETAINED = 1_048_576;

/** Limits of the unused memory that is retained for later copies, in pieces and in bytes, for all connections together. */
const MAX_SPARE = 128;
const MAX_SPARE_BYTES = 2_097_152;

/** How many of the latest messages are remembered, so that a message for many connections in turn is copied once. */
const RECENT = 32;

/** Reusable memory with one payload, for all messages that are sent from it. */
export class RetainedCopy {
  readonly memory: NodeBuffer;
  /** The payload: a view of the first bytes of `memory`. */
  bytes: Uint8Array;
  #text = false;
  /** Number of messages that use it. */
  users = 0;

  constructor(size: number) {
    this.memory = Buffer.allocUnsafeSlow(size);
    this.bytes = this.memory;
  }

  /** Replaces the payload by `data`, which has `size` bytes. */
  fill(data: MessageContent, size: number): void {
    const { memory } = this;
    if (this.bytes.length !== size) this.bytes = new Uint8Array(memory.buffer, 0, size);
    this.#text = typeof data === "string";
    if (typeof data === "string") memory.write(data, 0, size, "utf8");
    else copyTo(memory, data);
  }

  /** True if the payload still equals `data`, its source. The program may have changed that memory since. */
  equals(data: MessageContent, size: number): boolean {
    return this.bytes.length === size && (typeof data === "string" || Buffer.compare(this.bytes, data) === 0);
  }

  /** A copy of the payload that stays valid when this memory is used again. */
  toData(): MessageContent {
    return this.#text ? this.memory.toString("utf8", 0, this.bytes.length) : Uint8Array.from(this.bytes);
  }
}

export class RetainedCopies {
  /** The latest copied messages, and their copies as long as a message uses them. */
  readonly #sources: (MessageContent | undefined)[] = new Array(RECENT).fill(undefined);
  readonly #copies: (RetainedCopy | undefined)[] = new Array(RECENT).fill(undefined);
  #next = 0;
  readonly #spare: RetainedCopy[] = [];
  #spareBytes = 0;

  /**
   * Returns a copy of `data`, which has `size` bytes: the existing copy if `data` was copied lately and has not changed since.
   */
  acquire(data: MessageContent, size: number): RetainedCopy {
    const index = this.#sources.indexOf(data);
    let copy = this.#copies[index];
    if (copy?.equals(data, size) !== true) {
      copy = this.#takeSpare(size) ?? new RetainedCopy(size);
      copy.fill(data, size);
      const at = index === -1 ? this.#next : index;
      this.#sources[at] = data;
      this.#copies[at] = copy;
      if (index === -1) this.#next = (this.#next + 1) % RECENT;
    }
    copy.users += 1;
    return copy;
  }

  /** Ends the use of `copy` by one message. When no message uses it, its memory is used again. */
  release(copy: RetainedCopy): void {
    copy.users -= 1;
    if (copy.users > 0) return;
    const at = this.#copies.indexOf(copy);
    if (at !== -1) {
      this.#sources[at] = undefined;
      this.#copies[at] = undefined;
    }
    this.#spare.push(copy);
    this.#spareBytes += copy.memory.length;
    while (this.#spare.length > MAX_SPARE || this.#spareBytes > MAX_SPARE_BYTES) {
      this.#spareBytes -= (this.#spare.shift() as RetainedCopy).memory.length;
    }
  }

  /** Unused memory for `size` bytes, of which at most a third stays empty. */
  #takeSpare(size: number): RetainedCopy | undefined {
    for (let index = this.#spare.length - 1; index >= 0; index -= 1) {
      const spare = this.#spare[index] as RetainedCopy;
      const { length } = spare.memory;
      if (length < size || 2 * length > 3 * size) continue;
      this.#spare.splice(index, 1);
      this.#spareBytes -= length;
      return spare;
    }
    return undefined;
  }
}

/** Shared by all connections of this process. */
export const retainedCopies: RetainedCopies = new RetainedCopies();

/** Copies `bytes`, whose length is `size`, to memory of their own. `blocked`: the kernel accepts nothing at present, so the
 * bytes may wait long. */
export function copyOf(bytes: Uint8Array, size: number, blocked: boolean): Uint8Array {
  // A small message that waits long would keep a whole block of Node's pool alive, 8 KiB, after other messages have left it. V8
  // allocates up to 64 bytes in its own heap, which is faster than a part of Node's pool.
  const own = size <= 64 || (blocked && size < MIN_RETAINED) ? new Uint8Array(size) : Buffer.allocUnsafe(size);
  copyTo(own, bytes);
  return own;
}
