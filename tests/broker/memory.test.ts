/** The broker in memory: its log, its order, and its limits. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BrokerEntry, BrokerPublishOptions, HistoryLimits } from "../../src/broker/broker.ts";
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
