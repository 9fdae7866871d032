/** A connection retains nothing of the request that opened it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { it } from "node:test";
import { attach, type Connection, connect } from "../../src/index.ts";
import { settledMemory } from "../kit/memory.ts";

it("an open connection does not retain the request that opened it", { timeout: 240_000 }, async () => {
  const http = createServer();
  const server = attach(http, { open: () => undefined });
  const requests: WeakRef<object>[] = [];
  http.on("upgrade", (request) => requests.push(new WeakRef(request)));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}/`;

  const connections: Connection[] = [];
  try {
    for (let count = 0; count < 30; count++) connections.push(await connect(url));
    const kept = await settledMemory(() => requests.filter((request) => request.deref() !== undefined).length);
    assert.equal(requests.length, 30);
    // node:http may retain the last request until its parser is used again.
    assert.ok(kept <= 3, `${kept} of 30 requests are kept`);
    assert.deepEqual(new Set(connections.map(({ state }) => state)), new Set(["OPEN"]));
  } finally {
    for (const connection of connections) connection.terminate();
    await server.close();
    http.close();
  }
});
