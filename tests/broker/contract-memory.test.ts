/** The contract of brokers, for the one in memory: all nodes are in this process and use the same object. */

import { memoryBroker } from "../../src/broker/memory.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { brokerContract } from "./contract.ts";

const OWN_PROCESS = "it is in the process of the nodes";

brokerContract({
  name: "memoryBroker",
  honours: { log: true, contiguous: true, survives: "nothing", once: true, fence: true },
  excuses: {
    cut: "there are no connections",
    kill: OWN_PROCESS,
    restart: OWN_PROCESS,
    restartEmpty: OWN_PROCESS,
    freeze: OWN_PROCESS,
    thaw: OWN_PROCESS,
    partition: "there is no network",
    heal: "there is no network",
    overrun: "an entry is delivered during the call of `publish`",
    lag: "there is no replica",
    failover: "there is no replica",
    usage: "there are no connections",
  },
  start: async () => {
    const clock = new ManualClock();
    const broker = memoryBroker({ clock });
    return {
      clock,
      broker: async () => broker,
      wait: (length) => clock.advance(length),
      faults: {},
      [Symbol.asyncDispose]: () => broker.close(),
    };
  },
});
