/** Tests of the broker on Redis against faults of servers, networks and stored data that are particular to Redis. */

import assert from "node:assert/strict";
import { connect, createServer, type Socket } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import type { Broker } from "../../src/broker/broker.ts";
import { redisBroker } from "../../src/broker/redis/index.ts";
import { Network, unable as unableNamespaces } from "../faults/network.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { ALL, bytesOf, KEPT, numbered, outcomeOf, publishAll, Recorder, textOf, UNKEPT } from "./harness.ts";
import { DURABLE, freePort, RedisProcess, unable } from "./redis-server.ts";

const PROGRAM = fileURLToPath(new URL("redis-topics-program.js", import.meta.url));
const LIMIT = { timeout: 60_000 };
const sleep = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

async function until(condition: () => boolean, what: string, within = 15_000): Promise<void> {
  for (let passed = 0; !condition(); passed += 20) {
    assert.ok(passed < within, `not within ${within} ms: ${what}`);
    await sleep(20);
  }
}

/** A server, and a broker on it. */
class Pair implements AsyncDisposable {
  readonly server: RedisProcess;
  readonly broker: Broker;

  private constructor(server: RedisProcess) {
    this.server = server;
    this.broker = redisBroker(server.url);
  }

  static async start(args: readonly string[] = []): Promise<Pair> {
    return new Pair(await RedisProcess.start(args));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker.close();
    await this.server[Symbol.asyncDispose]();
  }
}

