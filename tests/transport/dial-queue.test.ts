/** Whose turn it is to dial: order, room, many addresses, and what leaving changes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DialQueue, type Place } from "../../src/transport/dial-queue.js";

interface Dialler {
  readonly name: string;
  readonly place: Place;
  /** Whether it is its turn. */
  going: boolean;
}

/** A dial that waits at these addresses; once it has had its turn it says so. */
async function dialler(queue: DialQueue, name: string, addresses: readonly string[], most = 1): Promise<Dialler> {
  const all: Dialler = { name, place: queue.place(most), going: false };
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
  it("lets one go at a time to an address, in the order in which they came", async () => {
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

  it("lets dials to different addresses go together", async () => {
    const queue = new DialQueue();
    for (const address of ["here", "there", "elsewhere"]) {
      assert.equal((await dialler(queue, address, [address])).going, true);
    }
  });

  it("passes over who has left, waiting or before it came to wait", async () => {
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
    const gone = queue.place(1);
    gone.leave();
    void gone.wait(["here"]).then(() => assert.fail("it had left"));
    assert.equal((await dialler(queue, "fourth", ["here"])).going, true);
  });

  it("has a dial to many addresses wait for all of them, and hold all of them", async () => {
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

  it("lets as many go as each allows, and one that asks for no limit at once", async () => {
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
      assert.throws(() => new DialQueue().place(most), RangeError);
    });
  }

  it("never has two at an address, and never stands still, whoever comes and leaves", async () => {
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
          // Whoever has come first waits for nobody.
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

  it("costs a crowd no more than each one's turn", async () => {
    const spent = async (count: number): Promise<number> => {
      const queue = new DialQueue();
      const places = Array.from({ length: count }, () => queue.place(1));
      const began = process.cpuUsage();
      for (const place of places) void place.wait(["here", "there"]);
      for (const place of places) place.leave();
      const { user } = process.cpuUsage(began);
      return user;
    };
    await spent(1_000);
    const best = async (count: number): Promise<number> => {
      let least = Infinity;
      for (let round = 0; round < 5; round += 1) least = Math.min(least, await spent(count));
      return least;
    };
    // Ten times as many: a hundred times the work, were it quadratic. What is more than ten is the collector's.
    const [few, many] = [await best(4_000), await best(40_000)];
    assert.ok(many < 50 * few, `${few} us for 4,000, ${many} us for 40,000`);
  });
});
