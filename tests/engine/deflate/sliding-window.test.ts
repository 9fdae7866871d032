import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { SlidingWindow } from "../../../src/engine/deflate/sliding-window.ts";
import { joined } from "../../kit/frames.ts";

describe("a sliding window", () => {
  it("is empty at first", () => {
    assert.equal(new SlidingWindow(8).bytes, undefined);
  });

  it("holds the last bytes that were pushed, up to its size", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 700 }), { minLength: 1 }),
        fc.integer({ min: 8, max: 10 }),
        (pushed, bits) => {
          const history = new SlidingWindow(bits);
          for (const [index, bytes] of pushed.entries()) {
            history.push(bytes);
            const all = joined(...pushed.slice(0, index + 1));
            assert.deepEqual(history.bytes ?? new Uint8Array(), all.subarray(Math.max(0, all.length - 2 ** bits)));
          }
        },
      ),
    );
  });

  it("allocates memory as bytes are pushed, up to its size", () => {
    const history = new SlidingWindow(15);
    history.push(new Uint8Array(10));
    assert.equal(history.bytes?.buffer.byteLength, 10);
    for (let count = 0; count < 100; count += 1) history.push(new Uint8Array(1_000));
    assert.equal(history.bytes?.buffer.byteLength, 32_768);
  });
});