describe("redisBroker", { skip: unable(), concurrency: 3 }, () => {
  it("subscribes to 100,000 topics, again when the connection is killed, and leaves them", LIMIT, async () => {
    await using server = await RedisProcess.start();
    await using node = new ChildProgram(PROGRAM, [server.url, "100000"]);
    assert.equal(await node.line(), "ready");
    assert.equal(await server.info("pubsub_channels"), 100_001);
    const before = await server.info("total_commands_processed");
    await server.command("CLIENT", "KILL", "TYPE", "pubsub");
    assert.equal(await node.line(), "interrupted");
    assert.equal(await node.line(), "restored");
    assert.ok((await server.info("total_commands_processed")) - before < 400);
    assert.equal(await server.info("pubsub_channels"), 100_001);
    const [, history = ""] = /master_replid:(\w{8})/.exec(String(await server.command("INFO", "replication"))) ?? [];
    await server.command("PUBLISH", "holdfast:c:topic 99999", `\u0001${history}0::x`);
    assert.equal(await node.line(), "entry");
    node.process.kill("SIGUSR2");
    assert.equal(await node.line(), "left");
    assert.equal((await node.exit).status, 0);
  });

  it("reports a partition of the network in both directions", { ...LIMIT, skip: unableNamespaces() }, async () => {
    await using network = await Network.build();
    const host = network.address("server");
    const placement = { by: network.on("server"), host: "0.0.0.0" };
    await using server = await RedisProcess.start(["--protected-mode", "no"], placement);
    await using node = new ChildProgram(PROGRAM, [`redis://${host}:${server.port}`], { by: network.on("client") });
    assert.equal(await node.line(), "ready");
    await network.lose("client", "server");
    const began = Date.now();
    assert.equal(await node.line(), "interrupted");
    assert.ok(Date.now() - began < 10_000);
    await network.heal();
    assert.equal(await node.line(), "restored");
  });

  it("reports that messages stop to arrive although both connections answer", LIMIT, async () => {
    // The subscriptions are on a server that gets no messages: as behind a proxy, or after a failover by an address.
    const servers = [await RedisProcess.start(), await RedisProcess.start()] as const;
    const sockets = new Set<Socket>();
    let split = true;
    const relay = createServer((socket) => {
      const to = split && sockets.size % 2 === 0 ? servers[1] : servers[0];
      const upstream = connect(to.port, "127.0.0.1");
      sockets.add(socket);
      socket.pipe(upstream).pipe(socket);
      socket.on("error", () => upstream.destroy()).on("close", () => upstream.destroy());
      upstream.on("error", () => socket.destroy()).on("close", () => socket.destroy());
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => relay.once("listening", resolve));
    const broker = redisBroker(`redis://127.0.0.1:${(relay.address() as { port: number }).port}`);
    const recorder = await Recorder.on(broker, "room");
    split = false;
    await until(() => recorder.calls.includes("restored"), "restored");
    await publishAll(broker, "room", ["after"]);
    await until(() => recorder.texts.includes("after"), "a message");
    await broker.close();
    relay.close();
    for (const server of servers) await server[Symbol.asyncDispose]();
  });

  it("follows Sentinel to the replica that it promotes", LIMIT, async () => {
    await using master = await RedisProcess.start();
    await using replica = await RedisProcess.start(["--replicaof", `127.0.0.1 ${master.port}`]);
    const rules = ["down-after-milliseconds m 500", "failover-timeout m 5000"];
    await using sentinel = await RedisProcess.sentinel(`m 127.0.0.1 ${master.port} 1`, rules);
    while (!String(await replica.command("INFO", "replication")).includes("master_link_status:up")) await sleep(20);
    while (!String(await sentinel.command("INFO", "sentinel")).includes("slaves=1")) await sleep(50);
    const target = { name: "m", sentinelRootNodes: [{ host: "127.0.0.1", port: sentinel.port }] };
    const broker = redisBroker(target);
    const recorder = await Recorder.on(broker, "room");
    const before = await publishAll(broker, "room", ["before"]);
    while (String(await replica.command("EXISTS", "holdfast:l:room")) !== "1") await sleep(20);
    await master.kill();
    await until(() => recorder.calls.includes("restored"), "restored", 30_000);
    const [after] = await publishAll(broker, "room", ["after"], { ...KEPT, timeout: 10_000 });
    assert.deepEqual([after?.epoch, after?.offset], [before[0]?.epoch, 2]);
    await until(() => recorder.texts.includes("after"), "a message of the new master");
    await broker.close();
  });

  it("keeps log, epoch and ids over a kill of a server that stores before it answers", LIMIT, async () => {
    await using pair = await Pair.start(DURABLE);
    const { broker, server } = pair;
    const recorder = await Recorder.on(broker, "room");
    const withId = { ...KEPT, id: "id" };
    const before = await publishAll(broker, "room", numbered("", 1, 50));
    const first = await broker.publish("room", bytesOf("once"), withId);
    await server.kill();
    await server.restart();
    await until(() => recorder.calls.includes("restored"), "restored");
    assert.deepEqual(await broker.publish("room", bytesOf("once"), withId), { ...first, duplicate: true });
    const { epoch, entries } = await broker.read("room", ALL);
    assert.equal(epoch, before[0]?.epoch);
    assert.deepEqual(entries.map(textOf), [...numbered("", 1, 50), "once"]);
  });

  it("skips what is no message, and names the topic and the offset", async () => {
    await using pair = await Pair.start();
    const { broker, server } = pair;
    const problems: [string, number | undefined][] = [];
    const recorder = new Recorder();
    const listener = {
      entry: recorder.entry.bind(recorder),
      interrupted() {},
      restored() {},
      invalid: (error: Error, offset: number | undefined) => void problems.push([error.message, offset]),
    };
    await broker.subscribe("room", listener).ready;
    const foreign = ["", "text", "\u000200000000" + "1:e:x", "\u000100000000" + "7::x", "\u000100000000" + "0::fine"];
    for (const text of foreign) await server.command("PUBLISH", "holdfast:c:room", text);
    await until(() => recorder.texts.includes("fine"), "the message between them");
    assert.deepEqual(
      problems.map(([, offset]) => offset),
      [undefined, undefined, undefined, 7],
    );
    for (const [message] of problems) assert.match(message, /topic "room"/);
    assert.match(problems[2]?.[0] ?? "", /version is 2/);
  });

  it("skips entries of the log that it has not written", async () => {
    await using pair = await Pair.start();
    const { broker, server } = pair;
    const recorder = await Recorder.on(broker, "room");
    await publishAll(broker, "room", ["1", "2"]);
    await server.command("XADD", "holdfast:l:room", "2-5", "field", "value");
    await server.command("XADD", "holdfast:l:room", "77-0", "t", "x", "c", "x", "m", "x");
    const { entries, top } = await broker.read("room", ALL);
    assert.deepEqual([entries.map(textOf), top], [["1", "2"], 2]);
    assert.deepEqual(recorder.invalidOffsets, [undefined]);
    // Redis accepts no lower id behind a foreign one: the topic begins again.
    const [next] = await publishAll(broker, "room", ["3"]);
    assert.equal(next?.offset, 1);
    assert.notEqual(next?.epoch, entries[0]?.epoch);
    assert.deepEqual((await broker.read("room", ALL)).entries.map(textOf), ["3"]);
  });

  for (const [what, keys] of [
    ["the head", ["m"]],
    ["the stream", ["l"]],
    ["all of it", ["m", "l"]],
  ] as const) {
    it(`gives a topic a new epoch if ${what} was evicted`, async () => {
      await using pair = await Pair.start();
      const { broker, server } = pair;
      const evict = (): Promise<unknown> => server.command("DEL", ...keys.map((key) => `holdfast:${key}:room`));
      const [first] = await publishAll(broker, "room", ["1", "2", "3"]);
      await evict();
      const read = await broker.read("room", ALL);
      assert.deepEqual([read.entries, read.top], [[], 0]);
      assert.notEqual(read.epoch, first?.epoch);
      const [second] = await publishAll(broker, "room", ["4"]);
      assert.deepEqual([second?.epoch, second?.offset], [read.epoch, 1]);
      await evict();
      const [third] = await publishAll(broker, "room", ["5"]);
      assert.equal(third?.offset, 1);
      assert.notEqual(third?.epoch, read.epoch);
      assert.deepEqual((await broker.read("room", ALL)).entries.map(textOf), ["5"]);
    });
  }

  it("lets its keys expire, those of a topic in use excepted", async () => {
    await using server = await RedisProcess.start();
    await using broker = redisBroker(server.url, { topicExpiry: 60_000 });
    const left = async (key: string): Promise<number> => Number(await server.command("PTTL", `holdfast:${key}`));
    const history = { ...ALL.history, age: 10_000 };
    await broker.publish("room", bytesOf("x"), { ...KEPT, history, id: "id" });
    await broker.claim?.("room", "p", 1);
    assert.ok((await left("l:room")) > 9_000 && (await left("l:room")) <= 12_000);
    assert.ok((await left("m:room")) > 60_000 && (await left("m:room")) <= 72_000);
    for (const key of (await server.command("KEYS", "*")) as string[]) {
      assert.ok(Number(await server.command("PTTL", key)) > 0, key);
    }
    await server.command("PEXPIRE", "holdfast:m:room", "5000");
    await broker.read("room", { ...ALL, history, messages: 0 });
    assert.ok((await left("m:room")) > 50_000);
    // A history without an age has no end.
    await broker.publish("room", bytesOf("x"), { ...KEPT, history: { ...history, age: Infinity } });
    assert.deepEqual([await left("l:room"), await left("m:room")], [-1, -1]);
    await broker.publish("room", bytesOf("x"), { ...KEPT, history });
    assert.ok((await left("l:room")) > 0 && (await left("m:room")) > 0);
  });

  it("bounds what it stores of a topic by number, bytes and age", async () => {
    await using pair = await Pair.start();
    const { broker, server } = pair;
    const length = async (): Promise<number> => Number(await server.command("XLEN", "holdfast:l:room"));
    const few = { ...KEPT, history: { messages: 100, bytes: 1_000_000, age: 60_000 } };
    await publishAll(broker, "room", numbered("", 1, 2_000), few);
    // Whole nodes of 4 KiB or 100 entries are removed.
    assert.ok((await length()) <= 200);
    const small = { ...KEPT, history: { messages: 10_000, bytes: 10_000, age: 60_000 } };
    for (let number = 0; number < 30; number += 1) await broker.publish("room", new Uint8Array(1_000), small);
    assert.equal(await length(), 10);
    await broker.publish("room", new Uint8Array(20_000), small);
    assert.equal(await length(), 0);
    // A second after this age the last one expires too: a shorter age would be a race on a busy machine.
    const short = { ...KEPT, history: { messages: 10_000, bytes: 10_000, age: 2_000 } };
    await publishAll(broker, "room", numbered("", 1, 200), short);
    await sleep(2_100);
    await publishAll(broker, "room", ["last"], short);
    assert.equal(await length(), 1);
  });

  it("goes on when the server has forgotten the scripts", async () => {
    await using pair = await Pair.start();
    const { broker, server } = pair;
    await publishAll(broker, "room", ["1"]);
    await server.command("SCRIPT", "FLUSH");
    await publishAll(broker, "room", ["2", "3"]);
    await server.command("SCRIPT", "FLUSH");
    assert.deepEqual((await broker.read("room", ALL)).entries.map(textOf), ["1", "2", "3"]);
  });

  it("waits for a master while the server is a replica", async () => {
    await using pair = await Pair.start();
    const { broker, server } = pair;
    const recorder = await Recorder.on(broker, "room");
    await server.command("REPLICAOF", "127.0.0.1", "1");
    const refused = await outcomeOf(broker.publish("room", bytesOf("x"), { ...KEPT, timeout: 500 }));
    assert.equal(refused.error?.code, "CLOSED");
    await until(() => recorder.calls.includes("interrupted"), "interrupted");
    await server.command("REPLICAOF", "NO", "ONE");
    await publishAll(broker, "room", ["after"], { ...KEPT, timeout: 10_000 });
    await until(() => recorder.calls.includes("restored"), "restored");
    assert.deepEqual((await broker.read("room", ALL)).entries.map(textOf), ["after"]);
  });

  it("reports a message of another history of the server before it delivers it", async () => {
    await using pair = await Pair.start();
    const { broker, server } = pair;
    const recorder = await Recorder.on(broker, "room");
    await publishAll(broker, "room", ["1"]);
    await server.command("PUBLISH", "holdfast:c:room", "\u0001otherone" + "2:e:forked");
    await server.command("PUBLISH", "holdfast:c:room", "\u0001otherone" + "3:e:next");
    await until(() => recorder.texts.length === 3, "the messages");
    assert.deepEqual(recorder.calls, ["1", "interrupted", "restored", "forked", "next"]);
  });

  it("rejects with the server's reason what the server refuses, and publishes nothing", async () => {
    await using pair = await Pair.start(["--maxmemory", "3mb", "--maxmemory-policy", "noeviction"]);
    const { broker } = pair;
    const recorder = await Recorder.on(broker, "room");
    const large = new Uint8Array(1024 * 1024);
    let refused: { code?: string; errno?: string } | undefined;
    let published = 0;
    for (; refused === undefined && published < 20; published += 1) {
      refused = (await outcomeOf(broker.publish("room", large, KEPT))).error;
    }
    assert.deepEqual([refused?.code, refused?.errno], ["TRANSPORT", "OOM"]);
    await publishAll(broker, "room", ["unkept"], UNKEPT);
    await until(() => recorder.texts.includes("unkept"), "a message that is not kept");
    assert.equal(recorder.entries.length, published);
  });

  it("names why there is no connection", async () => {
    await using server = await RedisProcess.start(["--requirepass", "secret"]);
    await using broker = redisBroker(server.url);
    await assert.rejects(broker.read("room", { ...ALL, timeout: 500 }), (error: Error) => {
      assert.match(String(error.cause), /NOAUTH/);
      return true;
    });
    await using allowed = redisBroker(`redis://:secret@127.0.0.1:${server.port}`);
    assert.equal((await allowed.read("room", ALL)).top, 0);
  });

  it("calls a server that is started later, and keeps the order of what has waited", async () => {
    const port = await freePort();
    await using broker = redisBroker(`redis://127.0.0.1:${port}`);
    const recorder = new Recorder();
    broker.subscribe("room", recorder);
    const waiting = publishAll(broker, "room", numbered("", 1, 20), { ...KEPT, timeout: 20_000 });
    await using _server = await RedisProcess.start([], { port });
    await waiting;
    assert.deepEqual((await broker.read("room", ALL)).entries.map(textOf), numbered("", 1, 20));
  });
});
