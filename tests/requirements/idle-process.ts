/** Keeps one connection open in silence, and measures what share of a processor that takes. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, connect, listen } from "../../src/index.js";
import { SPEECHES } from "./speech.js";

const WINDOWS = 3;
const WINDOW = 500;

/** Shares of one processor, user and system time together. */
async function measure(): Promise<number[]> {
  const shares: number[] = [];
  for (let window = 0; window < WINDOWS; window += 1) {
    const since = performance.now();
    const before = process.cpuUsage();
    await sleep(WINDOW);
    const { user, system } = process.cpuUsage(before);
    shares.push((user + system) / 1_000 / (performance.now() - since));
  }
  return shares;
}

const [protocol, address] = process.argv.slice(2);
const { url, options } = SPEECHES.find((speech) => speech.protocol === protocol)!;
let opened!: (connection: Connection) => void;
const open = new Promise<Connection>((resolve) => {
  opened = resolve;
});
const server = address === undefined ? await listen(url, { ...options, open: (one) => opened(one) }) : undefined;
if (server === undefined) opened(await connect(address!, options));
else console.log(server.url);
const connection = await open;
// A reader that waits, as in any program that has nothing to do.
const reading = connection.receive().catch(() => undefined);
console.log(JSON.stringify(await measure()));
await connection.close();
await reading;
await server?.close();
