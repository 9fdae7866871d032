/** Two thousand clients whose server is killed and restarted: their attempts are spread over time, and all reconnect. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { EchoProcess, quietPort } from "./echo-process.ts";

const PROCESSES = 4;
const EACH = 500;
const ALL = PROCESSES * EACH;
/** The window of the first pauses in milliseconds. Each pause is a random part of it. */
const WINDOW = 5_000;
const BUCKETS = 10;

const skip = process.platform === "win32" && "Windows has no signals by which a process could be killed";

describe(`${ALL} clients whose server is killed`, { skip, timeout: 180_000 }, () => {
  it("are spread over the window of their pauses, and all reconnect (bound: no tenth of it has twice its share)", async (t) => {
    const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 32));
    t.diagnostic(`seed ${seed}`);
    const url = `ws://127.0.0.1:${await quietPort()}`;
    // No client may be refused because of `maxConnections`, which is not tested here.
    const options = { maxConnections: ALL };
    const serving = { do: "serve", url, options, as: "answer" } as const;
    const first = await EchoProcess.start();
    const herds: EchoProcess[] = [];
    try {
      await first.tell(serving);
      for (let number = 0; number < PROCESSES; number += 1) {
        const herd = await EchoProcess.start();
        herds.push(herd);
        const to = { do: "read", comeBack: true, seed: seed + number } as const;
        const patience = { initialPause: WINDOW, openTimeout: 60_000 };
        await herd.tell({ do: "visit", url, options: patience, count: EACH, to });
      }
      await first.until((report) => report.serving === ALL);
      first.signal("SIGKILL");
      await first.gone;
      await using second = await EchoProcess.start();
      await second.tell(serving);
      const { accepted, ends, troubles } = await second.until((report) => report.serving === ALL);
      assert.deepEqual([accepted, ends, troubles], [ALL, [], []], "each has come once, and stayed");

      const reports = await Promise.all(herds.map((herd) => herd.report()));
      const comebacks = reports.flatMap(({ clients }) => clients.comebacks);
      assert.deepEqual(
        reports.flatMap(({ clients, troubles }) => [...clients.failures, ...troubles]),
        [],
      );
      assert.equal(comebacks.length, ALL);
      // Of 2,000 at random, a tenth of the window has 200 with a deviation of 13. Twice as many are not random.
      const planned = spread(comebacks.map(({ firstPause }) => firstPause));
      assert.ok(Math.max(...planned) <= (2 * ALL) / BUCKETS, `${planned}`);
      // No attempt is made before the end of its pause, so that the server sees the planned times.
      const away = comebacks.map(({ lostAt, backAt = Number.NaN }) => backAt - lostAt);
      assert.ok(comebacks.every(({ firstPause }, index) => (away[index] ?? 0) >= firstPause - 5));
      // Clients whose pause ended before the server listened made one more attempt.
      const again = comebacks.filter(({ attempts }) => attempts > 1).length;
      t.diagnostic(`planned ${planned}; came ${spread(away)}; ${again} had to try again`);
      t.diagnostic(`the last was away for ${Math.max(...away).toFixed(0)} ms`);
    } finally {
      for (const child of [first, ...herds]) await child[Symbol.asyncDispose]();
    }
  });
});

/** The number of attempts in each tenth of the window, and of later ones as one more number. */
function spread(lengths: readonly number[]): number[] {
  const counts = new Array<number>(BUCKETS + 1).fill(0);
  for (const length of lengths) {
    const bucket = Math.min(Math.floor((length / WINDOW) * BUCKETS), BUCKETS);
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }
  return counts;
}
