/** The conditions of `--expect`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FACTS, judge, parseExpectation } from "../../../src/cli/bench/expectation.ts";
import { sampleResult } from "./sample-result.ts";

describe("a condition", () => {
  it("is a fact, a comparison and a value, whose unit becomes milliseconds", () => {
    const parsed = (text: string): unknown[] => {
      const { fact, comparison, bound } = parseExpectation(text);
      return [fact, comparison, bound];
    };
    assert.deepEqual(parsed("p99<50ms"), ["p99", "<", 50]);
    assert.deepEqual(parsed(" p99.9 <= 1.5 s "), ["p99.9", "<=", 1_500]);
    assert.deepEqual(parsed("last.max<500us"), ["last.max", "<", 0.5]);
    assert.deepEqual(parsed("lost=0"), ["lost", "=", 0]);
    assert.deepEqual(parsed("rate>=9000"), ["rate", ">=", 9_000]);
  });

  const wrong: Record<string, RegExp> = {
    p99: /expected a fact, one of/,
    "p99<50": /expected a time in us, ms or s/,
    "p99<50kg": /expected a time in us, ms or s/,
    "lost=0ms": /expected a number without a unit/,
    "p98<5ms": /expected one of the facts min, mean, p50/,
    "p99=>5ms": /expected a fact, one of/,
    "": /expected a fact/,
  };
  for (const [text, expected] of Object.entries(wrong)) {
    it(`is refused: ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseExpectation(text), { name: "UsageError", message: expected });
    });
  }
});

describe("the verdict", () => {
  const met = (texts: readonly string[], result = sampleResult()): [string, boolean][] =>
    judge(texts.map(parseExpectation), result).map((one) => [one.text, one.met]);

  it("compares each fact with its bound", () => {
    const { latency, rate } = sampleResult();
    assert.ok(latency.p50 !== undefined);
    assert.deepEqual(met([`p50<=${latency.p50}ms`, "p50<1us", "max>1us", `rate>=${rate.received}`, "lost=0"]), [
      [`p50<=${latency.p50}ms`, true],
      ["p50<1us", false],
      ["max>1us", true],
      [`rate>=${rate.received}`, true],
      ["lost=0", true],
    ]);
  });

  it("is not met by a percentile of too few messages, nor by what was not measured", () => {
    assert.deepEqual(met(["p99.99<1s", "memory<5000", "last.p50<1s"]), [
      ["p99.99<1s", false],
      ["memory<5000", false],
      ["last.p50<1s", false],
    ]);
  });

  it("expects that there is no fault, unless a condition says what is allowed", () => {
    const faulty = sampleResult({ lost: 2, reordered: 1 });
    assert.deepEqual(met([], faulty), [
      ["lost=0", false],
      ["reordered=0", false],
    ]);
    assert.deepEqual(met(["lost<5", "reordered<=1"], faulty), [
      ["lost<5", true],
      ["reordered<=1", true],
    ]);
  });

  it("knows each fact of the manual", () => {
    for (const fact of FACTS) {
      const time = /min|mean|max|p\d/.test(fact);
      assert.equal(parseExpectation(`${fact}<1${time ? "ms" : ""}`).fact, fact);
    }
  });
});
