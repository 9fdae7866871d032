/** The rules for names, labels and texts of the vocabulary. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { END_CAUSES } from "../../src/base/end-causes.ts";
import { METRICS, type MetricFacts } from "../../src/base/vocabulary.ts";
import { boundsOf } from "../../src/engine/metrics/exposition.ts";

const ALL: readonly (readonly [string, MetricFacts])[] = Object.entries(METRICS);

// prometheus.io/docs/practices/naming: base units, and the unit at the end, before `_total`.
const UNITS = ["seconds", "bytes"];
const SCALED = /_(ms|milliseconds|minutes|hours|kb|kilobytes|percent)(_|$)/;

/** The series of a metric if each source has each of its values. `cause` determines `by`. */
function seriesOf({ type, labels, ...facts }: MetricFacts): number {
  const { by: _, ...independent } = labels;
  const sets = Object.values(independent).reduce((product, { length }) => product * Math.max(length, 1), 1);
  return type === "histogram" ? sets * (boundsOf({ type, labels, ...facts }).length + 3) : sets;
}

describe("the vocabulary", () => {
  it("has names as Prometheus' own rules want them", () => {
    for (const [name, { type }] of ALL) {
      assert.match(name, /^holdfast_[a-z]+(_[a-z]+)*$/);
      assert.equal(name.endsWith("_total"), type === "counter", name);
      assert.doesNotMatch(name, SCALED);
      assert.doesNotMatch(name, /_(count|sum|bucket|created)$/, "reserved for histograms and OpenMetrics");
    }
  });

  it("has a unit in the name of each histogram, and its bounds", () => {
    for (const [name, { type, bounds }] of ALL) {
      assert.equal(bounds !== undefined, type === "histogram", name);
      if (type === "histogram")
        assert.ok(
          UNITS.some((unit) => name.endsWith(`_${unit}`)),
          name,
        );
    }
  });

  it("has a help of one line that ends in a full stop, and no label in a metric's name", () => {
    for (const [name, { help, labels }] of ALL) {
      assert.match(help, /^[^\n]+\.$/, name);
      for (const label of Object.keys(labels)) assert.match(label, /^[a-z]+$/);
    }
  });

  it("has no label value twice, and none that is empty", () => {
    for (const [name, { labels }] of ALL) {
      for (const values of Object.values(labels)) {
        assert.equal(new Set(values).size, values.length, name);
        for (const value of values) assert.match(value, /^[\w.-]+$/);
      }
    }
  });

  it("has at most 400 series in a process that uses everything", () => {
    const series = ALL.reduce((sum, [, facts]) => sum + seriesOf(facts), 0);
    assert.ok(series <= 400, `${series} series`);
  });

  it("has a sentence and a side for each cause of an end", () => {
    for (const { by, help } of Object.values(END_CAUSES)) {
      assert.match(help, /^[^\n]+\.$/);
      assert.ok(by === "local" || by === "peer");
    }
  });
});
