/** The fan-out of a group: many connections get the same messages, and each writes the messages of one turn together. */

import { between, type Instant } from "../../base/time.ts";
import { MESSAGE_OVERHEAD } from "../../engine/queue/overflow-queue.ts";
import { systemClock } from "../../transport/clock.ts";
import { atEndOfTurn, type EndOfTurnTask, scheduledAt, turnBudgetUsed, workTime } from "../../transport/end-of-turn.ts";
import type { Transport } from "../../transport/transport.ts";
import type { Connection, GroupMember } from "../contract.ts";
import type { Counters } from "../counters.ts";
import { type CountingConnection, countSent, countWrite } from "../counting.ts";
import { groupCounters } from "../group-counters.ts";
import type { SettledOptions } from "../options.ts";
import type { Protocol } from "../protocol.ts";
import { type Batch, BatchBuilder } from "./batch.ts";
import type { OutgoingMessage } from "./outgoing-message.ts";
import type { EncodedMessage, Prepared } from "./prepared-message.ts";
import { judgeMessageOptions, type MessageOptions } from "./send-options.ts";
import type { ShortPath } from "./short-path.ts";
import { type EncodedWrite, passToTransport } from "./write-buffer.ts";

/** The fan-out's view of a connection. */
export interface FanOutMember extends CountingConnection {
  readonly connection: Connection;
  readonly protocol: Protocol;
  readonly options: SettledOptions;
  readonly transport: Transport;
  shortPath: ShortPath | undefined;
  /** True if the connection accepts messages, and has nothing to send. */
  readonly canAttach: boolean;
  /** True if messages of a group are deferred. */
  readonly hasDeferred: boolean;
  /** Leaves the short path. */
  leaveShortPath(): void;
  /** Leaves the short path. The kernel has not accepted all bytes of `write`, which has `messages`. */
  writeIsPending(write: EncodedWrite, messages: readonly OutgoingMessage[]): void;
  /** Ends the connection, because a write to it threw `error`. */
  writeFailed(error: unknown): void;
}

/** A message that was sent to the group while `member` could not get it. */
export interface DeferredForm {
  readonly message: Prepared;
  readonly options: MessageOptions;
}

/** The arrays are copied again when they have grown by this factor, so that the copies cost little for each new connection. */
const REFIT = 1.25;

const NO_DEFERRALS: readonly never[] = [];

/** The slot of one connection in a fan-out. */
class FanOutSlot implements ShortPath {
  // Not its connection, which the fan-out has: each slot takes 8 bytes less.
  readonly #fanOut: FanOut;
  /** Index in the arrays of the fan-out. */
  index: number;

  constructor(fanOut: FanOut, index: number) {
    this.#fanOut = fanOut;
    this.index = index;
  }

  // Not a field: it would take 8 bytes of each slot.
  get name(): "fanOut" {
    return "fanOut";
  }

  get length(): number {
    return this.#fanOut.lengthOf(this.index);
  }

  get bytes(): number {
    return this.#fanOut.bytesOf(this.index);
  }

  flush(): void {
    if (this.length > 0) this.#fanOut.flushSlot(this.index);
  }

  leave(): OutgoingMessage[] {
    return this.#fanOut.removeSlot(this)?.toQueue() ?? [];
  }
}

/**
 * A connection on the fan-out receives every message of the group. It only has a slot here, and its own objects are not used. Its
 * messages are written at the end of the turn, or with many connections at the end of one of the next turns. It leaves its slot
 * before any other use of its outbox and before its end begins. So a connection on the fan-out has nothing else to send, and has
 * room for all messages.
 */
