/** Bytes: joined, accepted in every shape, and counted in UTF-8. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { asData, concat, utf8Length } from "../../src/base/bytes.ts";

describe("concat", () => {
  it("joins chunks into a new array", () => {
    const chunk = new Uint8Array([1, 2]);
    const whole = concat([chunk, new Uint8Array(), Buffer.from([3])]);
    chunk[0] = 9;
    assert.deepEqual(whole, new Uint8Array([1, 2, 3]));
  });

  it("uses the size that the caller passes", () => {
    assert.deepEqual(concat([new Uint8Array([1])], 3), new Uint8Array([1, 0, 0]));
  });

  it("returns an empty array for no chunks", () => {
    assert.deepEqual(concat([]), new Uint8Array());
  });
});

describe("asData", () => {
  it("returns strings and byte arrays unchanged", () => {
    const bytes = Buffer.from("abc");
    assert.equal(asData("abc"), "abc");
    assert.equal(asData(bytes), bytes);
  });

  it("uses exactly the bytes of another view", () => {
    const { buffer } = new Uint8Array([1, 2, 3, 4, 5, 6]);
    assert.deepEqual(asData(new DataView(buffer, 1, 3)), new Uint8Array([2, 3, 4]));
    assert.deepEqual(asData(new Uint16Array(buffer, 2, 1)), new Uint8Array([3, 4]));
  });

  it("uses the bytes of a whole ArrayBuffer", () => {
    assert.deepEqual(asData(new Uint8Array([1, 2]).buffer), new Uint8Array([1, 2]));
  });

  it("refuses everything else, and names the value", () => {
    assert.throws(() => asData(null), { name: "TypeError", message: /^Cannot send null: expected a string/ });
    assert.throws(() => asData(42), { name: "TypeError", message: /^Cannot send number: / });
    assert.throws(() => asData({ length: 1 }), { name: "TypeError", message: /^Cannot send object: / });
    assert.throws(() => asData(undefined), { name: "TypeError", message: /^Cannot send undefined: / });
  });
});

describe("utf8Length", () => {
  it("counts one to four bytes for a character", () => {
    assert.deepEqual(
      ["", "a", "\u007f", "\u0080", "\u07ff", "\u0800", "\uffff", "\u{10000}", "\u{10ffff}"].map(utf8Length),
      [0, 1, 1, 2, 2, 3, 3, 4, 4],
    );
  });

  it("counts a lone surrogate as the three bytes that replace it", () => {
    assert.deepEqual(
      ["\ud800", "\udc00", "\ud800a", "\udc00\ud800", "\ud800\ud800\udc00"].map(utf8Length),
      [3, 3, 4, 6, 7],
    );
  });

  it("agrees with the encoder for any string", () => {
    const unit = fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd7f0, max: 0xe00f }));
    fc.assert(
      fc.property(fc.array(unit), (units) => {
        const text = String.fromCharCode(...units);
        assert.equal(utf8Length(text), new TextEncoder().encode(text).length);
      }),
    );
  });
});
