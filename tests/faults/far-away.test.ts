/** A distant peer: 200 ms round trip with jitter, and 2 % packet loss. It is slow, and nothing worse. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS } from "../../src/index.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";
import { unable } from "./bad-link.ts";
import { beating, LinkedMachines } from "./linked-machines.ts";
import { digestOf } from "./load.ts";

const FAR = { delay: 100, jitter: 25, loss: 0.02, reorder: 0.02 };
const LOAD = { messages: 100, size: 4_000 };

// So short that a Ping is in flight nearly all the time. The time to wait for the answer is the default.
const INTERVAL = 100;

describe("a link of 200 ms there and back, with jitter, loss and reordering", {
  skip: unable(),
  timeout: 120_000,
}, () => {
  it("loses nothing in either direction and neither side gives up the other (bound: heartbeat.timeout's default)", async (t) => {
    await using linked = await LinkedMachines.start(1);
    await linked.link.set(FAR);
    const limits = (wire: (typeof WIRE_PROTOCOLS)[number]): object => ({
      ...{
        ...beating(wire, INTERVAL, DEFAULTS.connection.heartbeat.timeout),
        writeTimeout: DEFAULTS.connection.writeTimeout,
      },
    });
    const all = WIRE_PROTOCOLS.flatMap((wire) => [
      linked.joined(wire, { limits: limits(wire), server: "exchange", client: "exchange", load: LOAD }),
      linked.joined(wire, { limits: limits(wire) }),
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
