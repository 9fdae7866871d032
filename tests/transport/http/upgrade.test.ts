/** Tests of the answer to an upgrade that node:http has read. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { it } from "node:test";
import { Worker } from "node:worker_threads";
import { upgradeCallOf } from "../../../src/transport/http/upgrade.ts";
import { SocketTransport } from "../../../src/transport/socket/socket.ts";

/** Resets as soon as a response has arrived, and reports that in the same turn. */
const RESETTING = `
const { connect } = require("node:net");
const { workerData: { port, gone } } = require("node:worker_threads");
const socket = connect(port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n"));
socket.once("data", () => socket.resetAndDestroy()).once("close", () => {
  Atomics.store(gone, 0, 1);
  Atomics.notify(gone, 0);
});
`;

it("has the addresses of a connection that the peer resets after the answer", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const gone = new Int32Array(new SharedArrayBuffer(4));
  const worker = new Worker(RESETTING, { eval: true, workerData: { port, gone } });
  const [request, socket] = (await once(server, "upgrade")) as [IncomingMessage, Socket];
  const call = upgradeCallOf(request, socket, new Uint8Array(), (stream) => {
    assert.equal(Atomics.wait(gone, 0, 0, 10_000) === "timed-out", false);
    return new SocketTransport(stream);
  });
  const transport = call.accept(Buffer.from("HTTP/1.1 101 Switching Protocols\r\n\r\n"));
  assert.equal(transport.endpoints.remoteAddress, "127.0.0.1");
  const closed = new Promise((resolve) => {
    transport.open({ data: () => undefined, written: () => undefined, fin: () => undefined, closed: resolve });
  });
  await Promise.all([closed, once(worker, "exit")]);
  server.close();
});
