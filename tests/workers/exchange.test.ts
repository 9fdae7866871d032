/** Tests of the exchange of workers and of the router between them, in one process and without any pipe. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Group } from "../../src/index.ts";
import { pair, settled } from "../../src/testing/index.ts";
import type { WorkerExchange } from "../../src/workers/exchange.ts";
import { AMPLE, Machine } from "./machine.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text);

/** What an exchange's subscriber gets. */
function ear(exchange: WorkerExchange | undefined, channel: string) {
  const messages: string[] = [];
  const receive = (message: Uint8Array): void => void messages.push(Buffer.from(message).toString());
  const subscription = (exchange as WorkerExchange).subscribe(channel, receive);
  return { messages, receive, ...subscription };
}

describe("an exchange of workers", () => {
  it("carries to the subscribers of a channel, here and elsewhere, but for one", async () => {
    const { exchanges } = new Machine(3);
    const [a, b] = exchanges as [WorkerExchange, WorkerExchange];
    const ears = [ear(a, "one"), ear(a, "one"), ear(b, "one"), ear(b, "two"), ear(exchanges[2], "one")];
    await Promise.all(ears.map(({ ready }) => ready));
    assert.equal(a.publish("one", bytes("x"), ears[0]?.receive), true);
    b.publish("one", bytes("y"));
    a.publish("three", bytes("z"));
    await settled();
    assert.deepEqual(
      ears.map(({ messages }) => [...messages].sort()),
      [["y"], ["x", "y"], ["x", "y"], [], ["x", "y"]],
    );
  });

  it("does not send to a worker without a subscriber", async () => {
    const { exchanges } = new Machine(2);
    const [a, b] = exchanges as [WorkerExchange, WorkerExchange];
    const [stays, goes] = [ear(b, "one"), ear(b, "one")];
    await goes.ready;
    goes.close();
    goes.close();
    a.publish("one", bytes("x"));
    await settled();
    stays.close();
    await settled();
    a.publish("one", bytes("y"));
    await settled();
    assert.deepEqual([stays.messages, goes.messages], [["x"], []]);
  });

  it("counts each call of subscribe as a subscription, also with one function", async () => {
    const { exchanges } = new Machine(2);
    const [a, b] = exchanges as [WorkerExchange, WorkerExchange];
    const messages: string[] = [];
    const receive = (message: Uint8Array): void => void messages.push(Buffer.from(message).toString());
    const [first, second] = [b.subscribe("one", receive), b.subscribe("one", receive)];
    await Promise.all([first.ready, second.ready]);
    a.publish("one", bytes("x"));
    await settled();
    assert.deepEqual(messages, ["x", "x"]);
    first.close();
    first.close();
    a.publish("one", bytes("y"));
    await settled();
    assert.deepEqual(messages, ["x", "x", "y"]);
    second.close();
    a.publish("one", bytes("z"));
    await settled();
    assert.equal(messages.length, 3);
  });

  it("announces channels once, however often they are created and removed meanwhile", async () => {
    const machine = new Machine(2);
    const [a, b] = machine.exchanges as [WorkerExchange, WorkerExchange];
    await ear(b, "zero").ready;
    const before = machine.announced[1];
    machine.shut(-2);
    for (let round = 0; round < 1_000; round += 1) {
      ear(b, "one").close();
      if (round % 100 === 0) await settled();
    }
    const last = ear(b, "one");
    await settled();
    machine.open(-2);
    await last.ready;
    a.publish("one", bytes("x"));
    await settled();
    assert.deepEqual(last.messages, ["x"]);
    assert.ok((machine.announced[1] ?? 0) - (before ?? 0) <= 2);
  });

  it("refuses and counts messages without room, in bytes and in number", async () => {
    for (const limits of [
      { ...AMPLE, maxQueuedBytes: 5_000 },
      { ...AMPLE, maxQueuedMessages: 4 },
    ]) {
      const machine = new Machine(2, limits);
      const [a, b] = machine.exchanges as [WorkerExchange, WorkerExchange];
      const { ready, messages } = ear(b, "one");
      await ready;
      machine.shut(-1);
      const taken = Array.from({ length: 6 }, (_, index) => a.publish("one", Buffer.alloc(1_000, `${index}`)));
      assert.deepEqual(taken, [true, true, true, true, false, false]);
      await settled();
      assert.equal(a.publish("one", new Uint8Array(1_000)), false);
      machine.open(-1);
      await a.flushed();
      assert.equal(a.publish("one", bytes("y")), true);
      await settled();
      assert.deepEqual(
        messages.map((message) => message.at(0)),
        ["0", "1", "2", "3", "y"],
      );
      assert.equal(a.refusedMessages, 3);
    }
  });

  it("counts the messages that a worker has missed, and reports them before the next message", async () => {
    const machine = new Machine(3, { ...AMPLE, maxQueuedMessages: 4 });
    const [a, b, c] = machine.exchanges as [WorkerExchange, WorkerExchange, WorkerExchange];
    const [slow, quick] = [ear(b, "one"), ear(c, "one")];
    await Promise.all([slow.ready, quick.ready]);
    machine.shut(1);
    for (let index = 0; index < 10; index += 1) {
      a.publish("one", bytes(`${index}`));
      await settled();
    }
    assert.deepEqual(machine.missed, [[], [1], []]);
    machine.open(1);
    await settled();
    assert.deepEqual(machine.missed, [[], [1, 5], []]);
    assert.deepEqual([b.missedMessages, c.missedMessages], [6, 0]);
    a.publish("one", bytes("after"));
    await settled();
    assert.deepEqual(slow.messages, ["0", "1", "2", "3", "after"]);
    assert.equal(quick.messages.length, 11);
  });

  it("counts a message that could never fit", async () => {
    const machine = new Machine(2, { ...AMPLE, maxQueuedBytes: 1_000 });
    const [a] = machine.exchanges as [WorkerExchange];
    assert.equal(a.publish("one", new Uint8Array(1_000)), false);
  });

  it("reports a receiver that throws, and continues", async () => {
    const machine = new Machine(2);
    const [a, b] = machine.exchanges as [WorkerExchange, WorkerExchange];
    const wrong = new Error("no");
    b.subscribe("one", () => {
      throw wrong;
    });
    const { messages, ready } = ear(b, "one");
    await ready;
    a.publish("one", bytes("x"));
    await settled();
    assert.deepEqual([messages, machine.errors], [["x"], [wrong]]);
  });
});

