/** What counting and looking cost by their parts, in one process: figures that a busy machine does not change much. */

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { ready, root } from "../tools/ready.mjs";

const ROUNDS = 40;
const CALLS = 100_000;
const CONNECTIONS = 1_000;
/** Nanoseconds with which the parts are compared: an echo of 64 B takes more processor time, see `cpu` of results/echo-1000.json. */
const MESSAGE = 8_000;
const INTERVAL = 5_000;

await ready();
const built = (path) => import(new URL(`../dist/${path}`, import.meta.url));
const { Counters } = await built("connection/counters.js");
const { countMessage, countReceived, countSent, countWrite } = await built("connection/counting.js");
const { groupCounters } = await built("connection/group-counters.js");
const { scheduledAt, workTime } = await built("transport/end-of-turn.js");
const { connect, listen, metrics } = await built("index.js");

/** The least nanoseconds of a call, of many rounds: what else the machine does can only add to it. */
function least(call) {
  let found = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    for (let index = 0; index < CALLS; index++) call(index);
    found = Math.min(found, ((performance.now() - began) / CALLS) * 1e6);
  }
  return found;
}

const connection = { options: { counters: new Counters("server", "websocket") }, tally: undefined };
const bytes = new Uint8Array(70);
const message = least(() => {
  countReceived(connection, bytes);
  countMessage(connection);
  countWrite(connection, bytes);
  countSent(connection, 1);
});
const burst = least((index) => {
  groupCounters.sends += 1;
  groupCounters.deliveries += 1;
  scheduledAt();
  workTime();
  groupCounters.burstWritten((index & 1_023) / 100);
});

const server = await listen("ws://127.0.0.1:0", {
  maxConnections: CONNECTIONS,
  message: (one, data) => void one.trySend(data),
});
const clients = [];
for (let opened = 0; opened < CONNECTIONS; opened++) clients.push(await connect(server.url));
const measured = metrics(server);
const scrapes = Array.from({ length: 200 }, () => {
  const began = performance.now();
  measured.text();
  return performance.now() - began;
}).sort((one, other) => one - other);
const scrape = scrapes[Math.floor(scrapes.length / 2)];
for (const client of clients) client.terminate();
await server.close({ drain: 0 });

const parts = {
  node: process.versions.node,
  date: new Date().toISOString().slice(0, 10),
  message: { nanoseconds: message, share: message / MESSAGE },
  burst: { nanoseconds: burst, share: burst / MESSAGE },
  scrape: { milliseconds: scrape, connections: CONNECTIONS, share: scrape / INTERVAL },
};
const path = resolve(root, "bench/results/watching.json");
mkdirSync(dirname(path), { recursive: true });
let known = {};
try {
  known = JSON.parse(readFileSync(path, "utf8"));
} catch {
  // The first result.
}
writeFileSync(path, `${JSON.stringify({ ...known, parts }, null, 2)}\n`);
for (const [name, value] of Object.entries(parts)) process.stdout.write(`${name}: ${JSON.stringify(value)}\n`);
