/** Checks that each advisory of the table has a test, and has the tests that fit in no other file. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Group } from "../../src/index.ts";
import { pair } from "../../src/testing/index.ts";
import { settledMemory } from "../kit/memory.ts";
import { assertTestsExist } from "../kit/named-tests.ts";
import { ADVISORIES } from "./advisories.ts";
import { AttackedServer } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";
import { VIOLATIONS, wireOf } from "./violations.ts";

const LIMIT = { timeout: 60_000 };

describe("the advisory", () => {
  for (const { of, attack, proofs } of ADVISORIES) {
    it(`${of} has its tests: ${attack}`, () => {
      assert.ok(proofs.length > 0);
      assertTestsExist(proofs);
    });
  }
});

describe("attacks without a file of their own", () => {
  it("an impossible announced length costs no time while its sender stays connected", LIMIT, async () => {
    await using attacked = await AttackedServer.start({ url: "ws://127.0.0.1:0", does: "swallow" });
    const lengths = [...VIOLATIONS].filter(([what]) => what.includes("bytes announced"));
    assert.ok(lengths.length > 20);
    const before = await attacked.begin();
    const crowd: Attacker[] = [];
    for (const [, { frames, code }] of lengths) {
      const attacker = await Attacker.on(attacked.port);
      crowd.push(attacker);
      await attacker.flood(wireOf(frames, true), 1);
      await attacker.until(() => attacker.ended);
      assert.equal(attacker.closeCode, code);
    }
    // An endless loop would block the report, or its time would be in it.
    const { cpu } = await attacked.within(crowd.length * 16_384);
    assert.ok(cpu - before.cpu < 5_000, `${cpu - before.cpu} ms of processor time`);
    await Promise.all(crowd.map((attacker) => attacker[Symbol.asyncDispose]()));
  });

  it(
    "a group that is joined and left a hundred thousand times keeps nothing, and neither does a member of as many groups",
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
