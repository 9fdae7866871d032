/** The contract of a broker: its log. Points 7 to 9. */

import assert from "node:assert/strict";
import type { Broker, HistoryLimits, ReadRequest, Slice } from "../../src/broker/broker.ts";
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
  untilEntries,
  untilRestored,
} from "./harness.ts";

const offsetsOf = ({ entries }: Slice): number[] => entries.map(({ offset }) => offset);
const textsOf = ({ entries }: Slice): string[] => entries.map(textOf);

export function logContract(contract: Contract): void {
  const { honours } = contract.harness;
  const logged = { honoured: honours.log };
  const keeping = (limits: Partial<HistoryLimits>): typeof KEPT => ({ ...KEPT, history: { ...AMPLE, ...limits } });

  contract.test("7 reads after any offset, before any offset, and from the end", logged, async (server) => {
    const broker = await server.broker();
    const published = await publishAll(broker, "room", numbered("", 1, 20));
    await publishAll(broker, "another room", numbered("x", 1, 20));
    const offsets = published.map(({ offset }) => offset);
    const top = offsets[19] as number;
    const read = (request: Partial<ReadRequest>): Promise<Slice> => broker.read("room", { ...ALL, ...request });
    const all = await read({});
    assert.deepEqual(
      [all.epoch, all.first, all.top, offsetsOf(all), textsOf(all)],
      [published[0]?.epoch, offsets[0], top, offsets, numbered("", 1, 20)],
    );
    for (let after = 0; after <= top + 2; after += 1) {
      const expected = offsets.filter((offset) => offset > after);
      assert.deepEqual(offsetsOf(await read({ after })), expected);
      assert.deepEqual(offsetsOf(await read({ after, messages: 3 })), expected.slice(0, 3));
      assert.deepEqual(offsetsOf(await read({ after, reverse: true })), [...expected].reverse());
      assert.deepEqual(
        offsetsOf(await read({ after, reverse: true, messages: 3 })),
        [...expected].reverse().slice(0, 3),
      );
    }
    for (const before of [0, 1, offsets[4] as number, top, top + 1, Infinity]) {
      const expected = offsets.filter((offset) => offset < before);
      assert.deepEqual(offsetsOf(await read({ before })), expected);
      assert.deepEqual(
        offsetsOf(await read({ before, reverse: true, messages: 3 })),
        [...expected].reverse().slice(0, 3),
      );
    }
    const between = { after: offsets[4] as number, before: offsets[8] as number };
    assert.deepEqual(offsetsOf(await read(between)), offsets.slice(5, 8));
    assert.deepEqual(offsetsOf(await read({ ...between, reverse: true })), offsets.slice(5, 8).reverse());
    const none = await read({ messages: 0 });
    assert.deepEqual([none.epoch, none.first, none.top, none.entries], [all.epoch, all.first, all.top, []]);
  });

  contract.test("7 links the entries that it reads as those that it delivers", logged, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    for (const text of numbered("", 1, 5)) await publishAll(broker, "room", [text]);
    await untilEntries(server, recorder, 5);
    const { entries } = await broker.read("room", ALL);
    assert.deepEqual(entries, recorder.entries);
    const reverse = await broker.read("room", { ...ALL, reverse: true });
    assert.deepEqual(reverse.entries, [...recorder.entries].reverse());
    const after = (entries[2] as { offset: number }).offset;
    assert.deepEqual((await broker.read("room", { ...ALL, after })).entries, recorder.entries.slice(3));
  });

  contract.test("7 reads so many bytes at most, and one entry at least", logged, async (server) => {
    const broker = await server.broker();
    for (const size of [100, 100, 100, 1_000, 10]) await broker.publish("room", new Uint8Array(size), KEPT);
    const sizes = async (request: Partial<ReadRequest>): Promise<number[]> =>
      (await broker.read("room", { ...ALL, ...request })).entries.map(({ message }) => message.length);
    assert.deepEqual(await sizes({ bytes: 200 }), [100, 100]);
    assert.deepEqual(await sizes({ bytes: 299 }), [100, 100]);
    assert.deepEqual(await sizes({ bytes: 300 }), [100, 100, 100]);
    assert.deepEqual(await sizes({ bytes: 1 }), [100]);
    assert.deepEqual(await sizes({ bytes: 50, reverse: true }), [10]);
    assert.deepEqual(await sizes({ bytes: 1_009, reverse: true }), [10]);
    assert.deepEqual(await sizes({ bytes: 1_010, reverse: true }), [10, 1_000]);
  });

  contract.test("7 reads a topic that was never published to", logged, async (server) => {
    const broker = await server.broker();
    for (const request of [ALL, { ...ALL, after: 5 }, { ...ALL, reverse: true }, { ...ALL, messages: 0 }]) {
      const { first, top, entries } = await broker.read("room", request);
      assert.deepEqual([first, top, entries], [1, 0, []]);
    }
  });

  contract.test("7 gives the epoch of a read to what is published after it", logged, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const { epoch } = await a.read("room", ALL);
    const published = await b.publish("room", bytesOf("x"), KEPT);
    assert.notEqual(published.epoch, "");
    // A topic that does not exist may have no epoch yet: then it is empty.
    if (epoch !== "") assert.equal(published.epoch, epoch);
    const read = await a.read("room", ALL);
    assert.deepEqual([read.epoch, read.entries[0]?.epoch], [published.epoch, published.epoch]);
  });

  contract.test("7 has no entries without a log", { honoured: !honours.log }, async (server) => {
    const broker = await server.broker();
    const recorder = await Recorder.on(broker, "room");
    assert.deepEqual(await broker.publish("room", bytesOf("x"), KEPT), { epoch: "", offset: 0, duplicate: false });
    await untilEntries(server, recorder, 1);
    assert.deepEqual(
      recorder.entries.map(({ epoch, offset, previous }) => [epoch, offset, previous]),
      [["", 0, undefined]],
    );
    assert.deepEqual(await broker.read("room", ALL), { epoch: "", first: 1, top: 0, entries: [] });
  });

  /** Reads the topic, and what is stored of it in all. */
  const readBoth = async (broker: Broker, history: HistoryLimits): Promise<[Slice, Slice]> => [
    await broker.read("room", { ...ALL, history }),
    await broker.read("room", ALL),
  ];

  contract.test("8 keeps so many messages", logged, async (server) => {
    const broker = await server.broker();
    const limits = keeping({ messages: 100 });
    for (let from = 1; from <= 1_000; from += 250) {
      await publishAll(broker, "room", numbered("", from, from + 249), limits);
    }
    const [read, stored] = await readBoth(broker, limits.history as HistoryLimits);
    assert.deepEqual(textsOf(read), numbered("", 901, 1_000));
    assert.deepEqual([read.first, read.top], [read.entries[0]?.offset, read.entries.at(-1)?.offset]);
    // Servers remove whole blocks of entries. What they keep beyond the limit is bounded.
    assert.ok(stored.entries.length <= 201, `${stored.entries.length} are stored`);
    const later = await broker.read("room", { ...ALL, history: { ...AMPLE, messages: 10 }, after: read.first });
    assert.deepEqual(textsOf(later), numbered("", 991, 1_000));
    const reverse = await broker.read("room", { ...ALL, history: { ...AMPLE, messages: 2 }, reverse: true });
    assert.deepEqual(textsOf(reverse), ["1000", "999"]);
  });

  contract.test("8 keeps so many bytes", logged, async (server) => {
    const broker = await server.broker();
    const limits = keeping({ bytes: 1_000 });
    for (let number = 0; number < 30; number += 1)
      await broker.publish("room", new Uint8Array(100).fill(number), limits);
    const history = limits.history as HistoryLimits;
    const read = await broker.read("room", { ...ALL, history });
    assert.deepEqual(
      read.entries.map(({ message }) => message[0]),
      Array.from({ length: 10 }, (_, index) => 20 + index),
    );
    assert.equal(read.first, read.entries[0]?.offset);
    await broker.publish("room", new Uint8Array(950).fill(30), limits);
    const behind = await broker.read("room", { ...ALL, history });
    assert.deepEqual([behind.entries.length, behind.first, behind.entries[0]?.message.length], [1, behind.top, 950]);
  });

  contract.test("8 keeps nothing for longer than its age", logged, async (server) => {
    const broker = await server.broker();
    const limits = keeping({ age: 1_000 });
    const history = limits.history as HistoryLimits;
    await publishAll(broker, "room", ["old", "older"], limits);
    await server.wait(1_500);
    const empty = await broker.read("room", { ...ALL, history });
    assert.deepEqual([empty.entries, empty.first], [[], empty.top + 1]);
    const { offset, epoch } = await broker.publish("room", bytesOf("new"), limits);
    const read = await broker.read("room", { ...ALL, history });
    assert.deepEqual([textsOf(read), read.first, read.top, read.epoch], [["new"], offset, offset, epoch]);
    assert.equal(epoch, empty.epoch);
  });

  contract.test("8 goes on with its offsets when nothing is left", logged, async (server) => {
    const broker = await server.broker();
    const limits = keeping({ age: 500, messages: 5 });
    const before = await publishAll(broker, "room", numbered("", 1, 10), limits);
    await server.wait(1_000);
    const [after] = await publishAll(broker, "room", ["next"], limits);
    assert.equal(after?.epoch, before[9]?.epoch);
    assert.ok((after?.offset ?? 0) > (before[9]?.offset ?? 0));
    if (honours.contiguous) assert.equal(after?.offset, 11);
  });

  const restartable = { honoured: honours.log && honours.survives === "broker" };
  contract.test(
    "9 keeps log and epoch when a node ends",
    { honoured: honours.log && honours.survives !== "nothing" },
    async (server) => {
      const first = await server.broker();
      const published = await publishAll(first, "room", numbered("", 1, 10));
      await first.close();
      const second = await server.broker();
      const read = await second.read("room", ALL);
      assert.deepEqual([read.epoch, textsOf(read)], [published[0]?.epoch, numbered("", 1, 10)]);
      const [next] = await publishAll(second, "room", ["11"]);
      assert.equal(next?.epoch, read.epoch);
      assert.ok((next?.offset ?? 0) > read.top);
    },
  );

  contract.test(
    "9 keeps log and epoch when the server is killed",
    { ...restartable, faults: ["kill", "restart"] },
    async (server) => {
      const broker = await server.broker();
      const recorder = await Recorder.on(broker, "room");
      const published = await publishAll(broker, "room", numbered("", 1, 10));
      await fault(server, "kill")();
      await fault(server, "restart")();
      await untilRestored(server, recorder);
      const read = await broker.read("room", ALL);
      assert.deepEqual([read.epoch, textsOf(read)], [published[0]?.epoch, numbered("", 1, 10)]);
      const [next] = await publishAll(broker, "room", ["11"]);
      assert.equal(next?.epoch, read.epoch);
    },
  );

  contract.test(
    "9 has another epoch when the log is emptied",
    { ...logged, faults: ["kill", "restartEmpty"] },
    async (server) => {
      const broker = await server.broker();
      const recorder = await Recorder.on(broker, "room");
      const published = await publishAll(broker, "room", numbered("", 1, 10));
      await fault(server, "kill")();
      await fault(server, "restartEmpty")();
      await untilRestored(server, recorder);
      const empty = await broker.read("room", ALL);
      assert.deepEqual([empty.entries, empty.top], [[], 0]);
      const [next] = await publishAll(broker, "room", ["1"]);
      assert.notEqual(next?.epoch, published[0]?.epoch);
      const interrupted = recorder.calls.indexOf("interrupted");
      assert.ok(
        interrupted !== -1 && (recorder.calls.indexOf("1", 10) === -1 || interrupted < recorder.calls.lastIndexOf("1")),
      );
    },
  );

  contract.test("9 gives a new epoch once, to those who know the present one", logged, async (server) => {
    const [a, b] = [await server.broker(), await server.broker()];
    const recorder = await Recorder.on(b, "room");
    const [published] = await publishAll(a, "room", ["x"]);
    const epoch = published?.epoch ?? "";
    const [one, other] = await Promise.all([a.renew("room", epoch), b.renew("room", epoch)]);
    assert.notEqual(one, epoch);
    assert.notEqual(one, "");
    assert.equal(other, one);
    assert.equal(await b.renew("room", epoch), one);
    assert.equal((await a.read("room", ALL)).epoch, one);
    const [next] = await publishAll(b, "room", ["y"]);
    assert.equal(next?.epoch, one);
    await untilEntries(server, recorder, 2);
    assert.deepEqual(
      recorder.entries.map((entry) => entry.epoch),
      [epoch, one],
    );
    const again = await a.renew("room", one);
    assert.ok(again !== one && again !== epoch);
    assert.equal((await b.read("another room", ALL)).top, 0);
  });
}