export class FanOut implements EndOfTurnTask {
  /** Members of the group that are not on the fan-out. Each message is sent to them individually. */
  detached: Set<GroupMember> = new Set();
  /** The deferrals of the group. While there is one, written messages are kept, so that connections can be attached with them. */
  readonly #deferrals: { readonly length: number };
  /** Number of connections on the fan-out. */
  attachedCount = 0;
  // Parallel arrays, by the index of the slot. The values that every write needs have arrays of their own. With thousands of
  // connections, their objects are not in the processor's cache: to read the values from them took as long as all other work of a
  // write here.
  #members: (FanOutMember | undefined)[] = [];
  #transports: (Transport | undefined)[] = [];
  /** The counters of all connections. Undefined if they are of several servers or clients: then each has its own in the array. */
  #counters: Counters | undefined;
  #eachCounters: Counters[] | undefined;
  /** For each slot, the number of messages that it has written or did not have to write, of all messages ever sent. */
  #positions: number[] = [];
  #sentCount = 0;
  /** The number of slots when the arrays were copied last. */
  #fitted = 0;
  /** The protocol of the first connection. All others write the same bytes. */
  #protocol: Protocol | undefined;
  /** The latest messages. Some connections have not written all of them yet. */
  readonly #batches: BatchBuilder = new BatchBuilder();
  #scheduled = false;
  /**
   * The next slot to write to. A turn has a budget, so with many connections the writes take several turns. Each pass over the
   * slots continues where the last turn ended, and messages that are sent meanwhile are written with the older ones.
   */
  #nextIndex = 0;
  /** Number of messages that had been sent when the pass began: at its end, all connections have written these. */
  #sentAtBegin = 0;
  /** When the first message was sent that no pass has begun to write. */
  #burstAt: Instant | undefined;
  /** The same for the messages that are being written. */
  #passBurstAt: Instant | undefined;
  /** The smallest limits of all connections on the fan-out. All unwritten messages together must stay within them. */
  #maxBytes = Infinity;
  #maxMessages = Infinity;

  constructor(deferrals: { readonly length: number } = NO_DEFERRALS) {
    this.#deferrals = deferrals;
  }

