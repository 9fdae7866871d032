/** Hubs on a server that loses entries, cuts connections, freezes, forgets and rolls back, at random from a seed. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Hub } from "../../src/hub/hub.ts";
import type { Gap, HubStats, Topic, TopicEntry } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { FaultyServer } from "../broker/faulty-server.ts";
import { outcomeOf } from "../broker/harness.ts";
import { Client, ENCODER, Member } from "./clients.ts";
import { FaultyBroker, FaultyServer as OneTopic } from "./faulty-broker.ts";
import { judgeFollowed } from "./promises.ts";

const HISTORY = { messages: 10_000, bytes: 64 * 1024 * 1024, age: 3_600_000 };
const SEEDS = 12;
const STEPS = 120;

/** The generator mulberry32: numbers from 0 to 1. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What one hub delivers to code of the server. */
async function follow(topic: Topic, to: (TopicEntry | Gap)[]): Promise<void> {
  try {
    for await (const one of topic.follow()) to.push(one);
  } catch {
    // The hub was closed.
  }
}

/** Runs hubs on a faulty server. With `forgets`, the server also loses what it has confirmed. */
async function run(seed: number, forgets: boolean): Promise<readonly HubStats[]> {
  const random = randomOf(seed);
  const pick = (count: number): number => Math.floor(random() * count);
  const clock = new ManualClock();
  let calm = false;
  const server = new FaultyServer({
    clock,
    delay: () => 1 + pick(20),
    loses: () => !calm && random() < 0.15,
  });
  const nodes = [server.node(), server.node(), server.node()];
  const hubs = nodes.map((broker) => new Hub({ broker, clock, random }));
  const topics = hubs.map((hub) => hub.topic("room", { history: HISTORY }));
  const heard = topics.map((): (TopicEntry | Gap)[] => []);
  const following = topics.map((topic, index) => follow(topic, heard[index] as (TopicEntry | Gap)[]));
  await clock.advance(1_000);
  const confirmed = new Set<string>();
  const publishing: Promise<void>[] = [];
  const publish = async (topic: Topic, text: string): Promise<boolean> => {
    const { value } = await outcomeOf(topic.publish(text, { id: text, timeout: 1_000 }));
    if (value !== undefined) confirmed.add(text);
    return value !== undefined;
  };
  const { freeze, thaw, partition, heal } = server.faults;
  for (let step = 0; step < STEPS; step += 1) {
    for (let count = pick(4); count > 0; count -= 1) {
      publishing.push(publish(topics[pick(3)] as Topic, `${step}.${count}`).then(() => undefined));
    }
    const fault = random();
    const node = nodes[pick(3)];
    if (fault < 0.06) server.cut(node);
    else if (fault < 0.1) server.suspect(node as (typeof nodes)[number]);
    else if (fault < 0.12) await freeze();
    else if (fault < 0.14) await partition();
    else if (fault < 0.2) await Promise.all([thaw(), heal()]);
    else if (forgets && fault < 0.215) server.rollBack(1 + pick(4));
    else if (forgets && fault < 0.22) server.empty();
    await clock.advance(10 + pick(200));
  }
  calm = true;
  await Promise.all([thaw(), heal()]);
  await clock.advance(5_000);
  await Promise.all(publishing);
  while (true) {
    const end = publish(topics[0] as Topic, "end");
    await clock.advance(2_000);
    if (await end) break;
  }
  // Longer than the interval of the probe.
  await clock.advance(70_000);

  const read = outcomeOf((topics[0] as Topic).history({ limit: 10_000 }));
  await clock.advance(1_000);
  const log = ((await read).value?.entries ?? []).map((entry) => `${entry.offset} ${entry.message}`);
  for (const all of heard) judgeFollowed(all, { log, newest: "end", confirmed: forgets ? undefined : confirmed });
  const stats = hubs.map((hub) => hub.stats);
  for (const hub of hubs) await hub.close();
  await Promise.all(following);
  return stats;
}

describe("hubs on a faulty server", () => {
  for (const [name, forgets] of [
    ["lose nothing, double nothing and tell no gap, if the server forgets nothing", false],
    ["tell a gap when the server forgets, and have the end of its log behind it", true],
  ] as const) {
    it(name, { timeout: 120_000 }, async () => {
      const all: HubStats[] = [];
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const stats = await run(seed, forgets).catch((error: Error) => {
          error.message = `seed ${seed}: ${error.message}`;
          throw error;
        });
        all.push(...stats);
      }
      // The runs have reached what they are about.
      const sum = (of: (stats: HubStats) => number): number => all.reduce((total, stats) => total + of(stats), 0);
      assert.ok(sum(({ healedHoles }) => healedHoles) > 0);
      if (!forgets) return;
      for (const of of [
        ({ gaps }: HubStats) => gaps.fork,
        ({ gaps }: HubStats) => gaps.epoch,
        ({ forks }: HubStats) => forks,
      ]) {
        assert.ok(sum(of) > 0, String(of));
      }
    });
  }
});

describe("a hub that is interrupted while it verifies a topic", () => {
  it("does not deliver what came before, if the server has forgotten it", async () => {
    const clock = new ManualClock();
    const server = new OneTopic(100, true);
    const broker = new FaultyBroker(server);
    await using hub = new Hub({ broker, clock, random: () => 0.5 });
    const topic = hub.topic("room", { history: HISTORY });
    const heard: (TopicEntry | Gap)[] = [];
    void follow(topic, heard);
    await clock.advance(100);
    for (const text of ["first", "lost", "forgotten"]) await topic.publish(text);
    server.deliver(0, "pass");
    server.deliver(0, "lose");
    broker.failures = 1;
    server.deliver(0, "pass");
    await clock.advance(1);
    server.rollBack(2);
    broker.away = false;
    await topic.publish("second");
    broker.away = true;
    broker.restore();
    await clock.advance(10_000);
    assert.deepEqual(
      heard.map((one) => one.type === "entry" && one.message),
      ["first", "second"],
    );
  });
});

describe("a hub whose server is rolled back behind the history of the hub", () => {
  // The replica that is the server now still has the oldest messages, which had left the history of the hub.
  it("gives no member a message twice: the gap ends behind what the server has", async () => {
    const clock = new ManualClock();
    const server = new OneTopic(3, true);
    const broker = new FaultyBroker(server);
    await using hub = new Hub({ broker, clock, encoder: ENCODER, random: () => 0.5 });
    const topic = hub.topic("room", { history: { messages: 3 } });
    const client = new Client("ann", server);
    const member = new Member(client, 1_000);
    // With `last`, the hub reads the history, and knows that there is nothing else.
    await topic.join(member, { last: 1 });
    for (const text of ["a", "b", "c", "d", "e", "f"]) {
      await topic.publish(text);
      server.deliverAll();
    }
    member.read();
    server.rollBack(3);
    server.log = server.all.slice(0, 3);
    broker.restore();
    await clock.advance(1_000);
    member.read();
    assert.deepEqual([client.lastGap?.reason, client.lastGap?.from.offset, client.position?.offset], ["fork", 6, 3]);
    await topic.publish("g");
    server.deliverAll();
    member.read();
    assert.deepEqual([...client.seen], ["a", "b", "c", "d", "e", "f", "g"]);
    assert.equal(client.last, server.tip);
  });
});
