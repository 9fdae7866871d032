/** Length prefixes are read as they were written, up to 2^64 - 1. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { FixedWidthPrefix, type LengthPrefix, VarintPrefix } from "../../../src/engine/framing/prefix.ts";

function written(prefix: LengthPrefix, size: number): number[] {
  const target = new Uint8Array(prefix.maxBytes + 2).fill(0xee);
  const end = prefix.write(target, 1, size);
  assert.deepEqual([target[0], target[end]], [0xee, 0xee], "nothing is written outside");
  return [...target.subarray(1, end)];
}

/** The decoded value, or the first violation. */
function read(prefix: LengthPrefix, bytes: readonly number[]): number | string {
  let value = 0;
  for (const [index, byte] of bytes.entries()) {
    const problem = prefix.problem(byte, index);
    if (problem !== undefined) return problem;
    value = prefix.add(value, byte, index);
    assert.equal(prefix.ends(byte, index), index === bytes.length - 1);
  }
  return value;
}

const WIDTHS = [1, 2, 4, 8] as const;
const PREFIXES: readonly LengthPrefix[] = [
  ...WIDTHS.map((width) => new FixedWidthPrefix(width, "big")),
  ...WIDTHS.map((width) => new FixedWidthPrefix(width, "little")),
  new VarintPrefix(),
];

describe("every length prefix", () => {
  it("reads what it wrote, up to its maximum", () => {
    for (const prefix of PREFIXES) {
      const size = fc.oneof(
        fc.nat({ max: Math.min(prefix.maxSize, 0x7fffffff) }),
        fc.maxSafeNat(),
        fc.constant(prefix.maxSize),
      );
      fc.assert(
        fc.property(
          size.filter((value) => value <= prefix.maxSize),
          (value) => {
            assert.equal(read(prefix, written(prefix, value)), value);
          },
        ),
      );
    }
  });
});

describe("a prefix of fixed width", () => {
  it("has the highest byte first, or the lowest", () => {
    assert.deepEqual(written(new FixedWidthPrefix(1, "big"), 200), [200]);
    assert.deepEqual(written(new FixedWidthPrefix(2, "big"), 0x0102), [1, 2]);
    assert.deepEqual(written(new FixedWidthPrefix(2, "little"), 0x0102), [2, 1]);
    assert.deepEqual(written(new FixedWidthPrefix(4, "big"), 0xfffefdfc), [0xff, 0xfe, 0xfd, 0xfc]);
    assert.deepEqual(written(new FixedWidthPrefix(4, "little"), 0xfffefdfc), [0xfc, 0xfd, 0xfe, 0xff]);
    assert.deepEqual(written(new FixedWidthPrefix(8, "big"), 2 ** 40 + 3), [0, 0, 1, 0, 0, 0, 0, 3]);
  });

  it("has the maximum of its width, and at most that of an exact number", () => {
    assert.deepEqual(
      WIDTHS.map((width) => new FixedWidthPrefix(width, "big").maxSize),
      [255, 65_535, 4_294_967_295, Number.MAX_SAFE_INTEGER],
    );
  });

  it("reads a length above 2^53 as one above 2^53", () => {
    for (const endian of ["big", "little"] as const) {
      const prefix = new FixedWidthPrefix(8, endian);
      assert.equal(read(prefix, Array(8).fill(0xff)), 2 ** 64);
      fc.assert(
        fc.property(fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }), (value) => {
          const bytes = [...value.toString(16).padStart(16, "0").matchAll(/../g)].map(([pair]) =>
            Number.parseInt(pair, 16),
          );
          const size = read(prefix, endian === "big" ? bytes : bytes.reverse());
          assert.ok(typeof size === "number" && size > Number.MAX_SAFE_INTEGER);
        }),
      );
    }
  });
});

describe("a varint", () => {
  const varint = new VarintPrefix();

  it("has seven bits in each byte, the lowest first", () => {
    assert.deepEqual(written(varint, 0), [0]);
    assert.deepEqual(written(varint, 127), [127]);
    assert.deepEqual(written(varint, 128), [0x80, 1]);
    assert.deepEqual(written(varint, 300), [0xac, 2]);
    assert.deepEqual(written(varint, 2 ** 32), [0x80, 0x80, 0x80, 0x80, 0x10]);
  });

  it("may have ten bytes, of which the last is 1", () => {
    assert.equal(read(varint, [...Array(9).fill(0xff), 1]), 2 ** 64);
    assert.equal(read(varint, [...Array(9).fill(0xff), 2]), "a varint is larger than 64 bits");
    assert.equal(read(varint, Array(10).fill(0x80)), "a varint is larger than 64 bits");
  });

  it("must have its shortest form", () => {
    assert.equal(read(varint, [0x80, 0]), "a varint takes 2 bytes and needs fewer");
    assert.equal(read(varint, [...Array(9).fill(0xff), 0]), "a varint takes 10 bytes and needs fewer");
  });
});
