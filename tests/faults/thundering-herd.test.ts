/** Two thousand clients whose server is killed and started again: they come back spread out, and none is turned away. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Party, quietPort } from "./party.js";

const PROCESSES = 4;
const EACH = 500;
const ALL = PROCESSES * EACH;
/** What the first pauses are spread over, in milliseconds: each is a random part of it. */
const WINDOW = 5_000;
const BUCKETS = 10;

const skip = process.platform === "win32" && "Windows has no signals by which a process could be killed";

describe(`${ALL} clients whose server is killed`, { skip, timeout: 180_000 }, () => {
  it("are spread over the window of their pauses, and all are back (bound: no tenth of it has twice its share)", async (t) => {
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    t.diagnostic(`seed ${seed}`);
    const url = `ws://127.0.0.1:${await quietPort()}`;
    // None may be turned away for want of room, and it is what the limit is for.
    const options = { maxConnections: ALL };
    const serving = { do: "serve", url, options, as: "answer" } as const;
    const first = await Party.start();
    const herds: Party[] = [];
    try {
      await first.tell(serving);
      for (let number = 0; number < PROCESSES; number += 1) {
        const herd = await Party.start();
        herds.push(herd);
        const to = { do: "read", comeBack: true, seed: seed + number } as const;
        const patience = { initialPause: WINDOW, openTimeout: 60_000 };
        await herd.tell({ do: "visit", url, options: patience, count: EACH, to });
      }
      await first.until((report) => report.serving === ALL);
      first.signal("SIGKILL");
      await first.gone;
      await using second = await Party.start();
      await second.tell(serving);
      const { accepted, ends, troubles } = await second.until((report) => report.serving === ALL);
      assert.deepEqual([accepted, ends, troubles], [ALL, [], []], "each has come once, and stayed");

      const reports = await Promise.all(herds.map((herd) => herd.report()));
      const comebacks = reports.flatMap(({ guests }) => guests.comebacks);
      assert.deepEqual(
        reports.flatMap(({ guests, troubles }) => [...guests.failures, ...troubles]),
        [],
      );
      assert.equal(comebacks.length, ALL);
      // Of 2,000 by chance, a tenth has 200, give or take 13: twice as many are not by chance.
      const planned = spread(comebacks.map(({ firstPause }) => firstPause));
      assert.ok(Math.max(...planned) <= (2 * ALL) / BUCKETS, `${planned}`);
      // Nobody comes before his time, so that the server sees what was planned.
      const away = comebacks.map(({ lostAt, backAt = Number.NaN }) => backAt - lostAt);
      assert.ok(comebacks.every(({ firstPause }, index) => (away[index] ?? 0) >= firstPause - 5));
      // Those whose pause ended before there was a server again have come once more.
      const again = comebacks.filter(({ attempts }) => attempts > 1).length;
      t.diagnostic(`planned ${planned}; came ${spread(away)}; ${again} had to try again`);
      t.diagnostic(`the last was away for ${Math.max(...away).toFixed(0)} ms`);
    } finally {
      for (const party of [first, ...herds]) await party[Symbol.asyncDispose]();
    }
  });
});

/** How many fall into each tenth of the window; what comes later, into one more. */
function spread(lengths: readonly number[]): number[] {
  const counts = new Array<number>(BUCKETS + 1).fill(0);
  for (const length of lengths) {
    const bucket = Math.min(Math.floor((length / WINDOW) * BUCKETS), BUCKETS);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return counts;
}
