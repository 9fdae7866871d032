/** 2,000 prices a second for a client on a link of 30 kB/s: with `maxInFlightBytes` no price is old when it arrives. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { LinkedMachines } from "./linked-machines.ts";
import type { Part } from "./machine.ts";

/** In kbit/s: 30 kB/s. */
const RATE = 240;

/** The maximum age of a price, in milliseconds. */
const FRESH = 500;

/** The number of prices that a client receives. The slow link needs seven seconds for them. */
const PRICES = 2_000;

const LIMITS = { server: { maxInFlightBytes: 8_192 }, client: {} };

async function oldest(client: Part, prices: number): Promise<number> {
  const { ages } = await client.until("aged", (report) => report.prices >= prices);
  return ages.at(-1) ?? Infinity;
}

for (const wire of WIRE_PROTOCOLS) {
  describe(`prices over ${wire.name}`, { skip: unable(), timeout: 120_000 }, () => {
    it(`are at most ${FRESH} ms old at a client on a link of 30 kB/s with maxInFlightBytes`, async (t) => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ rate: RATE });
      const bounded = await linked.joined(wire, { limits: LIMITS, server: "publish-prices", client: "take-prices" });
      const age = await oldest(bounded.client, PRICES);
      t.diagnostic(`the oldest of ${PRICES} prices was ${age} ms old`);
      assert.ok(age <= FRESH, `${age} ms`);
      assert.ok((bounded.server.latest("published")?.inFlight ?? Infinity) <= 8_192);
    });

    it("without maxInFlightBytes are older than that, because the kernel has taken them", async (t) => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ rate: RATE });
      const free = await linked.joined(wire, { server: "publish-prices", client: "take-prices" });
      const age = await oldest(free.client, PRICES);
      t.diagnostic(`the oldest of ${PRICES} prices was ${age} ms old`);
      assert.ok(age > FRESH, `${age} ms`);
    });

    it("are fresh at a client on a fast link, too, and on a WebSocket none is replaced", async (t) => {
      await using linked = await LinkedMachines.start(1);
      const fast = await linked.joined(wire, { limits: LIMITS, server: "publish-prices", client: "take-prices" });
      const age = await oldest(fast.client, 10_000);
      const { sent, dropped } = fast.server.latest("published") ?? { sent: 0, dropped: Infinity };
      t.diagnostic(`${dropped} of ${sent} were replaced, the oldest was ${age} ms old`);
      assert.ok(age <= FRESH, `${age} ms`);
      // On framed TCP this depends on how fast the kernel answers queries.
      if (wire.protocol === "websocket") assert.ok(dropped < sent / 100, `${dropped} of ${sent}`);
    });
  });
}
