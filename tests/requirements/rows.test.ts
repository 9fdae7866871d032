/** Checks the table of requirements: the tests that it names exist, and every test with an id of a requirement is in it. */

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { assertTestsExist } from "../kit/named-tests.ts";
import { REQUIREMENTS } from "./rows.ts";

const TESTS = new URL("../../../tests/", import.meta.url);
const TITLE = /\b(?:describe|it|test)(?:\.\w+)?\(\s*(?:"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`)/g;
const ID = /\bS[0-5]-\d+\b/g;

/** The test files without their suffix, and the ids in the titles of their tests. */
function idsByFile(): ReadonlyMap<string, ReadonlySet<string>> {
  const paths = readdirSync(TESTS, { recursive: true, encoding: "utf8" }).map((path) => path.replaceAll("\\", "/"));
  return new Map(
    paths
      .filter((path) => path.endsWith(".test.ts") && path !== "requirements/rows.test.ts")
      .map((path) => {
        const titles = readFileSync(new URL(path, TESTS), "utf8").match(TITLE) ?? [];
        return [path.slice(0, -".test.ts".length), new Set(titles.flatMap((title) => title.match(ID) ?? []))];
      }),
  );
}

describe("the table of requirements", () => {
  it("has each row of S0 to S5 once, in order", () => {
    const counts = [12, 11, 11, 20, 15, 12];
    const ids = counts.flatMap((count, part) => Array.from({ length: count }, (_, index) => `S${part}-${index + 1}`));
    assert.deepEqual(
      REQUIREMENTS.map(({ id }) => id),
      ids,
    );
  });

  it("names for each row the files with tests of its id, and at least one test for each row", () => {
    const ids = idsByFile();
    for (const { id, files, others } of REQUIREMENTS) {
      const named = [...ids].filter(([, inFile]) => inFile.has(id)).map(([file]) => file);
      assert.deepEqual([...files].sort(), named.sort(), id);
      assert.ok(files.length + others.length > 0, `no test shows ${id}`);
      assertTestsExist(others);
    }
  });

  it("has every id in the title of a test", () => {
    const known = new Set(REQUIREMENTS.map(({ id }) => id));
    const titled = [...idsByFile().values()].flatMap((ids) => [...ids]);
    assert.deepEqual(
      titled.filter((id) => !known.has(id)),
      [],
    );
  });
});
