/** The contract of a broker: hubs on it. Point 20. */

import assert from "node:assert/strict";
import { Hub } from "../../src/hub/hub.ts";
import type { Gap, Topic, TopicEntry } from "../../src/index.ts";
import { type BrokerServer, type Contract, fault, numbered, outcomeOf, type ServerFaults, until } from "./harness.ts";

/** How long hubs may take to converge after the last fault, in milliseconds. */
const CONVERGED = 30_000;
/** How often connections are ended, and how many messages each hub publishes meanwhile. */
const [ROUNDS, EACH] = [3, 20];
const HISTORY = { messages: 10_000, bytes: 64 * 1024 * 1024, age: 3_600_000 };

/** What a hub delivers to code of the server. */
class Followed {
  readonly all: (TopicEntry | Gap)[] = [];
  ended: unknown;

  constructor(topic: Topic) {
    void this.#run(topic);
  }

  get texts(): string[] {
    return this.all.flatMap((one) => (one.type === "entry" ? String(one.message) : []));
  }

  /** From here on, without what was published to find out that it follows. */
  get own(): string[] {
    return this.texts.filter((text) => text !== "hello");
  }

  get gaps(): Gap[] {
    return this.all.filter((one) => one.type === "gap");
  }

  async #run(topic: Topic): Promise<void> {
    try {
      for await (const one of topic.follow()) this.all.push(one);
    } catch (error) {
      this.ended = error;
    }
  }
}

/** Publishes a message with an id until the broker has confirmed it. */
async function publish(server: BrokerServer, topic: Topic, text: string): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    const { error } = await outcomeOf(topic.publish(text, { id: text, timeout: 2_000 }));
    if (error === undefined) return;
    assert.ok(tries < 100, String(error));
    await server.wait(100);
  }
}

export function hubContract(contract: Contract): void {
  const { honours } = contract.harness;
  const rounds: readonly (readonly [string, (keyof ServerFaults)[]])[] = [
    ["20 two hubs converge", []],
    ["20 two hubs converge while connections are ended", ["cut"]],
  ];
  for (const [name, faults] of rounds) {
    contract.test(name, { faults }, async (server) => {
      const clock = server.clock === undefined ? {} : { clock: server.clock };
      const hubs = [
        new Hub({ broker: await server.broker(), ...clock }),
        new Hub({ broker: await server.broker(), ...clock }),
      ];
      const topics = hubs.map((hub) => hub.topic("room", { history: HISTORY }));
      const followers = topics.map((topic) => new Followed(topic));
      const [one, two] = topics as [Topic, Topic];
      while (followers.some(({ texts }) => texts.length === 0)) {
        await outcomeOf(one.publish("hello"));
        await server.wait(50);
      }
      for (let round = 1; round <= ROUNDS; round += 1) {
        const publishing = [
          Promise.all(numbered(`one ${round} `, 1, EACH).map((text) => publish(server, one, text))),
          Promise.all(numbered(`two ${round} `, 1, EACH).map((text) => publish(server, two, text))),
        ];
        for (const each of faults) await fault(server, each as "cut")();
        await Promise.all(publishing);
      }
      const range = Array.from({ length: ROUNDS }, (_, index) => index + 1);
      const expected = ["one", "two"].flatMap((hub) => range.flatMap((round) => numbered(`${hub} ${round} `, 1, EACH)));
      if (honours.log) {
        const whole = (): boolean => followers.every(({ own }) => own.length >= expected.length);
        await until(server, whole, `all messages (${followers.map(({ own }) => own.length)})`, CONVERGED);
        await server.wait(200);
        const { entries } = await one.history({ limit: 10_000 });
        const log = entries.map(({ message }) => String(message)).filter((text) => text !== "hello");
        for (const { own, gaps } of followers) {
          assert.deepEqual(own, log);
          assert.deepEqual(gaps, []);
        }
        if (honours.once) assert.deepEqual([...log].sort(), [...expected].sort());
        else assert.deepEqual([...new Set(log)].sort(), [...expected].sort());
      } else {
        // What was missed is told as a gap, and after it both hubs get the same messages.
        await publish(server, one, "end");
        await until(server, () => followers.every(({ own }) => own.includes("end")), "the last message", CONVERGED);
        for (const { own, gaps } of followers) {
          const missing = expected.filter((text) => !own.includes(text));
          if (faults.length === 0) assert.deepEqual([missing, gaps], [[], []]);
          assert.ok(
            missing.length === 0 || gaps.length > 0,
            `${missing.length} messages are missing, and no gap was told`,
          );
        }
      }
      for (const hub of hubs) await hub.close();
      await until(server, () => followers.every(({ ended }) => ended !== undefined), "the end of the loops");
    });
  }
}
