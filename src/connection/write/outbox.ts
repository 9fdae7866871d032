/** The outbox of a connection: writes queued messages as fast as the kernel accepts them, one write at a time. */

import { type LimitError, TimeoutError } from "../../base/errors.ts";
import { after, between, type Instant } from "../../base/time.ts";
import { afterMicrotasks, atEndOfTurn, type EndOfTurnTask } from "../../transport/end-of-turn.ts";
import type { Transport } from "../../transport/transport.ts";
import type { SendResult } from "../contract.ts";
import { type CountingConnection, countQueue, countSent, countWrite } from "../counting.ts";
import type { Overflow, SettledOptions } from "../options.ts";
import type { Protocol } from "../protocol.ts";
import type { PendingCall } from "../time/pending-calls.ts";
import { type Control, ControlQueue } from "./control-queue.ts";
import type { InFlight } from "./in-flight.ts";
import type { OutgoingMessage, OutgoingStream, Queued } from "./outgoing-message.ts";
import { SendQueue } from "./send-queue.ts";
import type { OutgoingPath } from "./short-path.ts";
import { WaterMarks, type WaterMarksOwner } from "./water-marks.ts";
import { type EncodedWrite, passToTransport, WRITE_BUFFER_SIZE } from "./write-buffer.ts";
import { WriteEncoder } from "./write-encoder.ts";

/** The connection, as its outbox uses it, with the events that the outbox reports. */
export interface OutboxOwner extends WaterMarksOwner, CountingConnection {
  readonly transport: Transport;
  /** The bound of the bytes in flight. Undefined if there is none. */
  readonly inFlight: InFlight | undefined;
  /** Sets or clears the time limit of the pending write. */
  setWriteTimer(at: Instant): void;
  clearWriteTimer(): void;
  /** A message did not fit, and `policy` was applied. */
  overflowed(policy: Exclude<Overflow, "wait">, error: () => LimitError): void;
  /** The code that encodes or writes threw `error`. That code does not know the connection, so this method ends it. */
  writeFailed(error: unknown): void;
  /** The kernel's buffer was full and has room again: the peer has read bytes. */
  kernelHasRoom(): void;
  /** Everything is written, including the Close frame if there is one. */
  finished(): void;
}

// Milliseconds. A write that took this long had to wait for room in the kernel. A write to TLS or in a busy event loop takes less
// time. If the peer is frozen, a write either fits into the kernel's buffer and does not wait, or does not complete.
const MIN_WAIT = 50;

export class Outbox implements EndOfTurnTask {
  readonly #options: SettledOptions;
  #owner: OutboxOwner;
  readonly #protocol: Protocol;
  readonly #encoder: WriteEncoder;
  readonly #sendQueue: SendQueue;
  readonly #controlQueue = new ControlQueue();
  readonly #waterMarks: WaterMarks;
  #pendingWrite: EncodedWrite | undefined;
  /** The memory of the pending write, in bytes. */
  #pendingBytes = 0;
  /** The time since which the kernel has accepted nothing of the pending write. */
  #blockedSince: Instant;
  #scheduled = false;
  #corked = false;
  /** True if a write was pending when the current chunk arrived: the kernel accepts nothing. */
  #blocked = false;
  /** The Close frame, or the last message on TCP. It is written behind the queued messages. */
  #finalFrame: Uint8Array | undefined;
  /** `finishing`: no further message is accepted. `closeWritten`: and no control frame either. `finished`: all is written. */
  #state: "open" | "finishing" | "closeWritten" | "finished" | "stopped" = "open";

  constructor(protocol: Protocol, options: SettledOptions, owner: OutboxOwner) {
    this.#options = options;
    this.#owner = owner;
    this.#protocol = protocol;
    this.#encoder = new WriteEncoder(protocol.encoder, protocol.deflater, () => this.schedule());
    this.#sendQueue = new SendQueue(options, (policy, error) => this.#owner.overflowed(policy, error));
    this.#waterMarks = new WaterMarks(this.#sendQueue, options);
    this.#blockedSince = options.clock.now();
  }