  /**
   * Sends `message` to all connections on the fan-out. Returns false, and sends nothing, if each must get it individually, or if
   * it does not fit into one write with the unwritten messages.
   */
  send(message: Prepared, options: MessageOptions): boolean {
    if (this.#protocol === undefined) return true;
    const form = judgeMessageOptions(options).key === undefined ? formOf(message, this.#protocol) : undefined;
    if (form === undefined || !this.#hasRoom(form)) return false;
    this.#append(message, form);
    return true;
  }

  /** Detaches the connections that have deferred messages of another group. */
  detachDeferred(): void {
    for (const member of this.#members) if (member?.hasDeferred) member.leaveShortPath();
  }

  /** Detaches all connections. As all detached members, they can be attached again with the next message. */
  detachAll(): void {
    for (const member of this.#members) member?.leaveShortPath();
  }

  /** Takes over all members, also those on the fan-out, which stay there. */
  takeMembers(): Set<GroupMember> {
    // By the constructor: with 100,000 members, to add them one by one would take longer.
    const members = new Set<GroupMember>([...this.takeDetached(), ...this.attached()]);
    return members;
  }

  /** The connections on the fan-out. */
  attached(): GroupMember[] {
    const connections: GroupMember[] = [];
    for (const member of this.#members) if (member !== undefined) connections.push(member.connection);
    return connections;
  }

  takeDetached(): Set<GroupMember> {
    const members = this.detached;
    this.detached = new Set();
    return members;
  }

  /**
   * Adds `member` to the fan-out from `message` on, which is being sent. Returns false if that is not possible: the member stays
   * detached.
   */
  attach(member: FanOutMember, message: Prepared, options: MessageOptions): boolean {
    // A message with a key may replace another one. The fan-out could not report that to the connection.
    if (judgeMessageOptions(options).key !== undefined || !member.canAttach || !this.#canAttach(member, message))
      return false;
    this.#addSlot(member, 1);
    return true;
  }

  /**
   * Adds `member` to the fan-out from the first of `messages` on. They were sent earlier, and are the last ones that the fan-out
   * has sent, or it has none. Returns false if that is not possible.
   */
  attachLate(member: FanOutMember, messages: readonly DeferredForm[]): boolean {
    const [first] = messages;
    if (first === undefined || !member.canAttach) return false;
    if (this.#protocol === undefined) {
      if (!this.#canAttach(member, first.message)) return false;
      for (const { message, options } of messages.slice(1)) {
        if (this.send(message, options)) continue;
        this.#reset();
        return false;
      }
    } else if (!this.#batches.endsWith(messages) || !this.#canAttach(member, first.message)) return false;
    this.#addSlot(member, messages.length);
    this.#schedule();
    return true;
  }

  /** Adds a slot for `member`, which has not got the latest `unwritten` messages. */
  #addSlot(member: FanOutMember, unwritten: number): void {
    if (member.shortPath !== undefined) member.leaveShortPath();
    member.shortPath = new FanOutSlot(this, this.#members.length);
    this.#addCounters(member.options.counters);
    this.#members.push(member);
    this.#transports.push(member.transport);
    this.#positions.push(this.#sentCount - unwritten);
    this.attachedCount += 1;
    this.detached.delete(member.connection);
  }

  /** The counters of the next connection. They are the same object for all connections of a server. */
  #addCounters(counters: Counters): void {
    if (this.#members.length === 0) this.#counters = counters;
    if (this.#counters === counters) return;
    if (this.#counters !== undefined) {
      this.#eachCounters = new Array<Counters>(this.#members.length).fill(this.#counters);
      this.#counters = undefined;
    }
    this.#eachCounters?.push(counters);
  }

  /** True if `member` writes the same bytes as the others and has room. The first connection determines the protocol. */
  #canAttach(member: FanOutMember, message: Prepared): boolean {
    const { protocol, options } = member;
    // Above the high-water mark the connection would have to call its hook, so the fan-out stays below it.
    const maxBytes = Math.min(options.maxQueuedBytes, options.highWaterMark);
    const maxMessages = options.maxQueuedMessages;
    if (this.#protocol === undefined) {
      const form = formOf(message, protocol);
      if (form === undefined || !this.#batches.fits(form) || form.size + MESSAGE_OVERHEAD > maxBytes) return false;
      this.#protocol = protocol;
      this.#append(message, form);
    } else if (protocol.kind !== this.#protocol.kind) return false;
    if (this.#batches.size > maxBytes || this.#batches.length > maxMessages) return false;
    this.#maxBytes = Math.min(this.#maxBytes, maxBytes);
    this.#maxMessages = Math.min(this.#maxMessages, maxMessages);
    return true;
  }

  /** Removes `slot` and returns its unwritten messages. */
  removeSlot(slot: FanOutSlot): Batch | undefined {
    const { index } = slot;
    const member = this.#members[index];
    if (member?.shortPath !== slot) return undefined;
    const unwritten = this.pending(index) ? this.#unwrittenBatch(index) : undefined;
    this.#members[index] = undefined;
    this.#transports[index] = undefined;
    member.shortPath = undefined;
    this.attachedCount -= 1;
    this.detached.add(member.connection);
    if (this.attachedCount === 0) this.#reset();
    return unwritten;
  }

  /** True if messages are not written yet. */
  pending(index: number): boolean {
    return (this.#positions[index] as number) < this.#sentCount;
  }

  /** Number of messages that are not written yet. */
  lengthOf(index: number): number {
    return this.#sentCount - (this.#positions[index] as number);
  }

  /** Their size as the queue counts it. */
  bytesOf(index: number): number {
    return this.#batches.sizeFrom(this.#batches.length - this.lengthOf(index));
  }

  /**
   * Writes all pending messages of the connection at `index` in one write. Messages are queued only if the kernel has no room.
   * Never throws: an exception ends the connection that it belongs to.
   */
  flushSlot(index: number): void {
    const member = this.#members[index];
    try {
      this.#writeSlot(index);
    } catch (error) {
      member?.writeFailed(error);
    }
  }

  #writeSlot(index: number): void {
    const batch = this.#unwrittenBatch(index);
    const unwritten = this.lengthOf(index);
    this.#positions[index] = this.#sentCount;
    if (this.#protocol?.deflater !== undefined) recordWritten(this.#members[index], batch);
    const transport = this.#transports[index];
    if (transport === undefined) return;
    const counters = this.#counters ?? (this.#eachCounters?.[index] as Counters);
    const accepted = passToTransport(transport, batch.bytes, false);
    const messages = accepted ? unwritten : 0;
    if (counters.tallies) {
      const owner = this.#members[index];
      if (owner !== undefined) {
        countWrite(owner, batch.bytes);
        if (messages > 0) countSent(owner, messages);
      }
    } else {
      // Without the object of the connection, which is not in the processor's cache.
      counters.writes += 1;
      counters.bytesOut += batch.bytes.length;
      counters.messagesOut += messages;
    }
    if (accepted) return;
    // The connection may have left during the write, because it has ended.
    const member = this.#members[index];
    // The bytes are those of all members.
    member?.writeIsPending({ bytes: batch.bytes, operation: "write:data", heldBytes: 0 }, batch.toQueue());
  }

  turnEnded(): void {
    this.#scheduled = false;
    if (this.#nextIndex === 0) this.#passBegins();
    // By index, so that a connection that joins during the loop is written to as well.
    while (this.#nextIndex < this.#transports.length) {
      const index = this.#nextIndex;
      this.#nextIndex += 1;
      if (this.#transports[index] === undefined || !this.pending(index)) continue;
      this.flushSlot(index);
      if (turnBudgetUsed()) break;
    }
    if (this.#nextIndex < this.#transports.length) this.#schedule();
    else this.#passEnded();
  }

  #passBegins(): void {
    this.#sentAtBegin = this.#sentCount;
    if (this.#passBurstAt !== undefined) return;
    this.#passBurstAt = this.#burstAt;
    this.#burstAt = undefined;
  }

  /** Every connection has written the messages that had been sent when the pass began. */
  #passEnded(): void {
    this.#nextIndex = 0;
    if (this.#deferrals.length === 0) this.#countBurst(workTime());
    if (this.#sentCount === this.#sentAtBegin) this.#clearUnlessKept();
    else if (this.#deferrals.length > 0) this.#schedule();
    else {
      // Messages were sent during the pass, which may have taken several turns.
      this.#batches.removeFirst(this.#batches.length - (this.#sentCount - this.#sentAtBegin));
      this.#schedule();
    }
    if (this.#members.length > 2 * this.attachedCount) this.#compact();
    else if (this.#members.length > REFIT * this.#fitted) this.#fit();
  }

  /** A deferral of the group has ended. */
  deferralEnded(): void {
    if (this.#scheduled) return;
    if (this.#deferrals.length === 0) this.#countBurst(systemClock.now());
    this.#clearUnlessKept();
  }

  #countBurst(now: Instant): void {
    if (this.#passBurstAt === undefined) return;
    groupCounters.burstWritten(between(this.#passBurstAt, now));
    this.#passBurstAt = undefined;
  }

  #clearUnlessKept(): void {
    if (this.#deferrals.length === 0 && !this.#scheduled) this.#batches.clear();
  }

  /** Returns false if a pass was scheduled before. */
  #schedule(): boolean {
    if (this.#scheduled) return false;
    this.#scheduled = true;
    atEndOfTurn(this);
    return true;
  }

  #append(message: Prepared, form: EncodedMessage): void {
    this.#batches.append(message, form);
    this.#sentCount += 1;
    const scheduled = this.#schedule();
    this.#burstAt ??= scheduled ? scheduledAt() : systemClock.now();
  }

  #hasRoom(form: EncodedMessage): boolean {
    const batches = this.#batches;
    return (
      batches.length < this.#maxMessages &&
      batches.size + form.size + MESSAGE_OVERHEAD <= this.#maxBytes &&
      batches.fits(form)
    );
  }

  #unwrittenBatch(index: number): Batch {
    const unwritten = this.#sentCount - (this.#positions[index] as number);
    return this.#batches.from(this.#batches.length - unwritten, this.#protocol as Protocol);
  }

  /** No connection is left on the fan-out. The next one may have another kind of protocol. */
  #reset(): void {
    this.#members = [];
    this.#transports = [];
    this.#counters = undefined;
    this.#eachCounters = undefined;
    this.#positions = [];
    this.#nextIndex = 0;
    this.#fitted = 0;
    this.#sentAtBegin = this.#sentCount;
    this.#burstAt = undefined;
    this.#passBurstAt = undefined;
    this.#batches.clear();
    this.#protocol = undefined;
    this.#maxBytes = Infinity;
    this.#maxMessages = Infinity;
  }

  /** Copies the arrays: an array that grows has memory for up to half of its length more. */
  #fit(): void {
    this.#members = this.#members.slice();
    this.#transports = this.#transports.slice();
    this.#eachCounters = this.#eachCounters?.slice();
    this.#positions = this.#positions.slice();
    this.#fitted = this.#members.length;
  }

  /** Removes empty slots. */
  #compact(): void {
    const positions: number[] = [];
    const members: FanOutMember[] = [];
    for (const [index, member] of this.#members.entries()) {
      if (member === undefined) continue;
      (member.shortPath as FanOutSlot).index = members.length;
      positions.push(this.#positions[index] as number);
      members.push(member);
    }
    this.#positions = positions;
    this.#members = members;
    this.#transports = members.map(({ transport }) => transport);
    if (this.#eachCounters !== undefined) this.#eachCounters = members.map(({ options }) => options.counters);
  }
}

/** Updates the compression window: messages compressed later may refer to these. */
function recordWritten(member: FanOutMember | undefined, { toQueue }: Batch): void {
  for (const message of toQueue()) member?.protocol.deflater?.recordWritten(message, "whole");
}

/** Returns undefined if the framing cannot encode the message. Then each connection reports the error individually. */
function formOf(message: Prepared, protocol: Protocol): EncodedMessage | undefined {
  try {
    return message.encodedFor(protocol);
  } catch {
    return undefined;
  }
}
