/** Connections that are sent the same messages. */

import {
  type Connection,
  type Exchange,
  type Overflow,
  type PreparedMessage,
  prepare,
  type Sendable,
  type Subscription,
} from "../index.js";
import { decodeGroupMessage, encodeGroupMessage } from "./group-message.js";

/** What makes groups in several processes one. */
export interface GroupOptions {
  /** By which the processes know it. */
  readonly name: string;
  /** Carries its messages: that of a worker, or one of your own. */
  readonly exchange: Exchange;
}

/** How a message goes to a group. */
export interface GroupSendOptions {
  /** What happens to a member whose queue has no room. `wait` is not among them: one slow member would hold all. @default "close" */
  readonly overflow?: Exclude<Overflow, "wait">;
  /** Under `coalesce`, a message that still waits and has the same key is replaced by this one. */
  readonly key?: string;
  /** Whether it is compressed where that was agreed on, once for all. @default by each member's `threshold` */
  readonly compress?: boolean;
  /** Members that are not sent it, such as the message's author. */
  readonly except?: Connection;
}

/** What became of a message, by the number of members in this process. */
export interface GroupSendResult {
  /** Leaves with this turn's write, or waits for the kernel to take more. */
  readonly taken: number;
  /** Not taken: no room, or the member is about to end. */
  readonly refused: number;
  /**
   * Whether it is on its way to the members in other processes, who are not counted; false if there was no room for it.
   * Undefined for a group of this process alone.
   */
  readonly published?: boolean;
}

// The groups that each connection is in. One listener for all of them: a listener for each join would be kept until the
// connection ends, and with it the group, however often whoever decides on that joins and leaves.
const memberships = new WeakMap<object, Set<Pick<Group, "leave">>>();

/**
 * Members that are sent the same messages. With a name and an exchange, groups of that name in all processes are one: what is
 * sent to any of them reaches the members of all. There, each has its own members, and nobody counts or lists the others.
 */
export class Group<UserData = unknown> {
  readonly #shared: GroupOptions | undefined;
  /** Only while there are members. */
  #subscription: Subscription | undefined;
  readonly #members = new Set<Connection<UserData>>();
  /** What they are sent with, from the first message on. */
  #burst: Burst | undefined;
  #sending = false;

  constructor(shared?: GroupOptions) {
    if (shared !== undefined) {
      if (typeof shared.name !== "string") throw new TypeError("Cannot use name: expected a string");
      if (typeof shared.exchange?.publish !== "function") {
        throw new TypeError("Cannot use exchange: expected what has publish() and subscribe()");
      }
    }
    this.#shared = shared;
  }

  /** Resolves when what is sent in other processes reaches the members of this one, from the first one's `join` on. */
  get ready(): Promise<void> {
    return this.#subscription?.ready ?? Promise.resolve();
  }

  get size(): number {
    return this.#members.size;
  }

  has(connection: Connection<UserData>): boolean {
    return this.#members.has(connection);
  }

  [Symbol.iterator](): Iterator<Connection<UserData>> {
    return [...this.#members].values();
  }

  /** Adds a member, which leaves by itself when it ends. To join twice, or at the end, changes nothing. */
  join(connection: Connection<UserData>): void {
    if (this.#members.has(connection) || connection.state !== "OPEN") return;
    this.#members.add(connection);
    this.#burst?.apart.add(connection);
    this.#subscription ??= this.#shared?.exchange.subscribe(this.#shared.name, this.#receive);
    groupsOf(connection).add(this);
  }

  leave(connection: Connection<UserData>): void {
    if (!this.#members.delete(connection)) return;
    connection.stayApart();
    this.#burst?.apart.delete(connection);
    memberships.get(connection)?.delete(this);
    if (this.#members.size > 0) return;
    this.#subscription?.close();
    this.#subscription = undefined;
  }

  /**
   * Sends one message to all who are members now, encoded once. Whoever joins meanwhile does not get it, and whoever
   * leaves before its turn does not either. A slow member is closed with 1013 unless `overflow` says otherwise.
   *
   * A message that is none is a TypeError before anything is sent. One that a member's framing has no form for is thrown
   * when all others have it.
   */
  send(message: Sendable, { except, overflow = "close", key, compress }: GroupSendOptions = {}): GroupSendResult {
    const prepared = prepare(message, compress === undefined ? {} : { compress });
    const how = key === undefined ? { overflow } : { overflow, key };
    if (this.#shared === undefined) return this.#deliver(prepared, how, except);
    const { name, exchange } = this.#shared;
    const encoded = encodeGroupMessage({ data: prepared.data, overflow, key, compress: prepared.compress });
    const published = exchange.publish(name, encoded, this.#receive);
    return { ...this.#deliver(prepared, how, except), published };
  }

  /** Takes what was sent in another process. */
  readonly #receive = (message: Uint8Array): void => {
    const { data, overflow, key, compress } = decodeGroupMessage(message);
    const how = key === undefined ? { overflow } : { overflow, key };
    this.#deliver(prepare(data, compress === undefined ? {} : { compress }), how, undefined);
  };

  #deliver(prepared: PreparedMessage, how: How, except: Connection | undefined): GroupSendResult {
    this.#burst ??= this.#begin(prepared);
    const burst = this.#burst;
    except?.stayApart();
    // Sent by a hook that a message to this group has called: nobody can follow what is not yet with all.
    const within = this.#sending;
    if (!within) burst.send(prepared, how);
    let taken = within ? 0 : burst.following;
    let refused = 0;
    let misuse: { readonly error: unknown } | undefined;
    this.#sending = true;
    // Those who are apart as it begins: whoever is let in or parts meanwhile has it, or is not to have it.
    for (const member of [...(within ? this.#members : burst.apart)]) {
      if (member === except || !this.#members.has(member as Connection<UserData>)) continue;
      // Nothing is sent to one that has begun to end; it is no member any more.
      if (member.state !== "OPEN") {
        this.leave(member as Connection<UserData>);
        continue;
      }
      try {
        const result = within ? member.trySend(prepared, how) : member.takeFrom(burst, prepared, how);
        if (result === "refused") refused += 1;
        else taken += 1;
      } catch (error) {
        misuse ??= { error };
      }
    }
    this.#sending = within;
    if (misuse !== undefined) throw misuse.error;
    return { taken, refused };
  }

  #begin(prepared: PreparedMessage): Burst {
    const burst = prepared.burst();
    for (const member of this.#members) burst.apart.add(member as Connection);
    return burst;
  }
}

type How = Pick<GroupSendOptions, "overflow" | "key">;

type Burst = ReturnType<PreparedMessage["burst"]>;

/** The groups that a connection is in, all of which it leaves when it ends. */
function groupsOf(connection: Connection): Set<Pick<Group, "leave">> {
  const known = memberships.get(connection);
  if (known !== undefined) return known;
  const groups = new Set<Pick<Group, "leave">>();
  memberships.set(connection, groups);
  void connection.closed.then(() => {
    for (const group of groups) group.leave(connection);
  });
  return groups;
}
