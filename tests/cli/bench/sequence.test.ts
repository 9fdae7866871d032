/** The check of numbered messages: which of them are lost, doubled or out of order. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SequenceCheck } from "../../../src/cli/bench/sequence.ts";
import { runs } from "../../kit/random.ts";

function checked(numbers: readonly number[]): Pick<SequenceCheck, "received" | "reordered" | "duplicated"> {
  const check = new SequenceCheck();
  for (const number of numbers) check.arrived(number);
  const { received, reordered, duplicated } = check;
  return { received, reordered, duplicated };
}

describe("the check of a sequence", () => {
  const cases: Record<string, [numbers: readonly number[], found: ReturnType<typeof checked>]> = {
    "nothing in a complete sequence": [[0, 1, 2, 3], { received: 4, reordered: 0, duplicated: 0 }],
    "a gap": [[0, 1, 3], { received: 3, reordered: 0, duplicated: 0 }],
    "a swap": [[0, 2, 1, 3], { received: 4, reordered: 1, duplicated: 0 }],
    "a double": [[0, 1, 1, 2], { received: 3, reordered: 0, duplicated: 1 }],
    "a late message that comes twice": [[1, 0, 0], { received: 2, reordered: 1, duplicated: 1 }],
    "a first message that is missing": [[1, 2], { received: 2, reordered: 0, duplicated: 0 }],
  };
  for (const [what, [numbers, found]] of Object.entries(cases)) {
    it(`finds ${what}`, () => assert.deepEqual(checked(numbers), found));
  }

  it("counts each number once, in whatever order they arrive", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { maxLength: 200 }), (numbers) => {
        const { received, duplicated } = checked(numbers);
        assert.equal(received, new Set(numbers).size);
        assert.equal(duplicated, numbers.length - received);
      }),
      runs(200),
    );
  });

  it("remembers a bounded number of gaps", () => {
    const check = new SequenceCheck();
    check.arrived(1e9);
    assert.equal(check.received, 1);
    check.arrived(0);
    assert.deepEqual([check.received, check.reordered], [2, 1]);
    // It is not known to be missing.
    check.arrived(5e8);
    assert.equal(check.duplicated, 1);
  });
});
