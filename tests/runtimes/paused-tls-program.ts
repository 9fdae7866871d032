/** A TLS server that does not read. Prints its address, and then the share of processor time that it uses, every 300 ms. */

import { readFileSync } from "node:fs";
import { listen } from "../../src/index.ts";

const [, , key = "", cert = ""] = process.argv;
const server = await listen(
  "tls://127.0.0.1:0",
  { tls: { key: readFileSync(key), cert: readFileSync(cert) }, framing: "lines", maxInboxMessages: 2 },
  () => new Promise(() => undefined),
);
console.log(server.url);

let before = { at: performance.now(), used: process.cpuUsage() };
setInterval(() => {
  const { user, system } = process.cpuUsage(before.used);
  const now = performance.now();
  console.log((user + system) / 1_000 / (now - before.at));
  before = { at: now, used: process.cpuUsage() };
}, 300);
