/** The contract of the broker on Redis, with a cluster of three nodes, and what only a cluster does. */

import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { Broker } from "../../src/broker/broker.ts";
import { redisBroker } from "../../src/broker/redis/index.ts";
import { brokerContract } from "./contract.ts";
import { ALL, type BrokerServer, bytesOf, KEPT, numbered, outcomeOf, Recorder, textOf } from "./harness.ts";
import { type RedisProcess, startCluster, unable } from "./redis-server.ts";

const SILENT = { entry() {}, interrupted() {}, restored() {}, invalid() {} };
const sleep = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

/** One cluster for all tests: to form it takes seconds. Each test begins with empty nodes. */
let started: Promise<RedisProcess[]> | undefined;
const cluster = (): Promise<RedisProcess[]> => {
  started ??= startCluster(3);
  return started;
};
after(async () => {
  for (const node of (await started) ?? []) await node[Symbol.asyncDispose]();
});

function brokerOn(nodes: readonly RedisProcess[]): Broker {
  return redisBroker({ rootNodes: nodes.map(({ url }) => ({ url })) });
}

async function serverOf(nodes: readonly RedisProcess[]): Promise<BrokerServer> {
  const brokers: Broker[] = [];
  const each = async (run: (node: RedisProcess) => Promise<unknown>): Promise<void> => {
    await Promise.all(nodes.map(run));
  };
  await each((node) => node.command("FLUSHALL"));
  return {
    broker: async () => {
      const broker = brokerOn(nodes);
      brokers.push(broker);
      await broker.subscribe("ready", SILENT).ready;
      return broker;
    },
    wait: sleep,
    faults: {
      cut: () =>
        each(async (node) => {
          await node.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
          await node.command("CLIENT", "KILL", "TYPE", "pubsub");
        }),
      kill: () => each((node) => node.kill()),
      restart: () => each((node) => node.restart()),
    },
    [Symbol.asyncDispose]: async () => {
      for (const broker of brokers) await broker.close();
    },
  };
}

const sample = redisBroker("redis://127.0.0.1:1");
const { honours } = sample;
void sample.close();

if (unable() === false) {
  const once = "the connections to one node are those to one server";
  brokerContract({
    name: "redisBroker with a cluster",
    honours,
    excuses: {
      ...{ freeze: once, thaw: once, partition: once, heal: once, overrun: once, lag: once, failover: once },
      restartEmpty: "a node without its data is no member of the cluster",
      usage: "the nodes also talk to each other",
    },
    topics: 10_000,
    start: async () => serverOf(await cluster()),
  });

  describe("redisBroker with a cluster", () => {
    it("divides the topics among all nodes", async () => {
      const nodes = await cluster();
      await using server = await serverOf(nodes);
      const broker = await server.broker();
      await Promise.all(numbered("topic ", 1, 300).map((topic) => broker.publish(topic, bytesOf("x"), KEPT)));
      for (const node of nodes) assert.ok(Number(await node.command("DBSIZE")) > 100);
    });

    it("uses the other nodes while one of them is frozen", async () => {
      const nodes = await cluster();
      await using server = await serverOf(nodes);
      const broker = await server.broker();
      const topics = numbered("topic ", 1, 30);
      const publish = (topic: string): Promise<unknown> =>
        broker.publish(topic, bytesOf("x"), { ...KEPT, timeout: 8_000 });
      await Promise.all(topics.map(publish));
      const places = await Promise.all(topics.map(async (topic) => (await placeOf(topic, nodes))[2]));
      const frozen = nodes[0] as RedisProcess;
      frozen.freeze();
      const outcomes = topics.map((topic) => outcomeOf(publish(topic)));
      // By then its connections are given up: calls for it wait.
      await sleep(6_000);
      const later = await Promise.all(
        topics.filter((_, index) => places[index] !== frozen).map((topic) => outcomeOf(publish(topic))),
      );
      frozen.thaw();
      assert.ok(later.length > 0 && later.every(({ error }) => error === undefined));
      for (const [index, outcome] of (await Promise.all(outcomes)).entries()) {
        if (places[index] !== frozen) assert.equal(outcome.error, undefined);
      }
    });

    it("follows a slot that moves to another node, with its history", async () => {
      const nodes = await cluster();
      await using server = await serverOf(nodes);
      const [a, b] = [await server.broker(), await server.broker()];
      const recorder = await Recorder.on(b, "room");
      await a.publish("room", bytesOf("before"), KEPT);
      const [, slot, from] = await placeOf("room", nodes);
      const to = nodes.find((node) => node !== from) as RedisProcess;
      await move(slot, from, to, nodes);
      let value: unknown;
      for (let tries = 0; value === undefined && tries < 50; tries += 1) {
        ({ value } = await outcomeOf(a.publish("room", bytesOf("behind"), { ...KEPT, id: "behind" })));
      }
      for (let tries = 0; !recorder.calls.includes("restored") && tries < 500; tries += 1) await sleep(20);
      assert.ok(recorder.calls.includes("interrupted"), String(recorder.calls));
      await a.publish("room", bytesOf("last"), KEPT);
      for (let tries = 0; !recorder.texts.includes("last") && tries < 500; tries += 1) await sleep(20);
      assert.equal(recorder.texts.at(-1), "last");
      assert.deepEqual((await b.read("room", ALL)).entries.map(textOf), ["before", "behind", "last"]);
    });
  });
}

/** The head of the topic, its slot, and the node that has it. */
async function placeOf(topic: string, nodes: readonly RedisProcess[]): Promise<[string, string, RedisProcess]> {
  for (const node of nodes) {
    const [key] = (await node.command("KEYS", `holdfast:*:m:${topic}`)) as string[];
    if (key !== undefined) return [key, String(await node.command("CLUSTER", "KEYSLOT", key)), node];
  }
  throw new Error(`no node has ${topic}`);
}

async function move(slot: string, from: RedisProcess, to: RedisProcess, nodes: readonly RedisProcess[]): Promise<void> {
  const [source, target] = await Promise.all([from, to].map((node) => node.command("CLUSTER", "MYID")));
  await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(source));
  await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(target));
  const keys = (await from.command("CLUSTER", "GETKEYSINSLOT", slot, "100")) as string[];
  await from.command("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", "KEYS", ...keys);
  for (const node of [to, from, ...nodes.filter((one) => one !== to && one !== from)]) {
    await node.command("CLUSTER", "SETSLOT", slot, "NODE", String(target));
  }
}
