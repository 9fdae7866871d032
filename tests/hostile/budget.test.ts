/** Thousands of connections, each within its own limits, and a heap that is far too small for all of them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect } from "../../src/index.ts";
import { peerFrame } from "../kit/frames.ts";
import { AttackedServer } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
// Opened together, so that the backlog has room.
const AT_ONCE = 100;
// What a connection takes beside its messages, while it opens and ends, is not part of the budget. On Node 22 up to 4.5 KB.
const BESIDE = 8_192;
const SIZE = 200_000;

const key = [1, 2, 3, 4] as const;
const message = peerFrame({ opcode: 2, payload: Buffer.alloc(SIZE), key });
const whole = Buffer.from(message);
const most = whole.subarray(0, 150_000);

const ATTACKS = {
  "messages that do not end": { does: "swallow", bytes: most, reads: true, connections: 10_000 },
  "answers that are not read": { does: "tryEcho", bytes: whole, reads: false, connections: 2_000 },
  "messages that the application does not take": { does: "ignore", bytes: whole, reads: true, connections: 2_000 },
} as const;

describe("many connections at their own limits, and a heap of 128 MiB", LIMIT, () => {
  for (const [what, { does, bytes, reads, connections }] of Object.entries(ATTACKS)) {
    it(`${connections} with ${what}: the process holds at most twice its budget, and serves a client afterwards`, async () => {
      // A client that reads nothing is ended by the budget, and not by a time limit.
      const options = { maxConnections: connections + 1, writeTimeout: 200_000, pauseTimeout: 200_000 };
      await using attacked = await AttackedServer.start({ url: "ws://127.0.0.1:0", does, options });
      const { budget } = await attacked.begin();
      const crowd: Attacker[] = [];
      try {
        while (crowd.length < connections) {
          const opened = await Promise.allSettled(Array.from({ length: AT_ONCE }, () => Attacker.on(attacked.port)));
          for (const one of opened) if (one.status === "fulfilled") crowd.push(one.value);
        }
        for (const { socket } of crowd) {
          socket.on("error", () => undefined);
          if (!reads) socket.pause();
        }
        // Each has sent all, or its connection has ended.
        await Promise.all(crowd.map((one) => one.flood(bytes, 1).catch(() => 0)));
        const during = await attacked.within(2 * budget.limit + connections * BESIDE);
        assert.ok(during.budget.ended > 0);
        assert.ok(during.budget.heldBytes <= 2 * budget.limit);
        for (const { error, limit, code } of during.ends)
          if (limit === "memoryBudget") assert.deepEqual([code, error], [1013, "LimitError"]);
      } finally {
        for (const { socket } of crowd) socket.destroy();
      }
      const after = await attacked.until((report) => report.connections === 0);
      assert.equal(after.budget.heldBytes, 0);
      await using client = await connect(`ws://127.0.0.1:${attacked.port}`);
      await client.send("hello");
    });
  }
});
