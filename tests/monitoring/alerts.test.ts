/** The alert rules: that they name only what a process exposes, and send their reader to a row that exists. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { alertRules, rulesFile } from "./alerts.ts";
import { namedIn, select, unknownIn } from "./queries.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

/** The anchor of a heading, as pages of Markdown make it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\w\s-]/g, "")
    .replaceAll(" ", "-");

describe("the alert rules", () => {
  it("name only metrics, labels and values that a process exposes", () => {
    for (const { alert, expr } of alertRules()) {
      assert.ok(namedIn(expr).length > 0, alert);
      assert.deepEqual(unknownIn(expr), [], alert);
    }
  });

  it("lead to a row of a table in the documents", () => {
    for (const { annotations } of alertRules()) {
      const [, path = "", anchor, row = ""] = /^([\w./]+)#([\w-]+): (.*)$/.exec(annotations.runbook) ?? [];
      const [, section = ""] =
        read(path)
          .split(/^(?=## )/m)
          .map((text): [string, string] => [anchorOf(text.split("\n")[0]?.replace(/^#+ /, "") ?? ""), text])
          .find(([heading]) => heading === anchor) ?? [];
      assert.ok(section.includes(`\n| ${row} |`), annotations.runbook);
    }
  });

  it("have a section of docs/monitoring.md each", () => {
    for (const { alert } of alertRules()) assert.ok(read("docs/monitoring.md").includes(`\n### ${alert}\n`), alert);
  });

  it("are in a file of the package", () => {
    assert.ok((JSON.parse(read("package.json")) as { files: string[] }).files.includes("monitoring"));
    for (const { alert } of alertRules()) assert.ok(rulesFile().includes(`- alert: ${alert}\n`));
  });
});

describe("a query", () => {
  const wrong: Readonly<Record<string, () => string>> = {
    "a label that the metric does not have": () => select("holdfast_connections", { cause: "reset" }),
    "a value that the label does not have": () => select("holdfast_connections", { state: "close_wait" }),
    "one wrong value among several": () => select("holdfast_connections_closed_total", { cause: ["reset", "fin"] }),
    "a histogram without a suffix": () => select("holdfast_ping_rtt_seconds"),
    "a bucket of a counter": () => select("holdfast_writes_total_bucket"),
  };
  for (const [what, build] of Object.entries(wrong)) {
    it(`cannot be built with ${what}`, () => assert.throws(build, RangeError));
  }

  it("is found to name what does not exist", () => {
    assert.deepEqual(unknownIn('rate(holdfast_nothing_total{role="server"}[1m])'), [
      "there is no series holdfast_nothing_total",
    ]);
    assert.deepEqual(unknownIn('holdfast_connections{state=~"open|shut",job="any"} / holdfast_ping_rtt_seconds'), [
      "holdfast_connections has no state shut",
      "there is no series holdfast_ping_rtt_seconds",
    ]);
    assert.deepEqual(unknownIn('holdfast_connections{color="red"}'), ["holdfast_connections has no color red"]);
  });
});
