/** A program with workers: echo, and a chat that they share. It reports events on stdout, one line of JSON each. */

import { existsSync } from "node:fs";
import { type Connection, type DrainOptions, Group, listen } from "../../src/index.ts";
import { FastTransport } from "../../src/transport/fast/transport.ts";
import { startWorkers, type WorkersOptions } from "../../src/workers/index.ts";

/** The program's only argument. */
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

let fastTransports = 0;
const take = FastTransport.fromStream.bind(FastTransport);
FastTransport.fromStream = (stream, head) => {
  const transport = take(stream, head);
  if (transport !== undefined) fastTransports += 1;
  return transport;
};

/** Works until there is a file of this name, and then answers. */
async function untilThere(connection: Connection, path: string): Promise<void> {
  connection.trySend("working");
  connection.draining.addEventListener("abort", () => void connection.trySend("draining"));
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
  await connection.send("done");
}

// On a busy machine the two seconds may be over before a client was served.
const patient = (how: DrainOptions): DrainOptions => ({ ...how, opening: (how.opening ?? 0) > 0 ? 60_000 : 0 });

const started = startWorkers({ ...options, observe: say }, async ({ id, exchange, metrics }) => {
  if (obstacle !== undefined && existsSync(obstacle)) throw new Error("there is an obstacle");
  if (instead === "throw") throw new Error("no");
  if (instead === "exit") process.exit(7);
  say({ type: "begun" });
  if (instead === "nothing") await new Promise(() => undefined);
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
    } else if (message === "metrics") {
      const said = (found: { text: () => string }): void => void connection.trySend(found.text());
      void metrics().then(said, (error: Error) => connection.trySend(error.message));
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
      const before = fastTransports;
      room.join(connection);
      await room.ready;
      await connection.send(JSON.stringify({ id, pid: process.pid, fast: before > 0 }));
    },
    message: (connection, data) => {
      const [verb, path = ""] = String(data).split(" ");
      return verb === "await" ? untilThere(connection, path) : heed(connection, String(data));
    },
  });
  return {
    url: server.url,
    close: async (how) => {
      await (stuck ? new Promise(() => undefined) : server.close(patient(how)));
      say({ type: "accepted", count: accepted });
    },
  };
});

const workers = await started;
const { urls, ended } = workers;
say({ type: "urls", urls });
// For a test: the metrics as the first process reads them.
process.on("SIGUSR2", () => void workers.metrics().then((found) => say({ type: "metrics", text: found.text() })));
await ended;
say({ type: "over" });
