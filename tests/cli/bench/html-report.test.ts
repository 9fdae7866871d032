/** The report of `holdfast bench` as a page: complete in itself, and with texts of a server as texts. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { htmlReport } from "../../../src/cli/bench/html-report.ts";
import { sampleResult } from "./sample-result.ts";

/** The data of a page. */
function dataOf(page: string): {
  readonly result: unknown;
  readonly percentiles: number[][];
  readonly buckets: number[][];
} {
  return JSON.parse(/<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)?.[1] ?? "");
}

describe("the page of a result", () => {
  it("has the result, the curve of percentiles and the distribution", () => {
    const result = sampleResult();
    const { result: held, percentiles, buckets } = dataOf(htmlReport(result, []));
    assert.deepEqual(held, result);
    for (const [index, [percent = 0, latency = 0]] of percentiles.entries()) {
      const [before = -1, faster = 0] = percentiles[index - 1] ?? [];
      assert.ok(percent > before && latency >= faster);
    }
    // With 10,000 messages, p99.9 is the last percentile that has ten above it.
    assert.ok(Math.abs((percentiles.at(-1)?.[0] ?? 0) - 99.9) < 0.02);
    const shares = buckets.reduce((sum, [, share = 0]) => sum + share, 0);
    assert.ok(Math.abs(shares - 100) < 1e-6);
  });

  it("runs its own scripts only: its policy has the hash of each, and it loads nothing", () => {
    const page = htmlReport(sampleResult(), []);
    const [, policy = ""] = /http-equiv="Content-Security-Policy"\s+content="([^"]*)"/.exec(page) ?? [];
    const hashes = Array.from(policy.matchAll(/'sha256-[^']+'/g), ([hash]) => hash).sort();
    const elements = page.matchAll(/<(script|style)>([\s\S]*?)<\/\1>/g);
    const own = Array.from(elements, ([, , content = ""]) => {
      return `'sha256-${createHash("sha256").update(content).digest("base64")}'`;
    });
    assert.equal(own.length, 4);
    assert.deepEqual(own.sort(), hashes);
    assert.match(policy, /^default-src 'none'; /);
    assert.match(policy, /require-trusted-types-for 'script'/);
    assert.doesNotMatch(policy, /unsafe|https?:|\*/);
    assert.doesNotMatch(page.replace(/<script>[\s\S]*?<\/script>/g, ""), /\b(src|href)=/);
  });

  it("has the licence of the library of the charts", () => {
    assert.match(htmlReport(sampleResult(), []), /<!-- The MIT License \(MIT\)\s+Copyright \(c\) \d+ Leon Sorokin/);
  });

  it("cannot be changed by a text of a server", () => {
    const reasons = { "</script><script>alert(1)</script>": 1, "$& $' $`": 1, "<!--": 1 };
    const page = htmlReport({ ...sampleResult(), reasons }, []);
    assert.equal(page.includes("alert(1)</script>"), false);
    assert.equal(page.match(/<script/g)?.length, htmlReport(sampleResult(), []).match(/<script/g)?.length);
    assert.deepEqual((dataOf(page).result as { readonly reasons: object }).reasons, reasons);
  });
});
