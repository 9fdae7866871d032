/** Connections that are sent the same messages. */

import { type Connection, type Overflow, prepare, type Sendable } from "../index.js";

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

/** What became of a message, by the number of members. */
export interface GroupSendResult {
  /** Leaves with this turn's write, or waits for the kernel to take more. */
  readonly taken: number;
  /** Not taken: no room, or the member is about to end. */
  readonly refused: number;
}

// The groups that each connection is in. One listener for all of them: a listener for each join would be kept until the
// connection ends, and with it the group, however often whoever decides on that joins and leaves.
const memberships = new WeakMap<object, Set<Pick<Group, "leave">>>();

export class Group<UserData = unknown> {
  readonly #members = new Set<Connection<UserData>>();
  /** The members in the order of joining, made anew when somebody has joined or left since. */
  #order: readonly Connection<UserData>[] | undefined;

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
    this.#order = undefined;
    groupsOf(connection).add(this);
  }

  leave(connection: Connection<UserData>): void {
    if (!this.#members.delete(connection)) return;
    this.#order = undefined;
    memberships.get(connection)?.delete(this);
  }

  /**
   * Sends one message to all who are members now, encoded once. Whoever joins meanwhile does not get it, and whoever
   * leaves before its turn does not either. A slow member is closed with 1013 unless `overflow` says otherwise.
   *
   * A message that is none is a TypeError before anything is sent. One that a member's framing has no form for is thrown
   * when all others have it.
   */
  send(message: Sendable, { except, overflow = "close", key, compress }: GroupSendOptions = {}): GroupSendResult {
    const shared = prepare(message, compress === undefined ? {} : { compress });
    const how = key === undefined ? { overflow } : { overflow, key };
    this.#order ??= [...this.#members];
    let taken = 0;
    let refused = 0;
    let misuse: { readonly error: unknown } | undefined;
    for (const member of this.#order) {
      if (member === except || !this.#members.has(member)) continue;
      // Nothing is sent to one that has begun to end; it is no member any more.
      if (member.state !== "OPEN") {
        this.leave(member);
        continue;
      }
      try {
        if (member.trySend(shared, how) === "refused") refused += 1;
        else taken += 1;
      } catch (error) {
        misuse ??= { error };
      }
    }
    if (misuse !== undefined) throw misuse.error;
    return { taken, refused };
  }
}

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
