/** That `holdfast bench` shows a stall as it is: against a real server that stalls for one second in each ten. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { BenchResult } from "../../../src/cli/bench/result.ts";
import { ChildProgram } from "../../kit/child-process.ts";
import { ServeProcess } from "../../kit/serve-process.ts";
import { PERIOD, STALL, stalledPercentile } from "./stalls.ts";

const STALLING = fileURLToPath(new URL("stalling-server.js", import.meta.url));

async function result(url: string, ...flags: readonly string[]): Promise<BenchResult> {
  const line = ["bench", url, "--duration", `${PERIOD}ms`, "--warmup", "500ms", "--pace", "timer", "--json"];
  await using process = new ServeProcess([...line, ...flags]);
  const { status, stdout, stderr } = await process.exit;
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout) as BenchResult;
}

describe("holdfast bench, against a server that stalls for one second in ten", {
  timeout: 120_000,
}, () => {
  it("measures the 99th percentile that arithmetic gives, in the open loop", async () => {
    await using server = new ChildProgram(STALLING);
    const { latency } = await result(await server.line(), "--rate", "1000");
    assert.equal(latency.count, PERIOD);
    // A busy machine makes the stall longer: for all messages alike, so the slowest one shows by how much.
    const { max = 0, p99 = Number.NaN } = latency;
    assert.ok(max >= 0.95 * STALL, `the slowest message took ${max} ms`);
    const [value, expected] = [p99, stalledPercentile(99, max)];
    assert.ok(Math.abs(value - expected) <= 0.05 * expected, `p99 is ${value} ms, and not ${expected} ms`);
  });

  it("does not show it in the closed loop, which is why that one has a warning", async () => {
    await using server = new ChildProgram(STALLING);
    const { latency, loop } = await result(await server.line());
    assert.equal(loop, "closed");
    assert.ok((latency.max ?? 0) > 900 && (latency.p99 ?? 0) < 100, JSON.stringify(latency));
  });
});
