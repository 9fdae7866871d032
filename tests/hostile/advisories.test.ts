/** That each advisory of the table has its proof; and those proofs that stand nowhere else. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Group } from "../../src/index.js";
import { pair } from "../../src/testing/index.js";
import { settledMemory } from "../memory.js";
import { assertProven } from "../proofs.js";
import { ADVISORIES } from "./advisories.js";
import { Assault } from "./assault.js";
import { Siege } from "./siege.js";
import { VIOLATIONS, wireOf } from "./violations.js";

const LIMIT = { timeout: 60_000 };

describe("the advisory", () => {
  for (const { of, attack, proofs } of ADVISORIES) {
    it(`${of} has its tests: ${attack}`, () => {
      assert.ok(proofs.length > 0);
      assertProven(proofs);
    });
  }
});

describe("of what has no place elsewhere", () => {
  it("what announces a length that cannot be costs no time, though its sender stays", LIMIT, async () => {
    await using siege = await Siege.lay({ url: "ws://127.0.0.1:0", does: "swallow" });
    const lengths = [...VIOLATIONS].filter(([what]) => what.includes("bytes announced"));
    assert.ok(lengths.length > 20);
    const before = await siege.begin();
    const crowd: Assault[] = [];
    for (const [, { frames, code }] of lengths) {
      const assault = await Assault.on(siege.port);
      crowd.push(assault);
      await assault.flood(wireOf(frames, true), 1);
      await assault.until(() => assault.ended);
      assert.equal(assault.closeCode, code);
    }
    // A loop that has no end would let no report through, or would show in it.
    const { cpu } = await siege.within(crowd.length * 16_384);
    assert.ok(cpu - before.cpu < 5_000, `${cpu - before.cpu} ms of processor time`);
    await Promise.all(crowd.map((assault) => assault[Symbol.asyncDispose]()));
  });

  it(
    "a group that is joined and left a hundred thousand times holds nothing, nor does a member of as many",
    LIMIT,
    async () => {
      const { server, client } = pair();
      const group = new Group();
      const heap = (): Promise<number> => settledMemory(() => process.memoryUsage().heapUsed);
      group.join(server);
      group.leave(server);
      const before = await heap();
      for (let round = 0; round < 100_000; round += 1) {
        group.join(server);
        group.join(server);
        group.leave(server);
      }
      assert.equal(group.size, 0);
      let groups = Array.from({ length: 10_000 }, () => new Group());
      for (const one of groups) one.join(server);
      for (const one of groups) one.leave(server);
      groups = [];
      const held = (await heap()) - before;
      assert.ok(held < 2 ** 20, `${held} bytes are held`);
      client.terminate();
      await server.closed;
    },
  );
});
