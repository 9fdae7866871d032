/** Encodes answers directly into the shared write buffer while a chunk is handled, without an entry in the send queue. */

import { asData, lengthOf, NO_BYTES } from "../../base/bytes.ts";
import type { MessageContent } from "../../engine/protocol.ts";
import { MESSAGE_OVERHEAD } from "../../engine/queue/overflow-queue.ts";
import { afterMicrotasks, atEndOfTurn, type EndOfTurnTask } from "../../transport/end-of-turn.ts";
import type { Transport } from "../../transport/transport.ts";
import { type CountingConnection, countSent, countWrite } from "../counting.ts";
import type { Protocol } from "../protocol.ts";
import type { PendingCall } from "../time/pending-calls.ts";
import { OutgoingMessage } from "./outgoing-message.ts";
import type { ShortPath } from "./short-path.ts";
import {
  acquireSharedBuffer,
  type EncodedWrite,
  firstBytes,
  passToTransport,
  sharedBufferInUse,
  sharedWriteBuffer,
  WRITE_BUFFER_SIZE,
  writePayload,
} from "./write-buffer.ts";

/** The outbox of a connection, as the corked path uses it. */
export interface CorkedOutbox {
  readonly busy: boolean;
  readonly usesSharedBuffer: boolean;
  addPendingWrite(write: EncodedWrite): void;
  writeAccepted(): void;
}

/** A connection, as the corked path uses it. */
export interface CorkedOwner extends CountingConnection {
  readonly transport: Transport;
  readonly protocol: Protocol;
  /** True while a chunk is handled. */
  readonly corked: boolean;
  readonly outbox: CorkedOutbox | undefined;
  shortPath: ShortPath | undefined;
  /** True if messages of a group are deferred: they come before. */
  readonly hasDeferred: boolean;
  /** Leaves the short path, and returns the outbox. */
  leaveShortPath(): CorkedOutbox;
  /** Leaves the short path. The kernel has not accepted all bytes of `write`, whose messages this path returns. */
  writeIsPending(write: EncodedWrite, messages: readonly OutgoingMessage[]): void;
  /** Ends the connection, because a write to it threw `error`. */
  writeFailed(error: unknown): void;
}

/** A call that waits until its message is written. */
export interface WaitingSend {
  readonly call: PendingCall<void>;
  /** The message, once it is in the send queue. */
  message: OutgoingMessage | undefined;
}

// Most messages whose position is recorded. With the overhead of each, this many reach the default high-water mark.
const MAX_MESSAGES = 1_024;

/**
 * There is one instance, because there is one shared write buffer. Its owner has nothing else to send, and its messages leave
 * with the write of this turn. So only the position of each message is recorded, in case the messages must be queued after all.
 */
class CorkedWrites implements ShortPath {
  readonly name = "corked";
  length = 0;
  bytes = 0;
  /** Undefined if no connection uses the buffer. */
  #owner: CorkedOwner | undefined;
  /** True if the owner may add messages. False while they are being written. */
  #open = false;
  /** The call that waits for one of the messages, and the index of that message. */
  #waiting: WaitingSend | undefined;
  #waitingAt = 0;
  #at = 0;
  /** Start and end of the payload of each message. The end is negative (`~end`) for a text. */
  readonly #marks = new Int32Array(2 * MAX_MESSAGES);
  /** 1 for a message whose call has resolved, so that the send queue must not drop it. */
  readonly #promised = new Uint8Array(MAX_MESSAGES);
  /** True if the end of this turn, or of the microtasks, writes the messages. */
  #scheduled = { turn: false, microtasks: false };

  get owner(): CorkedOwner | undefined {
    return this.#owner;
  }