describe("groups of one name", () => {
  it("are one, across exchanges and within", async () => {
    const { exchanges } = new Machine(2);
    const heard: unknown[][] = [];
    const members = Array.from({ length: 4 }, () => {
      const own: unknown[] = [];
      heard.push(own);
      return pair({ client: { message: (_, data) => void own.push(data) } });
    });
    const [a, b] = exchanges as [WorkerExchange, WorkerExchange];
    const groups = [a, a, b].map((exchange) => new Group({ name: "room", exchange }));
    const other = new Group({ name: "other", exchange: b });
    for (const [index, group] of [...groups, other].entries()) group.join(members[index]?.server as never);
    await Promise.all([...groups, other].map(({ ready }) => ready));
    assert.deepEqual(groups[0]?.send("one"), { taken: 1, refused: 0, published: true });
    const except = members[2]?.server as never;
    assert.deepEqual(groups[2]?.send(bytes("two"), { except, overflow: "coalesce", key: "k" }), {
      ...{ taken: 0, refused: 0, published: true },
    });
    await settled();
    assert.deepEqual(
      heard.map((own) => own.map((message) => Buffer.from(message as string).toString())),
      [["one", "two"], ["one", "two"], ["one"], []],
    );
  });

  it("receive nothing after their last member has left", async () => {
    const { exchanges, errors } = new Machine(2);
    const [a, b] = exchanges as [WorkerExchange, WorkerExchange];
    const { server } = pair();
    const group = new Group({ name: "room", exchange: b });
    await group.ready;
    group.join(server);
    await group.ready;
    group.leave(server);
    await settled();
    assert.deepEqual(new Group({ name: "room", exchange: a }).send("x"), { taken: 0, refused: 0, published: true });
    group.join(server);
    await server.close();
    assert.equal(group.size, 0);
    await settled();
    assert.deepEqual(errors, []);
  });

  it("need a name and an exchange", () => {
    const { exchanges } = new Machine(1);
    assert.throws(() => new Group({ name: 5, exchange: exchanges[0] } as never), TypeError);
    assert.throws(() => new Group({ name: "room" } as never), TypeError);
  });
});
