import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { MOST_AHEAD, Store } from "../../src/engine/store.js";
import { settledMemory } from "../memory.js";
import { joined } from "./peer-frames.js";

const COME = 50_000;

/** Of which so much has come, and so much is expected. */
function opened(ahead: number): Store {
  const store = new Store();
  store.expect(COME + ahead);
  store.append(new Uint8Array(COME), 0, COME);
  return store;
}

function capacity({ bytes }: Store): number {
  return bytes.buffer.byteLength;
}

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
    for (let size = 1_000; size < 1_000_000; size *= 2) {
      store.append(new Uint8Array(size), store.size, size);
      assert.ok(capacity(store) <= 2 * store.size, `${capacity(store)} for ${store.size}`);
    }
  });

  it("is moved no more when half of what it expects has come", () => {
    const store = new Store();
    store.expect(1_000_001);
    store.append(new Uint8Array(500_001), 0, 500_001);
    assert.equal(capacity(store), 1_000_001);
  });

  it("takes all that it expects when enough of it has come", () => {
    const store = new Store();
    store.expect(MOST_AHEAD);
    store.append(new Uint8Array(1_000), 0, 1_000);
    assert.equal(capacity(store), 1_000);
    store.append(new Uint8Array(20_000), 0, 20_000);
    assert.equal(capacity(store), MOST_AHEAD);
    store.clear();
  });

  it("grows as it comes while others have taken all that may be ahead, until one of them is done", () => {
    const sixteenth = MOST_AHEAD / 16;
    const [one, two, ...others] = Array.from({ length: 16 }, () => opened(sixteenth)) as [Store, Store, ...Store[]];
    assert.ok([one, two, ...others].every((store) => capacity(store) === COME + sixteenth));
    assert.equal(capacity(opened(sixteenth)), COME);
    one.append(new Uint8Array(sixteenth), 0, sixteenth);
    assert.equal(one.take().length, COME + sixteenth);
    const three = opened(sixteenth);
    assert.equal(capacity(three), COME + sixteenth, "one was taken");
    assert.equal(capacity(opened(sixteenth)), COME);
    // Which no sender of ours makes it do.
    two.append(new Uint8Array(sixteenth + 1), 0, sixteenth + 1);
    const four = opened(sixteenth);
    assert.equal(capacity(four), COME + sixteenth, "one has grown beyond what it expected");
    assert.equal(capacity(opened(sixteenth)), COME);
    for (const store of [three, four, ...others]) store.clear();
    const all = opened(MOST_AHEAD);
    assert.equal(capacity(all), COME + MOST_AHEAD, "all were cleared");
    all.clear();
  });

  it("leaves what it has taken ahead to others when it is forgotten", async () => {
    assert.equal(capacity(opened(MOST_AHEAD)), COME + MOST_AHEAD);
    assert.equal(capacity(opened(MOST_AHEAD)), COME);
    const probe = (): number => {
      const store = opened(MOST_AHEAD);
      const ahead = capacity(store);
      store.clear();
      return -ahead;
    };
    assert.equal(await settledMemory(probe), -COME - MOST_AHEAD);
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
