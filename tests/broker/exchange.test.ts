/** Groups over a broker. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Broker, BrokerListener } from "../../src/broker/broker.ts";
import { EXCHANGE_DEFAULTS, exchangeOf } from "../../src/broker/exchange.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import { Group } from "../../src/index.ts";
import { pair, settled } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { bytesOf, Recorder, UNKEPT } from "./harness.ts";

const TOPIC = "\u0000group room";

/** A member, and the messages that its peer has received. */
function member() {
  const messages: string[] = [];
  const { server } = pair({ client: { message: (_, data) => void messages.push(String(data)) } });
  return { server, messages };
}

/** A broker whose publications settle when the test says so. */
function slowBroker(): { broker: Broker; settle: (error?: Error) => void; listeners: BrokerListener[] } {
  const memory = memoryBroker();
  const waiting: ((error: Error | undefined) => void)[] = [];
  const listeners: BrokerListener[] = [];
  const broker: Broker = {
    ...memory,
    honours: memory.honours,
    publish: async (topic, message, options) => {
      const { promise, resolve, reject } = deferred();
      waiting.push((error) => (error === undefined ? resolve() : reject(error)));
      await promise;
      return memory.publish(topic, message, options);
    },
    subscribe: (topic, listener) => {
      listeners.push(listener);
      return memory.subscribe(topic, listener);
    },
  } as Broker;
  return { broker, settle: (error) => waiting.shift()?.(error), listeners };
}