  get queuedBytes(): number {
    return this.#sendQueue.bytes;
  }

  /** The memory that messages to send take, in bytes. */
  get heldBytes(): number {
    return this.#sendQueue.heldBytes + (this.#pendingWrite === undefined ? 0 : this.#pendingBytes);
  }

  get queuedMessages(): number {
    return this.#sendQueue.length;
  }

  get dropped(): number {
    return this.#sendQueue.dropped;
  }

  get refused(): number {
    return this.#sendQueue.refused;
  }

  /** True if messages wait for the peer: the kernel has not accepted the last write yet, or too many bytes are in flight. */
  get blocked(): boolean {
    return this.#pendingWrite !== undefined || this.#owner.inFlight?.held === true;
  }

  /** True if this object is in its initial state: another connection may use it. */
  get isInitial(): boolean {
    const active =
      this.#scheduled || this.#corked || this.#pendingWrite !== undefined || this.#controlQueue.next !== undefined;
    return !active && this.#state === "open" && this.#waterMarks.isInitial && this.#sendQueue.isInitial;
  }

  /** True if messages wait, a water mark event or a `drain()` call is pending, or the outbox is closing or stopped. */
  get busy(): boolean {
    const waiting =
      this.#pendingWrite !== undefined || this.#sendQueue.length > 0 || this.#controlQueue.next !== undefined;
    return waiting || this.#state !== "open" || !this.#waterMarks.isInitial;
  }

