/** The rosters of a server with several routes, as one. */

import type { Connection } from "../../connection/contract.ts";
import type { ServerConnections } from "../connection-list.ts";
import type { DrainResult, Roster, ServerRoster, SettledDrain } from "./roster.ts";

export class Rosters implements ServerRoster<unknown> {
  readonly #rosters = new Set<Roster<unknown>>();
  readonly connections: ServerConnections<unknown> = new JoinedConnections(this.#rosters);
  #closing = false;

  /** True if the server is closing. */
  get closing(): boolean {
    return this.#closing;
  }

  get reserved(): number {
    let reserved = 0;
    for (const roster of this.#rosters) reserved += roster.reserved;
    return reserved;
  }

  add(roster: Roster<unknown>): void {
    this.#rosters.add(roster);
  }

  /** Removes a roster to which no connection is added any more, as soon as it is empty. */
  remove(roster: Roster<unknown>): void {
    roster.retire(() => this.#rosters.delete(roster));
  }

  async drain(options: SettledDrain): Promise<DrainResult> {
    this.#closing = true;
    const results = await Promise.all([...this.#rosters].map((roster) => roster.drain(options)));
    const total = { clean: 0, cut: 0 };
    for (const { clean, cut } of results) {
      total.clean += clean;
      total.cut += cut;
    }
    return total;
  }
}

/** The connections of all rosters, one roster after the other. */
class JoinedConnections implements ServerConnections<unknown> {
  readonly #rosters: ReadonlySet<Roster<unknown>>;

  constructor(rosters: ReadonlySet<Roster<unknown>>) {
    this.#rosters = rosters;
  }

  get size(): number {
    let size = 0;
    for (const { connections } of this.#rosters) size += connections.size;
    return size;
  }

  has(connection: Connection): boolean {
    for (const { connections } of this.#rosters) if (connections.has(connection)) return true;
    return false;
  }

  *[Symbol.iterator](): Generator<Connection, undefined> {
    for (const { connections } of this.#rosters) yield* connections;
  }
}
