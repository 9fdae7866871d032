/** Groups of connections that get the same messages. */

import { judgeOptions, judgeString } from "../base/judge.ts";
import {
  type AnyCodec,
  type Connection,
  encodedBy,
  type GroupMember,
  groupCounters,
  judgeCodec,
  type MessageCodec,
  type PreparedMessage,
  prepared,
  type Sendable,
} from "../core.ts";
import type { Exchange, ExchangeSubscription } from "./exchange.ts";
import { type Delivered, GroupMembers, judgeMember } from "./members.ts";
import { decodeGroupMessage, encodeGroupMessage, type GroupOverflow } from "./wire-form.ts";

/** Options of a group of one process. */
export interface LocalGroupOptions<Out = Sendable> {
  /**
   * Encodes the values that `send` takes, once for all members. Without it `send` takes messages, which every member sends as they
   * are: the codec of a member does not apply to messages of a group.
   */
  readonly codec?: MessageCodec<unknown, Out> | undefined;
}

/** Options of a group with members in several processes. */
export interface GroupOptions<Out = Sendable> extends LocalGroupOptions<Out> {
  /** The groups with this name in all processes of the exchange are one group. */
  readonly name: string;
  /** Carries the messages between the processes: the exchange of a worker (see `startWorkers`), or one of the application. */
  readonly exchange: Exchange;
}

/** Options of one message to a group. */
export interface GroupSendOptions {
  /**
   * What happens if the send queue of a member has no room. `wait` is not possible: one slow member would delay all others.
   * @default "close"
   */
  readonly overflow?: GroupOverflow | undefined;
  /** Under `coalesce`, this message replaces a queued message with the same key. */
  readonly key?: string | undefined;
  /**
   * Whether the message is compressed, for members that negotiated compression. Members with the same settings share the
   * compressed message.
   * @default by each member's `threshold`
   */
  readonly compress?: boolean | undefined;
  /** A member that does not get the message, such as its author. */
  readonly except?: GroupMember | undefined;
}

/** The result of sending a message to a group. The numbers count members in this process. */
export interface GroupSendResult {
  /**
   * The number of members that accepted the message. The message leaves at the end of this event loop turn, with thousands of
   * members at the end of one of the next turns, or waits until the kernel accepts more bytes.
   */
  readonly taken: number;
  /** The number of members that did not accept it: the send queue had no room, or the connection is about to end. */
  readonly refused: number;
  /**
   * Whether the exchange accepted the message for the members in other processes. They are not counted. False if the exchange had
   * no room. Undefined if the group has no exchange.
   */
  readonly published?: boolean;
  /**
   * How many of `taken` get the message at the end of one of the next turns, before anything that is sent to them later. Only then
   * it is known whether their send queues have room, where `overflow` is applied, and whether their end has begun. Undefined if
   * there are none: at most 512 members had other messages to send, or got their first message.
   */
  readonly deferred?: number;
}

/**
 * A group of connections that get the same messages. A member is a `Connection`, or any other object that sends messages, such as
 * a `ReconnectingConnection` or a connection of another copy of this library. With a name and an exchange, the groups of that
 * name in all processes are one: a message to any of them reaches the members of all. Each process counts and lists only its own
 * members.
 */
export class Group<Member extends GroupMember = Connection, Out = Sendable> {
  readonly #shared: Pick<GroupOptions, "name" | "exchange"> | undefined;
  readonly #codec: AnyCodec | undefined;
  /** Undefined while there are no members, and without an exchange. */
  #subscription: ExchangeSubscription | undefined;
  readonly #members = new GroupMembers(() => this.#memberLeft());

  constructor(options: GroupOptions<Out> | LocalGroupOptions<Out> = {}) {
    judgeOptions(options);
    this.#codec = judgeCodec(options.codec);
    const { name, exchange } = options as Partial<GroupOptions>;
    if (name === undefined && exchange === undefined) return;
    judgeString("name", name);
    if (typeof exchange?.publish !== "function" || typeof exchange.subscribe !== "function") {
      throw new TypeError("Cannot use exchange: expected an object with publish() and subscribe()");
    }
    this.#shared = { name, exchange };
  }

  /**
   * Resolves when messages that other processes send reach the members of this process. Read it after the first `join`, which
   * subscribes. Without members or without an exchange, it is already resolved.
   */
  get ready(): Promise<void> {
    return this.#subscription?.ready ?? Promise.resolve();
  }

  /** The number of members in this process. */
  get size(): number {
    return this.#members.size;
  }

  has(member: Member): boolean {
    return this.#members.has(member);
  }

  /** Iterates over a copy of the members in this process. */
  [Symbol.iterator](): Iterator<Member> {
    return (this.#members.list() as Member[]).values();
  }

  /**
   * Adds a member. It leaves by itself when it ends. Has no effect if it is already a member, or if it has begun to end. Throws
   * TypeError for a value without `trySend`, `close`, `signal` and `closed`.
   */
  join(member: Member): void {
    judgeMember("join", member);
    if (!this.#members.join(member)) return;
    groupCounters.members += 1;
    if (this.#members.size === 1) groupCounters.groups += 1;
    this.#subscription ??= this.#shared?.exchange.subscribe(this.#shared.name, this.#receive);
  }

  /** Removes a member. Has no effect if the object is not a member. */
  leave(member: Member): void {
    this.#members.leave(member);
  }

  /**
   * Sends one message to all current members. It is encoded once. A connection that joins during the call does not get the
   * message, and neither does a member that leaves before its turn. A member without room in its send queue is closed with 1013,
   * unless `overflow` says otherwise.
   *
   * Throws the error of the codec, or TypeError, before anything is sent, if `message` is neither a string, nor bytes, nor a
   * prepared message. If the framing of a member cannot encode the message, throws that error after all other members have the
   * message.
   *
   * Takes at most some milliseconds, with any number of members: see `deferred` of the result. If the framing of a deferred member
   * cannot encode the message, its `onError` gets the error.
   */
  send(message: Out | PreparedMessage, options: GroupSendOptions = {}): GroupSendResult {
    judgeOptions(options);
    const { except, overflow = "close", key, compress } = options;
    if (except !== undefined) judgeMember("send with except", except);
    const encodable = prepared(encodedBy(this.#codec, message), compress === undefined ? {} : { compress });
    const messageOptions = key === undefined ? { overflow } : { overflow, key };
    groupCounters.sends += 1;
    if (this.#shared === undefined) return counted(this.#members.deliver(encodable, messageOptions, except));
    const { name, exchange } = this.#shared;
    const encoded = encodeGroupMessage({ data: encodable.message, overflow, key, compress: encodable.compress });
    const published = exchange.publish(name, encoded, this.#receive);
    return { ...counted(this.#members.deliver(encodable, messageOptions, except)), published };
  }

  /** Delivers a message from another process to the members of this process. */
  readonly #receive = (message: Uint8Array): void => {
    const { data, overflow, key, compress } = decodeGroupMessage(message);
    const messageOptions = key === undefined ? { overflow } : { overflow, key };
    counted(
      this.#members.deliver(prepared(data, compress === undefined ? {} : { compress }), messageOptions, undefined),
    );
  };

  #memberLeft(): void {
    groupCounters.members -= 1;
    if (this.#members.size > 0) return;
    groupCounters.groups -= 1;
    this.#subscription?.close();
    this.#subscription = undefined;
  }
}

function counted(delivered: Delivered): Delivered {
  groupCounters.deliveries += delivered.taken;
  return delivered;
}
