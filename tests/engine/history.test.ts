import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { History } from "../../src/engine/history.js";
import { joined } from "./peer-frames.js";

describe("a history", () => {
  it("holds nothing at first", () => {
    assert.equal(new History(8).bytes, undefined);
  });

  it("is the last bytes of all that was pushed, as many as its window has", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 700 }), { minLength: 1 }),
        fc.integer({ min: 8, max: 10 }),
        (pushed, bits) => {
          const history = new History(bits);
          for (const [index, bytes] of pushed.entries()) {
            history.push(bytes);
            const all = joined(...pushed.slice(0, index + 1));
            assert.deepEqual(history.bytes ?? new Uint8Array(), all.subarray(Math.max(0, all.length - 2 ** bits)));
          }
        },
      ),
    );
  });

  it("takes memory as bytes come, and for its window at the most", () => {
    const history = new History(15);
    history.push(new Uint8Array(10));
    assert.equal(history.bytes?.buffer.byteLength, 10);
    for (let count = 0; count < 100; count += 1) history.push(new Uint8Array(1_000));
    assert.equal(history.bytes?.buffer.byteLength, 32_768);
  });
});
