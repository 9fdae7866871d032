/** Messages that a large group sends to its members in later turns, because to queue them all at once would block the event loop. */

import { lengthOf } from "../../base/bytes.ts";
import { MESSAGE_OVERHEAD } from "../../engine/queue/overflow-queue.ts";
import { atEndOfTurn, type EndOfTurnTask, turnBudgetUsed } from "../../transport/end-of-turn.ts";
import type { Connection, GroupMember } from "../contract.ts";
import { corkedWrites } from "./corked-writes.ts";
import type { FanOut, FanOutMember } from "./fan-out.ts";
import type { Prepared } from "./prepared-message.ts";
import type { MemberMessageOptions, RefusalOwner } from "./send-options.ts";

/** One message, with what `Group.send` got. */
export interface DeferredMessage {
  readonly message: Prepared;
  readonly options: MemberMessageOptions;
  readonly except: GroupMember | undefined;
  /** Position among the messages of all groups. A member of several groups gets them in this order. */
  readonly order: number;
  /** As a queue counts it. */
  readonly size: number;
}

/** A connection that gets deferred messages. */
export interface DeferredOwner extends FanOutMember {
  /** As `canAttach`, but deferred messages are not counted. */
  readonly canAttachWithDeferred: boolean;
}

/** The group, as a deferral uses it. */
export interface DeferringGroup {
  /** The present fan-out. Members that have their messages belong to it again. */
  readonly fanOut: FanOut;
  /** The connection of a member. Undefined if its end has begun. */
  connectionOf(member: GroupMember): DeferredOwner | undefined;
  /** Removes a member, whose end has begun. */
  leave(member: GroupMember): void;
  /** All members have their messages. */
  deferralEnded(deferral: Deferral): void;
}

/** The messages for one connection, from the next one to the last. */
interface Cursor {
  readonly messages: readonly DeferredMessage[];
  readonly end: number;
  next: number;
}

// The deferrals of all groups. There is one only while a large group sends.
const deferrals = new Set<Deferral>();
// The connections whose deferred messages are being queued. A hook that runs meanwhile may send to the same connection.
const cursorsOf = new Map<GroupMember, Cursor[]>();
let lastOrder = 0;

// Most bytes of deferred messages. An application that sends more before the turns end has to wait until they are queued.
const MAX_BYTES = 1_048_576;

/** True if messages for `connection` are deferred. Before anything else is sent, they must be queued: `outboxOf` does that. */
export function hasDeferred(connection: Connection): boolean {
  if (deferrals.size === 0) return false;
  for (const deferral of deferrals) if (deferral.has(connection)) return true;
  return false;
}

/** True if there are more deferrals than these: members of one group may have deferred messages of another. */
export function otherDeferralsThan(known: { readonly length: number }): boolean {
  return deferrals.size > known.length;
}

/** Number of the deferred messages for `connection`, and their size as a queue counts it. */
export function deferredFor(connection: Connection): { readonly length: number; readonly bytes: number } {
  let [length, bytes] = [0, 0];
  for (const deferral of deferrals) {
    if (!deferral.has(connection)) continue;
    for (const { except, size } of deferral.messages) {
      if (except === connection) continue;
      length += 1;
      bytes += size;
    }
  }
  return { length, bytes };
}

/** Removes and returns the next deferred message for `connection`, in the order in which they were sent. */
export function nextDeferred(connection: Connection): DeferredMessage | undefined {
  if (deferrals.size === 0 && cursorsOf.size === 0) return undefined;
  const cursors = cursorsOf.get(connection) ?? [];
  for (const deferral of deferrals) {
    const cursor = deferral.take(connection);
    if (cursor !== undefined) cursors.push(cursor);
  }
  if (cursors.length === 0) return undefined;
  for (;;) {
    const cursor = earliest(cursors);
    if (cursor === undefined) break;
    cursorsOf.set(connection, cursors);
    const deferred = cursor.messages[cursor.next] as DeferredMessage;
    cursor.next += 1;
    if (deferred.except !== connection) return deferred;
  }
  cursorsOf.delete(connection);
  return undefined;
}

