/** The memory of a flood under a dropping policy, including garbage that is not collected yet. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS, type Overflow } from "../../../src/index.ts";
import { blocked } from "../../kit/blocked-connection.ts";
import { collectYoung, settledMemory } from "../../kit/memory.ts";

const CONNECTIONS = 16;
const BOUND = CONNECTIONS * DEFAULTS.connection.maxQueuedBytes;
const MESSAGE = 16_384;
/** Messages for each connection: several times the size of its queue. */
const MESSAGES = 512;
const KEYS = 48;

const PAYLOADS: Readonly<Record<string, (count: number) => string | Buffer>> = {
  bytes: (count) => Buffer.alloc(MESSAGE, count),
  texts: (count) => Buffer.alloc(MESSAGE, `${count}, `).toString("latin1"),
};

/** The largest growth of memory while sixteen times the content of the queues was sent. */
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
    // After a minor collection: young garbage is freed. Dropped messages of the old generation are not.
    if (count % 4 > 0) continue;
    collectYoung();
    most = Math.max(most, used());
  }
  for (const { connection } of scenes) connection.terminate();
  return most - before;
}

describe("a flood to peers that do not read", () => {
  for (const overflow of ["drop-oldest", "coalesce"] as const) {
    for (const [what, payload] of Object.entries(PAYLOADS)) {
      it(`of ${what} uses at most one and a half times the limit of the queues, under ${overflow}`, async () => {
        const grown = await growth(overflow, payload);
        assert.ok(grown <= 1.5 * BOUND, `${(grown / BOUND).toFixed(2)} times the bound`);
      });
    }
  }
});
