import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MAX_PREALLOCATED, MessageBuffer } from "../../../src/engine/websocket/message-buffer.ts";
import { joined } from "../../kit/frames.ts";
import { settledMemory } from "../../kit/memory.ts";

const COME = 50_000;

/** A buffer with so many bytes received, and so many expected. */
function opened(ahead: number): MessageBuffer {
  const store = new MessageBuffer();
  store.expect(COME + ahead);
  store.append(new Uint8Array(COME), 0, COME);
  return store;
}

function capacity({ bytes }: MessageBuffer): number {
  return bytes.buffer.byteLength;
}

describe("a message buffer", () => {
  it("returns the received bytes, in an array of exactly that size", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), fc.option(fc.nat(4_000)), (chunks, announced) => {
        const store = new MessageBuffer();
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

  it("allocates nothing for what is announced, and at most twice what was received", () => {
    const store = new MessageBuffer();
    store.expect(2 ** 30);
    for (let size = 1_000; size < 1_000_000; size *= 2) {
      store.append(new Uint8Array(size), store.size, size);
      assert.ok(capacity(store) <= 2 * store.size, `${capacity(store)} for ${store.size}`);
    }
  });

  it("is not moved again after half of the expected bytes were received", () => {
    const store = new MessageBuffer();
    store.expect(1_000_001);
    store.append(new Uint8Array(500_001), 0, 500_001);
    assert.equal(capacity(store), 1_000_001);
  });

  it("allocates all expected bytes when enough of them were received", () => {
    const store = new MessageBuffer();
    store.expect(MAX_PREALLOCATED);
    store.append(new Uint8Array(1_000), 0, 1_000);
    assert.equal(capacity(store), 1_000);
    store.append(new Uint8Array(20_000), 0, 20_000);
    assert.equal(capacity(store), MAX_PREALLOCATED);
    store.clear();
  });

  it("grows in steps while other messages use the whole shared allowance", () => {
    const sixteenth = MAX_PREALLOCATED / 16;
    const [one, two, ...others] = Array.from({ length: 16 }, () => opened(sixteenth)) as [
      MessageBuffer,
      MessageBuffer,
      ...MessageBuffer[],
    ];
    assert.ok([one, two, ...others].every((store) => capacity(store) === COME + sixteenth));
    assert.equal(capacity(opened(sixteenth)), COME);
    one.append(new Uint8Array(sixteenth), 0, sixteenth);
    assert.equal(one.take().length, COME + sixteenth);
    const three = opened(sixteenth);
    assert.equal(capacity(three), COME + sixteenth, "one was taken");
    assert.equal(capacity(opened(sixteenth)), COME);
    // No sender of this library causes that.
    two.append(new Uint8Array(sixteenth + 1), 0, sixteenth + 1);
    const four = opened(sixteenth);
    assert.equal(capacity(four), COME + sixteenth, "one has grown beyond what it expected");
    assert.equal(capacity(opened(sixteenth)), COME);
    for (const store of [three, four, ...others]) store.clear();
    const all = opened(MAX_PREALLOCATED);
    assert.equal(capacity(all), COME + MAX_PREALLOCATED, "all were cleared");
    all.clear();
  });

  it("returns its share of the allowance when it is dropped", async () => {
    assert.equal(capacity(opened(MAX_PREALLOCATED)), COME + MAX_PREALLOCATED);
    assert.equal(capacity(opened(MAX_PREALLOCATED)), COME);
    const probe = (): number => {
      const store = opened(MAX_PREALLOCATED);
      const ahead = capacity(store);
      store.clear();
      return -ahead;
    };
    assert.equal(await settledMemory(probe), -COME - MAX_PREALLOCATED);
  });

  it("returns full memory without a copy, and does not grow beyond the expected size", () => {
    const store = new MessageBuffer();
    store.expect(1_000);
    store.append(new Uint8Array(600), 0, 600);
    store.append(new Uint8Array(100), 0, 100);
    assert.equal(store.bytes.buffer.byteLength, 1_000);
    store.append(new Uint8Array(300), 0, 300);
    const { buffer } = store.bytes;
    assert.equal(store.take().buffer, buffer);
  });

  it("returns a small message that arrived byte by byte without a copy", () => {
    for (const size of [1, 20, 63, 64, 65, 129]) {
      const store = new MessageBuffer();
      store.expect(size);
      for (let index = 0; index < size; index += 1) store.append(Uint8Array.of(index), 0, 1);
      const { buffer } = store.bytes;
      assert.equal(store.take().buffer, buffer, `${size} bytes`);
    }
  });

  it("forgets the expected size when it is cleared", () => {
    const store = new MessageBuffer();
    store.expect(10);
    store.append(Uint8Array.of(1), 0, 1);
    store.clear();
    assert.equal(store.size, 0);
    store.append(new Uint8Array(11), 0, 11);
    store.append(new Uint8Array(10), 0, 10);
    assert.equal(store.size, 21);
  });
});
