/** docs/failures.md and the simulation: each row is an event that every campaign must reach, or has a reason and tests elsewhere. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { FAILURES } from "./failures.ts";
import { WANTED } from "./wanted.ts";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

interface Row {
  readonly name: string;
  /** The tests that the document names. */
  readonly tests: readonly string[];
}

/** The rows of all tables, and the sections of errors without a table. */
function rowsOf(document: string): readonly Row[] {
  return document.split(/^##+ /m).flatMap((section) => {
    const [heading = "", ...lines] = section.split("\n");
    // Its rows only lead to rows of other tables.
    if (heading === "Causes of an end") return [];
    const rows = lines.filter((line) => line.startsWith("| ")).slice(1);
    if (rows.length === 0) return /^[A-Z_]+$/.test(heading) ? [{ name: heading, tests: testsIn(section) }] : [];
    return rows.map((row) => {
      const [, first = ""] = row.split(/(?<!\\)\|/);
      return { name: `${heading}: ${first.trim()}`, tests: testsIn(row) };
    });
  });
}

const testsIn = (text: string): readonly string[] =>
  Array.from(text.matchAll(/`(tests\/[^`]+)`/g), ([, path = ""]) => path);

describe("docs/failures.md and the simulation", () => {
  const rows = rowsOf(readFileSync(join(ROOT, "docs/failures.md"), "utf8"));

  it("has a wanted event, or a reason, for each row, and for no other", () => {
    assert.deepEqual(rows.map(({ name }) => name).sort(), Object.keys(FAILURES).sort());
  });

  it("names tests on the real system for each row", () => {
    for (const { name, tests } of rows) {
      assert.ok(tests.length > 0, name);
      for (const path of tests) assert.ok(existsSync(join(ROOT, path)), `${name}: ${path}`);
    }
  });

  it("makes a campaign fail if an event of a row is rare", () => {
    for (const [name, row] of Object.entries(FAILURES))
      for (const event of "wanted" in row ? row.wanted : []) assert.ok(WANTED.includes(event), `${name}: ${event}`);
  });
});
