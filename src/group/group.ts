/** Groups of connections that get the same messages. */

import { isObject, kindOf } from "../base/forms.ts";
import { judgeOptions, judgeString } from "../base/judge.ts";
import {
  type AnyCodec,
  type Connection,
  connectionOf,
  Deferral,
  detachMember,
  encodedBy,
  endOfMember,
  FanOut,
  type GroupMember,
  judgeCodec,
  type MessageCodec,
  memberIsEnding,
  otherDeferralsThan,
  type Prepared,
  type PreparedMessage,
  prepared,
  type Sendable,
  sendToMember,
} from "../core.ts";
import type { Exchange, ExchangeSubscription } from "./exchange.ts";
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
 * How many members that are not on the fan-out get a message during one call of `send`, which takes up to 4 ms. If there are more
 * of them, these get it at the end of the next turns. Tests change the value.
 */
export const SEND_BUDGET: { members: number } = { members: 512 };

// The groups of each connection. Each connection has one reaction to its end, for all its groups. A reaction per join would keep
// the group in memory until the connection ends. If a peer decides about joining and leaving, it could make that memory grow.
interface AnyGroup {
  leave(member: GroupMember): void;
}

const memberships = new WeakMap<object, Set<AnyGroup>>();

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
  readonly #members = new Set<Member>();
  /** The members that are no connections of this copy of the library: each gets each message during the call. */
  readonly #others = new Set<GroupMember>();
  /** The members that do not have the latest messages yet. */
  readonly #deferrals: Deferral[] = [];
  /** The fan-out to the members. */
  #fanOut: FanOut = new FanOut(this.#deferrals);
  #sending = false;

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
    return [...this.#members].values();
  }

  /**
   * Adds a member. It leaves by itself when it ends. Has no effect if it is already a member, or if it has begun to end. Throws
   * TypeError for a value without `trySend`, `close`, `signal` and `closed`.
   */
  join(member: Member): void {
    judgeMember("join", member);
    if (this.#members.has(member) || memberIsEnding(member)) return;
    this.#members.add(member);
    (connectionOf(member) === undefined ? this.#others : this.#fanOut.detached).add(member);
    this.#subscription ??= this.#shared?.exchange.subscribe(this.#shared.name, this.#receive);
    groupsOf(member).add(this);
  }

  /** Removes a member. Has no effect if the object is not a member. */
  leave(member: Member): void {
    if (!this.#members.delete(member)) return;
    detachMember(member);
    this.#fanOut.detached.delete(member);
    this.#others.delete(member);
    memberships.get(member)?.delete(this);
    if (this.#members.size > 0) return;
    this.#subscription?.close();
    this.#subscription = undefined;
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
    if (this.#shared === undefined) return this.#deliver(encodable, messageOptions, except);
    const { name, exchange } = this.#shared;
    const encoded = encodeGroupMessage({ data: encodable.message, overflow, key, compress: encodable.compress });
    const published = exchange.publish(name, encoded, this.#receive);
    return { ...this.#deliver(encodable, messageOptions, except), published };
  }

  /** Delivers a message from another process to the members of this process. */
  readonly #receive = (message: Uint8Array): void => {
    const { data, overflow, key, compress } = decodeGroupMessage(message);
    const messageOptions = key === undefined ? { overflow } : { overflow, key };
    this.#deliver(prepared(data, compress === undefined ? {} : { compress }), messageOptions, undefined);
  };

  #deliver(
    message: Prepared & PreparedMessage,
    messageOptions: GroupMessageOptions,
    except: GroupMember | undefined,
  ): GroupSendResult {
    if (except !== undefined) detachMember(except);
    for (const deferral of [...this.#deferrals]) deferral.add(message, messageOptions, except);
    // True if a hook makes this call while the group sends another message. Not all members have that message yet, so the
    // fan-out cannot take this one: each member gets it individually.
    const nested = this.#sending;
    if (nested || !this.#sendByFanOut(message, messageOptions)) this.#detachAll(message, messageOptions, except);
    else if (this.#fanOut.detached.size > SEND_BUDGET.members)
      this.#defer(this.#fanOut.takeDetached(), message, messageOptions, except);
    const fanOut = this.#fanOut;
    const deferred = this.#deferrals.reduce((sum, { size }) => sum + size, 0) - (this.#isDeferred(except) ? 1 : 0);
    let taken = fanOut.attachedCount + deferred;
    let refused = 0;
    let misuse: { readonly error: unknown } | undefined;
    this.#sending = true;
    // A snapshot of the members not on the fan-out. During the loop, some members join or leave the fan-out: these have the
    // message already. Connections that join the group during the loop must not get it.
    for (const member of [...fanOut.detached, ...this.#others]) {
      if (member === except || !this.#members.has(member as Member)) continue;
      // It gets no more messages, so it leaves the group now.
      if (memberIsEnding(member)) {
        this.leave(member as Member);
        continue;
      }
      try {
        const attaches = !nested && fanOut === this.#fanOut;
        const result = sendToMember(attaches ? fanOut : undefined, member, message, messageOptions);
        if (result === "refused") refused += 1;
        else taken += 1;
      } catch (error) {
        misuse ??= { error };
      }
    }
    this.#sending = nested;
    if (misuse !== undefined) throw misuse.error;
    return deferred === 0 ? { taken, refused } : { taken, refused, deferred };
  }

  #sendByFanOut(message: Prepared, messageOptions: GroupMessageOptions): boolean {
    // Members on the fan-out may have deferred messages of another group, which come first.
    if (otherDeferralsThan(this.#deferrals)) {
      if (this.#fanOut.attachedCount > SEND_BUDGET.members) return false;
      this.#fanOut.detachDeferred();
    }
    return this.#fanOut.send(message, messageOptions);
  }

  /** Takes all members from the fan-out, which cannot send `message`. Many members get it later, and a new fan-out. */
  #detachAll(message: Prepared, messageOptions: GroupMessageOptions, except: GroupMember | undefined): void {
    const { attachedCount, detached } = this.#fanOut;
    if (attachedCount + detached.size <= SEND_BUDGET.members) this.#fanOut.detachAll();
    else {
      // A copy takes a fifth of the time that it takes to add the members one by one.
      const all = this.#deferrals.length + this.#others.size === 0;
      const members = all ? new Set<GroupMember>(this.#members) : this.#fanOut.takeMembers();
      this.#fanOut = new FanOut(this.#deferrals);
      this.#defer(members, message, messageOptions, except);
    }
  }

  #defer(
    members: Set<GroupMember>,
    message: Prepared,
    messageOptions: GroupMessageOptions,
    except: GroupMember | undefined,
  ): void {
    const fanOut = (): FanOut => this.#fanOut;
    const deferral = new Deferral(
      {
        get fanOut() {
          return fanOut();
        },
        connectionOf: (member) => (memberIsEnding(member) ? undefined : connectionOf(member)),
        leave: (member) => this.leave(member as Member),
        deferralEnded: (ended) => {
          this.#deferrals.splice(this.#deferrals.indexOf(ended), 1);
          this.#fanOut.deferralEnded();
        },
      },
      members,
    );
    this.#deferrals.push(deferral);
    deferral.add(message, messageOptions, except);
  }

  #isDeferred(member: GroupMember | undefined): boolean {
    return member !== undefined && this.#deferrals.some((deferral) => deferral.has(member));
  }
}

type GroupMessageOptions = Pick<GroupSendOptions, "overflow" | "key">;

/** Throws TypeError unless `value` can be a member. `call` names the call in the message. */
function judgeMember(call: string, value: unknown): void {
  const sends = isObject(value) && ["trySend", "close"].every((name) => typeof value[name] === "function");
  // To read `signal` of a connection would create an AbortController. To read `closed` would count as waiting for the end.
  if (sends && "signal" in value && "closed" in value) return;
  throw new TypeError(`Cannot ${call}: expected a Connection, or an object that sends messages, got ${kindOf(value)}`);
}

/** The groups of a member. When the member ends, it leaves all of them. */
function groupsOf(member: GroupMember): Set<AnyGroup> {
  const known = memberships.get(member);
  if (known !== undefined) return known;
  const groups = new Set<AnyGroup>();
  memberships.set(member, groups);
  const leave = (): void => {
    for (const group of groups) group.leave(member);
  };
  endOfMember(member).then(leave, leave);
  return groups;
}
