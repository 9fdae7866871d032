/**
 * The contract of brokers, for the one of workers, in one process and without any pipe. `tests/workers/broker-process.test.ts` has
 * processes.
 */

import { WORKER_HONOURS } from "../../src/workers/broker.ts";
import { Machine } from "../workers/machine.ts";
import { brokerContract } from "./contract.ts";
import { bytesOf, UNKEPT } from "./harness.ts";

const LIMITS = { maxQueuedBytes: 16_777_216, maxQueuedMessages: 4_000, maxLogBytes: 1e9, maxLogTopics: 1e9 };
const NO_SERVER = "the workers end with the first process";
const NO_NETWORK = "there is no network";

brokerContract({
  name: "the broker of startWorkers",
  honours: WORKER_HONOURS,
  lossless: "a pipe loses nothing",
  excuses: {
    ...{ cut: NO_SERVER, kill: NO_SERVER, restart: NO_SERVER, restartEmpty: NO_SERVER },
    ...{ partition: NO_NETWORK, heal: NO_NETWORK, usage: NO_NETWORK },
    ...{ lag: "there is no replica", failover: "there is no replica" },
  },
  start: async () => {
    const machine = new Machine(0, LIMITS);
    const pipes = (): number[] => [...machine.exchanges.keys()];
    const freeze = async (): Promise<void> => {
      for (const pipe of pipes()) for (const one of [pipe, -1 - pipe]) machine.shut(one);
    };
    const thaw = async (): Promise<void> => {
      for (const pipe of pipes()) for (const one of [pipe, -1 - pipe]) machine.open(one);
    };
    return {
      clock: machine.clock,
      broker: async () => machine.addWorker(),
      wait: (length) => machine.clock.advance(length),
      faults: {
        freeze,
        thaw,
        overrun: async (topic) => {
          const flooder = machine.addWorker();
          const slow = pipes().slice(0, -1);
          for (const pipe of slow) machine.shut(pipe);
          for (let round = 0; round < 6; round += 1) {
            for (let number = 0; number < 1_000; number += 1) await flooder.publish(topic, bytesOf("x"), UNKEPT);
            await machine.clock.advance(1);
          }
          for (const pipe of slow) machine.open(pipe);
          await flooder.close();
        },
      },
      [Symbol.asyncDispose]: async () => {
        machine.router.clear();
        for (const broker of machine.brokers) await broker.close();
      },
    };
  },
});
