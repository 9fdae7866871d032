/** The messages that wait to be written: in order, bounded, with a policy for what does not fit. */

import { LimitError } from "../base/errors.js";
import type { Data } from "../engine/protocol.js";
import { BoundedQueue, type Offer } from "../engine/queue.js";
import { Copy, keep, letGo } from "./copies.js";
import type { Overflow, SettledOptions } from "./options.js";
import { Outgoing, OutgoingStream, type Queued } from "./outgoing.js";
import { SLAB } from "./shared-slab.js";
import type { Messages } from "./slab.js";

/**
 * Is told when a message did not fit: what was done, and the error with which it went back. That is made for whoever asks, before
 * this returns: under a flood nobody does, and it takes longer than all else.
 */
export type Overflowed = (policy: Exclude<Overflow, "wait">, error: () => LimitError) => void;

export class Backlog implements Messages {
  readonly #options: SettledOptions;
  readonly #overflowed: Overflowed;
  readonly #queue: BoundedQueue<Queued>;
  /** Calls of `send` for which there is no room yet. What they hold is still their callers' own. */
  readonly #waiting: BoundedQueue<Queued>;
  /** Messages to which parts may still come: nothing behind them can leave. */
  readonly #open = new Set<OutgoingStream>();
  /** Messages lost to `drop-newest`, `drop-oldest` and `coalesce`. */
  dropped = 0;

  constructor(options: SettledOptions, overflowed: Overflowed) {
    this.#options = options;
    this.#overflowed = overflowed;
    this.#queue = new BoundedQueue(options.maxQueuedBytes, options.maxQueuedMessages);
    this.#waiting = new BoundedQueue(Infinity, options.maxQueuedMessages);
  }

  get bytes(): number {
    return this.#queue.bytes;
  }

  get length(): number {
    return this.#queue.length;
  }

  /** Whether it is as it was made. */
  get atRest(): boolean {
    return this.length === 0 && this.#waiting.length === 0 && !this.open && this.dropped === 0;
  }

  /** Whether something waits for a part of a message that nobody has written yet. */
  get open(): boolean {
    return this.#open.size > 0;
  }

  /** The message with so many before it that have a place. */
  at(index: number): Queued {
    return this.#queue.at(index);
  }

  /**
   * Gives `message` a place, lets it wait for one, or refuses it, as `overflow` says. `blocked`: the kernel takes no more, so
   * that what does not leave with the next write may have to wait for long.
   */
  add(message: Queued, overflow: Overflow, blocked: boolean = false): "queued" | "waiting" | "refused" {
    const added = this.#add(message, overflow);
    if (blocked && added === "queued" && mayYield(message, overflow) && this.bytes - message.size >= SLAB)
      keep(message);
    return added;
  }

