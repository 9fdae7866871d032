/** The contract of a broker: ids and fences. Points 14 and 15. */

import assert from "node:assert/strict";
import type { BrokerPublishOptions } from "../../src/broker/broker.ts";
import {
  ALL,
  AMPLE,
  bytesOf,
  type Contract,
  fault,
  KEPT,
  numbered,
  publishAll,
  Recorder,
  textOf,
  UNKEPT,
  untilEntries,
  untilRestored,
} from "./harness.ts";

export function onceContract(contract: Contract): void {
  const { honours } = contract.harness;
  const withId = (id: string): BrokerPublishOptions => ({ ...KEPT, id });
  const by = (producer: string, attempt: number): BrokerPublishOptions => ({ ...KEPT, fence: { producer, attempt } });

  contract.test("14 publishes a message once for each id", { honoured: honours.once }, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const recorder = await Recorder.on(b, "room");
    const first = await a.publish("room", bytesOf("x"), withId("id"));
    const repeated = await Promise.all([
      a.publish("room", bytesOf("x"), withId("id")),
      b.publish("room", bytesOf("another text"), withId("id")),
    ]);
    for (const one of repeated) assert.deepEqual(one, { ...first, duplicate: true });
    assert.equal(first.duplicate, false);
    const elsewhere = await a.publish("another room", bytesOf("x"), withId("id"));
    const different = await a.publish("room", bytesOf("x"), withId("ID"));
    assert.deepEqual([elsewhere.duplicate, different.duplicate], [false, false]);
    await publishAll(a, "room", ["x", "x"]);
    await untilEntries(server, recorder, 4);
    assert.equal((await a.read("room", ALL)).entries.length, 4);
  });

  contract.test(
    "14 publishes once what is published twice at the same time",
    { honoured: honours.once },
    async (server) => {
      const [a, b] = [await server.broker(), await server.broker()];
      const recorder = await Recorder.on(b, "room");
      const texts = numbered("", 1, 100);
      const publish = (broker: typeof a) =>
        Promise.all(texts.map((text) => broker.publish("room", bytesOf(text), withId(text))));
      const [one, other] = await Promise.all([publish(a), publish(b)]);
      await untilEntries(server, recorder, 100);
      for (const [index, { offset, duplicate }] of one.entries()) {
        assert.equal(other[index]?.offset, offset);
        assert.notEqual(other[index]?.duplicate, duplicate);
      }
    },
  );

  contract.test("14 remembers the id of a message that was trimmed", { honoured: honours.once }, async (server) => {
    const broker = await server.broker();
    const history = { ...AMPLE, messages: 2 };
    const first = await broker.publish("room", bytesOf("x"), { ...withId("id"), history });
    await publishAll(broker, "room", numbered("", 1, 10), { ...KEPT, history });
    const again = await broker.publish("room", bytesOf("x"), { ...withId("id"), history });
    assert.deepEqual(again, { ...first, duplicate: true });
  });

  contract.test(
    "14 remembers an id when a node ends",
    { honoured: honours.once && honours.survives !== "nothing" },
    async (server) => {
      const first = await server.broker();
      const published = await first.publish("room", bytesOf("x"), withId("id"));
      await first.close();
      const second = await server.broker();
      assert.deepEqual(await second.publish("room", bytesOf("x"), withId("id")), { ...published, duplicate: true });
    },
  );

  contract.test(
    "14 remembers an id when a connection is lost",
    { honoured: honours.once, faults: ["cut"] },
    async (server) => {
      const broker = await server.broker();
      const recorder = await Recorder.on(broker, "room");
      const published = await broker.publish("room", bytesOf("x"), withId("id"));
      await fault(server, "cut")();
      await untilRestored(server, recorder);
      const again = await broker.publish("room", bytesOf("x"), withId("id"));
      assert.deepEqual(again, { ...published, duplicate: true });
      assert.equal((await broker.read("room", ALL)).entries.length, 1);
    },
  );

  contract.test(
    "14 remembers an id when the server is killed",
    { honoured: honours.once && honours.survives === "broker", faults: ["kill", "restart"] },
    async (server) => {
      const broker = await server.broker();
      const recorder = await Recorder.on(broker, "room");
      const published = await broker.publish("room", bytesOf("x"), withId("id"));
      await fault(server, "kill")();
      await fault(server, "restart")();
      await untilRestored(server, recorder);
      const again = await broker.publish("room", bytesOf("x"), withId("id"));
      assert.deepEqual(again, { ...published, duplicate: true });
    },
  );

  contract.test("14 does not compare ids of messages that are not kept", {}, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    for (const text of ["x", "y"]) await broker.publish("room", bytesOf(text), { ...UNKEPT, id: "id" });
    await untilEntries(server, recorder, 2);
  });

  contract.test(
    "15 refuses a producer whose attempt is lower than the claimed one",
    { honoured: honours.fence },
    async (server) => {
      const [a, b] = [await server.broker(), await server.broker()];
      assert.ok(a.claim !== undefined && b.claim !== undefined);
      await a.publish("room", bytesOf("before"), by("p", 1));
      assert.equal(await a.claim("room", "p", 2), true);
      await assert.rejects(a.publish("room", bytesOf("old"), by("p", 1)), { code: "CLOSED", closeCode: 4900 });
      await assert.rejects(b.publish("room", bytesOf("old"), by("p", 1)), { code: "CLOSED", closeCode: 4900 });
      await a.publish("room", bytesOf("same"), by("p", 2));
      await b.publish("room", bytesOf("higher"), by("p", 3));
      await b.publish("room", bytesOf("another producer"), by("q", 1));
      await b.publish("another room", bytesOf("another topic"), by("p", 1));
      await b.publish("room", bytesOf("without a fence"), KEPT);
      assert.equal(await b.claim("room", "p", 2), true);
      assert.equal(await b.claim("room", "p", 1), false);
      assert.equal(await a.claim("room", "p", 4), true);
      assert.equal(await b.claim("room", "p", 3), false);
      await assert.rejects(a.publish("room", bytesOf("old"), { ...by("p", 3), id: "id" }), { code: "CLOSED" });
      assert.equal((await a.publish("room", bytesOf("new"), { ...by("p", 4), id: "id" })).duplicate, false);
      assert.deepEqual((await a.read("room", ALL)).entries.map(textOf), [
        "before",
        "same",
        "higher",
        "another producer",
        "without a fence",
        "new",
      ]);
    },
  );

  contract.test("15 fences a message that is not kept as well", { honoured: honours.fence }, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    await broker.claim?.("room", "p", 2);
    await assert.rejects(broker.publish("room", bytesOf("old"), { ...by("p", 1), history: undefined }), {
      code: "CLOSED",
    });
    await broker.publish("room", bytesOf("new"), { ...by("p", 2), history: undefined });
    await untilEntries(server, recorder, 1);
    assert.deepEqual(recorder.texts, ["new"]);
  });

  contract.test("15 has no `claim` and ignores fences", { honoured: !honours.fence }, async (server) => {
    const broker = await server.broker();
    assert.equal(broker.claim, undefined);
    const recorder = await Recorder.on(broker, "room");
    await broker.publish("room", bytesOf("x"), by("p", 2));
    await broker.publish("room", bytesOf("y"), by("p", 1));
    await untilEntries(server, recorder, 2);
  });
}
