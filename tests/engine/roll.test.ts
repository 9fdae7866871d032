/** Tests of the roll, which has to do as a Set does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Place, Roll } from "../../src/engine/roll.js";

describe("a roll", () => {
  it("names its members in the order in which they joined", () => {
    const roll = new Roll<string>();
    assert.equal(roll.first, undefined);
    for (const name of ["a", "b", "c"]) roll.add(name);
    assert.deepEqual([[...roll], roll.size, roll.first], [["a", "b", "c"], 3, "a"]);
  });

  it("lets a member leave once", () => {
    const roll = new Roll<string>();
    const place = roll.add("a");
    roll.add("b");
    roll.remove(place);
    roll.remove(place);
    assert.deepEqual([[...roll], roll.size, roll.first, place.value], [["b"], 1, "b", undefined]);
    assert.equal(place.roll, roll);
  });

  it("goes on as a Set does when members join and leave while somebody looks", () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant("add" as const) }),
      fc.record({ do: fc.constant("remove" as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant("look" as const) }),
      fc.record({ do: fc.constant("next" as const), which: fc.nat(3) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const roll = new Roll<number>();
        const set = new Set<number>();
        const places: Place<number>[] = [];
        const looks: [Iterator<number>, Iterator<number>][] = [];
        for (const one of steps) {
          if (one.do === "add") {
            set.add(places.length);
            places.push(roll.add(places.length));
          } else if (one.do === "remove") {
            const which = one.which % Math.max(1, places.length);
            const place = places[which];
            if (place === undefined) continue;
            roll.remove(place);
            set.delete(which);
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
