/** Sends in every way to peers that reset while bytes are in flight, and must survive. */

import { type Connection, Group, LimitError, listen } from "../../src/index.ts";
import { portOf } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

const LARGE = "x".repeat(200_000);
const wire = WIRE_PROTOCOLS.find(({ protocol }) => protocol === process.argv[2]) ?? WIRE_PROTOCOLS[0]!;

/** Each sends more than the kernel accepts for a peer that does not read. The promises are not handled. */
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
  ping: (connection) => (connection.kind === "websocket" ? connection.ping() : undefined),
  close: (connection) => connection.close(),
};

/** Refusals of `send` that nothing handles are reported once for each connection. */
let reported = 0;
const arrived: Connection[] = [];
const server = await listen(wire.url, {
  ...wire.options,
  open: (connection) => void arrived.push(connection),
  onError: (error) => {
    if (error instanceof LimitError) reported += 1;
    else console.error(error);
  },
});
for (const use of Object.values(WAYS)) {
  const peer = await wire.open(portOf(server));
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
console.log(`survived, with ${reported} report of refused messages`);
