/** A peer that is far away: 200 ms there and back with jitter, and 2 % of the packets lost. It is slow, and that is all. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS } from "../../src/index.js";
import { SPEECHES } from "../requirements/speech.js";
import { unable } from "./bad-link.js";
import { beating, Linked } from "./linked.js";
import { digestOf } from "./load.js";

const FAR = { delay: 100, jitter: 25, loss: 0.02, reorder: 0.02 };
const LOAD = { messages: 100, size: 4_000 };

// As short as that a Ping is on its way nearly all the time; how long to wait for its answer is the default.
const INTERVAL = 100;

describe("a link of 200 ms there and back, with jitter, loss and reordering", {
  skip: unable(),
  timeout: 120_000,
}, () => {
  it("loses nothing in either direction and nobody is declared dead (bound: heartbeat.timeout's default)", async (t) => {
    await using linked = await Linked.start(1);
    await linked.link.set(FAR);
    const limits = (speech: (typeof SPEECHES)[number]): object => ({
      ...{ ...beating(speech, INTERVAL, DEFAULTS.heartbeat.timeout), writeTimeout: DEFAULTS.writeTimeout },
    });
    const all = SPEECHES.flatMap((speech) => [
      linked.joined(speech, { limits: limits(speech), server: "exchange", client: "exchange", load: LOAD }),
      linked.joined(speech, { limits: limits(speech) }),
    ]);
    const ends = await Promise.all(all);
    for (const [index, { server, client }] of ends.entries()) {
      if (index % 2 === 1) continue;
      assert.equal((await server.until("summed")).digest, digestOf("client", LOAD));
      assert.equal((await client.until("summed")).digest, digestOf("server", LOAD));
    }
    const { lost, reordered, passed } = await linked.link.counts();
    t.diagnostic(`${passed} packets passed, ${lost} were lost, ${reordered} reordered`);
    assert.ok(lost > 0 && reordered > 0);
    for (const { server, client } of ends) {
      assert.deepEqual([server.latest("closed"), client.latest("closed")], [undefined, undefined]);
    }
  });
});
