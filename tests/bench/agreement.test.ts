/** The comparison of `holdfast bench` with the generator in C: that it runs, and records every figure. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { ChildProgram } from "../kit/child-process.ts";
import { CC, needed } from "../kit/foreign-programs.ts";

const AGREEMENT = fileURLToPath(new URL("../../../bench/agreement.mjs", import.meta.url));

const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
after(() => rmSync(folder, { recursive: true }));

interface Latency {
  readonly p50: number;
  readonly p99: number;
}

interface Agreement {
  readonly rate: number;
  readonly ratios: Readonly<Record<string, { readonly median: number; readonly least: number; readonly most: number }>>;
  readonly quietest: Readonly<Record<string, { readonly c: number; readonly bench: number; readonly ratio: number }>>;
  readonly pairs: readonly { readonly c: Latency; readonly bench: Latency }[];
}

describe("bench/agreement.mjs", { skip: process.platform !== "linux" && "measures with epoll" }, () => {
  it("measures the same rate with both generators, and compares the percentiles of each pair", async (t) => {
    if (needed(t, CC) === undefined) return;
    const out = join(folder, "agreement.json");
    // Enough messages for p99, and few enough for a busy machine.
    const flags = ["--rate", "2000", "--connections", "2", "--seconds", "0.6", "--warmup", "0.2", "--runs", "2"];
    const { status, stdout, stderr } = await ChildProgram.run(AGREEMENT, [...flags, "--out", out], { stderr: "kept" });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^p50: ratio [\d.]+ \([\d.]+ to [\d.]+\); least of all runs [\d.]+ us and [\d.]+ us in C/);
    const { rate, ratios, quietest, pairs } = JSON.parse(readFileSync(out, "utf8")) as Agreement;
    assert.equal(rate, 2_000);
    assert.equal(pairs.length, 2);
    for (const { c, bench } of pairs) {
      for (const { p50, p99 } of [c, bench]) assert.ok(p50 > 0 && p99 >= p50, JSON.stringify(pairs));
    }
    for (const name of ["p50", "p99"] as const) {
      const each = pairs.map(({ c, bench }) => bench[name] / c[name]);
      assert.deepEqual([ratios[name]?.least, ratios[name]?.most], [Math.min(...each), Math.max(...each)]);
      assert.equal(quietest[name]?.bench, Math.min(...pairs.map(({ bench }) => bench[name])));
    }
  });
});
