/** A router with NAT forgets a connection that is silent for too long: from then on its packets are dropped. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { beating, LinkedMachines } from "./linked-machines.ts";

/** The silence in milliseconds after which the router forgets. On a busy machine a heartbeat is late by less than that. */
const FORGET = 2_000;
const TIMEOUT = 1_000;

describe("a flow that is forgotten after a silence", { skip: unable(), timeout: 60_000, concurrency: true }, () => {
  it("stays open with a heartbeat that is more frequent", async () => {
    await using linked = await LinkedMachines.start(1);
    await linked.link.set({ forget: FORGET });
    const ends = await Promise.all(
      WIRE_PROTOCOLS.map((wire) => linked.joined(wire, { limits: beating(wire, FORGET / 10, TIMEOUT * 10) })),
    );
    // Twice the time after which the router forgets.
    await new Promise((resolve) => setTimeout(resolve, FORGET * 2));
    for (const { server, client } of ends) {
      assert.deepEqual([server.latest("closed"), client.latest("closed")], [undefined, undefined]);
    }
    assert.equal((await linked.link.counts()).forgotten, 0);
  });

  it("is detected as dead by a heartbeat that is too rare, on either side (bound: its interval and timeout)", async () => {
    await using linked = await LinkedMachines.start(1);
    await linked.link.set({ forget: FORGET });
    const ends = await Promise.all(
      WIRE_PROTOCOLS.map((wire) => linked.joined(wire, { limits: beating(wire, FORGET * 1.2, TIMEOUT) })),
    );
    for (const { server, client } of ends) {
      for (const end of [server, client]) {
        const { code, limit, bound, after } = await end.until("closed");
        assert.deepEqual([code, limit, bound], ["TIMEOUT", "heartbeat.timeout", TIMEOUT]);
        assert.ok((after as number) >= TIMEOUT);
      }
    }
    assert.ok((await linked.link.counts()).forgotten > 0);
  });
});