describe("an exchange of a broker", () => {
  it("makes the groups of one name in all processes one", async () => {
    await using broker = memoryBroker();
    const [a, b] = [exchangeOf(broker), exchangeOf(broker)];
    const members = [member(), member(), member(), member()];
    const groups = [
      ...[a, a, b].map((exchange) => new Group({ name: "room", exchange })),
      new Group({ name: "other", exchange: b }),
    ];
    for (const [index, group] of groups.entries()) group.join(members[index]?.server as never);
    await Promise.all(groups.map(({ ready }) => ready));
    assert.deepEqual(groups[0]?.send("one"), { taken: 1, refused: 0, published: true });
    assert.deepEqual(groups[2]?.send("two", { except: members[2]?.server as never, overflow: "coalesce", key: "k" }), {
      ...{ taken: 0, refused: 0, published: true },
    });
    await settled();
    assert.deepEqual(
      members.map(({ messages }) => messages),
      [["one", "two"], ["one", "two"], ["one"], []],
    );
  });

  it("subscribes once to a channel, from its first subscription to the end of its last", async () => {
    const { broker, listeners } = slowBroker();
    const exchange = exchangeOf(broker);
    const messages: string[] = [];
    const receive = (message: Uint8Array): void => void messages.push(Buffer.from(message).toString());
    const [one, other] = [exchange.subscribe("room", receive), exchange.subscribe("room", receive)];
    assert.equal(listeners.length, 1);
    exchange.publish("room", bytesOf("x"));
    one.close();
    one.close();
    exchange.publish("room", bytesOf("y"));
    other.close();
    exchange.publish("room", bytesOf("z"));
    assert.deepEqual(messages, ["x", "x", "y"]);
    await exchange.subscribe("room", receive).ready;
    assert.equal(listeners.length, 2);
  });

  it("refuses and counts messages when too many are not confirmed", async () => {
    for (const limits of [{ maxQueuedMessages: 2 }, { maxQueuedBytes: 2_100 }]) {
      const { broker, settle } = slowBroker();
      const exchange = exchangeOf(broker, limits);
      const publish = (): boolean => exchange.publish("room", new Uint8Array(1_000));
      assert.deepEqual([publish(), publish(), publish(), publish()], [true, true, false, false]);
      assert.equal(exchange.refusedMessages, 2);
      settle();
      await settled();
      assert.deepEqual([publish(), publish()], [true, false]);
    }
  });

  it("counts the messages that the broker does not confirm, and reports the first error of a series", async () => {
    const { broker, settle } = slowBroker();
    const errors: unknown[] = [];
    const exchange = exchangeOf(broker, { onError: (error) => errors.push(error) });
    const wrong = [new Error("1"), new Error("2"), undefined, new Error("3")];
    for (const error of wrong) {
      exchange.publish("room", bytesOf("x"));
      settle(error);
      await settled();
    }
    assert.equal(exchange.lostMessages, 3);
    assert.deepEqual(errors, [wrong[0], wrong[3]]);
  });

  it("counts the messages of a broker that the application has closed, and reports nothing", async () => {
    const broker = memoryBroker();
    const errors: unknown[] = [];
    const exchange = exchangeOf(broker, { onError: (error) => errors.push(error) });
    await broker.close();
    exchange.publish("room", bytesOf("x"));
    await settled();
    assert.deepEqual([exchange.lostMessages, errors], [1, []]);
  });

  it("counts interruptions", async () => {
    const { broker, listeners } = slowBroker();
    const exchange = exchangeOf(broker);
    await exchange.subscribe("room", () => undefined).ready;
    for (const listener of listeners) {
      listener.interrupted(new Error("cut"));
      listener.restored();
    }
    assert.equal(exchange.interruptions, 1);
  });

  it("reports once what is no message of a group of this version, and what a receiver throws", async () => {
    await using broker = memoryBroker();
    const errors: string[] = [];
    const exchange = exchangeOf(broker, { onError: (error) => errors.push((error as Error).message) });
    const group = new Group({ name: "room", exchange });
    const { server, messages } = member();
    group.join(server);
    await group.ready;
    for (const wrong of ["", "\u0001short", `\u0002${"x".repeat(20)}`])
      await broker.publish(TOPIC, bytesOf(wrong), UNKEPT);
    assert.equal(errors.length, 1);
    assert.match(errors[0] ?? "", /another version of this library/);
    // Its head is that of an exchange, and what follows is of no group.
    await broker.publish(TOPIC, bytesOf(`\u0001${"x".repeat(20)}`), UNKEPT);
    assert.equal(errors.length, 2);
    await settled();
    assert.deepEqual(messages, []);
  });

  it("has the wire form that docs/brokers.md describes", async () => {
    await using broker = memoryBroker();
    const recorder = await Recorder.on(broker, TOPIC);
    const exchange = exchangeOf(broker);
    new Group({ name: "room", exchange }).send("hé", { overflow: "coalesce", key: "k", compress: false });
    const message = Buffer.from(recorder.entries[0]?.message ?? []);
    assert.equal(message[0], 1);
    assert.match(message.toString("latin1", 1, 12), /^[\w-]{11}$/);
    assert.equal(message.toString("hex", 12), `01040101${"00000001"}${Buffer.from("khé").toString("hex")}`);
  });

  it("refuses what is no broker, no option or no name", async () => {
    await using broker = memoryBroker();
    for (const wrong of [undefined, null, {}, 5]) assert.throws(() => exchangeOf(wrong as never), TypeError);
    for (const wrong of [{ timeout: "1" }, { timeouts: 1 }, { onError: 1 }, 5]) {
      assert.throws(() => exchangeOf(broker, wrong as never), TypeError);
    }
    for (const wrong of [{ timeout: 0 }, { maxQueuedMessages: 0.5 }])
      assert.throws(() => exchangeOf(broker, wrong), RangeError);
    const undefinedOptions = {
      timeout: undefined,
      maxQueuedBytes: undefined,
      maxQueuedMessages: undefined,
      onError: undefined,
    };
    const exchange = exchangeOf(broker, undefinedOptions);
    assert.throws(() => exchange.publish("x".repeat(249), bytesOf("x")), RangeError);
    assert.throws(() => exchange.subscribe("x".repeat(249), () => undefined), RangeError);
    assert.equal(exchange.publish("x".repeat(248), bytesOf("x")), true);
    assert.ok(Object.isFrozen(EXCHANGE_DEFAULTS));
  });
});
