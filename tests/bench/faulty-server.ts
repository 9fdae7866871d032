/** An echo with a fault at its hundredth message, as the environment says. The harness must detect it. */

import type { AddressInfo } from "node:net";
import { type RawData, type WebSocket, WebSocketServer } from "ws";

const FAULTS: Record<string, (socket: WebSocket, data: Buffer) => void> = {
  changes: (socket, data) => {
    const last = data.length - 1;
    data.writeUInt8(data.readUInt8(last) ^ 1, last);
    socket.send(data);
  },
  doubles: (socket, data) => {
    socket.send(data);
    socket.send(data);
  },
  shortens: (socket, data) => socket.send(data.subarray(0, -1)),
  closes: (socket) => socket.close(1011),
};
const fault = FAULTS[process.env["BENCH_TEST_FAULT"] ?? ""];

let count = 0;
const server = new WebSocketServer({ host: "127.0.0.1", port: 0 }, () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`${JSON.stringify({ port, version: "faulty 1" })}\n`);
});
server.on("connection", (socket) => {
  socket.on("error", () => {});
  socket.on("message", (data: RawData) => {
    if (++count === 100 && fault !== undefined) fault(socket, data as Buffer);
    else socket.send(data);
  });
});
process.stdin.on("end", () => process.exit(0)).resume();
