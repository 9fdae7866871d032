import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Store } from "../../src/engine/store.js";
import { joined } from "./peer-frames.js";

describe("a store", () => {
  it("hands over what came, in an array of its own and of exactly that size", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), fc.option(fc.nat(4_000)), (chunks, announced) => {
        const store = new Store();
        if (announced !== null) store.expect(announced);
        for (const chunk of chunks) store.append(joined([9, 9] as never, chunk, [9] as never), 2, 2 + chunk.length);
        const all = joined(...chunks);
        assert.equal(store.size, all.length);
        assert.deepEqual(store.bytes, all);
        const taken = store.take();
        assert.deepEqual(taken, all);
        assert.equal(taken.buffer.byteLength, all.length);
        assert.equal(store.size, 0);
        assert.deepEqual(store.bytes, new Uint8Array());
      }),
    );
  });

  it("takes no memory for what is announced, and at most twice what has come", () => {
    const store = new Store();
    store.expect(2 ** 30);
    store.append(new Uint8Array(1_000), 0, 1_000);
    assert.ok(store.bytes.buffer.byteLength <= 2_000);
  });

  it("gives what fills it without a copy, and does not grow past what is expected", () => {
    const store = new Store();
    store.expect(1_000);
    store.append(new Uint8Array(600), 0, 600);
    store.append(new Uint8Array(100), 0, 100);
    assert.equal(store.bytes.buffer.byteLength, 1_000);
    store.append(new Uint8Array(300), 0, 300);
    const { buffer } = store.bytes;
    assert.equal(store.take().buffer, buffer);
  });

  it("forgets when it is cleared what was expected, too", () => {
    const store = new Store();
    store.expect(10);
    store.append(Uint8Array.of(1), 0, 1);
    store.clear();
    assert.equal(store.size, 0);
    store.append(new Uint8Array(11), 0, 11);
    store.append(new Uint8Array(10), 0, 10);
    assert.equal(store.size, 21);
  });
});
