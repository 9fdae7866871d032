/** The bounded queue, compared with a model, and at its bounds. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BoundedQueue } from "../../../src/engine/queue/bounded-queue.ts";
import { settledMemory } from "../../kit/memory.ts";

interface Item {
  readonly size: number;
  readonly name: string;
}

const item = (size: number, name = `${size} bytes`): Item => ({ size, name });

function filled(...items: Item[]): BoundedQueue<Item> {
  const queue = new BoundedQueue<Item>(Infinity, Infinity);
  for (const one of items) assert.equal(queue.offer(one), "queued");
  return queue;
}

const names = (queue: BoundedQueue<Item>): string[] => [...queue].map(({ name }) => name);

const is =
  (one: Item) =>
  (item: Item): boolean =>
    item === one;

describe("a bounded queue", () => {
  it("returns items in the order in which they were offered", () => {
    const queue = filled(item(1, "a"), item(2, "b"), item(3, "c"));
    assert.equal(queue.peek()?.name, "a");
    assert.deepEqual([queue.take()?.name, queue.take()?.name, queue.take()?.name], ["a", "b", "c"]);
    assert.equal(queue.take(), undefined);
    assert.equal(queue.peek(), undefined);
  });

  it("counts bytes and items exactly", () => {
    const queue = filled(item(3), item(0), item(4));
    assert.deepEqual([queue.bytes, queue.length], [7, 3]);
    queue.take();
    assert.deepEqual([queue.bytes, queue.length], [4, 2]);
  });

  it("accepts bytes up to its bound and not one more", () => {
    const queue = new BoundedQueue<Item>(10, Infinity);
    assert.equal(queue.offer(item(6)), "queued");
    assert.equal(queue.offer(item(5)), "full");
    assert.equal(queue.offer(item(4)), "queued");
    assert.equal(queue.offer(item(0)), "queued");
    assert.deepEqual([queue.bytes, queue.length], [10, 3]);
  });

  it("accepts items up to its bound, empty ones too", () => {
    const queue = new BoundedQueue<Item>(Infinity, 2);
    assert.deepEqual(
      [item(0), item(0), item(0)].map((one) => queue.offer(one)),
      ["queued", "queued", "full"],
    );
  });

  it("answers never to an item that would not fit into an empty queue", () => {
    const queue = new BoundedQueue<Item>(10, 5);
    assert.equal(queue.offer(item(11)), "never");
    assert.equal(queue.offer(item(10)), "queued");
    assert.equal(new BoundedQueue<Item>(10, 0).offer(item(0)), "never");
  });

  it("keeps the order when it grows around its end", () => {
    const items = Array.from({ length: 100 }, (_, index) => item(1, `${index}`));
    for (let taken = 0; taken < 20; taken += 1) {
      const queue = new BoundedQueue<Item>(Infinity, Infinity);
      for (const one of items.slice(0, taken + 1)) queue.offer(one);
      for (let count = 0; count < taken; count += 1) queue.take();
      for (const one of items.slice(taken + 1)) queue.offer(one);
      assert.deepEqual([...queue], items.slice(taken));
    }
  });

  it("has room again after items were taken", () => {
    const queue = new BoundedQueue<Item>(10, 1);
    assert.equal(queue.offer(item(10)), "queued");
    assert.equal(queue.offer(item(10)), "full");
    queue.take();
    assert.equal(queue.offer(item(10)), "queued");
  });

  it("withdraws an item from the front, the middle and the end", () => {
    const items = ["a", "b", "c", "d", "e"].map((name) => item(1, name));
    const queue = filled(...items);
    for (const name of ["c", "a", "e"]) {
      assert.equal(queue.remove(items.find((one) => one.name === name) as Item), true);
    }
    assert.deepEqual(names(queue), ["b", "d"]);
    assert.deepEqual([queue.bytes, queue.length], [2, 2]);
  });

  it("withdraws the item itself and not an equal one", () => {
    const queue = filled(item(1, "same"));
    assert.equal(queue.remove(item(1, "same")), false);
    assert.equal(queue.length, 1);
  });

  it("drops the oldest item that may be dropped", () => {
    const queue = filled(item(1, "control"), item(2, "data 1"), item(4, "data 2"));
    const data = (one: Item) => one.name.startsWith("data");
    assert.equal(queue.dropOldest(data)?.name, "data 1");
    assert.deepEqual(names(queue), ["control", "data 2"]);
    assert.equal(queue.bytes, 5);
    assert.equal(queue.dropOldest(data)?.name, "data 2");
    assert.equal(queue.dropOldest(data), undefined);
    assert.deepEqual(names(queue), ["control"]);
  });

  it("replaces an item at its position", () => {
    const old = item(5, "old");
    const queue = filled(item(1, "a"), old, item(1, "c"));
    assert.equal(queue.replace(is(old), item(2, "new")), old);
    assert.deepEqual(names(queue), ["a", "new", "c"]);
    assert.deepEqual([queue.bytes, queue.length], [4, 3]);
  });

  it("judges a replacement by the resulting bytes, and keeps the old item if it refuses", () => {
    const queue = new BoundedQueue<Item>(10, 2);
    const old = item(4, "old");
    queue.offer(old);
    queue.offer(item(5, "b"));
    assert.equal(queue.replace(is(old), item(11)), "never");
    assert.equal(queue.replace(is(old), item(6)), "full");
    assert.deepEqual(names(queue), ["old", "b"]);
    assert.equal(queue.bytes, 9);
    assert.equal(queue.replace(is(old), item(5, "new")), old);
    assert.equal(queue.replace(is(old), item(1)), "absent");
    assert.deepEqual(names(queue), ["new", "b"]);
    const alone = new BoundedQueue<Item>(10, 1);
    alone.offer(old);
    assert.equal(alone.replace(is(old), item(10)), old);
  });

  it("does the same as a plain array with the same bounds", () => {
    const step = fc.record({
      do: fc.constantFrom("offer", "offer", "take", "drop", "remove", "replace"),
      size: fc.nat(12),
      at: fc.nat(20),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.nat(60), fc.nat(30), (steps, maxBytes, maxItems) => {
        const queue = new BoundedQueue<Item>(maxBytes, maxItems);
        const model: Item[] = [];
        const total = () => model.reduce((sum, { size }) => sum + size, 0);
        for (const [number, now] of steps.entries()) {
          const fresh = item(now.size, `${number}`);
          if (now.do === "offer") {
            const fits = total() + now.size <= maxBytes && model.length < maxItems;
            const never = now.size > maxBytes || maxItems === 0;
            assert.equal(queue.offer(fresh), never ? "never" : fits ? "queued" : "full");
            if (fits) model.push(fresh);
          } else if (now.do === "take") {
            assert.equal(queue.take(), model.shift());
          } else if (now.do === "drop") {
            const index = model.findIndex(({ size }) => size >= now.size);
            const expected = index === -1 ? undefined : model.splice(index, 1)[0];
            assert.equal(
              queue.dropOldest(({ size }) => size >= now.size),
              expected,
            );
          } else if (now.do === "remove") {
            const [gone = fresh] = model.splice(now.at, 1);
            assert.equal(queue.remove(gone), gone !== fresh);
          } else {
            const old = model[now.at] ?? item(1, "not here");
            const answer = queue.replace(is(old), fresh);
            assert.equal(answer === "absent", !model.includes(old));
            if (answer === old) model[now.at] = fresh;
            else if (answer !== "absent") assert.ok(total() - old.size + now.size > maxBytes);
          }
          assert.deepEqual([...queue], model);
          assert.equal(queue.peek(), model[0]);
          assert.deepEqual([queue.length, queue.bytes], [model.length, total()]);
          assert.ok(queue.length <= maxItems && queue.bytes <= maxBytes);
        }
      }),
    );
  });

  it("holds almost nothing when it is empty again", async () => {
    const heap = (): number => process.memoryUsage().heapUsed;
    const one = item(1);
    const before = await settledMemory(heap);
    const queues = Array.from({ length: 2_000 }, () => {
      const queue = new BoundedQueue<Item>(Infinity, Infinity);
      for (let count = 0; count < 1_000; count += 1) queue.offer(one);
      while (queue.take() !== undefined);
      return queue;
    });
    const each = ((await settledMemory(heap)) - before) / queues.length;
    assert.ok(each < 500, `${each} bytes each`);
  });
});
