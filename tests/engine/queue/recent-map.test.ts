/** Tests of the map that forgets: what it remembers at least, and what it holds at most. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RecentMap } from "../../../src/engine/queue/recent-map.ts";

describe("a map that forgets", () => {
  it("has the last value of each of the latest keys, and never more than its maximum", () => {
    const act = fc.record({ key: fc.nat(30), remove: fc.boolean() });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 100 }), (acts) => {
        const map = new RecentMap<number, number>(8);
        const latest = new Map<number, number>();
        for (const [index, { key, remove }] of acts.entries()) {
          latest.delete(key);
          if (remove) map.delete(key);
          else {
            map.set(key, index);
            latest.set(key, index);
          }
          assert.ok(map.size <= 8);
          for (const [one, value] of [...latest].slice(-4)) assert.equal(map.get(one), value);
          if (remove) assert.equal(map.get(key), undefined);
        }
        map.clear();
        assert.equal(map.size, 0);
      }),
    );
  });
});
