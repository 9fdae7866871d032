/** Connections that end by a reset under load: by a firewall in the middle of a message, or by the kernel repeatedly. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { beating, carried, LinkedMachines } from "./linked-machines.ts";
import { senders, settled } from "./numbered-messages.ts";

/** Two seconds of this link, in kbit/s. */
const RATE = 4_000;
const LONG = { messages: 1, size: 1_000_000 };

const KILLS = 8;
const EVERY = 500;
/** The link is never idle, and the bytes in flight take no more than half a second. */
const LOAD = { messages: 0, size: 1_000 };

describe("a reset", { skip: unable(), timeout: 120_000 }, () => {
  for (const sender of ["server", "client"] as const) {
    it(`by a firewall while the ${sender} sends: both sides get the system's error, and no partial message is delivered (bound: heartbeat.interval)`, async () => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ rate: RATE });
      const receiver = sender === "server" ? "client" : "server";
      const deeds = { [sender]: "send-long", [receiver]: "take" } as const;
      // A firewall answers only packets: the side that sends nothing detects it by its Ping.
      const limits = (wire: WireProtocol): object => beating(wire, 500, 10_000);
      const ends = await Promise.all(
        WIRE_PROTOCOLS.map((wire) => linked.joined(wire, { ...deeds, limits: limits(wire), load: LONG })),
      );
      await carried(linked, 100);
      await linked.link.set({ reject: true });
      for (const end of ends) {
        for (const side of ["server", "client"] as const) {
          const { code, errno, wasClean, by } = await end[side].until("closed");
          assert.equal(code, "TRANSPORT");
          assert.ok(errno === "ECONNRESET" || errno === "EPIPE", `${errno}`);
          assert.deepEqual([wasClean, by], [false, "peer"]);
        }
        assert.equal(end[receiver].latest("summed"), undefined);
      }
      assert.ok((await linked.link.counts()).rejected > 0);
    });
  }

  for (const side of ["client", "server"] as const) {
    it(`by the ${side}'s kernel every ${EVERY} ms, under load: each message is accounted for as its delivery promises`, async (t) => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ rate: RATE * 2, delay: 5 });
      const all = (await Promise.all(WIRE_PROTOCOLS.map((wire) => senders(linked, wire, LOAD, {})))).flat();
      for (let kill = 0; kill < KILLS; kill += 1) {
        await Promise.all(all.map(({ heard }) => heard.part.until("open", () => heard.part.count("open") > kill)));
        await new Promise((resolve) => setTimeout(resolve, EVERY));
        await linked.link.kill(side);
      }
      for (const visitor of all) {
        await visitor.heard.part.until("open", () => visitor.heard.part.count("open") > KILLS);
        t.diagnostic(await settled(visitor));
      }
    });
  }
});
