/** The result of a run, joined from its processes, and the reports that are made from it. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { compare, comparisonText, readResult } from "../../../src/cli/bench/comparison.ts";
import { hgrmOf } from "../../../src/cli/bench/hgrm.ts";
import { Measurement } from "../../../src/cli/bench/measurement.ts";
import { hasEnough, histogramOf, resultOf, summaryOf } from "../../../src/cli/bench/result.ts";
import { textReport } from "../../../src/cli/bench/text-report.ts";
import { plain } from "../../../src/cli/terminal.ts";
import { Histogram } from "../../../src/engine/histogram.ts";
import { SAMPLE_PLAN, sampleResult } from "./sample-result.ts";

const near = (actual: number | undefined, expected: number, share = 0.02): void =>
  assert.ok(
    actual !== undefined && Math.abs(actual - expected) <= share * expected,
    `${actual} is not near ${expected}`,
  );

describe("a summary", () => {
  it("leaves a percentile out if fewer than ten values are above it", () => {
    assert.deepEqual(
      [9_999, 10_000].map((count) => hasEnough(count, 99.9)),
      [false, true],
    );
    assert.deepEqual(
      [99_999, 100_000].map((count) => hasEnough(count, 99.99)),
      [false, true],
    );
    assert.deepEqual(
      [999, 1_000].map((count) => hasEnough(count, 99)),
      [false, true],
    );
    assert.deepEqual(
      [19, 20].map((count) => hasEnough(count, 50)),
      [false, true],
    );
    const few = new Histogram(6);
    for (let value = 1; value <= 50; value++) few.record(value);
    assert.deepEqual(Object.keys(summaryOf(few)), ["count", "min", "mean", "p50", "max"]);
    assert.deepEqual(summaryOf(new Histogram(6)), { count: 0 });
  });
});

describe("a measurement", () => {
  it("counts what happens in the measured time, and measures what was scheduled in it", () => {
    const measurement = new Measurement({ warmup: 100, duration: 1_000, progress: false });
    measurement.sent(50, 50);
    measurement.received(50, 60);
    // Sent in it, and answered behind it.
    measurement.sent(1_000, 1_002.5);
    measurement.received(1_000, 5_000);
    // Scheduled for the time behind it.
    measurement.sent(1_100, 1_100);
    measurement.received(1_100, 1_101);
    const { counts, latency, sentIn, receivedIn } = measurement.result();
    assert.deepEqual([counts.sent, counts.received, counts.late], [1, 0, 1]);
    const measured = latency.flatMap((data) => data ?? []);
    assert.deepEqual(
      measured.map(({ sum }) => sum),
      [4_000],
    );
    assert.equal(
      latency.findIndex((data) => data !== undefined),
      90,
    );
    assert.equal(sentIn[90], 1);
    assert.equal(
      receivedIn.reduce((sum, one) => sum + one),
      0,
    );
  });

  it("remembers a bounded number of reasons", () => {
    const measurement = new Measurement({ warmup: 0, duration: 1_000, progress: false });
    for (let at = 0; at < 100; at++) measurement.because(`reason ${at}`);
    const { reasons } = measurement.result();
    assert.equal(Object.keys(reasons).length, 21);
    assert.equal(reasons["other reasons"], 80);
  });
});

describe("a result", () => {
  it("joins all processes: rates, percentiles, counts, and a figure for each part of the time", () => {
    const result = sampleResult({ lost: 3 });
    assert.equal(result.loop, "open");
    assert.deepEqual(result.rate, { scheduled: 1_000, sent: 1_000, received: result.counts.received / 10 });
    assert.equal(result.latency.count, 10_000);
    near(result.latency.p50, 1);
    near(result.latency["p99.9"], 91, 0.05);
    assert.equal(result.latency["p99.99"], undefined);
    assert.equal(result.counts.lost, 3);
    assert.equal(result.rounds.length, 5);
    for (const { latency } of result.rounds) assert.equal(latency.count, 2_000);
    assert.deepEqual(result.series.sent, new Array(100).fill(100));
    assert.equal(result.series.interval, 100);
    // One of a hundred messages of a part is slow: later parts have slower ones.
    near(result.series.max[0] ?? 0, 10);
    near(result.series.max[99] ?? 0, 99.1);
    assert.deepEqual(JSON.parse(JSON.stringify(result)), result, "a file holds all of it");
  });

  it("has the rate of the time until it was stopped", () => {
    const measurement = new Measurement(SAMPLE_PLAN);
    for (let number = 0; number < 2_500; number++) measurement.sent(1_000 + number, 1_000 + number);
    const measured = { results: [measurement.result()], last: undefined, duration: 2_500, startedAt: new Date(0) };
    const result = resultOf(SAMPLE_PLAN, measured, null);
    assert.equal(result.rate.sent, 1_000);
    assert.equal(result.series.sent.length, 25);
    assert.equal(result.duration, 2_500);
  });
});

describe("the text of a result", () => {
  it("has the load, the rates, the percentiles, the histogram and the checks", () => {
    const text = textReport(sampleResult(), [], plain);
    assert.match(text, /^echo {2}ws:\/\/127\.0\.0\.1:9000\/echo\n {2}10 connections, 2 processes, 64-byte messages, /);
    assert.match(text, /open loop of 1,000\/s, 10\.0 s\n/);
    assert.match(text, /rate {7}1,000\/s scheduled, 1,000\/s sent, 1,000\/s received\n/);
    assert.match(text, /p50 +1\.0\d ms\n/);
    assert.match(text, /p99\.9 +9\d\.\d ms\n/);
    assert.match(text, /p99\.99: 10,000 values are too few\n/);
    assert.match(text, /checked {4}0 lost, 0 out of order, 0 duplicated, 0 changed\n {13}0 connections ended\n/);
    assert.doesNotMatch(text, /closed/);
    for (const line of text.split("\n")) assert.ok(line.length < 80, line);
    const shares = Array.from(text.matchAll(/up to .* ([\d.]+) %/g), ([, share]) => Number(share));
    near(
      shares.reduce((sum, one) => sum + one, 0),
      100,
      0.001,
    );
  });

  it("calls the closed loop by its name, and says what its percentiles do not show", () => {
    const text = textReport(sampleResult({}, { ...SAMPLE_PLAN, rate: undefined }), [], plain);
    assert.match(text, /closed loop, 10\.0 s\n/);
    assert.match(text.replace(/\s+/g, " "), /high percentiles are too low\. Use --rate/);
  });

  it("has the verdict on each condition, and no control character of the server", () => {
    const verdicts = [
      { text: "p99<50ms", met: false, value: 60, time: true },
      { text: "lost=0", met: true, value: 0, time: false },
    ];
    const result = { ...sampleResult(), reasons: { "closed\u001b[31m": 2 } };
    const text = textReport(result, verdicts, plain);
    assert.match(text, /expected {3}p99<50ms: not met \(60\.0 ms\)\n {13}lost=0: met \(0\)\n/);
    assert.match(text, /2: closed\\x1b\[31m\n/);
  });
});

describe("the percentiles in the format of HdrHistogram", () => {
  it("are rows of value, percentile, count and the inverse of the rest, in ascending order, with the summary behind them", () => {
    const text = hgrmOf(histogramOf(sampleResult().histogram));
    const lines = text.split("\n");
    assert.match(lines[0] ?? "", /^ +Value +Percentile +TotalCount 1\/\(1-Percentile\)$/);
    const rows = lines.slice(2).filter((line) => line !== "" && !line.startsWith("#"));
    const numbers = rows.map((row) => row.trim().split(/\s+/).map(Number));
    for (const [at, row] of numbers.entries()) {
      const last = at === numbers.length - 1;
      assert.equal(row.length, last ? 3 : 4, rows[at]);
      const [value = 0, fraction = 0, count = 0, inverse] = row;
      const [before = 0, , counted = 0] = numbers[at - 1] ?? [];
      assert.ok(value >= before && count >= counted, rows[at]);
      if (inverse !== undefined) near(inverse, 1 / (1 - fraction), 0.01);
    }
    assert.deepEqual(numbers.at(-1)?.slice(1), [1, 10_000]);
    assert.match(
      text,
      /#\[Mean {4}= +\d+\.\d+, StdDeviation {3}= +\d+\.\d+\]\n#\[Max {5}= +\d+\.\d+, Total count {4}= +10000\]\n#\[Buckets = /,
    );
  });

  it("are empty for a run without messages", () => {
    assert.match(hgrmOf(new Histogram(6)), /Total count {4}= +0\]/);
  });
});

describe("a comparison", () => {
  const verdicts = (scale: number, rate: number | undefined): Record<string, string> => {
    const plan = { ...SAMPLE_PLAN, rate };
    const figures = compare(sampleResult({}, plan), sampleResult({}, plan, scale));
    return Object.fromEntries(figures.map(({ name, difference }) => [name, difference]));
  };

  it("tells a difference by the rounds: all of one run on the same side of all of the other", () => {
    assert.deepEqual(verdicts(1, 1_000), { p50: "noise", p90: "noise", p99: "noise" });
    assert.deepEqual(verdicts(2, 1_000), { p50: "worse", p90: "worse", p99: "worse" });
    assert.deepEqual(verdicts(0.5, 1_000), { p50: "better", p90: "better", p99: "better" });
  });

  it("has the ratio of the medians, and the rate only in the closed loop", () => {
    const plan = { ...SAMPLE_PLAN, rate: undefined };
    const figures = compare(sampleResult({}, plan), sampleResult({}, plan, 2));
    near(figures.find(({ name }) => name === "p50")?.ratio, 2);
    near(figures.find(({ name }) => name === "rate")?.ratio, 1);
    assert.match(comparisonText(figures, plain), /p50 +1\.0\d ms -> +2\.0\d ms {3}x 2\.0\d +worse\n/);
  });

  it("is refused for runs that do not measure the same", () => {
    const other = { ...SAMPLE_PLAN, connections: 20 };
    assert.throws(() => compare(sampleResult(), sampleResult({}, other)), {
      name: "UsageError",
      message: /connections 10/,
    });
    const faster = { ...SAMPLE_PLAN, rate: 2_000 };
    assert.throws(() => compare(sampleResult(), sampleResult({}, faster)), {
      name: "UsageError",
      message: /the rate 1000/,
    });
  });

  it("reads what --json has printed, and refuses another file", () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      const path = join(folder, "base.json");
      writeFileSync(path, JSON.stringify(sampleResult()));
      assert.deepEqual(readResult(path), sampleResult());
      writeFileSync(path, "{}");
      assert.throws(() => readResult(path), {
        name: "UsageError",
        message: /expected a result of holdfast bench --json/,
      });
      writeFileSync(path, "{");
      assert.throws(() => readResult(path), { name: "UsageError" });
      assert.throws(() => readResult(join(folder, "none")), { name: "UsageError", message: /ENOENT/ });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
