/** The members of a group in this process: who they are, and how one message reaches all of them. */

import { isObject, kindOf } from "../base/forms.ts";
import {
  connectionOf,
  Deferral,
  detachMember,
  FanOut,
  type GroupMember,
  isInGroup,
  joinGroup,
  leaveGroup,
  type MemberMessageOptions,
  memberIsEnding,
  otherDeferralsThan,
  type Prepared,
  type PreparedMessage,
  sendToMember,
} from "../core.ts";

/** How many members have a message, or will have it. */
export interface Delivered {
  readonly taken: number;
  readonly refused: number;
  readonly deferred?: number;
}

/**
 * How many members that are not on the fan-out get a message during one call of `send`, which takes up to 4 ms. If there are more
 * of them, these get it at the end of the next turns. Tests change the value.
 */
export const SEND_BUDGET: { members: number } = { members: 512 };

/** The members of one group in this process. */
export class GroupMembers {
  // There is no list of all members: each is in exactly one of these places, and knows its groups.
  #size = 0;
  /** The members that are no connections of this copy of the library: each gets each message during the call. */
  #others: Set<GroupMember> | undefined;
  /** The members that get no messages for now. */
  #parked: Set<GroupMember> | undefined;
  /** The members that do not have the latest messages yet. */
  readonly #deferrals: Deferral[] = [];
  /** The fan-out to the members. */
  #fanOut: FanOut = new FanOut(this.#deferrals);
  #sending = false;
  readonly #left: (member: GroupMember) => void;

  /** `left` is called when a member was removed, by `leave` or because it has ended. */
  constructor(left: (member: GroupMember) => void) {
    this.#left = left;
  }

  get size(): number {
    return this.#size;
  }

  has(member: GroupMember): boolean {
    return isInGroup(member, this);
  }

  /** A copy of the list of all members. */
  list(): GroupMember[] {
    const deferred = this.#deferrals.flatMap((deferral) => [...deferral.members()]);
    return [
      ...this.#fanOut.attached(),
      ...this.#fanOut.detached,
      ...deferred,
      ...(this.#others ?? []),
      ...(this.#parked ?? []),
    ];
  }

  /** Adds a member. It leaves by itself when it ends. Returns false if it is already a member, or if it has begun to end. */
  join(member: GroupMember): boolean {
    if (memberIsEnding(member) || !joinGroup(member, this)) return false;
    this.#size += 1;
    this.#place(member);
    return true;
  }

  /** Takes a member out of the deliveries: it stays a member, and gets no message until `unpark`. */
  park(member: GroupMember): void {
    if (!this.has(member)) return;
    detachMember(member);
    this.#fanOut.detached.delete(member);
    this.#others?.delete(member);
    this.#parked ??= new Set();
    this.#parked.add(member);
  }

  /** The member gets the next messages again. */
  unpark(member: GroupMember): void {
    if (this.#parked?.delete(member) === true) this.#place(member);
  }

  /** Removes a member. Has no effect if the object is not a member. */
  leave(member: GroupMember): void {
    if (!leaveGroup(member, this)) return;
    this.#size -= 1;
    detachMember(member);
    this.#fanOut.detached.delete(member);
    this.#others?.delete(member);
    this.#parked?.delete(member);
    this.#left(member);
  }

  /**
   * Sends one message to all current members. A connection that joins during the call does not get the message, and neither does a
   * member that leaves before its turn. If the framing of a member cannot encode the message, throws that error after all other
   * members have the message.
   */
  deliver(
    message: Prepared & PreparedMessage,
    messageOptions: MemberMessageOptions,
    except: GroupMember | undefined,
  ): Delivered {
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
    for (const member of [...fanOut.detached, ...(this.#others ?? [])]) {
      if (member === except || !this.has(member)) continue;
      // It gets no more messages, so it leaves the group now.
      if (memberIsEnding(member)) {
        this.leave(member);
        continue;
      }
      try {
        const attaches = !nested && fanOut === this.#fanOut;
        const result = sendToMember(attaches ? fanOut : undefined, member, message, messageOptions);
        if (result === "refused") {
          refused += 1;
          if (memberIsEnding(member)) continue;
          messageOptions.refusal?.refused(member, messageOptions);
        } else taken += 1;
      } catch (error) {
        misuse ??= { error };
      }
    }
    this.#sending = nested;
    if (misuse !== undefined) throw misuse.error;
    return deferred === 0 ? { taken, refused } : { taken, refused, deferred };
  }

  #sendByFanOut(message: Prepared, messageOptions: MemberMessageOptions): boolean {
    // Members on the fan-out may have deferred messages of another group, which come first.
    if (otherDeferralsThan(this.#deferrals)) {
      if (this.#fanOut.attachedCount > SEND_BUDGET.members) return false;
      this.#fanOut.detachDeferred();
    }
    return this.#fanOut.send(message, messageOptions);
  }

  /** Takes all members from the fan-out, which cannot send `message`. Many members get it later, and a new fan-out. */
  #detachAll(message: Prepared, messageOptions: MemberMessageOptions, except: GroupMember | undefined): void {
    const { attachedCount, detached } = this.#fanOut;
    if (attachedCount + detached.size <= SEND_BUDGET.members) this.#fanOut.detachAll();
    else {
      const members = this.#fanOut.takeMembers();
      this.#fanOut = new FanOut(this.#deferrals);
      this.#defer(members, message, messageOptions, except);
    }
  }

  #defer(
    members: Set<GroupMember>,
    message: Prepared,
    messageOptions: MemberMessageOptions,
    except: GroupMember | undefined,
  ): void {
    const fanOut = (): FanOut => this.#fanOut;
    const deferral = new Deferral(
      {
        get fanOut() {
          return fanOut();
        },
        connectionOf: (member) => (memberIsEnding(member) ? undefined : connectionOf(member)),
        leave: (member) => this.leave(member),
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

  #place(member: GroupMember): void {
    if (connectionOf(member) !== undefined) this.#fanOut.detached.add(member);
    else {
      this.#others ??= new Set();
      this.#others.add(member);
    }
  }

  #isDeferred(member: GroupMember | undefined): boolean {
    return member !== undefined && this.#deferrals.some((deferral) => deferral.has(member));
  }
}

/** Throws TypeError unless `value` can be a member. `call` names the call in the message. */
export function judgeMember(call: string, value: unknown): asserts value is GroupMember {
  const sends = isObject(value) && ["trySend", "close"].every((name) => typeof value[name] === "function");
  // To read `signal` of a connection would create an AbortController. To read `closed` would count as waiting for the end.
  if (sends && "signal" in value && "closed" in value) return;
  throw new TypeError(`Cannot ${call}: expected a Connection, or an object that sends messages, got ${kindOf(value)}`);
}
