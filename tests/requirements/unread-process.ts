/** Sends at full speed to peers that do not read, and measures whether memory goes on growing. */

import { type Connection, listen, type Overflow } from "../../src/index.js";
import { portOf } from "../raw-peers.js";
import { SPEECHES } from "./speech.js";

/** What became of everything that was sent under one policy. */
export interface Account {
  readonly overflow: Overflow;
  /** Bytes in each half. */
  readonly offered: number;
  /** By how much the resident set went above what it had been at most when the first half had been offered. */
  readonly growth: number;
  readonly mostQueued: number;
  readonly dropped: number;
  readonly refused: number;
  readonly state: string;
}

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"];
const MESSAGE = 65_536;
/** A multiple of what the kernel's buffers, the queue and the callers that may wait hold together. */
const HALF = 4_096;

async function flood(connection: Connection, overflow: Overflow): Promise<Account> {
  let refused = 0;
  let mostQueued = 0;
  const half = async (): Promise<number> => {
    let mostResident = 0;
    for (let sent = 0; sent < HALF; sent += 1) {
      // Each in memory of its own, which has been written to: what is kept shows in the resident set.
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
  // What the collector has not come to yet is in both halves.
  const before = await half();
  const growth = (await half()) - before;
  const { droppedMessages: dropped, state } = connection;
  return { overflow, offered: HALF * MESSAGE, growth, mostQueued, dropped, refused, state };
}

const speech = SPEECHES.find(({ protocol }) => protocol === process.argv[2])!;
let arrived!: (connection: Connection) => void;
const server = await listen(speech.url, {
  ...speech.options,
  // Without it the peer would be given up before the last byte was offered.
  writeTimeout: Infinity,
  maxQueuedMessages: 128,
  ...(speech.protocol === "tcp" && { framing: "raw" }),
  open: (connection) => arrived(connection),
});
for (const overflow of POLICIES) {
  const arrival = new Promise<Connection>((resolve) => {
    arrived = resolve;
  });
  const peer = await speech.open(portOf(server));
  peer.socket.pause();
  const connection = await arrival;
  console.log(JSON.stringify(await flood(connection, overflow)));
  connection.terminate();
  await peer[Symbol.asyncDispose]();
}
await server.close();
