/** The slot list, compared with a Set. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type SlotBlock, SlotList } from "../../../src/engine/queue/slot-list.ts";

describe("a slot list", () => {
  it("iterates over its members in the order in which they joined", () => {
    const roll = new SlotList<string>();
    assert.equal(roll.first, undefined);
    for (const name of ["a", "b", "c"]) roll.add(name);
    assert.deepEqual([[...roll], roll.size, roll.first], [["a", "b", "c"], 3, "a"]);
  });

  it("lets a member leave once", () => {
    const roll = new SlotList<string>();
    const place = roll.add("a");
    roll.add("b");
    assert.equal(place.has("a"), true);
    roll.remove(place, "a");
    roll.remove(place, "a");
    assert.deepEqual([[...roll], roll.size, roll.first, place.has("a")], [["b"], 1, "b", false]);
    assert.equal(place.list, roll);
  });

  it("continues with the remaining members if the members around an iterator leave", () => {
    const roll = new SlotList<number>();
    const places = Array.from({ length: 100 }, (_, member) => roll.add(member));
    const look = roll[Symbol.iterator]();
    for (let member = 0; member <= 60; member += 1) assert.equal(look.next().value, member);
    for (let member = 70; member >= 20; member -= 1) roll.remove(places[member] as SlotBlock<number>, member);
    assert.deepEqual([look.next().value, roll.size, [...roll].length], [71, 49, 49]);
    for (let member = 99; member >= 0; member -= 1) roll.remove(places[member] as SlotBlock<number>, member);
    roll.add(100);
    assert.deepEqual([look.next().value, roll.first, look.next().done], [100, 100, true]);
  });

  it("behaves as a Set if members join and leave during an iteration", () => {
    const step = fc.oneof(
      // More than one block holds.
      fc.record({ do: fc.constant("add" as const), many: fc.integer({ min: 1, max: 20 }) }),
      fc.record({ do: fc.constant("remove" as const), which: fc.nat(200), many: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ do: fc.constant("look" as const) }),
      fc.record({ do: fc.constant("next" as const), which: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const roll = new SlotList<number>();
        const set = new Set<number>();
        const places: SlotBlock<number>[] = [];
        const looks: [Iterator<number>, Iterator<number>][] = [];
        for (const one of steps) {
          if (one.do === "add") {
            for (let joined = 0; joined < one.many; joined += 1) {
              set.add(places.length);
              places.push(roll.add(places.length));
            }
          } else if (one.do === "remove") {
            const from = one.which % Math.max(1, places.length);
            for (const [index, place] of places.slice(from, from + one.many).entries()) {
              roll.remove(place, from + index);
              set.delete(from + index);
            }
          } else if (one.do === "look") {
            looks.push([roll[Symbol.iterator](), set[Symbol.iterator]()]);
          } else {
            const [ours, theirs] = looks[one.which % Math.max(1, looks.length)] ?? [];
            assert.deepEqual(ours?.next(), theirs?.next());
          }
          assert.deepEqual([...roll], [...set]);
          assert.equal(roll.size, set.size);
        }
        for (const [ours, theirs] of looks) {
          for (let next = theirs.next(); next.done !== true; next = theirs.next()) assert.deepEqual(ours.next(), next);
          assert.equal(ours.next().done, true);
        }
      }),
    );
  });
});
