/** A list of connections that come and go, in the order in which they were opened. */

import type { Connection, Sendable } from "../connection/contract.ts";
import type { TransportConnection } from "../connection/transport-connection.ts";
import type { Message } from "../engine/protocol.ts";
import { SlotBlock, SlotList } from "../engine/queue/slot-list.ts";

/** The connections of a server, in the order in which they were opened. `new Set(connections)` is a copy of them. */
export interface ServerConnections<UserData = unknown, In = Message, Out = Sendable>
  extends Iterable<Connection<UserData, In, Out>> {
  readonly size: number;
  has(connection: Connection<UserData, In, Out>): boolean;
}

/** Not a Set: see `SlotList`. Each connection knows its slot, so that its removal takes constant time. */
export class ConnectionList<UserData> implements ServerConnections<UserData> {
  readonly #list = new SlotList<TransportConnection<UserData>>();

  get size(): number {
    return this.#list.size;
  }

  add(connection: TransportConnection<UserData>): void {
    connection.slot = this.#list.add(connection);
  }

  delete(connection: TransportConnection<UserData>): void {
    const { slot } = connection;
    if (this.#isOurs(slot)) this.#list.remove(slot, connection);
  }

  has(connection: Connection<UserData>): boolean {
    const { slot } = connection as Partial<TransportConnection<UserData>>;
    return this.#isOurs(slot) && slot.has(connection as TransportConnection<UserData>);
  }

  [Symbol.iterator](): Generator<TransportConnection<UserData>, undefined> {
    return this.#list[Symbol.iterator]();
  }

  #isOurs(slot: object | undefined): slot is SlotBlock<TransportConnection<UserData>> {
    return slot instanceof SlotBlock && slot.list === this.#list;
  }
}