/** Drops the messages of `owner` that are being queued for `connection`. */
export function dropDeferred(connection: Connection, owner: RefusalOwner): void {
  for (const cursor of cursorsOf.get(connection) ?? [])
    if (cursor.messages[cursor.next]?.options.refusal === owner) cursor.next = cursor.end;
}

function earliest(cursors: readonly Cursor[]): Cursor | undefined {
  let first: Cursor | undefined;
  for (const cursor of cursors) {
    if (cursor.next === cursor.end) continue;
    if (first === undefined || orderOf(cursor) < orderOf(first)) first = cursor;
  }
  return first;
}

function orderOf({ messages, next }: Cursor): number {
  return (messages[next] as DeferredMessage).order;
}

/** Members of one group that do not have its latest messages yet. All of them get the same ones. */
export class Deferral implements EndOfTurnTask {
  readonly #group: DeferringGroup;
  readonly #members: Set<GroupMember>;
  readonly messages: DeferredMessage[] = [];
  #bytes = 0;
  /** False if a message has a key, which the fan-out does not know. */
  #attachable = true;
  /** The members that do not get all messages. */
  readonly #excepted = new Set<GroupMember>();

  /** Keeps `members`, which the caller must not use any more. */
  constructor(group: DeferringGroup, members: Set<GroupMember>) {
    this.#group = group;
    this.#members = members;
    deferrals.add(this);
    // Its owner may be among the members. Its next message must not be joined with those before.
    corkedWrites.vacate();
    atEndOfTurn(this);
  }

  get size(): number {
    return this.#members.size;
  }

  has(member: GroupMember): boolean {
    return this.#members.has(member);
  }

  members(): IterableIterator<GroupMember> {
    return this.#members.values();
  }

  /** Adds a message for all members that are left. If the list is full, all get the older ones now, and none is left. */
  add(message: Prepared, options: MemberMessageOptions, except: GroupMember | undefined): void {
    const payload = message.message;
    const size = (typeof payload === "string" ? Buffer.byteLength(payload) : lengthOf(payload)) + MESSAGE_OVERHEAD;
    if (this.messages.length > 0 && this.#bytes + size > MAX_BYTES) {
      for (const member of this.#members) this.#deliver(member);
      this.#endIfDone();
      return;
    }
    lastOrder += 1;
    this.messages.push({ message, options, except, order: lastOrder, size });
    this.#bytes += size;
    if (options.key !== undefined) this.#attachable = false;
    if (except !== undefined) this.#excepted.add(except);
  }

  /** Removes `member`, whose messages are about to be queued. */
  take(member: GroupMember): Cursor | undefined {
    if (!this.#members.delete(member)) return undefined;
    this.#group.fanOut.detached.add(member);
    return { messages: this.messages, next: 0, end: this.messages.length };
  }

  turnEnded(): void {
    for (const member of this.#members) {
      this.#deliver(member);
      if (turnBudgetUsed()) break;
    }
    if (!this.#endIfDone()) atEndOfTurn(this);
  }

  #endIfDone(): boolean {
    if (this.#members.size > 0) return false;
    if (deferrals.delete(this)) this.#group.deferralEnded(this);
    return true;
  }

  #deliver(member: GroupMember): void {
    const connection = this.#group.connectionOf(member);
    if (connection === undefined) {
      this.take(member);
      this.#group.leave(member);
      return;
    }
    connection.shortPath?.flush();
    // A hook may have sent to it, and then it has the messages.
    if (this.#members.has(member) && !this.#attach(connection)) connection.leaveShortPath();
  }

  /** Adds `connection` to the fan-out of the group, with these messages, if it has nothing else to send. */
  #attach(connection: DeferredOwner): boolean {
    const { connection: member } = connection;
    if (!this.#attachable || this.#excepted.has(member) || !connection.canAttachWithDeferred) return false;
    for (const deferral of deferrals) if (deferral !== this && deferral.has(member)) return false;
    const { fanOut } = this.#group;
    this.take(member);
    if (fanOut.attachLate(connection, this.messages)) return true;
    fanOut.detached.delete(member);
    this.#members.add(member);
    return false;
  }
}
