/** Tests of the connections of a server: iteration, size and membership. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, listen } from "../../../src/index.ts";

describe("the connections of a server", () => {
  it("are iterated in the order in which they were opened, and one that ends meanwhile is left out", async () => {
    await using server = await listen("ws://127.0.0.1:0", { open: () => undefined });
    await using other = await listen("ws://127.0.0.1:0", { open: () => undefined });
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
    assert.ok(all.every((one) => connections.has(one)));
    const [alien] = other.connections;
    assert.ok(alien !== undefined && other.connections.has(alien));
    assert.deepEqual([connections.has(alien), connections.has(clients[0]!)], [false, false]);

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
    assert.equal(connections.has({} as Connection), false);
    assert.equal(new Set(connections).has(third), true);
    await stranger.close();
  });
});
