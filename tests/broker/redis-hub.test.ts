/** The books of a topic on Redis while its subscriptions are killed: every message once, in order, at every member. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Broker, BrokerListener } from "../../src/broker/broker.ts";
import { redisBroker } from "../../src/broker/redis/index.ts";
import { connect, Hub, listen } from "../../src/index.ts";
import { RedisProcess, unable } from "./redis-server.ts";

/** How long the kills go on, in seconds; HOLDFAST_KILLS=60 is the run of the figures. */
const SECONDS = Number(process.env["HOLDFAST_KILLS"] ?? 5);
const RATE = 1_000;
const KILL_EVERY = 500;
const sleep = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

/** What an observer of the subscriptions sees: the offsets that arrive, and the runs of offsets that are passed over. */
interface Observed {
  readonly offsets: Set<number>;
  holes: number;
  last: number;
}

/** The broker, with an observer of what its subscriptions deliver. */
function observedBroker(broker: Broker, observed: Observed): Broker {
  const subscribe = broker.subscribe.bind(broker);
  return Object.assign(Object.create(broker) as Broker, {
    honours: broker.honours,
    publish: broker.publish.bind(broker),
    read: broker.read.bind(broker),
    renew: broker.renew.bind(broker),
    close: broker.close.bind(broker),
    subscribe: (topic: string, listener: BrokerListener) =>
      subscribe(topic, {
        entry(entry) {
          if (entry.offset > 0) {
            observed.offsets.add(entry.offset);
            if (entry.offset > observed.last + 1) observed.holes += 1;
            observed.last = Math.max(observed.last, entry.offset);
          }
          listener.entry(entry);
        },
        interrupted: (cause) => listener.interrupted(cause),
        restored: () => listener.restored(),
        invalid: (error, offset) => listener.invalid(error, offset),
      }),
  });
}

describe("a hub on Redis", { skip: unable() }, () => {
  it(`loses, doubles and reorders nothing while its subscriptions are killed every ${KILL_EVERY} ms`, {
    timeout: (SECONDS + 60) * 1_000,
  }, async () => {
    await using redis = await RedisProcess.start();
    const observed: Observed = { offsets: new Set(), holes: 0, last: 0 };
    await using publisher = new Hub({ broker: redisBroker(redis.url) });
    await using hub = new Hub({ broker: observedBroker(redisBroker(redis.url), observed) });
    const options = { history: { messages: 20_000, bytes: 16 * 1024 * 1024, age: 300_000 } };
    const room = hub.topic("room", options);
    await using server = await listen("ws://127.0.0.1:0", { open: (connection) => void room.join(connection) });
    const heard: string[][] = [[], [], []];
    const members = await Promise.all(
      heard.map((texts) => connect(server.url, { message: (_, text) => void texts.push(String(text)) })),
    );
    while (room.members.length < members.length) await sleep(10);

    const sending: Promise<unknown>[] = [];
    const began = performance.now();
    let kills = 0;
    for (let passed = 0; passed < SECONDS * 1_000; passed = performance.now() - began) {
      while (sending.length < (passed / 1_000) * RATE) sending.push(publish(sending.length + 1));
      if (passed > (kills + 1) * KILL_EVERY) {
        kills += 1;
        await redis.command("CLIENT", "KILL", "TYPE", "pubsub");
      }
      await sleep(5);
    }
    function publish(number: number): Promise<unknown> {
      return publisher.topic("room", options).publish(String(number), { timeout: 20_000 });
    }
    await Promise.all(sending);
    const sent = sending.length;
    for (let waited = 0; waited < 20_000 && heard.some((texts) => texts.length < sent); waited += 50) await sleep(50);

    const expected = Array.from({ length: sent }, (_, index) => String(index + 1));
    for (const texts of heard) assert.deepEqual(texts, expected);
    const { holes, healedHoles, toldHoles, healedEntries, gaps, forks } = hub.stats;
    assert.deepEqual([Object.values(gaps).every((count) => count === 0), forks], [true, 0]);
    // What did not arrive was read from the log; what arrived behind a read of it counts in both.
    const missed = sent - observed.offsets.size;
    assert.ok(missed > 0 && healedEntries >= missed, `${missed} did not arrive, ${healedEntries} were healed`);
    assert.deepEqual(
      { holes, healedHoles, toldHoles },
      { holes: observed.holes, healedHoles: observed.holes, toldHoles: 0 },
    );
    assert.ok(holes > 0 && holes <= kills, `${holes} holes, ${kills} kills`);
    console.log(`${sent} messages, ${kills} kills, ${missed} did not arrive in ${holes} holes, ${healedHoles} healed`);
    for (const member of members) await member.close();
  });

  it("passes the messages of a topic without history to a loop that follows it, in order", async () => {
    await using redis = await RedisProcess.start();
    await using publisher = new Hub({ broker: redisBroker(redis.url) });
    await using hub = new Hub({ broker: redisBroker(redis.url) });
    const end = new AbortController();
    const loop = hub.topic("room", { history: false }).follow({ signal: end.signal });
    const first = loop.next();
    const room = publisher.topic("room", { history: false });
    // Until the first one arrives, the subscription has not begun.
    const early = setInterval(() => room.tryPublish("early"), 20);
    await first;
    clearInterval(early);
    const texts = Array.from({ length: 50 }, (_, index) => `${index}`);
    await Promise.all(texts.map((text) => room.publish(text)));
    const heard: string[] = [];
    while (heard.length < texts.length) {
      const { value } = await loop.next();
      if (value?.type !== "entry") assert.fail(JSON.stringify(value));
      if (value.message !== "early") heard.push(String(value.message));
    }
    assert.deepEqual(heard, texts);
    const waiting = loop.next();
    end.abort(new Error("enough"));
    await assert.rejects(waiting, { message: "enough" });
  });
});
