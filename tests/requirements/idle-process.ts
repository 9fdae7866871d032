/** Keeps one connection open in silence, and counts how often its event loop turns meanwhile. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, connect, listen } from "../../src/index.js";
import { loopTurns } from "../loop-turns.js";
import { SPEECHES } from "./speech.js";

/** What the program has measured in windows of half a second, one after the other. */
export interface Idleness {
  /** Turns of the event loop, that which ends the window included. */
  readonly turns: readonly number[];
  /** Milliseconds of processor time. */
  readonly cpu: readonly number[];
}

const WINDOWS = 3;
const WINDOW = 500;

async function measure(): Promise<Idleness> {
  const turns: number[] = [];
  const cpu: number[] = [];
  for (let window = 0; window < WINDOWS; window += 1) {
    const before = loopTurns();
    const since = process.cpuUsage();
    await sleep(WINDOW);
    const { user, system } = process.cpuUsage(since);
    turns.push(loopTurns() - before);
    cpu.push((user + system) / 1_000);
  }
  return { turns, cpu };
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
