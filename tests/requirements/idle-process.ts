/** Keeps one connection open without traffic, and counts the turns of its event loop. */

import { setTimeout as sleep } from "node:timers/promises";
import { type Connection, connect, listen } from "../../src/index.ts";
import { loopTurns } from "../kit/loop-turns.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

/** Measurements in consecutive windows of half a second. */
export interface Idleness {
  /** Turns of the event loop, with the one that ends the window. */
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
const { url, options } = WIRE_PROTOCOLS.find((wire) => wire.protocol === protocol)!;
let opened!: (connection: Connection) => void;
const open = new Promise<Connection>((resolve) => {
  opened = resolve;
});
const server = address === undefined ? await listen(url, { ...options, open: (one) => opened(one) }) : undefined;
if (server === undefined) opened(await connect(address!, options));
else console.log(server.url);
const connection = await open;
// A pending read, as in any idle program.
const reading = connection.receive().catch(() => undefined);
console.log(JSON.stringify(await measure()));
await connection.close();
await reading;
await server?.close();
