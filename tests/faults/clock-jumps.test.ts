/** Clocks that jump: the wall clock jumps forwards and backwards at run time, and a monotonic clock has run for a month. */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { needed } from "../kit/foreign-programs.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { EchoProcess } from "./echo-process.ts";
import { unable } from "./network.ts";

const HEARTBEAT = { interval: 200, timeout: 60_000 };
const HOUR = 3_600_000;
const MONTH = 30 * 24 * HOUR;

/** Distributions install it in a folder named after the machine type. */
const libraries = (process.platform === "linux" ? readdirSync("/usr/lib") : [])
  .map((folder) => `/usr/lib/${folder}/faketime/libfaketime.so.1`)
  .filter((path) => existsSync(path));
const FAKETIME = { name: "faketime", install: "apt-get install faketime", places: ["faketime"] };

/** Exchanges messages before and after an event, with deadlines that are set before it. */
async function outlive(server: EchoProcess, client: EchoProcess, event: () => void): Promise<void> {
  const urls: string[] = [];
  for (const { url, options, protocol } of WIRE_PROTOCOLS) {
    const beating = { ...options, heartbeat: { ...HEARTBEAT, ...(protocol === "tcp" && { message: "?" }) } };
    const place = await server.tell({ do: "serve", url, options: beating, as: "answer" });
    for (const what of ["count", "read"] as const) {
      await client.tell({ do: "visit", url: place, options: beating, count: 5, to: { do: what } });
    }
    urls.push(place);
  }
  const ms = 1_500;
  const waits = urls.map((url, index) =>
    client.tell({ do: "wait", url, options: { ...WIRE_PROTOCOLS[index]?.options, heartbeat: { interval: null } }, ms }),
  );
  const all = WIRE_PROTOCOLS.length * 11;
  await server.until(({ serving }) => serving === all);
  // The deadlines are set after an answer has arrived.
  await client.report();
  event();
  for (const { took, limit } of await Promise.all(waits)) {
    assert.equal(limit, "readDeadline");
    // Neither at once nor in an hour: the deadline was converted to a length of time when it was set.
    assert.ok(took >= ms - 5, `${took} ms`);
  }
  // Active connections continue. On silent connections one side or the other sends Pings.
  const { given } = await server.report();
  const asked = (await client.report()).pings;
  await server.until((report) => report.given >= given + 100);
  while ((await server.report()).pings + (await client.report()).pings < asked + 20) await pause(20);
  for (const { ends, troubles } of [await server.report(), await client.report()]) {
    // The pending calls have settled.
    assert.deepEqual([ends.filter(({ code }) => code !== 1000), troubles], [[], []]);
  }
}

describe("a clock that jumps", { timeout: 120_000, concurrency: true }, () => {
  for (const [what, shift, ms] of [
    ["an hour back", "-1h", -HOUR],
    ["a day ahead", "+1d", 24 * HOUR],
  ] as const) {
    it(`on the wall, by ${what}: no connection is closed, and no limit expires early or late (bound: none)`, async (t: TestContext) => {
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
        await using server = await EchoProcess.start({ env });
        await using client = await EchoProcess.start({ env });
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
    await using server = await EchoProcess.start({ by });
    await using client = await EchoProcess.start({ by });
    assert.ok((await server.report()).monotonic > MONTH);
    await outlive(server, client, () => undefined);
  });
});
