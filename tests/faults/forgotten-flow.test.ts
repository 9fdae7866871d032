/** Something on the way forgets a connection that is silent for too long, as routers with NAT do: its packets vanish from then on. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SPEECHES } from "../requirements/speech.js";
import { unable } from "./bad-link.js";
import { beating, Linked } from "./linked.js";

/** After so much silence it is forgotten. A busy machine may keep a heartbeat waiting for less than that. */
const FORGET = 2_000;
const TIMEOUT = 1_000;

describe("a flow that is forgotten after a silence", { skip: unable(), timeout: 60_000, concurrency: true }, () => {
  it("is kept by a heartbeat that is more frequent", async () => {
    await using linked = await Linked.start(1);
    await linked.link.set({ forget: FORGET });
    const ends = await Promise.all(
      SPEECHES.map((speech) => linked.joined(speech, { limits: beating(speech, FORGET / 10, TIMEOUT * 10) })),
    );
    // Long enough to be forgotten, twice.
    await new Promise((resolve) => setTimeout(resolve, FORGET * 2));
    for (const { server, client } of ends) {
      assert.deepEqual([server.latest("closed"), client.latest("closed")], [undefined, undefined]);
    }
    assert.equal((await linked.link.counts()).forgotten, 0);
  });

  it("is found dead by a heartbeat that comes too late, at either end (bound: its interval and timeout)", async () => {
    await using linked = await Linked.start(1);
    await linked.link.set({ forget: FORGET });
    const ends = await Promise.all(
      SPEECHES.map((speech) => linked.joined(speech, { limits: beating(speech, FORGET * 1.2, TIMEOUT) })),
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
