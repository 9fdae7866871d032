/** Whose turn it is to dial: order, room, many addresses, and what leaving changes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type DialPermit, DialQueue } from "../../../src/transport/dial/queue.ts";

interface Dialler {
  readonly name: string;
  readonly place: DialPermit;
  /** Whether it is its turn. */
  going: boolean;
}

/** A dial that waits at these addresses, and reports its turn. */
async function dialler(queue: DialQueue, name: string, addresses: readonly string[], most = 1): Promise<Dialler> {
  const all: Dialler = { name, place: queue.permit(most, () => ""), going: false };
  void all.place.wait(addresses).then(() => {
    all.going = true;
  });
  await Promise.resolve();
  return all;
}

async function leave({ place }: Dialler): Promise<void> {
  place.leave();
  await Promise.resolve();
}

describe("the queue of dials", () => {
  it("starts one dial at a time per address, in the order of arrival", async () => {
    const queue = new DialQueue();
    const all = [];
    for (const name of ["a", "b", "c"]) all.push(await dialler(queue, name, ["here"]));
    for (const [index, one] of all.entries()) {
      assert.deepEqual(
        all.map(({ going }) => going),
        all.map((_, other) => other <= index),
      );
      await leave(one);
    }
  });

  it("starts dials to different addresses at the same time", async () => {
    const queue = new DialQueue();
    for (const address of ["here", "there", "elsewhere"]) {
      assert.equal((await dialler(queue, address, [address])).going, true);
    }
  });

  it("skips a dial that has left, while it waited or before", async () => {
    const queue = new DialQueue();
    const first = await dialler(queue, "first", ["here"]);
    const second = await dialler(queue, "second", ["here"]);
    const third = await dialler(queue, "third", ["here"]);
    await leave(second);
    await leave(second);
    assert.equal(third.going, false);
    await leave(first);
    assert.deepEqual([second.going, third.going], [false, true]);
    await leave(third);
    const gone = queue.permit(1, () => "");
    gone.leave();
    void gone.wait(["here"]).then(() => assert.fail("it had left"));
    assert.equal((await dialler(queue, "fourth", ["here"])).going, true);
  });

  it("makes a dial to many addresses wait for all of them, and occupy all of them", async () => {
    const queue = new DialQueue();
    const one = await dialler(queue, "one", ["4"]);
    const both = await dialler(queue, "both", ["6", "4", "6"]);
    const other = await dialler(queue, "other", ["6"]);
    assert.deepEqual([both.going, other.going], [false, false]);
    await leave(one);
    assert.deepEqual([both.going, other.going], [true, false]);
    await leave(both);
    assert.equal(other.going, true);
  });

  it("starts as many dials as each allows, and a dial without a limit at once", async () => {
    const queue = new DialQueue();
    const first = await dialler(queue, "first", ["here"], 2);
    const second = await dialler(queue, "second", ["here"], 2);
    const third = await dialler(queue, "third", ["here"], 2);
    const hasty = await dialler(queue, "hasty", ["here"], Infinity);
    const strict = await dialler(queue, "strict", ["here"], 1);
    assert.deepEqual(
      [first, second, third, hasty, strict].map(({ going }) => going),
      [true, true, false, true, false],
    );
    await leave(second);
    assert.deepEqual([third.going, strict.going], [true, false]);
    for (const one of [first, third, hasty]) await leave(one);
    assert.equal(strict.going, true);
  });

  for (const most of [0, -1, 1.5, Number.NaN, "2" as unknown as number]) {
    it(`refuses ${JSON.stringify(most)} as a number of dials`, () => {
      assert.throws(() => new DialQueue().permit(most, () => ""), typeof most === "number" ? RangeError : TypeError);
    });
  }

  it("never starts two dials at an address, and never stops, for any order of arrivals and departures", async () => {
    const addresses = fc.subarray(["a", "b", "c", "d"], { minLength: 1 });
    const steps = fc.array(fc.oneof(addresses, fc.nat()), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const queue = new DialQueue();
        const present: (Dialler & { readonly addresses: readonly string[] })[] = [];
        const judge = (): void => {
          for (const address of ["a", "b", "c", "d"]) {
            const here = present.filter(({ addresses }) => addresses.includes(address));
            assert.ok(here.filter(({ going }) => going).length <= 1);
          }
          // The first one waits for no other.
          if (present[0] !== undefined) assert.equal(present[0].going, true);
        };
        for (const step of script) {
          if (typeof step !== "number") {
            present.push(Object.assign(await dialler(queue, "", step), { addresses: step }));
          } else if (present.length > 0) {
            const [left] = present.splice(step % present.length, 1);
            if (left !== undefined) await leave(left);
          }
          judge();
        }
        while (present.length > 0) {
          const left = present.shift();
          if (left !== undefined) await leave(left);
          judge();
        }
      }),
    );
  });

  it("takes as long for one start when 40,000 dials wait as when 400 do", () => {
    // The median of many short samples: a pause of the process or of the garbage collector is an outlier in it.
    const turns = (waiting: number): number => {
      const queue = new DialQueue();
      const places: DialPermit[] = [];
      const enter = (): void => {
        const place = queue.permit(1, () => "");
        void place.wait(["here", "there"]);
        places.push(place);
      };
      while (places.length < waiting) enter();
      const samples: number[] = [];
      let first = 0;
      for (let sample = 0; sample < 101; sample += 1) {
        const began = performance.now();
        for (let turn = 0; turn < 50; turn += 1) {
          enter();
          places[first]?.leave();
          first += 1;
        }
        samples.push(performance.now() - began);
      }
      return samples.sort((a, b) => a - b)[50] as number;
    };
    turns(400);
    // If a turn looked at each waiting dial, the ratio would be about 100.
    const [few, many] = [turns(400), turns(40_000)];
    assert.ok(many < 20 * few, `median of 50 turns: ${few} ms with 400 dials, ${many} ms with 40,000`);
  });
});
