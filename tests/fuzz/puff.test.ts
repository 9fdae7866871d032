/** The deflate decoder that checks ours: it agrees with zlib on everything that zlib writes, and shares no code. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import { type Puffed, puff } from "./puff.ts";

const hex = (octets: string): Buffer => Buffer.from(octets.replaceAll(" ", ""), "hex");
const words = fc.array(fc.constantFrom("one", "two ", "drei, ", "\0\xff"), { maxLength: 400 });
const payload = fc.oneof(
  fc.uint8Array({ maxLength: 3_000 }),
  words.map((all) => Uint8Array.from(Buffer.from(all.join(""), "latin1"))),
);

const read = (packed: Uint8Array, before: Uint8Array = new Uint8Array()): Puffed => puff(packed, before, 10_000);
const NOTHING = { reach: 0, lastBlocks: 0 };

describe("the reader of deflate of the tests", () => {
  for (const [what, packed, said] of [
    ["7.2.3.1", "f2 48 cd c9 c9 07 00", "Hello"],
    ["7.2.3.3", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"],
    ["7.2.3.4", "f3 48 cd c9 c9 07 00 00", "Hello"],
    ["7.2.3.5", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"],
    ["7.2.3.6", "00", ""],
  ] as const) {
    it(`reads the example of RFC 7692 section ${what}`, () => {
      const { bytes, why } = read(hex(packed));
      assert.deepEqual([Buffer.from(bytes).toString(), why], [said, "whole"]);
    });
  }

  it("reads the example of context takeover, which refers to the message before (section 7.2.3.2)", () => {
    const packed = hex("f2 00 11 00 00");
    const bytes = Uint8Array.from(Buffer.from("Hello"));
    assert.deepEqual(read(packed, bytes), { ...NOTHING, bytes, why: "whole", reach: 5 });
    assert.equal(read(packed).why, "invalid");
  });

  it("reports a message that ends inside a block, is too long, or has a reference before its window", () => {
    const hello = deflateRawSync("hello hello hello");
    assert.equal(read(hello.subarray(0, 5)).why, "invalid");
    const bytes = Uint8Array.from(Buffer.from("hel"));
    assert.deepEqual(puff(hello, new Uint8Array(), 3), { ...NOTHING, bytes, why: "long" });
  });

  it("agrees with zlib on zlib's output, which never exceeds zlib's window", () => {
    const level = fc.integer({ min: 0, max: 9 });
    const windowBits = fc.integer({ min: 9, max: 15 });
    const strategy = fc.constantFrom(constants.Z_DEFAULT_STRATEGY, constants.Z_FIXED, constants.Z_HUFFMAN_ONLY);
    fc.assert(
      fc.property(payload, payload, level, windowBits, strategy, (data, dictionary, ...how) => {
        const [level, windowBits, strategy] = how;
        const options = { level, windowBits, strategy, ...(dictionary.length > 0 && { dictionary }) };
        const { bytes, why, reach, lastBlocks } = read(deflateRawSync(data, options), dictionary);
        assert.ok(Buffer.from(bytes).equals(data));
        assert.ok(reach <= 2 ** windowBits);
        assert.deepEqual([why, lastBlocks], ["whole", 1]);
      }),
    );
  });
});
