/** The send queue of one connection: ordered and bounded, with a policy for messages that do not fit. */

import { LimitError } from "../../base/errors.ts";
import type { MessageContent } from "../../engine/protocol.ts";
import { type Excess, type LossPolicy, type Overflow, OverflowQueue } from "../../engine/queue/overflow-queue.ts";
import type { SettledOptions } from "../options.ts";
import { OutgoingMessage, OutgoingStream, type Queued, releaseCopy, retainText } from "./outgoing-message.ts";
import { RetainedCopy } from "./retained-copies.ts";
import { WRITE_BUFFER_SIZE } from "./write-buffer.ts";
import type { Messages } from "./write-encoder.ts";

/**
 * Called for a message that did not fit, with the policy that was applied. `error` creates the LimitError on its first call,
 * which must happen before this function returns. During a flood, creating the error takes longer than all other work.
 */
export type Overflowed = (policy: LossPolicy, error: () => LimitError) => void;

export class SendQueue implements Messages {
  readonly #overflowed: Overflowed;
  readonly #queue: OverflowQueue<Queued>;
  /** Streamed messages that may still get parts. Messages behind them cannot leave. */
  readonly #openStreams = new Set<OutgoingStream>();

  constructor(options: SettledOptions, overflowed: Overflowed) {
    this.#overflowed = overflowed;
    this.#queue = new OverflowQueue<Queued>(options, (message, policy, excess) =>
      this.#reportLost(message, policy, excess),
    );
  }

  /** Messages lost to `drop-newest`, `drop-oldest` and `coalesce`. */
  get dropped(): number {
    return this.#queue.dropped;
  }

  /** Messages that were refused because there was no room. */
  get refused(): number {
    return this.#queue.refused;
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  /** The bytes of all messages, also of those whose calls wait for room, without what they share with other connections. */
  get heldBytes(): number {
    return this.#queue.ownBytes;
  }

  /** Bytes of payload, without the overhead of each message. */
  get payloadBytes(): number {
    return this.#queue.payloadBytes;
  }

  /** True if a message of `size` bytes fits now and no other message is lost for it. */
  hasRoom(size: number): boolean {
    return this.#queue.hasRoom(size);
  }

  get length(): number {
    return this.#queue.length;
  }

  /** True if this object is in its initial state. */
  get isInitial(): boolean {
    return this.#queue.isInitial && !this.hasOpenStream;
  }

  /** True if the queue waits for a part that the application has not written yet. */
  get hasOpenStream(): boolean {
    return this.#openStreams.size > 0;
  }

  /** The queued message at `index`. Index 0 is the oldest. */
  at(index: number): Queued {
    return this.#queue.at(index);
  }

  /**
   * Queues `message`, lets its call wait for room, or refuses it, as `overflow` says. `blocked`: the kernel accepts no more
   * bytes, so a message that does not leave with the next write may wait long.
   */
  enqueue(message: Queued, overflow: Overflow, blocked: boolean = false): "queued" | "waiting" | "refused" {
    const added = this.#queue.add(message, overflow);
    if (
      blocked &&
      added === "queued" &&
      isReplaceable(message, overflow) &&
      this.payloadBytes - message.size >= WRITE_BUFFER_SIZE
    )
      retainText(message);
    return added;
  }

  /** Queues the messages of waiting calls, in order, as far as there is room. */
  queueWaiting(): void {
    this.#queue.admitWaiting();
  }

  /** Removes `message` if the kernel can have none of its bytes. Returns true if it was removed. */
  withdraw(message: Queued): boolean {
    if (message instanceof OutgoingMessage ? message.state !== "waiting" : message.started) return false;
    if (message instanceof OutgoingStream) this.#openStreams.delete(message);
    if (!this.#queue.remove(message)) return false;
    if (message instanceof OutgoingMessage) releaseCopy(message);
    return true;
  }

  /** Queues a message whose parts follow later, or lets it wait for room. Returns false if it is refused. */
  beginStream(stream: OutgoingStream): boolean {
    if (this.enqueue(stream, "wait") === "refused") return false;
    this.#openStreams.add(stream);
    return true;
  }

  /** Appends `part` to the parts of `stream`. The last part ends the stream. */
  addPart(stream: OutgoingStream, part: OutgoingMessage, last: boolean): void {
    stream.parts.push(part);
    stream.ended = last;
    if (last) this.#openStreams.delete(stream);
  }

  /** Removes `part` if the kernel can have none of its bytes. If it was the last part, its stream is open again. */
  withdrawPart(stream: OutgoingStream, part: OutgoingMessage): boolean {
    const index = stream.parts.indexOf(part);
    if (index === -1 || part.state !== "waiting") return false;
    stream.parts.splice(index, 1);
    if (stream.ended && index === stream.parts.length) {
      stream.ended = false;
      this.#openStreams.add(stream);
    }
    return true;
  }

  /** The kernel has accepted the last write: resolves the calls of its messages. Returns their number. */
  settleWritten(): number {
    let settled = 0;
    for (let head = this.#queue.peek(); head !== undefined && isFullyWritten(head); head = this.#queue.peek()) {
      this.#queue.take();
      settled += 1;
      if (!(head instanceof OutgoingMessage)) continue;
      releaseCopy(head);
      head.call?.resolve();
    }
    this.queueWaiting();
    return settled;
  }

  /**
   * No more parts are accepted. An open message ends with the parts whose write has begun. No message can follow a truncated one,
   * so the messages behind it are rejected with `error`, too.
   */
  closeStreams(error: unknown): void {
    if (this.#openStreams.size === 0) return;
    let behindTruncated = false;
    for (const queued of [...this.#queue]) {
      const open = queued instanceof OutgoingStream && this.#openStreams.has(queued);
      if (open && queued.started) {
        behindTruncated = true;
        truncate(queued, error);
        if (queued.parts.length > 0) continue;
      } else if (open || behindTruncated) reject(queued, error);
      else continue;
      this.#queue.remove(queued);
    }
    this.#openStreams.clear();
    this.queueWaiting();
  }

  /** Rejects messages of which no byte has been written. A frame that has begun is completed. */
  rejectUnwritten(error: unknown): void {
    for (let message = this.#queue.takeWaiting(); message !== undefined; message = this.#queue.takeWaiting())
      reject(message, error);
    for (const queued of this.#queue) if (queued instanceof OutgoingStream) truncate(queued, error);
    const unstarted = (queued: Queued): boolean =>
      queued instanceof OutgoingMessage ? queued.state === "waiting" : queued.parts.length === 0;
    for (
      let dropped = this.#queue.removeOldest(unstarted);
      dropped !== undefined;
      dropped = this.#queue.removeOldest(unstarted)
    )
      reject(dropped, error);
    this.#openStreams.clear();
  }

  /** Rejects all messages. */
  rejectAll(error: unknown): void {
    this.rejectUnwritten(error);
    for (let message = this.#queue.take(); message !== undefined; message = this.#queue.take()) reject(message, error);
  }

  /** Reports a message that was lost: rejects its call with a LimitError that holds the message. */
  #reportLost(message: Queued, policy: LossPolicy, excess: Excess): void {
    let created: LimitError | undefined;
    const error = (): LimitError => {
      created ??= new LimitError({ operation: "send", ...excess, ...returnedOf(message) });
      return created;
    };
    if (!(message instanceof OutgoingMessage)) message.refusal = error();
    else message.call?.reject(error());
    this.#overflowed(policy, error);
    if (message instanceof OutgoingMessage) releaseCopy(message);
  }
}

function isFullyWritten(queued: Queued): boolean {
  if (queued instanceof OutgoingMessage) return queued.state === "written";
  const { parts } = queued;
  while (parts[0]?.state === "written") parts.shift()?.call?.resolve();
  return queued.ended && parts.length === 0;
}

/** True if the policy of the message allows a later message to replace it. */
function isReplaceable(queued: Queued, overflow: Overflow): queued is OutgoingMessage {
  if (!(queued instanceof OutgoingMessage)) return false;
  return overflow === "drop-oldest" || (overflow === "coalesce" && queued.key !== undefined);
}

function isStarted({ state }: OutgoingMessage): boolean {
  return state !== "waiting";
}

function returnedOf(queued: Queued): { returned?: MessageContent } {
  if (!(queued instanceof OutgoingMessage) || queued.original === undefined) return {};
  const { original } = queued;
  return { returned: original instanceof RetainedCopy ? original.toData() : original };
}

/** Ends a message in parts behind the last part that has begun: its frame must be complete before another frame follows. */
function truncate(stream: OutgoingStream, error: unknown): void {
  stream.ended = true;
  for (const part of stream.parts.splice(stream.parts.findLastIndex(isStarted) + 1)) part.call?.reject(error);
}

function reject(queued: Queued, error: unknown): void {
  if (queued instanceof OutgoingMessage) {
    releaseCopy(queued);
    queued.call?.reject(error);
  } else for (const part of queued.parts.splice(0)) part.call?.reject(error);
}
