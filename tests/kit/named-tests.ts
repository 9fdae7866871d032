/** Tables name the tests that show something: a check that these tests exist. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";

const TESTS = new URL("../../../tests/", import.meta.url);

/** A file of tests, without its suffix, and words in the name of the test. */
export type NamedTest = readonly [file: string, test: string];

/** Fails unless each names an existing file, and words in it or in a table of the same name. */
export function assertTestsExist(proofs: readonly NamedTest[]): void {
  for (const [file, words] of proofs) {
    const found = [`${file}.test.ts`, `${file}.ts`]
      .map((path) => new URL(path, TESTS))
      .filter((path) => existsSync(path));
    assert.ok(found.length > 0, `there is no tests/${file}`);
    const source = found.map((path) => readFileSync(path, "utf8")).join("");
    assert.ok(source.includes(words), `${file}: ${words}`);
  }
}
