/** What every peer that runs on Node or Bun has in common: it says where it listens, and ends with whoever started it. */

import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

/** What this peer is to do: echo, broadcast, deflate, idle or flood. */
export const [role = "echo", detail = ""] = (process.argv[2] ?? "echo").split(":");

const pem = (part) => readFileSync(new URL(`../../tests/fixtures/localhost.${part}.pem`, import.meta.url));

/** The TLS options of the server. Undefined if the work is without TLS. */
export const tls = process.env.BENCH_TLS === "1" ? { cert: pem("cert"), key: pem("key") } : undefined;

/** Said by a peer that has no such thing; it is left out of this work. */
export function lacks(what) {
  process.stdout.write(`${JSON.stringify({ lacks: what })}\n`);
  process.exit(0);
}

/** Tells the port and what serves there. From here on "memory" and the names of `commands` on stdin are answered, and its end is ours. */
export function announce(port, version, commands = {}) {
  process.stdout.write(`${JSON.stringify({ port, version })}\n`);
  createInterface({ input: process.stdin })
    .on("line", async (line) => {
      const answer = line === "memory" ? { live: live() } : await commands[line]();
      process.stdout.write(`${JSON.stringify(answer)}\n`);
    })
    .on("close", () => process.exit(0));
}

/** Bytes that are in use when everything that can be freed is: the heap, and what hangs on it outside. */
function live() {
  if (globalThis.Bun !== undefined) {
    // Bun keeps its sockets outside the heap that it counts; the resident memory after a collection stands for both.
    globalThis.Bun.gc(true);
    return null;
  }
  for (let round = 0; round < 3; round++) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return globalThis.gc === undefined ? null : heapUsed + external;
}
