/** The connections of one server, to look at: what a Set would be, without what a Set keeps of those that have gone. */

import type { Connection } from "../connection/connection.js";
import { Place, Roll } from "../engine/roll.js";

export class Connections<UserData> implements ReadonlySet<Connection<UserData>> {
  readonly #roll = new Roll<Connection<UserData>>();

  get size(): number {
    return this.#roll.size;
  }

  /** @internal */
  add(connection: Connection<UserData>): void {
    connection.place = this.#roll.add(connection);
  }

  /** @internal */
  delete(connection: Connection<UserData>): void {
    const { place } = connection;
    if (this.#isOurs(place)) this.#roll.remove(place, connection);
  }

  has(connection: Connection<UserData>): boolean {
    const { place } = connection;
    return this.#isOurs(place) && place.has(connection);
  }

  forEach(
    visit: (value: Connection<UserData>, key: Connection<UserData>, all: ReadonlySet<Connection<UserData>>) => void,
    self?: unknown,
  ): void {
    for (const connection of this) visit.call(self, connection, connection, this);
  }

  *entries(): Generator<[Connection<UserData>, Connection<UserData>], undefined> {
    for (const connection of this) yield [connection, connection];
  }

  keys(): Generator<Connection<UserData>, undefined> {
    return this[Symbol.iterator]();
  }

  values(): Generator<Connection<UserData>, undefined> {
    return this[Symbol.iterator]();
  }

  [Symbol.iterator](): Generator<Connection<UserData>, undefined> {
    return this.#roll[Symbol.iterator]();
  }

  #isOurs(place: object | undefined): place is Place<Connection<UserData>> {
    return place instanceof Place && place.roll === this.#roll;
  }
}

// What newer runtimes have of sets besides.
for (const name of [
  ...["union", "intersection", "difference", "symmetricDifference"],
  ...["isSubsetOf", "isSupersetOf", "isDisjointFrom"],
]) {
  const own: unknown = Reflect.get(Set.prototype, name);
  if (typeof own !== "function") continue;
  const value = function (this: Connections<unknown>, other: unknown): unknown {
    return Reflect.apply(own, new Set(this), [other]);
  };
  Object.defineProperty(Connections.prototype, name, { value, configurable: true, writable: true });
}
