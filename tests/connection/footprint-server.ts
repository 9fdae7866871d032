/** A server in its own process, which reports the memory that its connections retain. */

import { type Connection, Group, Hub, listen } from "../../src/index.ts";
import { settledMemory } from "../kit/memory.ts";

/** The heartbeat in milliseconds, and how messages are received: by `hooks` or by a `loop`. `group`: all are members of one. */
const [interval = "", way = ""] = process.argv.slice(2);

/**
 * A question of the parent process. The answer is a number. `send`: sends a message to all members, and returns how many accepted
 * it.
 */
export type Question = "connections" | "messages" | "pongs" | "send" | "memory" | "join" | "leave" | "publish";

const counts = { messages: 0, pongs: 0 };

async function loop(connection: Connection): Promise<void> {
  for await (const message of connection) {
    counts.messages += 1;
    await connection.send(message);
  }
}

const options = {
  maxConnections: Infinity,
  heartbeat: { interval: Number(interval) },
  pong: () => {
    counts.pongs += 1;
  },
};
const message = (connection: Connection, data: string | Uint8Array): void => {
  counts.messages += 1;
  connection.trySend(data);
};
const all = new Group();
const topic = new Hub().topic("all", { history: { messages: 10 } });
const open = (connection: Connection): void => {
  if (way === "group") all.join(connection);
};
const url = "ws://127.0.0.1:0/";
const server = way === "loop" ? await listen(url, options, loop) : await listen(url, { ...options, open, message });

async function answer(question: Question): Promise<number> {
  if (question === "connections") return server.connections.size;
  if (question === "leave") {
    for (const connection of server.connections) topic.leave(connection);
    return topic.members.length;
  }
  if (question === "join") {
    await Promise.all([...server.connections].map((connection) => topic.join(connection)));
    return topic.members.length;
  }
  if (question === "publish") {
    await topic.publish("hello");
    // With thousands of members, the writes take several turns.
    while ([...server.connections].some(({ queuedMessages }) => queuedMessages > 0)) await new Promise(setImmediate);
    return topic.members.length;
  }
  if (question === "send") return all.send("hello").taken;
  if (question !== "memory") return counts[question];
  return settledMemory(() => {
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  });
}

process.on("message", (question: Question) => void answer(question).then((number) => process.send?.(number)));
process.on("disconnect", () => process.exit());
process.send?.(Number(new URL(server.url).port));
