/** A node of Socket.IO with one of its two adapters for Redis, as their documentation has it. */

import { createServer } from "node:http";
import { createAdapter as createPubSub } from "@socket.io/redis-adapter";
import { createAdapter as createStreams } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const url = process.env.REDIS;
const client = createClient({ url });
await client.connect();
let adapter;
if (process.argv[2] === "streams") adapter = createStreams(client);
else {
  const subscriber = client.duplicate();
  await subscriber.connect();
  adapter = createPubSub(client, subscriber);
}
const http = createServer();
const recovery = process.argv[2] === "streams" ? { connectionStateRecovery: {} } : {};
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  adapter,
  pingInterval: 300_000,
  ...recovery,
});
io.on("connection", (socket) => socket.on("m", (data) => io.emit("m", data)));
http.listen(0, "127.0.0.1", () => process.stdout.write(`port ${http.address().port}\n`));
process.stdin.on("close", () => process.exit(0)).resume();
