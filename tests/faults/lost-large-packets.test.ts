/** A link that drops packets above a size without a report: connections open, and large messages never arrive. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { beating, LinkedMachines } from "./linked-machines.ts";
import { digestOf } from "./load.ts";
import type { Side } from "./network.ts";

const LONGEST = 1_000;
const TIMEOUT = 1_000;
const WRITE_TIMEOUT = 1_000;

const SMALL = { messages: 20, size: 100 };
const LARGE = { messages: 1, size: 5_000 };

describe("packets above 1,000 bytes are lost", { skip: unable(), timeout: 60_000 }, () => {
  it("small messages arrive", async () => {
    await using linked = await LinkedMachines.start(1);
    await linked.link.set({ longest: LONGEST });
    for (const wire of WIRE_PROTOCOLS) {
      // One after the other: TCP would join two waiting messages into one packet.
      const { server, client } = await linked.joined(wire, { server: "echo", client: "count", load: SMALL });
      await client.until("counted", ({ number }) => number >= SMALL.messages);
      assert.equal(server.latest("closed"), undefined);
    }
  });

  for (const sender of ["server", "client"] as const) {
    it(`a message of the ${sender} that the kernel accepts: the heartbeat detects it, because the Ping waits behind it (bound: heartbeat)`, async () => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ longest: LONGEST });
      const limits = (wire: WireProtocol): object => beating(wire, 300, TIMEOUT);
      const ends = await Promise.all(
        WIRE_PROTOCOLS.map((wire) =>
          linked.joined(wire, { limits: limits(wire), ...deeds(sender, "send-long", "take"), load: LARGE }),
        ),
      );
      for (const end of ends) {
        const both = await Promise.all([end.server.until("closed"), end.client.until("closed")]);
        // The sender receives the other side's Pings. It gets a reset, unless it sent the last Ping.
        const facts = both.find(({ code }) => code === "TIMEOUT");
        assert.deepEqual([facts?.["limit"], facts?.["bound"]], ["heartbeat.timeout", TIMEOUT], JSON.stringify(both));
        assert.equal(end[sender === "server" ? "client" : "server"].latest("summed"), undefined);
      }
      assert.ok((await linked.link.counts()).tooLong > 0);
    });

    it(`more of the ${sender} than the kernel accepts: the write makes no progress (bound: writeTimeout)`, async () => {
      await using linked = await LinkedMachines.start(1);
      await linked.link.set({ longest: LONGEST });
      const limits = { [sender]: { writeTimeout: WRITE_TIMEOUT } };
      const ends = await Promise.all(
        WIRE_PROTOCOLS.map((wire) => linked.joined(wire, { limits, ...deeds(sender, "flood", "nothing") })),
      );
      for (const end of ends) {
        const facts = await end[sender].until("closed");
        assert.deepEqual([facts["code"], facts["limit"], facts["bound"]], ["TIMEOUT", "writeTimeout", WRITE_TIMEOUT]);
      }
    });
  }

  it("and pass again in time: the messages arrive", async () => {
    await using linked = await LinkedMachines.start(1);
    await linked.link.set({ longest: LONGEST });
    for (const wire of WIRE_PROTOCOLS) {
      const { server, client } = await linked.joined(wire, { client: "send-long", server: "take", load: LARGE });
      await client.until("poured");
      await linked.link.heal();
      assert.equal((await server.until("summed")).digest, digestOf("client", LARGE));
      await linked.link.set({ longest: LONGEST });
    }
  });
});

type Deed = "send-long" | "take" | "flood" | "nothing";

const deeds = (sender: Side, sends: Deed, receives: Deed): Record<Side, Deed> =>
  sender === "server" ? { server: sends, client: receives } : { server: receives, client: sends };
