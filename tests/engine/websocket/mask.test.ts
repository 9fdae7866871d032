import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MIN_FOR_WORDS, mask, Words } from "../../../src/engine/websocket/mask.ts";
import { hex } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";

/** RFC 6455 5.3, byte by byte. */
function masked(bytes: Uint8Array, from: number, to: number, key: number, offset: number): Uint8Array {
  const octets = [24, 16, 8, 0].map((shift) => Math.floor(key / 2 ** shift) % 256);
  return bytes.map((byte, at) => (at < from || at >= to ? byte : byte ^ (octets[(offset + at - from) % 4] ?? 0)));
}

describe("mask", () => {
  it("unmasks the example of RFC 6455 5.7", () => {
    const bytes = hex("7f 9f 4d 51 58");
    mask(bytes, 0, 5, 0x37fa213d, 0);
    assert.equal(new TextDecoder().decode(bytes), "Hello");
  });

  it("does what RFC 6455 5.3 says, for each length, alignment and offset around the changes of its algorithm", () => {
    for (const shared of [false, true]) {
      for (let size = 0; size <= 2 * MIN_FOR_WORDS; size++) {
        for (let begin = 0; begin < 16; begin++) {
          const array = Uint8Array.from({ length: size + 24 }, (_, index) => (index * 37) & 255);
          // An array at any offset of its buffer, and bytes at any offset of the array.
          const bytes = array.subarray(begin & 7, size + 20);
          const from = begin >> 1;
          const offset = (size + begin) % 5;
          const expected = masked(bytes, from, from + size, 0x81c3a5e7, offset);
          mask(bytes, from, from + size, 0x81c3a5e7, offset, shared ? new Words(bytes) : undefined);
          assert.deepEqual(bytes, expected, `${size} bytes from ${from} at ${begin & 7}, offset ${offset}`);
        }
      }
    }
  });

  it("is its own inverse, in one piece or in many, and changes nothing else", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 600 }),
        fc.integer({ min: 0, max: 0xffffffff }),
        fc.array(fc.nat(600), { maxLength: 8 }),
        fc.boolean(),
        (bytes, key, cuts, withWords) => {
          const work = bytes.slice();
          const words = withWords ? new Words(work) : undefined;
          const places = [
            1,
            ...cuts.map((cut) => 1 + (cut % (work.length - 1))).sort((a, b) => a - b),
            work.length - 1,
          ];
          for (let index = 1; index < places.length; index++) {
            const from = places[index - 1] as number;
            const to = Math.max(from, places[index] as number);
            places[index] = to;
            mask(work, from, to, key, from - 1, words);
          }
          const end = places.at(-1) as number;
          assert.deepEqual(work, masked(bytes, 1, end, key, 0));
          mask(work, 1, end, key, 0, words);
          assert.deepEqual(work, bytes);
        },
      ),
      runs(300),
    );
  });

  it("accepts a key as an unsigned or a signed number", () => {
    const one = new Uint8Array(200);
    const other = new Uint8Array(200);
    mask(one, 0, 200, 0xfedcba98, 3);
    mask(other, 0, 200, 0xfedcba98 | 0, 3);
    assert.deepEqual(one, other);
    assert.deepEqual(one.subarray(0, 5), hex("98 fe dc ba 98"));
  });
});
