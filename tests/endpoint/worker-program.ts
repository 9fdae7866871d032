/** A program with workers: echo, and a room that they share. What happens is said on stdout, a line of JSON for each fact. */

import { existsSync } from "node:fs";
import {
  type Connection,
  type DrainOptions,
  Group,
  listen,
  startWorkers,
  type WorkersOptions,
} from "../../src/index.js";
import { FastLane } from "../../src/transport/fast-lane.js";

/** What the program's only argument says. */
export interface Script extends Omit<WorkersOptions, "observe"> {
  readonly port?: number;
  /** No worker starts while there is a file of this name. */
  readonly obstacle?: string;
  /** What a worker does instead of serving. */
  readonly instead?: "throw" | "exit" | "nothing" | "junk";
  /** Its servers never finish closing. */
  readonly stuck?: boolean;
}

const script: Script = JSON.parse(process.argv[2] ?? "{}");
const { port = 0, obstacle, instead, stuck, ...options } = script;
const say = (fact: object): void => void process.stdout.write(`${JSON.stringify(fact)}\n`);

let lanes = 0;
const take = FastLane.take.bind(FastLane);
FastLane.take = (stream, head) => {
  const lane = take(stream, head);
  if (lane !== undefined) lanes += 1;
  return lane;
};

// On a busy machine the two seconds of its own accord may be over before a client has had its turn.
const patient = (how: DrainOptions): DrainOptions => ({ ...how, opening: (how.opening ?? 0) > 0 ? 60_000 : 0 });

const started = startWorkers({ ...options, observe: say }, async ({ id, exchange }) => {
  if (obstacle !== undefined && existsSync(obstacle)) throw new Error("there is an obstacle");
  if (instead === "throw") throw new Error("no");
  if (instead === "exit") process.exit(7);
  if (instead === "nothing") {
    say({ type: "begun" });
    await new Promise(() => undefined);
  }
  if (instead === "junk") return {} as never;
  const room = new Group({ name: "room", exchange });
  let accepted = 0;
  const heed = (connection: Connection, message: string): void => {
    if (message.startsWith("room ")) {
      const { published } = room.send(message);
      if (published !== true) connection.trySend("refused");
    } else if (message.startsWith("flood ")) {
      const [, size, count] = message.split(" ").map(Number);
      for (let index = 0; index < Number(count); index += 1) room.send(`${index} `.padEnd(Number(size), "x"));
    } else if (message === "counts") {
      connection.trySend(JSON.stringify({ refused: exchange.refusedMessages, missed: exchange.missedMessages }));
    } else if (connection.trySend(message) !== "refused") {
      accepted += 1;
    }
  };
  const server = await listen(`ws://127.0.0.1:${port}`, {
    maxQueuedBytes: 64 * 1024 * 1024,
    maxQueuedMessages: 100_000,
    open: async (connection) => {
      const before = lanes;
      room.join(connection);
      await room.ready;
      await connection.send(JSON.stringify({ id, pid: process.pid, lane: before > 0 }));
    },
    message: (connection, data) => heed(connection, String(data)),
  });
  return {
    url: server.url,
    close: async (how) => {
      await (stuck ? new Promise(() => undefined) : server.close(patient(how)));
      say({ type: "accepted", count: accepted });
    },
  };
});

const { urls, ended } = await started;
say({ type: "urls", urls });
await ended;
say({ type: "over" });
