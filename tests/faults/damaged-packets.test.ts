/** Packets that are duplicated, reordered or have a flipped bit: TCP repairs this, and no message changes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { type PacketCounts, type PacketFaults, unable } from "./bad-link.ts";
import { LinkedMachines } from "./linked-machines.ts";
import { digestOf } from "./load.ts";

const LOAD = { messages: 200, size: 10_000 };
const NEAR = { delay: 2 };

const DAMAGES: readonly [what: string, faults: PacketFaults, counted: keyof PacketCounts][] = [
  ["come twice", { duplicate: 0.2 }, "duplicated"],
  ["overtake others", { reorder: 0.2 }, "reordered"],
  ["have one bit turned", { corrupt: 0.02 }, "corrupted"],
  ["suffer all of this", { duplicate: 0.05, reorder: 0.05, corrupt: 0.01 }, "corrupted"],
];

describe("packets that are damaged", { skip: unable(), timeout: 120_000 }, () => {
  for (const [index, [what, faults, counted]] of DAMAGES.entries()) {
    it(`because some ${what}: every message arrives unchanged and in order, both ways (bound: none)`, async (t) => {
      await using linked = await LinkedMachines.start(index);
      await linked.link.set({ ...NEAR, ...faults });
      const ends = await Promise.all(
        WIRE_PROTOCOLS.map((wire) => linked.joined(wire, { server: "exchange", client: "exchange", load: LOAD })),
      );
      for (const { server, client } of ends) {
        assert.equal((await server.until("summed")).digest, digestOf("client", LOAD));
        assert.equal((await client.until("summed")).digest, digestOf("server", LOAD));
        assert.deepEqual([server.latest("closed"), client.latest("closed")], [undefined, undefined]);
      }
      const counts = await linked.link.counts();
      t.diagnostic(JSON.stringify(counts));
      assert.ok(counts[counted] > 10, `${counts[counted]} were`);
    });
  }
});
