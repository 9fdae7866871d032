/** A link that loses every packet beyond a size and tells nobody: a connection opens there, and large messages never arrive. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { unable } from "./bad-link.js";
import { beating, Linked } from "./linked.js";
import { digestOf } from "./load.js";
import type { Side } from "./network.js";

const LONGEST = 1_000;
const TIMEOUT = 1_000;
const WRITE_TIMEOUT = 1_000;

const SMALL = { messages: 20, size: 100 };
const LARGE = { messages: 1, size: 5_000 };

describe("packets of more than 1,000 octets vanish", { skip: unable(), timeout: 60_000 }, () => {
  it("small messages do not notice", async () => {
    await using linked = await Linked.start(1);
    await linked.link.set({ longest: LONGEST });
    for (const speech of SPEECHES) {
      // One after the other: TCP would put two that wait into one packet.
      const { server, client } = await linked.joined(speech, { server: "echo", client: "count", load: SMALL });
      await client.until("counted", ({ number }) => number >= SMALL.messages);
      assert.equal(server.latest("closed"), undefined);
    }
  });

  for (const sender of ["server", "client"] as const) {
    it(`a message of the ${sender}'s that the kernel holds: the heartbeat tells, as what asks is stuck behind it (bound: heartbeat)`, async () => {
      await using linked = await Linked.start(1);
      await linked.link.set({ longest: LONGEST });
      const limits = (speech: Speech): object => beating(speech, 300, TIMEOUT);
      const ends = await Promise.all(
        SPEECHES.map((speech) =>
          linked.joined(speech, { limits: limits(speech), ...deeds(sender, "send-long", "take"), load: LARGE }),
        ),
      );
      for (const end of ends) {
        const both = await Promise.all([end.server.until("closed"), end.client.until("closed")]);
        // The sender hears the other's Pings. It is told by a reset, if it is not the one who is asked last.
        const facts = both.find(({ code }) => code === "TIMEOUT");
        assert.deepEqual([facts?.["limit"], facts?.["bound"]], ["heartbeat.timeout", TIMEOUT], JSON.stringify(both));
        assert.equal(end[sender === "server" ? "client" : "server"].latest("summed"), undefined);
      }
      assert.ok((await linked.link.counts()).tooLong > 0);
    });

    it(`more of the ${sender}'s than the kernel holds: its write makes no progress (bound: writeTimeout)`, async () => {
      await using linked = await Linked.start(1);
      await linked.link.set({ longest: LONGEST });
      const limits = { [sender]: { writeTimeout: WRITE_TIMEOUT } };
      const ends = await Promise.all(
        SPEECHES.map((speech) => linked.joined(speech, { limits, ...deeds(sender, "flood", "nothing") })),
      );
      for (const end of ends) {
        const facts = await end[sender].until("closed");
        assert.deepEqual([facts["code"], facts["limit"], facts["bound"]], ["TIMEOUT", "writeTimeout", WRITE_TIMEOUT]);
      }
    });
  }

  it("and pass again in time: what was stuck arrives", async () => {
    await using linked = await Linked.start(1);
    await linked.link.set({ longest: LONGEST });
    for (const speech of SPEECHES) {
      const { server, client } = await linked.joined(speech, { client: "send-long", server: "take", load: LARGE });
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
