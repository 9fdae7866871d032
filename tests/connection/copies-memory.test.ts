/** What a flood that drops what waits takes in memory, with what the collector has not come to yet. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Overflow } from "../../src/index.js";
import { settledMemory, youngGone } from "../memory.js";
import { blocked } from "./blocked.js";

const CONNECTIONS = 16;
const BOUND = CONNECTIONS * 1_048_576;
const MESSAGE = 16_384;
/** Messages for each connection: its queue several times over. */
const MESSAGES = 512;
const KEYS = 48;

const PAYLOADS: Readonly<Record<string, (count: number) => string | Buffer>> = {
  bytes: (count) => Buffer.alloc(MESSAGE, count),
  texts: (count) => Buffer.alloc(MESSAGE, `${count}, `).toString("latin1"),
};

/** The most that memory grew by while as many messages were sent as the queues hold sixteen times. */
async function growth(overflow: Overflow, payload: (count: number) => string | Buffer): Promise<number> {
  const scenes = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => blocked({ overflow, writeTimeout: Infinity })),
  );
  const used = (): number => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = await settledMemory(used);
  let most = 0;
  for (let count = 0; count < MESSAGES; count += 1) {
    for (const { connection } of scenes) connection.trySend(payload(count), { key: `${count % KEYS}` });
    // What dies young is gone now, and what was dropped when it was old is not.
    if (count % 4 > 0) continue;
    youngGone();
    most = Math.max(most, used());
  }
  for (const { connection } of scenes) connection.terminate();
  return most - before;
}

describe("a flood to peers that do not read", () => {
  for (const overflow of ["drop-oldest", "coalesce"] as const) {
    for (const [what, payload] of Object.entries(PAYLOADS)) {
      it(`of ${what} takes no more than half as much again as the queues may hold, under ${overflow}`, async () => {
        const grown = await growth(overflow, payload);
        assert.ok(grown <= 1.5 * BOUND, `${(grown / BOUND).toFixed(2)} times the bound`);
      });
    }
  }
});
