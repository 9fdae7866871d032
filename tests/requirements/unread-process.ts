/** Sends at full speed to peers that do not read, and measures whether memory continues to grow. */

import { type Connection, listen, type Overflow } from "../../src/index.ts";
import { portOf } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

/** The results of everything that was sent under one policy. */
export interface Account {
  readonly overflow: Overflow;
  /** Bytes in each half. */
  readonly offered: number;
  /** The growth of the resident set beyond its maximum at the end of the first half. */
  readonly growth: number;
  readonly mostQueued: number;
  readonly dropped: number;
  readonly refused: number;
  readonly state: string;
}

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"];
const MESSAGE = 65_536;
/** A multiple of the kernel's buffers, the queue and the waiting calls together. */
const HALF = 4_096;

async function flood(connection: Connection, overflow: Overflow): Promise<Account> {
  let refused = 0;
  let mostQueued = 0;
  const half = async (): Promise<number> => {
    let mostResident = 0;
    for (let sent = 0; sent < HALF; sent += 1) {
      // Each in its own memory, which was written to, so that kept messages are in the resident set.
      connection.send(Buffer.alloc(MESSAGE, sent), { overflow, key: "the same" }).catch(() => {
        refused += 1;
      });
      mostQueued = Math.max(mostQueued, connection.queuedBytes);
      if (sent % 16 > 0) continue;
      await new Promise(setImmediate);
      mostResident = Math.max(mostResident, process.memoryUsage.rss());
    }
    return mostResident;
  };
  // Garbage that is not collected yet is in both halves.
  const before = await half();
  const growth = (await half()) - before;
  const { droppedMessages: dropped, state } = connection;
  return { overflow, offered: HALF * MESSAGE, growth, mostQueued, dropped, refused, state };
}

const wire = WIRE_PROTOCOLS.find(({ protocol }) => protocol === process.argv[2])!;
let arrived!: (connection: Connection) => void;
const server = await listen(wire.url, {
  ...wire.options,
  // Without it the connection would end before the last byte was sent.
  writeTimeout: Infinity,
  maxQueuedMessages: 128,
  ...(wire.protocol === "tcp" && { framing: "raw" }),
  open: (connection) => arrived(connection),
});
for (const overflow of POLICIES) {
  const arrival = new Promise<Connection>((resolve) => {
    arrived = resolve;
  });
  const peer = await wire.open(portOf(server));
  peer.socket.pause();
  const connection = await arrival;
  console.log(JSON.stringify(await flood(connection, overflow)));
  connection.terminate();
  await peer[Symbol.asyncDispose]();
}
await server.close();
