/** The contract of brokers, for the faulty server of the simulation, which suffers every fault. So the suite itself is tested, too. */

import { ManualClock } from "../../src/testing/index.ts";
import { brokerContract } from "./contract.ts";
import { FAULTY_HONOURS } from "./faulty-link.ts";
import type { FaultyNode } from "./faulty-node.ts";
import { FaultyServer } from "./faulty-server.ts";

brokerContract({
  name: "the faulty server of the simulation",
  honours: FAULTY_HONOURS,
  excuses: {},
  topics: 1_000,
  start: async () => {
    const clock = new ManualClock();
    const server = new FaultyServer({ clock });
    const nodes: FaultyNode[] = [];
    // A call is answered only when time passes.
    let running = true;
    const run = (async () => {
      while (running) await clock.advance(10);
    })();
    return {
      clock,
      broker: async () => {
        const node = server.node();
        nodes.push(node);
        return node;
      },
      wait: async (length) => {
        const end = Number(clock.now()) + length;
        while (Number(clock.now()) < end) await new Promise(setImmediate);
      },
      faults: server.faults,
      [Symbol.asyncDispose]: async () => {
        for (const node of nodes) await node.close();
        running = false;
        await run;
      },
    };
  },
});
