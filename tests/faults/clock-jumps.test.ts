/** Clocks that jump: the wall's, forwards and backwards while everything runs, and a monotonic one that has run for a month. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { needed } from "../programs.js";
import { SPEECHES } from "../requirements/speech.js";
import { unable } from "./network.js";
import { Party } from "./party.js";

const HEARTBEAT = { interval: 200, timeout: 60_000 };
const HOUR = 3_600_000;
const MONTH = 30 * 24 * HOUR;

/** Where distributions put it: beside a name of the machine's kind. */
const libraries = (process.platform === "linux" ? readdirSync("/usr/lib") : [])
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketime.so.1`)
  .filter((path) => existsSync(path));
const FAKETIME = { name: "faketime", install: "apt-get install faketime", places: ["faketime"] };

/** Talks for a while on both sides of an event, with deadlines that are set before it. */
async function outlive(server: Party, client: Party, event: () => void): Promise<void> {
  const urls: string[] = [];
  for (const { url, options, protocol } of SPEECHES) {
    const beating = { ...options, heartbeat: { ...HEARTBEAT, ...(protocol === "tcp" && { message: "?" }) } };
    const place = await server.tell({ do: "serve", url, options: beating, as: "answer" });
    for (const what of ["count", "read"] as const) {
      await client.tell({ do: "visit", url: place, options: beating, count: 5, to: { do: what } });
    }
    urls.push(place);
  }
  const ms = 1_500;
  const waits = urls.map((url, index) =>
    client.tell({ do: "wait", url, options: { ...SPEECHES[index]?.options, heartbeat: { interval: null } }, ms }),
  );
  const all = SPEECHES.length * 11;
  await server.until(({ serving }) => serving === all);
  // An answer behind which their deadlines are set.
  await client.report();
  event();
  for (const { took, limit } of await Promise.all(waits)) {
    assert.equal(limit, "readDeadline");
    // Not at once, nor in an hour: it was a length of time from when it was set.
    assert.ok(took >= ms - 5, `${took} ms`);
  }
  // Those who talk go on, and those who are silent are asked, by one side or the other.
  const { given } = await server.report();
  const asked = (await client.report()).pings;
  await server.until((report) => report.given >= given + 100);
  while ((await server.report()).pings + (await client.report()).pings < asked + 20) await pause(20);
  for (const { ends, troubles } of [await server.report(), await client.report()]) {
    // Those that have waited are through.
    assert.deepEqual([ends.filter(({ code }) => code !== 1000), troubles], [[], []]);
  }
}

describe("a clock that jumps", { timeout: 120_000, concurrency: true }, () => {
  for (const [what, shift, ms] of [
    ["an hour back", "-1h", -HOUR],
    ["a day ahead", "+1d", 24 * HOUR],
  ] as const) {
    it(`on the wall, by ${what}: nobody is cut off, and no limit comes early or late (bound: none)`, async (t: TestContext) => {
      if (needed(t, FAKETIME) === undefined) return;
      const folder = mkdtempSync(join(tmpdir(), "holdfast-clock-"));
      const file = join(folder, "shift");
      const show = (shift: string): void => writeFileSync(file, `${shift}\n`);
      show("+0");
      const env = {
        LD_PRELOAD: libraries[0],
        FAKETIME_TIMESTAMP_FILE: file,
        ...{ FAKETIME_NO_CACHE: "1", FAKETIME_DONT_FAKE_MONOTONIC: "1" },
      };
      try {
        await using server = await Party.start({ env });
        await using client = await Party.start({ env });
        await outlive(server, client, () => show(shift));
        for (const { wall } of [await server.report(), await client.report()]) {
          assert.ok(Math.abs(wall - Date.now() - ms) < HOUR / 2, "the clock has jumped");
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    });
  }

  it("and a system that has run for 30 days, more than 2^31 ms: no timer overflows (bound: none)", {
    skip: unable(),
  }, async () => {
    const by = ["unshare", "-T", "--monotonic", `${MONTH / 1_000}`, "--boottime", `${MONTH / 1_000}`, "--fork"];
    await using server = await Party.start({ by });
    await using client = await Party.start({ by });
    assert.ok((await server.report()).monotonic > MONTH);
    await outlive(server, client, () => undefined);
  });
});
