/** The contract of a broker: delivery to subscriptions. Points 1 to 6, 16, 17 and 22. */

import assert from "node:assert/strict";
import { settledMemory } from "../kit/memory.ts";
import {
  ALL,
  bytesOf,
  type Contract,
  fault,
  KEPT,
  numbered,
  outcomeOf,
  publishAll,
  Recorder,
  UNKEPT,
  until,
  untilEntries,
} from "./harness.ts";

export function deliveryContract(contract: Contract): void {
  const { honours, excuses, topics = 100_000 } = contract.harness;

  for (const [kind, options] of [
    ["kept", KEPT],
    ["not kept", UNKEPT],
  ] as const) {
    contract.test(`1 delivers the messages of each publisher in its order (${kind})`, {}, async (server) => {
      const [a, b, c] = [await server.broker(), await server.broker(), await server.broker()];
      const recorders = [await Recorder.on(b, "room"), await Recorder.on(c, "room")];
      await Promise.all([
        publishAll(a, "room", numbered("a", 1, 300), options),
        publishAll(b, "room", numbered("b", 1, 300), options),
      ]);
      for (const recorder of recorders) {
        await untilEntries(server, recorder, 600);
        for (const one of ["a", "b"]) {
          assert.deepEqual(
            recorder.texts.filter((text) => text.startsWith(one)),
            numbered(one, 1, 300),
          );
        }
      }
    });

    contract.test(`3 delivers a message also to the publisher's own subscriptions (${kind})`, {}, async (server) => {
      const broker = await server.broker();
      const recorder = await Recorder.on(broker, "room");
      await broker.publish("room", bytesOf("mine"), options);
      await untilEntries(server, recorder, 1);
      assert.deepEqual(recorder.texts, ["mine"]);
    });
  }

  contract.test(
    "2 delivers in one order to all, which is that of the log",
    { honoured: honours.log },
    async (server) => {
      const [a, b] = [await server.broker(), await server.broker()];
      const recorders = [await Recorder.on(a, "room"), await Recorder.on(b, "room")];
      await Promise.all([publishAll(a, "room", numbered("a", 1, 300)), publishAll(b, "room", numbered("b", 1, 300))]);
      const { entries } = await a.read("room", ALL);
      assert.equal(entries.length, 600);
      for (const recorder of recorders) {
        await untilEntries(server, recorder, 600);
        assert.deepEqual(recorder.entries, entries);
      }
    },
  );

  contract.test("3 delivers to a topic only what was published to it", {}, async (server) => {
    const broker = await server.broker();
    const [one, other] = [await Recorder.on(broker, "one"), await Recorder.on(broker, "other")];
    await publishAll(broker, "one", ["x"]);
    await publishAll(broker, "other", ["y"]);
    await untilEntries(server, one, 1);
    await untilEntries(server, other, 1);
    assert.deepEqual([one.texts, other.texts], [["x"], ["y"]]);
  });

  contract.test("4 numbers the entries so that a hole is seen", { honoured: honours.log }, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const recorder = await Recorder.on(b, "room");
    const published = await Promise.all([
      publishAll(a, "room", numbered("a", 1, 50)),
      publishAll(a, "another room", numbered("x", 1, 50)),
      publishAll(b, "room", numbered("b", 1, 50)),
    ]);
    await untilEntries(server, recorder, 100);
    let last = 0;
    for (const { offset, previous } of recorder.entries) {
      if (honours.contiguous) assert.deepEqual([offset, previous], [last + 1, undefined]);
      else assert.ok(offset > last && previous === last, `${offset} with previous ${previous} follows ${last}`);
      last = offset;
    }
    const byText = new Map(recorder.entries.map((entry) => [Buffer.from(entry.message).toString(), entry]));
    for (const [index, { epoch, offset, duplicate }] of (published[0] ?? []).entries()) {
      const entry = byText.get(`a${index + 1}`);
      assert.deepEqual([epoch, offset, duplicate], [entry?.epoch, entry?.offset, false]);
    }
  });

  contract.test("4 numbers only what is kept", {}, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    assert.deepEqual(await broker.publish("room", bytesOf("x"), UNKEPT), { epoch: "", offset: 0, duplicate: false });
    await untilEntries(server, recorder, 1);
    assert.deepEqual(recorder.entries, [
      { epoch: "", offset: 0, previous: undefined, message: recorder.entries[0]?.message },
    ]);
    const { top, first, entries } = await broker.read("room", ALL);
    assert.deepEqual([top, first, entries], [0, 1, []]);
  });

  contract.test("5 delivers each entry at most once to each subscription", {}, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const recorders = [await Recorder.on(b, "room"), await Recorder.on(b, "room"), await Recorder.on(a, "room")];
    await publishAll(a, "room", numbered("", 1, 100));
    for (const recorder of recorders) {
      await untilEntries(server, recorder, 100);
      assert.deepEqual(recorder.texts, numbered("", 1, 100));
    }
    const [left, stays] = recorders as [Recorder, Recorder];
    left.subscription?.close();
    left.subscription?.close();
    await publishAll(a, "room", ["after"]);
    await untilEntries(server, stays, 101);
    assert.equal(left.entries.length, 100);
    stays.subscription?.close();
    const again = await Recorder.on(b, "room");
    await publishAll(a, "room", ["again"]);
    await untilEntries(server, again, 1);
    assert.deepEqual([left.entries.length, stays.entries.length], [100, 101]);
  });

  contract.test("5 calls nothing of a subscription that was closed in a call of its listener", {}, async (server) => {
    const broker = await server.broker();
    const recorder = new Recorder();
    const subscription = broker.subscribe("room", {
      entry: (entry) => {
        recorder.entry(entry);
        subscription.close();
      },
      interrupted: () => recorder.interrupted(),
      restored: () => recorder.restored(),
      invalid: (error, offset) => recorder.invalid(error, offset),
    });
    await subscription.ready;
    const other = await Recorder.on(broker, "room");
    await publishAll(broker, "room", numbered("", 1, 10));
    await untilEntries(server, other, 10);
    assert.deepEqual(recorder.texts, ["1"]);
  });

  contract.test("6 delivers all that is published after `ready`", {}, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    for (let round = 0; round < 20; round += 1) {
      const topic = `room ${round}`;
      let number = 0;
      let publishing = true;
      const run = (async () => {
        while (publishing) {
          number += 1;
          await a.publish(topic, bytesOf(`${number}`), KEPT);
          // A broker in this process confirms within the turn.
          await new Promise(setImmediate);
        }
      })();
      const recorder = new Recorder();
      const subscription = b.subscribe(topic, recorder);
      await subscription.ready;
      // The one that is on its way may have been published before.
      const from = number + 1;
      await until(server, () => number >= from + 5, "five more messages");
      publishing = false;
      await run;
      await until(server, () => recorder.texts.at(-1) === `${number}`, "the last message");
      const first = Number(recorder.texts[0]);
      assert.ok(first <= from, `the first message is ${first}, ready at ${from}`);
      assert.deepEqual(recorder.texts, numbered("", first, number));
      subscription.close();
    }
  });

  contract.test("16 carries any bytes, none and 1 MiB", {}, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const recorder = await Recorder.on(b, "room");
    const every = Uint8Array.from({ length: 256 }, (_, index) => index);
    const large = new Uint8Array(1024 * 1024).map((_, index) => (index * 7) % 251);
    const messages = [new Uint8Array(), every, large, bytesOf("\r\n\0$5\r\n+OK\r\n")];
    for (const message of messages) {
      await a.publish("room", message, KEPT);
      await a.publish("room", message, UNKEPT);
    }
    await untilEntries(server, recorder, 8);
    const kept = recorder.entries.filter(({ offset }) => honours.log && offset > 0);
    const others = recorder.entries.filter(({ offset }) => !honours.log || offset === 0);
    if (honours.log) {
      const { entries } = await b.read("room", ALL);
      for (const found of [kept, entries, others]) {
        assert.deepEqual(
          found.map(({ message }) => Buffer.from(message)),
          messages.map((message) => Buffer.from(message)),
        );
      }
    } else {
      assert.deepEqual(
        others.map(({ message }) => Buffer.from(message)),
        messages.flatMap((message) => [Buffer.from(message), Buffer.from(message)]),
      );
    }
  });

  contract.test("16 accepts any name of a topic, and any id", {}, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const names = [
      ...[
        "*",
        ">",
        "a.*",
        "a.>",
        "a.b",
        ".",
        "..",
        "a..b",
        " ",
        "a b",
        "{",
        "{}",
        "{a}b",
        "}{",
        "a:b",
        "$SYS.x",
        "_INBOX.x",
      ],
      ...["\u0000presence", "\r\n", "\t", "%", "%2A", "=", "-", "_", "/", "\\", "'", '"', "__proto__", "constructor"],
      ...["ä", "a\u0308", "世界", "😀", "A", "a", "x".repeat(255), "世".repeat(85)],
    ];
    const recorders = await Promise.all(names.map((name) => Recorder.on(b, name)));
    await Promise.all(names.map((name) => a.publish(name, bytesOf(name), { ...KEPT, id: name.slice(0, 40) })));
    for (const [index, recorder] of recorders.entries()) {
      const name = names[index] as string;
      await until(server, () => recorder.entries.length > 0, `an entry of ${JSON.stringify(name)}`);
      if (honours.log) {
        const { entries } = await b.read(name, ALL);
        assert.deepEqual(
          entries.map((entry) => Buffer.from(entry.message).toString()),
          [name],
        );
      }
    }
    await server.wait(100);
    assert.deepEqual(
      recorders.map(({ texts }) => texts),
      names.map((name) => [name]),
    );
  });

  contract.test("16 refuses a name or an id that is none", {}, async (server) => {
    const broker = await server.broker();
    const publish = async (topic: unknown, id?: unknown): Promise<unknown> =>
      broker.publish(topic as string, bytesOf("x"), { ...KEPT, id: id as string });
    for (const wrong of ["", "x".repeat(256), "世".repeat(86), "\ud800"]) {
      await assert.rejects(publish(wrong), RangeError);
      assert.throws(() => broker.subscribe(wrong, new Recorder()), RangeError);
      await assert.rejects(async () => broker.read(wrong, ALL), RangeError);
    }
    for (const wrong of ["x".repeat(256), "\udc00"]) await assert.rejects(publish("room", wrong), RangeError);
    for (const wrong of [undefined, null, 5, {}]) await assert.rejects(publish(wrong), TypeError);
    await assert.rejects(async () => broker.publish("room", "text" as never, KEPT), TypeError);
    assert.equal((await broker.read("room", ALL)).top, 0);
  });

  contract.test(`17 subscribes to ${topics} topics and leaves them`, {}, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const round = async (): Promise<void> => {
      const recorders: Recorder[] = [];
      for (let from = 0; from < topics; from += 10_000) {
        const names = numbered("topic ", from + 1, Math.min(from + 10_000, topics));
        recorders.push(...(await Promise.all(names.map((name) => Recorder.on(b, name)))));
      }
      for (const index of [0, Math.floor(topics / 2), topics - 1]) {
        await a.publish(`topic ${index + 1}`, bytesOf("x"), UNKEPT);
        await untilEntries(server, recorders[index] as Recorder, 1);
      }
      for (const { subscription } of recorders) subscription?.close();
      await server.wait(500);
    };
    await round();
    const heap = (): Promise<number> => settledMemory(() => process.memoryUsage().heapUsed);
    const before = await heap();
    await round();
    const grown = (await heap()) - before;
    assert.ok(grown < topics * 20 + 200_000, `${grown} bytes more after ${topics} topics were subscribed and left`);
  });

  contract.test("22 rejects all calls after `close`, and leaves nothing open", {}, async (server) => {
    const resources = (): string[] =>
      process.getActiveResourcesInfo().filter((name) => ["TCPSocketWrap", "TLSWrap"].includes(name));
    const usage = excuses.usage === undefined ? fault(server, "usage") : undefined;
    const connections = (await usage?.())?.connections;
    const before = resources();
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    await publishAll(broker, "room", ["x"]);
    await untilEntries(server, recorder, 1);
    const unready = broker.subscribe("another room", new Recorder());
    const pending = outcomeOf(broker.publish("room", bytesOf("y"), KEPT));
    await broker.close();
    await broker.close();
    await outcomeOf(unready.ready);
    const { error } = await pending;
    assert.ok(error === undefined || ["CLOSED", "IN_DOUBT"].includes(error.code ?? ""), String(error));
    await assert.rejects(async () => broker.publish("room", bytesOf("z"), KEPT), { code: "CLOSED" });
    await assert.rejects(async () => broker.read("room", ALL), { code: "CLOSED" });
    await assert.rejects(async () => broker.subscribe("room", new Recorder()).ready, { code: "CLOSED" });
    const got = recorder.calls.length;
    await until(server, () => resources().length <= before.length, `open: ${resources()}, before: ${before}`);
    if (usage !== undefined) {
      let now = await usage();
      for (let tries = 0; now.connections > (connections ?? 0) && tries < 50; tries += 1) {
        await server.wait(100);
        now = await usage();
      }
      assert.equal(now.connections, connections);
    }
    assert.equal(recorder.calls.length, got);
  });
}
