/** Checks that the tests of the failure matrix exist. */

import { describe, it } from "node:test";
import { assertTestsExist } from "../kit/named-tests.ts";
import { TOPIC_FAILURES } from "./failure-matrix.ts";

describe("the failures of topics in the documentation", () => {
  for (const { what, tests } of TOPIC_FAILURES) {
    it(`are produced by tests that exist: ${what}`, () => assertTestsExist(tests));
  }
});