  /**
   * Sends `data` on this path if it has room, no queued message is before it, and it leaves with the write of this turn. This is
   * possible with any policy. Returns false if it does not apply: then `data` is not sent. `sent` is the call whose promise has
   * resolved already, or the one that waits for the write. Undefined for a call without a promise.
   */
  send(owner: CorkedOwner, data: MessageContent, sent: "promised" | WaitingSend | undefined): boolean {
    if ((this.#owner !== owner || !this.#open) && !this.#start(owner, sent !== undefined)) return false;
    // Only one call can wait for a write. A second call uses the send queue.
    const second = typeof sent === "object" && this.#waiting !== undefined;
    return !second && this.#encode(owner, data, sent);
  }

  /** Writes the messages behind the microtasks that are queued now: after the synchronous work of the running code. */
  writeSoon(): void {
    if (this.#owner?.corked || this.#scheduled.microtasks) return;
    this.#scheduled.microtasks = true;
    afterMicrotasks(this.#afterMicrotasks);
  }

  /** Moves the messages of the present owner to its send queue: another write needs the buffer. */
  vacate(): void {
    this.#owner?.leaveShortPath();
  }

  flush(): void {
    const owner = this.#owner;
    if (owner === undefined || !this.#open) return;
    // The first message did not take this path: it was invalid, or did not fit.
    if (this.length === 0) this.#reset();
    else this.#writeMessages(owner);
  }

  leave(): OutgoingMessage[] {
    const unwritten = this.#open;
    const waiting = this.#waiting;
    const marks = this.#marks;
    const buffer = sharedWriteBuffer();
    const { length } = this;
    this.#reset();
    return Array.from({ length }, (_, index) => {
      const start = marks[2 * index] as number;
      const mark = marks[2 * index + 1] as number;
      const end = mark < 0 ? ~mark : mark;
      // The payload of a message that is already written is not read any more.
      const payload = unwritten ? Uint8Array.prototype.slice.call(buffer, start, end) : NO_BYTES;
      const message = new OutgoingMessage(payload, payload, end - start);
      message.text = mark < 0;
      message.promised = this.#promised[index] === 1;
      if (waiting !== undefined && index === this.#waitingAt) {
        waiting.message = message;
        message.call = waiting.call;
      }
      if (!unwritten) message.state = "written";
      return message;
    });
  }

  /** `answers`: a loop answers what was received, after the chunk itself has been handled. */
  #start(owner: CorkedOwner, answers: boolean): boolean {
    // Masked frames are encoded only when they are written.
    if (!(owner.corked || answers) || owner.protocol.pools === undefined) return false;
    // The outbox counts the bytes in flight, and may hold messages back.
    if (owner.options.maxInFlightBytes !== Infinity) return false;
    if ((owner.shortPath !== undefined && owner.shortPath !== this) || owner.hasDeferred) owner.leaveShortPath();
    this.vacate();
    const { outbox } = owner;
    if (sharedBufferInUse() || (outbox !== undefined && (outbox.busy || !outbox.usesSharedBuffer))) return false;
    this.#owner = owner;
    owner.shortPath = this;
    this.#open = true;
    this.length = 0;
    this.bytes = 0;
    this.#at = 0;
    if (!owner.corked && !this.#scheduled.turn) {
      this.#scheduled.turn = true;
      atEndOfTurn(this.#atEndOfTurn);
    }
    return true;
  }

  /** Encodes `data` behind the other messages. Returns false if there is no room. */
  #encode(
    { protocol, options }: CorkedOwner,
    data: MessageContent,
    sent: "promised" | WaitingSend | undefined,
  ): boolean {
    const { encoder } = protocol;
    const { highWaterMark, maxQueuedBytes, maxQueuedMessages } = options;
    const text = typeof data === "string";
    if (text && data.length > WRITE_BUFFER_SIZE) return false;
    const size = text ? Buffer.byteLength(data) : lengthOf(data);
    // Throws if the ArrayBuffer of the bytes is detached.
    if (size === 0) asData(data);
    const bytes = this.bytes + size + MESSAGE_OVERHEAD;
    const index = this.length;
    // Above the high-water mark the connection would have to call its hook.
    if (bytes > highWaterMark || bytes > maxQueuedBytes) return false;
    if (index >= maxQueuedMessages || index >= MAX_MESSAGES) return false;
    // The bound of `Outbox`: the result of a call must not depend on the path.
    const payloads = bytes - (index + 1) * MESSAGE_OVERHEAD;
    if (payloads + (index + 1) * encoder.overhead > WRITE_BUFFER_SIZE) return false;
    const buffer = sharedWriteBuffer();
    const start = encoder.before(buffer, this.#at, size, text, "whole");
    const end = start + size;
    this.#marks[2 * index] = start;
    this.#marks[2 * index + 1] = text ? ~end : end;
    this.#at = writePayload(encoder, buffer, start, data, size, "whole");
    this.#promised[index] = sent === "promised" ? 1 : 0;
    if (typeof sent === "object") {
      this.#waiting = sent;
      this.#waitingAt = index;
    }
    this.length = index + 1;
    this.bytes = bytes;
    return true;
  }

  #writeMessages(owner: CorkedOwner): void {
    const bytes = firstBytes(acquireSharedBuffer() as Buffer, this.#at);
    const heldBytes = owner.transport.lastWriteWaited ? bytes.length : WRITE_BUFFER_SIZE;
    const write = { bytes, operation: "write:data", heldBytes } as const;
    this.#open = false;
    countWrite(owner, bytes);
    try {
      const accepted = passToTransport(owner.transport, write.bytes, true);
      if (this.#owner !== owner) {
        // A call from inside the write has moved the messages to the queue, as written.
        const outbox = owner.leaveShortPath();
        if (accepted) outbox.writeAccepted();
        else outbox.addPendingWrite(write);
      } else if (accepted) {
        const waiting = this.#waiting;
        countSent(owner, this.length);
        this.#reset();
        waiting?.call.resolve();
      } else {
        owner.writeIsPending(write, []);
      }
    } catch (error) {
      owner.writeFailed(error);
    }
  }

  #reset(): void {
    if (this.#owner !== undefined) this.#owner.shortPath = undefined;
    this.#owner = undefined;
    this.#open = false;
    this.#waiting = undefined;
    this.length = 0;
    this.bytes = 0;
  }

  readonly #atEndOfTurn: EndOfTurnTask = {
    turnEnded: () => {
      this.#scheduled.turn = false;
      if (!this.#owner?.corked) this.flush();
    },
  };

  readonly #afterMicrotasks: EndOfTurnTask = {
    turnEnded: () => {
      this.#scheduled.microtasks = false;
      if (!this.#owner?.corked) this.flush();
    },
  };
}

export const corkedWrites: CorkedWrites = new CorkedWrites();
