/** Servers while the memory budget of the process is nearly reached: new connections are refused, and the open ones go on. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, it } from "node:test";
import {
  accept,
  attach,
  type Connection,
  type ConnectionEvent,
  connect,
  listen,
  memoryBudget,
  type RefusedEvent,
} from "../../../src/index.ts";
import { peerFrame } from "../../kit/frames.ts";
import { failure } from "../../kit/handshake-failure.ts";
import { portOf, RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const { limit } = memoryBudget;
afterEach(() => {
  memoryBudget.limit = limit;
});

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

/** Makes 80 % of the budget of a message of which a client has sent half. The returned client can send the rest. */
async function nearly(port: number): Promise<RawPeer> {
  const client = await upgraded(port);
  const message = peerFrame({ opcode: 1, payload: "x".repeat(10_000), key: [1, 2, 3, 4] });
  const before = memoryBudget.heldBytes;
  client.write(Buffer.from(message).subarray(0, 5_000));
  while (memoryBudget.heldBytes === before) await new Promise(setImmediate);
  memoryBudget.limit = Math.floor(memoryBudget.heldBytes / 0.8);
  return client;
}

describe("at 75 % of memoryBudget.limit", LIMIT, () => {
  it("listen answers 503 with Retry-After, until less is held", async () => {
    const events: RefusedEvent[] = [];
    const observe = (event: ConnectionEvent): void => void (event.type === "refused" && events.push(event));
    await using server = await listen("ws://127.0.0.1:0", { observe }, echo);
    await using open = await connect(server.url);
    await using client = await nearly(portOf(server));
    const before = memoryBudget.refused;
    const { status, headers } = await failure(connect(server.url));
    assert.deepEqual([status, headers["retry-after"]], [503, "5"]);
    assert.equal(memoryBudget.refused - before, 1);
    assert.deepEqual(
      events.map(({ reason, detail }) => [reason, detail]),
      [["capacity", "memoryBudget is reached"]],
    );
    await open.send("goes on");
    assert.equal(await open.receive(), "goes on");
    client.socket.destroy();
    while (memoryBudget.heldBytes > 0) await new Promise(setImmediate);
    await using _again = await connect(server.url);
  });

  it("so do attach and accept", async () => {
    const http = createServer();
    await using _attached = attach(http, { path: "/attached" }, echo);
    http.on("upgrade", (request, socket, head) => {
      if (request.url === "/accepted") accept(request, socket, head).catch(() => undefined);
    });
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    const { port } = http.address() as AddressInfo;
    await using server = await listen("ws://127.0.0.1:0", echo);
    await using _client = await nearly(portOf(server));
    for (const path of ["/attached", "/accepted"]) {
      const { status, headers } = await refused(port, upgradeRequest(path));
      assert.deepEqual([path, status, headers["retry-after"]], [path, 503, "5"]);
    }
    memoryBudget.limit = limit;
    await using _again = await connect(`ws://127.0.0.1:${port}/accepted`);
    http.close();
  });

  it("framed TCP is ended, behind the last message if there is one", async () => {
    const causes: unknown[] = [];
    const farewell = (cause: unknown): string => {
      causes.push(cause);
      return "busy";
    };
    await using server = await listen("ws://127.0.0.1:0", echo);
    await using lines = await listen("tcp://127.0.0.1:0", { framing: "lines", farewell }, echo);
    await using _client = await nearly(portOf(server));
    await using peer = await RawPeer.to(portOf(lines));
    await peer.until(({ ended }) => ended);
    assert.equal(peer.text, "busy\n");
    assert.equal((causes[0] as { limit: string }).limit, "memoryBudget");
  });
});