  /** The path of the messages that are sent now. */
  get path(): OutgoingPath {
    if (this.#state === "stopped") return "stopped";
    if (this.#state !== "open") return "finishing";
    if (this.#pendingWrite !== undefined) return "writing";
    return this.#sendQueue.length > 0 || this.#controlQueue.next !== undefined ? "queued" : "idle";
  }

  /** True if the next write goes into the shared write buffer: the kernel had room for the last one. */
  get usesSharedBuffer(): boolean {
    return this.#encoder.usesSharedBuffer;
  }

  /** Assigns this object to `owner`. Without an owner it is pooled, and no method may be called. */
  setOwner(owner?: OutboxOwner): void {
    this.#owner = owner as OutboxOwner;
  }

  /** Error of a write of which the kernel has accepted nothing, or the peer acknowledged nothing, for `writeTimeout`. */
  timeoutError(now: Instant): TimeoutError {
    const operation = this.#pendingWrite?.operation ?? "write:data";
    const heldSince = this.#pendingWrite === undefined ? this.#owner.inFlight?.heldSince : undefined;
    const since = heldSince ?? this.#blockedSince;
    const facts = { limit: "writeTimeout", bound: this.#options.writeTimeout, after: between(since, now) };
    return new TimeoutError({ operation, ...facts, retriable: false });
  }

  /** Queues `message`, or applies `overflow` to it. Its call, if it has one, always settles. */
  send(message: OutgoingMessage, overflow: Overflow): SendResult {
    const added = this.#sendQueue.enqueue(message, overflow, this.blocked);
    if (added !== "queued") {
      this.#owner.heldChanged();
      return added === "waiting" ? "queued" : "refused";
    }
    countQueue(this.#owner, this.#sendQueue.bytes);
    this.#waterMarks.queueChanged(this.#owner);
    this.schedule();
    return this.#fitsWrite(0, 0) ? "sent" : "queued";
  }

  /** Queues the messages of a short path. There is room for them below the high-water mark. */
  queueMessages(messages: readonly OutgoingMessage[]): void {
    for (const message of messages) this.#sendQueue.enqueue(message, "reject");
    // Messages that are already written wait for the result of their write, not for another one.
    if (messages[0]?.state === "waiting") this.schedule();
  }

  /** True if `message`, sent now, is certain to leave with the write of this turn. */
  fitsWriteWith({ size }: OutgoingMessage): boolean {
    return this.#sendQueue.hasRoom(size) && this.#fitsWrite(size, 1);
  }

  /** Removes `message` if the kernel can have none of its bytes. Returns true if it was removed. */
  withdraw(message: Queued): boolean {
    if (!this.#sendQueue.withdraw(message)) return false;
    this.#sendQueue.queueWaiting();
    this.#waterMarks.queueShrunk(this.#owner);
    // A message that was behind a message in parts may be the next one now.
    this.schedule();
    return true;
  }

  /** Starts a message whose parts follow later. Returns false if there is no room for it. */
  beginStream(stream: OutgoingStream): boolean {
    return this.#sendQueue.beginStream(stream);
  }

  /** Queues a part of `stream`. The last part ends the stream. */
  addPart(stream: OutgoingStream, part: OutgoingMessage, last: boolean): void {
    this.#sendQueue.addPart(stream, part, last);
    this.schedule();
  }

  /** Removes `part` if the kernel can have none of its bytes. If it was the last part, its stream is open again. */
  withdrawPart(stream: OutgoingStream, part: OutgoingMessage): boolean {
    return this.#sendQueue.withdrawPart(stream, part);
  }

  /** Queues a control frame. Returns false if there are too many, or if none may follow. */
  sendControl(control: Control): boolean {
    if (this.#state !== "open" && this.#state !== "finishing") return false;
    if (!this.#controlQueue.enqueue(control, this.#blocked)) return false;
    this.schedule();
    return true;
  }

  /** Resolves `call` when the send queue is empty. */
  addDrain(call: PendingCall<void>): void {
    this.#waterMarks.addDrain(call);
  }

  removeDrain(call: PendingCall<void>): void {
    this.#waterMarks.removeDrain(call);
  }

  /**
   * No further message is accepted. `frame` is written behind the queued messages, and then `finished` is called. A message in
   * parts that has not ended is truncated: its calls and those behind it are rejected with `error`.
   */
  finish(frame: Uint8Array | undefined, error: unknown): void {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    this.#finalFrame = frame;
    // No later message can replace a queued one any more, so there is no reason to hold them back.
    this.#endHold();
    this.#sendQueue.closeStreams(error);
    this.#waterMarks.queueShrunk(this.#owner);
    this.schedule();
  }

  /**
   * Rejects messages of which no byte has been written. A frame that has begun is completed, and messages of this turn's write
   * leave.
   */
  rejectUnwritten(error: unknown): void {
    this.flush();
    this.#sendQueue.rejectUnwritten(error);
    this.#controlQueue.clear();
    this.#owner.heldChanged();
  }

  /** The transport is gone: rejects all messages. */
  stop(error: unknown): void {
    this.#state = "stopped";
    this.#pendingWrite = undefined;
    this.#sendQueue.rejectAll(error);
    this.#controlQueue.clear();
    this.#waterMarks.rejectDrains(error);
  }

  /** A chunk has arrived: messages sent from now on wait for `uncork`, which writes them at once. */
  cork(): void {
    this.#corked = true;
    this.#blocked = this.#pendingWrite !== undefined;
  }

  uncork(): void {
    this.#corked = false;
    this.flush();
  }

  /** Schedules a write for the end of this event loop turn. */
  schedule(): void {
    if (this.#scheduled || this.#corked || this.#pendingWrite !== undefined) return;
    this.#scheduled = true;
    atEndOfTurn(this);
  }

  /** Schedules a write behind the microtasks that are queued now: after the synchronous work of the running code. */
  writeSoon(): void {
    if (this.#scheduled || this.#corked || this.#pendingWrite !== undefined) return;
    this.#scheduled = true;
    afterMicrotasks(this);
  }

  turnEnded(): void {
    this.#scheduled = false;
    this.flush();
  }

  /**
   * Writes the waiting messages, write by write, as far as the kernel accepts them. Never throws: an exception ends this
   * connection.
   */
  flush(): void {
    try {
      this.#flush();
    } catch (error) {
      this.#owner.writeFailed(error);
    }
  }

  #flush(): void {
    while (this.#pendingWrite === undefined && this.#state !== "stopped") {
      const inFlight = this.#state === "open" ? this.#owner.inFlight : undefined;
      const idle = inFlight?.held === true && this.#controlQueue.next === undefined;
      const write = idle
        ? undefined
        : (this.#encoder.fill(this.#controlQueue, this.#sendQueue, inFlight) ?? this.#closeFrame());
      if (write === undefined) {
        if (inFlight?.held) this.#boundHold(inFlight);
        this.#finishIfDone();
        return;
      }
      const { transport } = this.#owner;
      // The whole shared buffer, unless its content is copied.
      const held = write.shared && !transport.lastWriteWaited ? WRITE_BUFFER_SIZE : write.bytes.length;
      countWrite(this.#owner, write.bytes);
      const accepted = passToTransport(transport, write.bytes, write.shared === true);
      this.#encoder.writeReturned(accepted);
      if (accepted) this.writeAccepted();
      else this.#awaitRoom(write, held);
    }
  }

  /** The transport has passed all bytes to the kernel. */
  written(): void {
    const waited = between(this.#blockedSince, this.#options.clock.now());
    this.#options.counters.writeWaited(waited);
    if (waited >= MIN_WAIT) this.#owner.kernelHasRoom();
    this.#owner.clearWriteTimer();
    this.#pendingWrite = undefined;
    this.#owner.inFlight?.progressed();
    this.writeAccepted();
    this.flush();
  }

  /** The peer has acknowledged bytes, or is not waited for any more: writes messages that were held back. */
  inFlightAcknowledged(): void {
    if (this.#pendingWrite === undefined) this.#owner.clearWriteTimer();
    // `uncork` flushes.
    if (!this.#corked) this.flush();
  }

  #boundHold(inFlight: InFlight): void {
    // The message that was held back may have been withdrawn.
    if (this.#sendQueue.length === 0) this.#endHold();
    else this.#owner.setWriteTimer(inFlight.expiresAt);
  }

  #endHold(): void {
    const { inFlight } = this.#owner;
    if (!inFlight?.held) return;
    inFlight.release();
    if (this.#pendingWrite === undefined) this.#owner.clearWriteTimer();
  }

  /**
   * Takes over a write that bypassed the outbox and is now pending. `messages` are its messages: they settle when it completes.
   */
  addPendingWrite(write: EncodedWrite, messages: readonly OutgoingMessage[] = []): void {
    for (const message of messages) {
      message.state = "written";
      this.#sendQueue.enqueue(message, "reject");
    }
    this.#awaitRoom(write, write.heldBytes ?? write.bytes.length);
  }

  #awaitRoom(write: EncodedWrite, held: number): void {
    this.#pendingWrite = write;
    this.#pendingBytes = held;
    this.#blockedSince = this.#options.clock.now();
    this.#owner.setWriteTimer(after(this.#blockedSince, this.#options.writeTimeout));
    this.#owner.heldChanged();
  }

  /** The kernel has accepted all bytes of the last write. */
  writeAccepted(): void {
    countSent(this.#owner, this.#sendQueue.settleWritten());
    this.#waterMarks.queueShrunk(this.#owner);
  }

  /** True if all queued messages, and `bytes` and `messages` more, fit into the write of this turn. */
  #fitsWrite(bytes: number, messages: number): boolean {
    if (this.blocked || this.#sendQueue.hasOpenStream) return false;
    const room = Math.min(this.#owner.inFlight?.room ?? WRITE_BUFFER_SIZE, WRITE_BUFFER_SIZE);
    const overhead = (this.#sendQueue.length + messages) * this.#protocol.encoder.overhead;
    return this.#sendQueue.payloadBytes + bytes + overhead + this.#controlQueue.bytes <= room;
  }

  #closeFrame(): EncodedWrite | undefined {
    const bytes = this.#finalFrame;
    if (bytes === undefined || this.#state !== "finishing" || this.#sendQueue.length > 0) return undefined;
    // Behind a truncated message the peer would take the last message on TCP for a part of it.
    if (this.#protocol.control === undefined && this.#encoder.insideMessage) return undefined;
    this.#state = "closeWritten";
    return { bytes, operation: "write:close" };
  }

  #finishIfDone(): void {
    if ((this.#state !== "finishing" && this.#state !== "closeWritten") || this.#sendQueue.length > 0) return;
    this.#state = "finished";
    this.#owner.finished();
  }
}
