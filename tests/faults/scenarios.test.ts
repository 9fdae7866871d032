/** Checks the table of scenarios: each has existing tests, or a reason why it cannot occur. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertTestsExist } from "../kit/named-tests.ts";
import { SCENARIOS } from "./scenarios.ts";

describe("the scenario", () => {
  for (const { number, scenario, proofs, absent } of SCENARIOS) {
    it(`${number} has its tests: ${scenario}`, () => {
      assert.ok(proofs.length > 0 || absent !== undefined, "neither a test, nor why there is none");
      assertTestsExist(proofs);
    });
  }

  it("is one of 75, and none is missing", () => {
    assert.deepEqual(
      SCENARIOS.map(({ number }) => number),
      Array.from({ length: 75 }, (_, index) => index + 1),
    );
  });
});
