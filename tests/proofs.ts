/** Tables that say by which tests something is shown: that those tests are there. */

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";

const TESTS = new URL("../../tests/", import.meta.url);

/** A file of tests, without its ending, and words that stand in the name of the test. */
export type Proof = readonly [file: string, test: string];

/** Fails unless each names a file that there is, and words that stand in it, or in a table of the same name. */
export function assertProven(proofs: readonly Proof[]): void {
  for (const [file, words] of proofs) {
    const found = [`${file}.test.ts`, `${file}.ts`]
      .map((path) => new URL(path, TESTS))
      .filter((path) => existsSync(path));
    assert.ok(found.length > 0, `there is no tests/${file}`);
    const source = found.map((path) => readFileSync(path, "utf8")).join("");
    assert.ok(source.includes(words), `${file}: ${words}`);
  }
}
