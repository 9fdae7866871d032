/** The broker in memory: its log, its order, and its limits. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Broker,
  type BrokerEntry,
  type BrokerPublishOptions,
  type HistoryLimits,
  ONCE_WINDOW,
} from "../../src/broker/broker.ts";
import { LogStore } from "../../src/broker/log-store.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import { ManualClock } from "../../src/testing/index.ts";

const HISTORY: HistoryLimits = { messages: 3, bytes: 1_000, age: 1_000 };
const OPTIONS: BrokerPublishOptions = {
  history: HISTORY,
  id: undefined,
  fence: undefined,
  timeout: 1_000,
  signal: undefined,
};
const READ = { messages: 100, bytes: 10_000, history: HISTORY, timeout: 1_000 };
const bytes = (text: string): Uint8Array => Buffer.from(text);
const shown = (entries: readonly BrokerEntry[]): string[] =>
  entries.map(({ offset, message }) => `${offset} ${Buffer.from(message).toString()}`);

function listener(to: BrokerEntry[], entered: (entry: BrokerEntry) => void = () => undefined) {
  return {
    entry: (entry: BrokerEntry) => {
      to.push(entry);
      entered(entry);
    },
    interrupted: () => assert.fail("interrupted"),
    restored: () => assert.fail("restored"),
    invalid: () => assert.fail("invalid"),
  };
}

describe("the memory broker", () => {
  it("delivers in the order of the log, also what a listener publishes", async () => {
    await using broker = memoryBroker();
    const [one, two]: [BrokerEntry[], BrokerEntry[]] = [[], []];
    const first = broker.subscribe(
      "t",
      listener(one, ({ offset }) => {
        if (offset === 1) void broker.publish("t", bytes("answer"), OPTIONS);
      }),
    );
    await first.ready;
    broker.subscribe("t", listener(two));
    await broker.publish("t", bytes("question"), OPTIONS);
    assert.deepEqual(shown(two), ["1 question", "2 answer"]);
    assert.deepEqual(shown(one), shown(two));
  });

  it("keeps what the limits allow, and reads it from either end", async () => {
    const clock = new ManualClock();
    await using broker = memoryBroker({ clock });
    for (const text of ["a", "b", "c", "d"]) await broker.publish("t", bytes(text), OPTIONS);
    const slice = await broker.read("t", { ...READ, after: 2 });
    assert.deepEqual([slice.first, slice.top, shown(slice.entries)], [2, 4, ["3 c", "4 d"]]);
    assert.deepEqual(shown((await broker.read("t", { ...READ, reverse: true, messages: 2 })).entries), ["4 d", "3 c"]);
    await clock.advance(1_000);
    const later = await broker.read("t", READ);
    assert.deepEqual([later.first, later.top, later.entries], [5, 4, []]);
  });

  it("publishes one id once, and refuses a producer with an earlier attempt", async () => {
    await using broker = memoryBroker();
    const first = await broker.publish("t", bytes("a"), { ...OPTIONS, id: "x" });
    assert.deepEqual(await broker.publish("t", bytes("a"), { ...OPTIONS, id: "x" }), { ...first, duplicate: true });
    assert.equal(await broker.claim?.("t", "p", 2), true);
    assert.equal(await broker.claim?.("t", "p", 1), false);
    await assert.rejects(broker.publish("t", bytes("b"), { ...OPTIONS, fence: { producer: "p", attempt: 1 } }), {
      code: "CLOSED",
    });
    assert.equal((await broker.read("t", READ)).top, 1);
  });

  it("has one new epoch for all that renew the same one", async () => {
    await using broker = memoryBroker();
    const { epoch } = await broker.publish("t", bytes("a"), OPTIONS);
    const renewed = await broker.renew("t", epoch);
    assert.notEqual(renewed, epoch);
    assert.equal(await broker.renew("t", epoch), renewed);
    assert.equal((await broker.read("t", READ)).entries[0]?.epoch, renewed);
  });
});

describe("the bounds of the memory broker", () => {
  const OVERHEAD = 128;
  const AMPLE: HistoryLimits = { messages: 1_000, bytes: 1e9, age: 1e9 };
  const publish = (broker: Broker, topic: string, size: number, history = AMPLE): Promise<unknown> =>
    broker.publish(topic, new Uint8Array(size), { ...OPTIONS, history });
  const offsets = async (broker: Broker, topic: string): Promise<number[]> =>
    (await broker.read(topic, { ...READ, bytes: 1e9, history: AMPLE })).entries.map(({ offset }) => offset);

  it("removes the oldest entries of the topic that was published to least recently", async () => {
    await using broker = memoryBroker({ maxBytes: 10 * (1_000 + OVERHEAD) });
    for (let round = 0; round < 4; round += 1) await publish(broker, "a", 1_000);
    for (let round = 0; round < 4; round += 1) await publish(broker, "b", 1_000);
    for (let round = 0; round < 4; round += 1) await publish(broker, "c", 1_000);
    assert.deepEqual(await Promise.all(["a", "b", "c"].map((topic) => offsets(broker, topic))), [
      [3, 4],
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ]);
    await publish(broker, "a", 5_000);
    assert.deepEqual(await Promise.all(["a", "b", "c"].map((topic) => offsets(broker, topic))), [
      [3, 4, 5],
      [],
      [2, 3, 4],
    ]);
    const { first, top } = await broker.read("b", READ);
    assert.deepEqual([first, top], [5, 4]);
  });

  it("keeps no more of one topic, and refuses what could never be kept", async () => {
    await using broker = memoryBroker({ maxBytes: 3_000 });
    for (let round = 0; round < 5; round += 1) await publish(broker, "a", 1_000);
    assert.deepEqual(await offsets(broker, "a"), [4, 5]);
    await assert.rejects(publish(broker, "a", 3_001), { code: "LIMIT", limit: "maxBytes" });
    assert.deepEqual(await offsets(broker, "a"), [4, 5]);
  });

  it("forgets the topics that were published to least recently", async () => {
    await using broker = memoryBroker({ maxTopics: 3 });
    const epochs: string[] = [];
    for (const topic of ["a", "b", "c", "a", "d"]) {
      epochs.push((await broker.publish(topic, bytes("x"), { ...OPTIONS, history: AMPLE })).epoch);
    }
    assert.equal(epochs[3], epochs[0]);
    assert.deepEqual(await offsets(broker, "a"), [1, 2]);
    const again = await broker.publish("b", bytes("x"), { ...OPTIONS, history: AMPLE });
    assert.notEqual(again.epoch, epochs[1]);
    assert.equal(again.offset, 1);
  });

  it("frees entries and ids that are too old, without a call", async () => {
    const clock = new ManualClock();
    const store = new LogStore(
      clock,
      () => "epoch",
      () => false,
    );
    for (let number = 0; number < 100; number += 1) {
      store.publish(`topic ${number}`, new Uint8Array(1_000), { history: HISTORY, id: "id", fence: undefined });
    }
    assert.ok(store.size >= 100_000);
    await clock.advance(25_000);
    assert.ok(store.size < 20_000);
    await clock.advance(ONCE_WINDOW);
    assert.deepEqual([store.size, store.topics], [0, 100]);
    const { published } = store.publish("topic 5", bytes("x"), { history: HISTORY, id: "id", fence: undefined });
    assert.deepEqual(published, { epoch: "epoch", offset: 2, duplicate: false });
  });

  it("forgets a topic that was not used for an hour, unless it has a subscription", async () => {
    const clock = new ManualClock();
    const store = new LogStore(
      clock,
      () => "epoch",
      (topic) => topic === "used",
    );
    for (const topic of ["used", "unused"]) {
      store.publish(topic, bytes("x"), { history: HISTORY, id: undefined, fence: undefined });
    }
    await clock.block(3_500_000);
    await clock.advance(30_000);
    assert.equal(store.topics, 2);
    await clock.block(100_000);
    await clock.advance(30_000);
    assert.equal(store.topics, 1);
    assert.equal(store.read("used", READ).top, 1);
  });

  it("publishes an id again when ONCE_WINDOW has passed", async () => {
    const clock = new ManualClock();
    await using broker = memoryBroker({ clock });
    const twice = { ...OPTIONS, id: "id" };
    await broker.publish("t", bytes("x"), twice);
    await clock.block(ONCE_WINDOW - 1);
    assert.equal((await broker.publish("t", bytes("x"), twice)).duplicate, true);
    await clock.block(1);
    assert.equal((await broker.publish("t", bytes("x"), twice)).duplicate, false);
  });

  it("refuses options that are none", () => {
    for (const options of [{ maxBytes: 0 }, { maxTopics: 1.5 }]) assert.throws(() => memoryBroker(options), RangeError);
    for (const options of [5, { maxBytes: "1" }, { maxTopic: 1 }, []])
      assert.throws(() => memoryBroker(options as never), TypeError);
    memoryBroker({ maxBytes: undefined, maxTopics: Infinity, clock: undefined });
  });
});