  #add(message: Queued, overflow: Overflow): "queued" | "waiting" | "refused" {
    if (overflow === "coalesce" && this.#supersede(message)) return "queued";
    let offer = this.#offer(message);
    while (offer === "full" && overflow === "drop-oldest" && message.size <= this.#mostRoom()) {
      const excess = this.#excess(message);
      const oldest = this.#queue.dropOldest(isDroppable) as Outgoing | undefined;
      if (oldest === undefined) break;
      this.#drop(oldest, "drop-oldest", excess);
      this.admit();
      offer = this.#offer(message);
    }
    if (offer === "queued") return "queued";
    if (offer === "full" && overflow === "wait" && isAwaited(message)) {
      if (this.#waiting.offer(message) === "queued") return "waiting";
      const { length: calls } = this.#waiting;
      const facts = {
        limit: "maxQueuedMessages",
        maximum: this.#options.maxQueuedMessages,
        actual: calls + 1,
      } as const;
      this.#refuse(message, "reject", { ...facts, problem: `${calls} calls already wait for room` });
    } else if (overflow === "drop-newest" && message instanceof Outgoing) {
      this.#drop(message, "drop-newest", this.#excess(message));
    } else {
      this.#refuse(message, overflow === "close" ? "close" : "reject", this.#excess(message));
    }
    return "refused";
  }

  /** Gives those who wait their places, in order, as far as there is room. */
  admit(): void {
    for (let next = this.#waiting.peek(); next !== undefined; next = this.#waiting.peek()) {
      if (this.#queue.offer(next) !== "queued") return;
      this.#waiting.take();
    }
  }

  /** Takes `message` back if none of it can be with the kernel. */
  withdraw(message: Queued): boolean {
    if (message instanceof Outgoing ? message.state !== "waiting" : message.begun) return false;
    if (message instanceof OutgoingStream) this.#open.delete(message);
    return this.#remove(message);
  }

  /** Gives a message of which the parts are yet to come its place, or lets it wait for one; false if it cannot. */
  begin(stream: OutgoingStream): boolean {
    if (this.add(stream, "wait") === "refused") return false;
    this.#open.add(stream);
    return true;
  }

  /** Puts `part` behind those that `stream` has. With the last one it has ended. */
  put(stream: OutgoingStream, part: Outgoing, last: boolean): void {
    stream.parts.push(part);
    stream.ended = last;
    if (last) this.#open.delete(stream);
  }

  /** Takes `part` back if none of it can be with the kernel; its stream then has not ended. */
  withdrawPart(stream: OutgoingStream, part: Outgoing): boolean {
    const index = stream.parts.indexOf(part);
    if (index === -1 || part.state !== "waiting") return false;
    stream.parts.splice(index, 1);
    if (stream.ended && index === stream.parts.length) {
      stream.ended = false;
      this.#open.add(stream);
    }
    return true;
  }

  /** The kernel has what was handed to it: resolves the calls that sent it. */
  written(): void {
    for (let head = this.#queue.peek(); head !== undefined && isDone(head); head = this.#queue.peek()) {
      this.#queue.take();
      if (!(head instanceof Outgoing)) continue;
      letGo(head);
      head.wait?.resolve();
    }
    this.admit();
  }

  /**
   * No parts come any more. A message that would have had some ends where it is. Nothing can follow half a message, so what
   * stands behind one is rejected with `error`, too.
   */
  close(error: unknown): void {
    if (this.#open.size === 0) return;
    let behindHalf = false;
    for (const queued of [...this.#queue, ...this.#waiting]) {
      const open = queued instanceof OutgoingStream && this.#open.has(queued);
      if (open && queued.begun) {
        behindHalf = true;
        queued.ended = true;
        for (const part of queued.parts.splice(queued.parts.findLastIndex(isUnderWay) + 1)) part.wait?.reject(error);
        if (queued.parts.length > 0) continue;
      } else if (open || behindHalf) reject(queued, error);
      else continue;
      this.#remove(queued);
    }
    this.#open.clear();
    this.admit();
  }

  /** Rejects what has not begun to be written; a frame that has is completed. */
  abandon(error: unknown): void {
    for (let message = this.#waiting.take(); message !== undefined; message = this.#waiting.take())
      reject(message, error);
    const unstarted = (queued: Queued): boolean => !(queued instanceof Outgoing) || queued.state === "waiting";
    for (
      let dropped = this.#queue.dropOldest(unstarted);
      dropped !== undefined;
      dropped = this.#queue.dropOldest(unstarted)
    )
      reject(dropped, error);
    this.#open.clear();
  }

  /** Rejects everything. */
  clear(error: unknown): void {
    this.abandon(error);
    for (let message = this.#queue.take(); message !== undefined; message = this.#queue.take()) reject(message, error);
  }

  #remove(message: Queued): boolean {
    return this.#waiting.remove(message) || this.#queue.remove(message);
  }

  #offer(message: Queued): Offer {
    // Whoever waits already is ahead.
    if (this.#waiting.length > 0) return message.size > this.#options.maxQueuedBytes ? "never" : "full";
    return this.#queue.offer(message);
  }

  /** Puts `message` in the place of one with the same key that has not begun to be written. */
  #supersede(message: Queued): boolean {
    if (!(message instanceof Outgoing) || message.key === undefined) return false;
    const { key } = message;
    const superseded = this.#queue.replace((queued) => isDroppable(queued) && queued.key === key, message);
    if (typeof superseded === "string") return false;
    const problem = `a later message with the key ${key} took its place`;
    this.#drop(superseded as Outgoing, "coalesce", { limit: "overflow", maximum: 1, actual: 2, problem });
    return true;
  }

  #drop(message: Outgoing, policy: "drop-newest" | "drop-oldest" | "coalesce", excess: Excess): void {
    this.dropped += 1;
    this.#refuse(message, policy, excess);
    letGo(message);
  }

  /** Hands the message back to whoever sent it. */
  #refuse(message: Queued, policy: Exclude<Overflow, "wait">, excess: Excess): void {
    let made: LimitError | undefined;
    const error = (): LimitError => {
      made ??= new LimitError({
        operation: "send",
        ...excess,
        ...refusedOf(message),
      });
      return made;
    };
    if (isAwaited(message)) reject(message, error());
    this.#overflowed(policy, error);
  }

  /** Bytes that there would be room for if everything that can be dropped were. */
  #mostRoom(): number {
    let room = this.#options.maxQueuedBytes;
    // What has begun stands before all that has not.
    for (let index = 0; index < this.length && !isDroppable(this.at(index)); index += 1) room -= this.at(index).size;
    return room;
  }

  /** Which bound `message` goes beyond, with what stands before it. */
  #excess({ size }: Queued): Excess {
    const { maxQueuedBytes, maxQueuedMessages } = this.#options;
    const bytes = this.#queue.bytes + this.#waiting.bytes + size;
    if (bytes > maxQueuedBytes) return { limit: "maxQueuedBytes", maximum: maxQueuedBytes, actual: bytes };
    const actual = this.#queue.length + this.#waiting.length + 1;
    return { limit: "maxQueuedMessages", maximum: maxQueuedMessages, actual };
  }
}

/** The bound that a message went beyond. */
interface Excess {
  readonly limit: "overflow" | "maxQueuedBytes" | "maxQueuedMessages";
  readonly maximum: number;
  readonly actual: number;
  readonly problem?: string;
}

function isDone(queued: Queued): boolean {
  if (queued instanceof Outgoing) return queued.state === "written";
  const { parts } = queued;
  while (parts[0]?.state === "written") parts.shift()?.wait?.resolve();
  return queued.ended && parts.length === 0;
}

function isDroppable(queued: Queued): queued is Outgoing {
  return queued instanceof Outgoing && queued.state === "waiting" && !queued.promised;
}

/** Whether it was sent so that what comes later may take its place. */
function mayYield(queued: Queued, overflow: Overflow): queued is Outgoing {
  if (!(queued instanceof Outgoing)) return false;
  return overflow === "drop-oldest" || (overflow === "coalesce" && queued.key !== undefined);
}

function isUnderWay({ state }: Outgoing): boolean {
  return state !== "waiting";
}

function isAwaited(queued: Queued): boolean {
  return queued instanceof OutgoingStream || queued.wait !== undefined;
}

function refusedOf(queued: Queued): { refused?: Data } {
  if (!(queued instanceof Outgoing) || queued.given === undefined) return {};
  const { given } = queued;
  return { refused: given instanceof Copy ? given.original() : given };
}

function reject(queued: Queued, error: unknown): void {
  if (queued instanceof Outgoing) {
    letGo(queued);
    queued.wait?.reject(error);
  } else for (const part of queued.parts.splice(0)) part.wait?.reject(error);
}
