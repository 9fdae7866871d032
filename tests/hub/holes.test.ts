/** Tests of how a hub counts what its broker has passed over: each hole is healed from the log, told as a gap, or ended. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Gap, Hub, type HubStats, type Topic, type TopicEntry } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { FaultyBroker, FaultyServer } from "./faulty-broker.ts";

const PROBE = 31_000;

interface Followed {
  readonly clock: ManualClock;
  readonly server: FaultyServer;
  readonly broker: FaultyBroker;
  readonly hub: Hub;
  readonly topic: Topic;
  readonly heard: string[];
}

/** A hub with code that follows a topic, which keeps `messages`. */
async function followed(messages: number, contiguous: boolean, run: (all: Followed) => Promise<void>): Promise<void> {
  const clock = new ManualClock();
  const server = new FaultyServer(messages, contiguous);
  const broker = new FaultyBroker(server);
  await using hub = new Hub({ broker, clock, random: () => 0.5 });
  const topic = hub.topic("room", { history: { messages } });
  const heard: string[] = [];
  const follow = async (): Promise<void> => {
    for await (const one of topic.follow()) heard.push(textOf(one));
  };
  const following = follow().catch(() => undefined);
  await clock.advance(100);
  await run({ clock, server, broker, hub, topic, heard });
  await hub.close();
  await following;
}

function textOf(one: TopicEntry | Gap): string {
  return one.type === "gap" ? `gap ${one.reason}` : String(one.message);
}

/** Publishes messages, of which only those that are not in `lost` arrive. */
async function publish(
  { topic, server, clock }: Followed,
  texts: readonly string[],
  lost: readonly string[],
): Promise<void> {
  for (const text of texts) {
    await topic.publish(text);
    server.deliver(0, lost.includes(text) ? "lose" : "pass");
    await clock.advance(1);
  }
}

function counted({ holes, healedHoles, toldHoles, endedHoles }: HubStats): readonly number[] {
  return [holes, healedHoles, toldHoles, endedHoles];
}

describe("the holes of a topic", () => {
  for (const contiguous of [true, false])
    describe(contiguous ? "with contiguous offsets" : "with linked offsets", () => {
      it("are the runs that were passed over, and each is healed", async () => {
        await followed(100, contiguous, async (all) => {
          const texts = ["a", "b", "c", "d", "e", "f", "g"];
          await publish(all, texts, ["b", "c", "e"]);
          await all.clock.advance(1_000);
          assert.deepEqual(all.heard, texts);
          assert.deepEqual(counted(all.hub.stats), [2, 2, 0, 0]);
        });
      });

      it("do not count what was read before it has arrived", async () => {
        await followed(100, contiguous, async (all) => {
          const { topic, broker, server, clock } = all;
          await publish(all, ["a"], []);
          broker.interrupt();
          broker.away = false;
          await topic.publish("b");
          broker.away = true;
          broker.failures = 1;
          broker.restore();
          for (const text of ["c", "d"]) await topic.publish(text);
          await clock.advance(1_000);
          assert.deepEqual(all.heard, ["a", "b", "c", "d"]);
          // They arrive behind the read that had them.
          server.deliverAll();
          await publish(all, ["e"], []);
          assert.deepEqual(all.heard, ["a", "b", "c", "d", "e"]);
          assert.deepEqual(counted(all.hub.stats), [1, 1, 0, 0]);
        });
      });

      it("at the end of a topic are none until a later message arrives", async () => {
        await followed(100, contiguous, async (all) => {
          await publish(all, ["a", "b"], ["b"]);
          await all.clock.advance(2 * PROBE);
          assert.deepEqual(all.heard, ["a", "b"]);
          assert.deepEqual(counted(all.hub.stats), [0, 0, 0, 0]);
          await publish(all, ["c"], []);
          assert.deepEqual(counted(all.hub.stats), [1, 1, 0, 0]);
        });
      });
    });

  it("are told if the history does not reach back", async () => {
    await followed(3, true, async (all) => {
      const texts = ["a", "b", "c", "d", "e", "f", "g"];
      await publish(all, texts, ["b", "c", "d", "e", "f"]);
      await all.clock.advance(1_000);
      assert.deepEqual(all.heard, ["a", "gap trimmed", "e", "f", "g"]);
      assert.deepEqual(counted(all.hub.stats), [1, 0, 1, 0]);
    });
  });

  it("end with the last member", async () => {
    await followed(100, true, async (all) => {
      await publish(all, ["a"], []);
      // Behind the entry that is not there, the log cannot be read.
      all.broker.failures = Infinity;
      await publish(all, ["b", "c"], ["b"]);
      assert.deepEqual(counted(all.hub.stats), [1, 0, 0, 0]);
      await all.hub.close();
      assert.deepEqual(counted(all.hub.stats), [1, 0, 0, 1]);
    });
  });

  it("are told if the log has another history", async () => {
    await followed(100, true, async (all) => {
      await publish(all, ["a", "b", "c"], []);
      all.broker.interrupt();
      all.server.rollBack(1);
      all.broker.restore();
      await all.clock.advance(1_000);
      await publish(all, ["d", "e", "f"], ["e"]);
      await all.clock.advance(1_000);
      assert.deepEqual(all.heard, ["a", "b", "c", "gap fork", "d", "e", "f"]);
      // The loss of the history is no hole. What is missing in the new one is.
      assert.deepEqual(counted(all.hub.stats), [1, 1, 0, 0]);
    });
  });
});
