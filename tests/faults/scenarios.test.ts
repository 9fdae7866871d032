/** That each scenario of the table is there, and has its tests, or says what is not there for it to happen to. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { assertProven } from "../proofs.js";
import { SCENARIOS } from "./scenarios.js";

describe("the scenario", () => {
  for (const { number, scenario, proofs, absent } of SCENARIOS) {
    it(`${number} has its tests: ${scenario}`, () => {
      assert.ok(proofs.length > 0 || absent !== undefined, "neither a test, nor why there is none");
      assertProven(proofs);
    });
  }

  it("is one of 75, and none is missing", () => {
    assert.deepEqual(
      SCENARIOS.map(({ number }) => number),
      Array.from({ length: 75 }, (_, index) => index + 1),
    );
  });
});
