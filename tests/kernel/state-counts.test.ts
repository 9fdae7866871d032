/** How many sockets of this process are in which state: of real sockets, also of those without a process. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { describe, it } from "node:test";
import { countSocketStates } from "../../src/kernel/state-counts.ts";
import { SOCKETS_SKIP, socketsOf, untilSockets } from "../kit/kernel-sockets.ts";
import { UnreadServer } from "../kit/unread-server.ts";

describe("the counts of sockets by state", { skip: SOCKETS_SKIP, timeout: 60_000 }, () => {
  it("have both ends of a connection and the listening socket, and CLOSE_WAIT after a FIN", async () => {
    const before = await countSocketStates();
    const more = async (state: "ESTABLISHED" | "LISTEN" | "CLOSE_WAIT" | "FIN_WAIT2"): Promise<number> =>
      ((await countSocketStates())?.get(state) ?? 0) - (before?.get(state) ?? 0);
    await using server = await UnreadServer.open();
    assert.equal(await more("LISTEN"), 1);
    const { far } = await server.join();
    assert.equal(await more("ESTABLISHED"), 2);
    far.end();
    await untilSockets(server.port, ([socket]) => socket?.state === "CLOSE_WAIT");
    assert.deepEqual([await more("CLOSE_WAIT"), await more("FIN_WAIT2"), await more("ESTABLISHED")], [1, 1, 0]);
  });

  it("have the sockets in TIME_WAIT on a port on which this process listens, and no others", async () => {
    const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const client = connect(port, "127.0.0.1").resume();
    await once(client, "close");
    // The server's end has sent its FIN first, so it is this one that waits.
    while (socketsOf(port).length > 0) await new Promise(setImmediate);
    assert.equal((await countSocketStates())?.get("TIME_WAIT"), 1);
    server.close();
    await once(server, "close");
    assert.equal((await countSocketStates())?.get("TIME_WAIT"), undefined);
  });
});
