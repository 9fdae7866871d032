/** Tests of a server's connections as they are to be looked at: as a Set, which they are not. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, listen } from "../../src/index.js";

describe("the connections of a server", () => {
  it("are looked at as a Set is, in the order in which they came", async () => {
    await using server = await listen("ws://127.0.0.1:0", {});
    await using other = await listen("ws://127.0.0.1:0", {});
    const { connections } = server;
    assert.deepEqual([...connections], []);
    const clients = [await connect(server.url), await connect(server.url), await connect(server.url)];
    const stranger = await connect(other.url);
    const all = [...connections];
    const [first, second, third] = all as [Connection, Connection, Connection];
    assert.equal(connections.size, 3);
    assert.deepEqual(
      all.map(({ id }) => id),
      all.map(({ id }) => id).sort((a, b) => a - b),
    );
    assert.deepEqual([...connections.keys()], all);
    assert.deepEqual([...connections.values()], all);
    assert.deepEqual(
      [...connections.entries()],
      all.map((one) => [one, one]),
    );
    const visited: unknown[] = [];
    connections.forEach(function (this: unknown, value, key, of) {
      visited.push([this, value === key, of === connections]);
    }, "self");
    assert.deepEqual(visited, Array(3).fill(["self", true, true]));
    assert.ok(all.every((one) => connections.has(one)));
    const [alien] = other.connections;
    assert.ok(alien !== undefined && other.connections.has(alien));
    assert.deepEqual([connections.has(alien), connections.has(clients[0]!)], [false, false]);

    // One who leaves while somebody looks is not seen any more, and does not stop him.
    const seen: Connection[] = [];
    for (const one of connections) {
      seen.push(one);
      if (one === first) {
        for (const client of clients.slice(0, 2)) await client.close();
        await Promise.all([first.closed, second.closed]);
      }
    }
    assert.deepEqual(
      seen.map(({ id }) => id),
      [first.id, third.id],
    );
    assert.deepEqual([connections.size, connections.has(first)], [1, false]);
    await stranger.close();
  });

  it("can be joined with other sets where the runtime knows how", async () => {
    await using server = await listen("ws://127.0.0.1:0", {});
    await using _client = await connect(server.url);
    const [one] = server.connections;
    for (const name of [
      "union",
      "intersection",
      "difference",
      "symmetricDifference",
      "isSubsetOf",
      "isSupersetOf",
      "isDisjointFrom",
    ]) {
      const theirs: unknown = Reflect.get(Set.prototype, name);
      const ours: unknown = Reflect.get(server.connections, name);
      assert.equal(typeof ours, typeof theirs);
      if (typeof theirs !== "function" || typeof ours !== "function") continue;
      const other = new Set([one, "else"]);
      assert.deepEqual(
        Reflect.apply(ours, server.connections, [other]),
        Reflect.apply(theirs, new Set([one]), [other]),
      );
    }
  });
});
