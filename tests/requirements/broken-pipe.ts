/** Sends in every way to peers that reset while bytes are under way, and lives to tell. */

import { type Connection, Group, listen } from "../../src/index.js";
import { portOf } from "../raw-peers.js";
import { SPEECHES } from "./speech.js";

const LARGE = "x".repeat(200_000);
const speech = SPEECHES.find(({ protocol }) => protocol === process.argv[2]) ?? SPEECHES[0]!;

/** Each begins more than the kernel takes of a peer that does not read. No promise is looked at. */
const WAYS: Record<string, (connection: Connection) => unknown> = {
  send: (connection) => connection.send(LARGE),
  "send that rejects": (connection) => connection.send(LARGE, { overflow: "reject" }),
  "send that drops": (connection) => connection.send(LARGE, { overflow: "drop-oldest" }),
  "send with a timeout": (connection) => connection.send(LARGE, { timeout: 1 }),
  trySend: (connection) => connection.trySend(LARGE),
  "a group": (connection) => {
    const group = new Group();
    group.join(connection);
    return group.send(LARGE);
  },
  "a writer": (connection) => {
    const writer = connection.writer("text");
    void writer.write(LARGE);
    return writer.end();
  },
  drain: (connection) => connection.drain(),
  ping: (connection) => (connection.protocol === "websocket" ? connection.ping() : undefined),
  close: (connection) => connection.close(),
};

const arrived: Connection[] = [];
const server = await listen(speech.url, {
  ...speech.options,
  open: (connection) => void arrived.push(connection),
  onError: (error) => console.error(error),
});
for (const use of Object.values(WAYS)) {
  const peer = await speech.open(portOf(server));
  while (arrived.length === 0) await new Promise(setImmediate);
  const connection = arrived.pop()!;
  peer.socket.pause();
  for (let call = 0; call < 40; call += 1) use(connection);
  await new Promise(setImmediate);
  peer.socket.resetAndDestroy();
  await connection.closed;
  use(connection);
}
await server.close();
console.log("survived");
