/** The bounds of the broker of workers, in one process and without any pipe. The contract is in `tests/broker`. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settled } from "../../src/testing/index.ts";
import type { WorkerBroker } from "../../src/workers/broker.ts";
import { ALL, bytesOf, KEPT, numbered, outcomeOf, publishAll, Recorder, UNKEPT } from "../broker/harness.ts";
import { AMPLE, Machine } from "./machine.ts";

describe("the broker of workers", () => {
  it("refuses what does not fit on its way to the first process, and delivers it to none", async () => {
    for (const limits of [
      { ...AMPLE, maxQueuedMessages: 4 },
      { ...AMPLE, maxQueuedBytes: 5_000 },
    ]) {
      for (const options of [KEPT, UNKEPT]) {
        const machine = new Machine(2, limits);
        const [a, b] = machine.brokers as [WorkerBroker, WorkerBroker];
        const recorders = [await Recorder.on(a, "room"), await Recorder.on(b, "room")];
        machine.shut(-1);
        const outcomes = Array.from({ length: 6 }, () => outcomeOf(a.publish("room", new Uint8Array(1_000), options)));
        await settled();
        machine.open(-1);
        const codes = (await Promise.all(outcomes)).map(({ error }) => error?.code);
        assert.deepEqual(codes, [...Array(4).fill(undefined), "LIMIT", "LIMIT"]);
        await settled();
        for (const { entries } of recorders) assert.equal(entries.length, 4);
      }
    }
  });

  it("bounds the requests without an answer", async () => {
    const machine = new Machine(1, { ...AMPLE, maxQueuedMessages: 4 });
    const [a] = machine.brokers as [WorkerBroker];
    machine.shut(0);
    const waiting: Promise<unknown>[] = [];
    for (let number = 0; number < 4; number += 1) {
      waiting.push(outcomeOf(a.publish("room", bytesOf("x"), KEPT)));
      await settled();
    }
    await assert.rejects(a.publish("room", bytesOf("x"), KEPT), { code: "LIMIT" });
    await assert.rejects(a.read("room", ALL), { code: "LIMIT" });
    await machine.clock.advance(KEPT.timeout);
    await Promise.all(waiting);
    machine.open(0);
    assert.equal((await a.publish("room", bytesOf("x"), KEPT)).offset, 5);
  });

  it("rejects at the timeout of a call, and says whether it may be repeated", async () => {
    const machine = new Machine(1);
    const [a] = machine.brokers as [WorkerBroker];
    machine.shut(-1);
    const calls = [
      a.publish("room", bytesOf("x"), KEPT),
      a.publish("room", bytesOf("x"), { ...KEPT, id: "id" }),
      a.read("room", ALL),
      a.renew("room", ""),
      a.claim("room", "p", 1),
    ].map(outcomeOf<unknown>);
    await machine.clock.advance(5_000);
    const errors = (await Promise.all(calls)).map(({ error }) => error as { code: string; retriable: boolean });
    assert.deepEqual(
      errors.map(({ code, retriable }) => [code, retriable]),
      [false, true, true, true, true].map((retriable) => ["TIMEOUT", retriable]),
    );
    machine.open(-1);
    await settled();
    assert.equal((await a.read("room", ALL)).entries.length, 2);
  });

  it("rejects a publication in doubt when its signal aborts, or when the broker is closed", async () => {
    const machine = new Machine(1);
    const [a] = machine.brokers as [WorkerBroker];
    machine.shut(-1);
    const controller = new AbortController();
    const reason = new Error("no longer wanted");
    const [aborted, read] = [
      outcomeOf(a.publish("room", bytesOf("x"), { ...KEPT, signal: controller.signal })),
      outcomeOf(a.read("room", { ...ALL, signal: controller.signal })),
    ];
    controller.abort(reason);
    const { error } = await aborted;
    assert.deepEqual([error?.code, (error as Error).cause], ["IN_DOUBT", reason]);
    assert.equal((await read).error, reason);
    const closed = outcomeOf(a.publish("room", bytesOf("x"), KEPT));
    const unread = outcomeOf(a.read("room", ALL));
    await a.close();
    assert.deepEqual([(await closed).error?.code, (await unread).error?.code], ["IN_DOUBT", "CLOSED"]);
    await a.flushed();
  });

  it("answers reads one after the other when there is no room for all of them", async () => {
    const machine = new Machine(2, { ...AMPLE, maxQueuedBytes: 3_000 });
    const [a, b] = machine.brokers as [WorkerBroker, WorkerBroker];
    for (const text of numbered("", 1, 5)) await publishAll(a, "room", [text.padEnd(1_000)]);
    machine.shut(1);
    const reads = Array.from({ length: 5 }, () => b.read("room", ALL));
    await settled();
    machine.open(1);
    for (const { entries } of await Promise.all(reads)) assert.equal(entries.length, 5);
  });

  it("keeps the channels of groups apart from topics", async () => {
    const machine = new Machine(2);
    const [a, b] = machine.brokers as [WorkerBroker, WorkerBroker];
    const recorder = await Recorder.on(b, "room");
    const messages: Uint8Array[] = [];
    await machine.exchanges[1]?.subscribe("room", (message) => messages.push(message)).ready;
    machine.exchanges[0]?.publish("room", bytesOf("to the group"));
    await a.publish("room", bytesOf("to the topic"), KEPT);
    await settled();
    assert.deepEqual([recorder.texts, messages.map(String)], [["to the topic"], [String(bytesOf("to the group"))]]);
    for (const wrong of ["\u0000topic room", "\u0000topic "]) {
      assert.throws(() => machine.exchanges[0]?.publish(wrong, bytesOf("x")), RangeError);
      assert.throws(() => machine.exchanges[0]?.subscribe(wrong, () => undefined), RangeError);
    }
  });

  it("is done with all requests before the worker ends", async () => {
    const machine = new Machine(1);
    const [a] = machine.brokers as [WorkerBroker];
    machine.shut(0);
    const published = a.publish("room", bytesOf("x"), KEPT);
    let flushed = false;
    const done = a.flushed().then(() => {
      flushed = true;
    });
    await settled();
    assert.equal(flushed, false);
    machine.open(0);
    await Promise.all([published, done]);
  });
});
