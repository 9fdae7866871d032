/** The inflater that judges ours: the same as zlib, on whatever zlib writes, and no other. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { puff, puffMessage } from "./puff.js";

const hex = (octets: string): Buffer => Buffer.from(octets.replaceAll(" ", ""), "hex");
const words = fc.array(fc.constantFrom("one", "two ", "drei, ", "\0\xff"), { maxLength: 400 });
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 3_000 }),
  words.map((all) => Uint8Array.from(Buffer.from(all.join(""), "latin1"))),
);

describe("the inflater of the tests", () => {
  for (const [what, packed, said] of [
    ["7.2.3.1", "f2 48 cd c9 c9 07 00", "Hello"],
    ["7.2.3.3", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"],
    ["7.2.3.4", "f3 48 cd c9 c9 07 00 00", "Hello"],
    ["7.2.3.5", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"],
    ["7.2.3.6", "00", ""],
  ] as const) {
    it(`reads the example of RFC 7692 section ${what}`, () => {
      assert.equal(puffMessage(hex(packed)).output.toString(), said);
    });
  }

  it("reads the example of context takeover, which refers to the message before (section 7.2.3.2)", () => {
    const { output, farthest } = puffMessage(hex("f2 00 11 00 00"), Buffer.from("Hello"));
    assert.deepEqual({ output: output.toString(), farthest }, { output: "Hello", farthest: 5 });
    assert.throws(() => puffMessage(hex("f2 00 11 00 00")), /a reference 5 back/);
  });

  it("says the same as zlib of what zlib writes, and never more than zlib's window", () => {
    const level = fc.integer({ min: 0, max: 9 });
    const windowBits = fc.integer({ min: 9, max: 15 });
    const strategy = fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY);
    fc.assert(
      fc.property(payload, payload, level, windowBits, strategy, (data, dictionary, ...how) => {
        const [level, windowBits, strategy] = how;
        const options = { level, windowBits, strategy, ...(dictionary.length > 0 && { dictionary }) };
        const puffed = puff(deflateRawSync(data, options), dictionary);
        assert.ok(puffed.output.equals(data));
        assert.ok(puffed.farthest <= 2 ** windowBits);
        assert.equal(puffed.final, true);
      }),
    );
  });
});
