/** The NATS broker beyond the contract: hostile messages, streams that others made or removed, and a network without an end. */

import assert from "node:assert/strict";
import { createConnection, type Socket } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { headers, type NatsConnection, connect as natsConnect } from "@nats-io/transport-node";
import type { Broker, BrokerEntry, Published } from "../../src/broker/broker.ts";
import { type NatsBrokerOptions, natsBroker } from "../../src/broker/nats/index.ts";
import { Network, unable as noNetwork } from "../faults/network.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { ALL, AMPLE, bytesOf, KEPT, numbered, outcomeOf, publishAll, Recorder, textOf, UNKEPT } from "./harness.ts";
import { connected, SILENT } from "./nats-harness.ts";
import type { NodeReport } from "./nats-node-program.ts";
import { NatsServer, unable } from "./nats-server.ts";

const wait = (length: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, length));

async function until(condition: () => boolean | Promise<boolean>, what: string, within = 10_000): Promise<void> {
  const began = performance.now();
  while (!(await condition())) {
    assert.ok(performance.now() - began < within, `not within ${within} ms: ${what}`);
    await wait(10);
  }
}

/** The messages of an error and of its causes. */
function causes(error: unknown): string {
  const texts: string[] = [];
  for (let one = error; one instanceof Error; one = one.cause) texts.push(one.message);
  return texts.join(": ");
}

/** A client that sends any bytes. */
async function rawClient(port: number): Promise<Socket> {
  const socket = createConnection(port, "127.0.0.1");
  await new Promise((resolve) => socket.once("data", resolve));
  socket.on("data", () => undefined).write('CONNECT {"headers":true,"verbose":false}\r\n');
  return socket;
}

/** A node in another process. */
class Node implements AsyncDisposable {
  readonly program: ChildProgram;
  readonly reports: NodeReport[] = [];

  constructor(url: string, by: readonly string[] = []) {
    const path = fileURLToPath(new URL("./nats-node-program.js", import.meta.url));
    this.program = new ChildProgram(path, [url], { channel: true, by });
    this.program.onMessage = (report) => this.reports.push(report as NodeReport);
  }

  get texts(): (string | undefined)[] {
    return this.reports.filter(({ what }) => what === "entry").map(({ text }) => text);
  }

  /** Waits for such a report, and removes it. */
  async until(...what: readonly NodeReport["what"][]): Promise<NodeReport> {
    const found = (): NodeReport | undefined => this.reports.find((report) => what.includes(report.what));
    await until(() => found() !== undefined, what.join(" or "), what.includes("interrupted") ? 10_000 : 20_000);
    const report = found() as NodeReport;
    this.reports.splice(this.reports.indexOf(report), 1);
    return report;
  }

  ask(text: string): Promise<NodeReport> {
    this.program.process.send({ text });
    return this.until("published", "refused");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

/** What `invalid` was called with, beside what a recorder has. */
class Errors extends Recorder {
  readonly messages: string[] = [];

  static override async on(broker: Broker, topic: string): Promise<Errors> {
    const errors = new Errors();
    errors.subscription = broker.subscribe(topic, errors);
    await errors.subscription.ready;
    return errors;
  }

  override invalid(error: Error, offset: number | undefined): void {
    super.invalid(error, offset);
    this.messages.push(error.message);
  }
}

/** A JetStream API call. */
async function api(client: NatsConnection, call: string, body: object = {}): Promise<Record<string, never>> {
  return (await client.request(`$JS.API.${call}`, JSON.stringify(body))).json();
}

function republished(sequence: string, last: string, stream = "HOLDFAST"): { headers: ReturnType<typeof headers> } {
  const fields = headers();
  fields.set("Nats-Stream", stream);
  fields.set("Nats-Subject", "holdfast.log.room");
  fields.set("Nats-Sequence", sequence);
  fields.set("Nats-Last-Sequence", last);
  return { headers: fields };
}

describe("natsBroker", { skip: unable(), concurrency: 4 }, () => {
  /** Runs a test with a server, and a function that makes brokers. */
  const test = (
    name: string,
    run: (server: NatsServer, broker: (options?: NatsBrokerOptions, url?: string) => Promise<Broker>) => Promise<void>,
    config = "",
  ): void => {
    it(name, { timeout: 60_000 }, async () => {
      await using server = await NatsServer.start(config);
      const brokers: Broker[] = [];
      try {
        await run(server, async (options = {}, url = server.url) => {
          const broker = natsBroker(url, options);
          brokers.push(broker);
          return connected(broker);
        });
      } finally {
        server.thaw();
        await Promise.all(brokers.map((broker) => broker.close()));
      }
    });
  };

  test("skips messages that nobody can understand, and names topic and offset", async (server, broker) => {
    const node = await broker();
    const errors = await Errors.on(node, "room");
    await using client = await natsConnect({ servers: server.url });
    const send = (...fields: Parameters<typeof republished>): void =>
      client.publish("holdfast.live.room", "x", republished(...fields));
    send("x", "0");
    send("0", "0");
    send("9007199254740993", "0");
    send("7", "7");
    send("7", "nothing");
    send("7", "0", "ANOTHER");
    await client.flush();
    await node.publish("room", bytesOf("good"), KEPT);
    await until(() => errors.texts.includes("good"), "the message behind them");
    assert.deepEqual(errors.texts, ["good"]);
    assert.deepEqual(errors.invalidOffsets, [undefined, 0, undefined, 7, 7, 7]);
    for (const message of errors.messages) assert.match(message, /^Cannot read a message of topic "room", offset/);
    assert.match(errors.messages[5] ?? "", /another stream, "ANOTHER"/);
    assert.deepEqual(errors.count("interrupted"), 0);
  });

  test("survives header fields that are none", async (server, broker) => {
    const node = await broker();
    const errors = await Errors.on(node, "room");
    const socket = await rawClient(server.port);
    for (const block of [
      "NATS/1.0\r\n: x\r\n\r\n",
      "NATS/1.0\r\nNats-Stream\u0001: x\r\n\r\n",
      "NATS/1.0\r\nb\u00e4d name: x\r\n\r\n",
    ]) {
      const length = Buffer.byteLength(block);
      socket.write(`HPUB holdfast.live.room ${length} ${length + 1}\r\n${block}x\r\n`);
    }
    await wait(100);
    await node.publish("room", bytesOf("good"), KEPT);
    await until(() => errors.texts.includes("good"), "the message behind them");
    assert.ok(errors.messages.length > 0);
    assert.deepEqual(errors.count("interrupted"), 0);
    socket.destroy();
  });

  test("delivers in the order of the log what the server sends in another one", async (server, broker) => {
    const node = await broker();
    const recorder = await Recorder.on(node, "room");
    await using client = await natsConnect({ servers: server.url });
    for (const [sequence, last] of [
      ["1", "0"],
      ["3", "2"],
      ["4", "3"],
      ["2", "1"],
      ["5", "4"],
    ] as const) {
      client.publish("holdfast.live.room", sequence, republished(sequence, last));
    }
    await until(() => recorder.entries.length === 5, "five entries");
    assert.deepEqual(recorder.texts, numbered("", 1, 5));
    // What never comes is a hole.
    client.publish("holdfast.live.room", "7", republished("7", "6"));
    await until(() => recorder.entries.length === 6, "the entry behind the hole");
    assert.deepEqual([recorder.entries[5]?.offset, recorder.entries[5]?.previous], [7, 6]);
  });

  test("reports the removal of the stream, and has another epoch", async (server, broker) => {
    const [a, b] = [await broker(), await broker()];
    const recorder = await Recorder.on(b, "room");
    const [before] = await publishAll(a, "room", numbered("", 1, 5));
    await until(() => recorder.entries.length === 5, "five entries");
    await using client = await natsConnect({ servers: server.url });
    await api(client, "STREAM.DELETE.HOLDFAST");
    const refused = await outcomeOf(a.publish("room", bytesOf("x"), { ...KEPT, timeout: 1_000 }));
    assert.equal(refused.error?.code, "CLOSED");
    let after: Published | undefined;
    await until(async () => {
      after = (await outcomeOf(a.publish("room", bytesOf("new"), KEPT))).value;
      return after !== undefined;
    }, "a publish after the stream was made again");
    await until(() => recorder.count("restored") > 0, "restored");
    assert.ok(recorder.count("interrupted") > 0);
    assert.notEqual(after?.epoch, before?.epoch);
    assert.deepEqual((await b.read("room", ALL)).epoch, after?.epoch);
  });

  test("reads a topic whose messages were all removed as trimmed, not as another history", async (server, broker) => {
    const node = await broker();
    const published = await publishAll(node, "room", numbered("", 1, 5));
    await publishAll(node, "another room", ["x"]);
    await using client = await natsConnect({ servers: server.url });
    await api(client, "STREAM.PURGE.HOLDFAST", { filter: "holdfast.log.room" });
    const last = published[4]?.offset ?? 0;
    const { epoch, first, top, entries } = await node.read("room", { ...ALL, after: last });
    assert.deepEqual([epoch, entries], [published[0]?.epoch, []]);
    assert.ok(top >= last && first > last, `first ${first}, top ${top}, last ${last}`);
    const recorder = await Recorder.on(node, "room");
    const [next, later] = await publishAll(node, "room", ["6", "7"]);
    await until(() => recorder.entries.length === 2, "two entries");
    assert.deepEqual(
      recorder.entries.map(({ previous }) => previous),
      [0, next?.offset],
    );
    await api(client, "STREAM.PURGE.HOLDFAST", { filter: "holdfast.log.room" });
    await publishAll(node, "room", ["8"]);
    await until(() => recorder.entries.length === 3, "a third one");
    // This node knows that nothing was between both.
    assert.equal(recorder.entries[2]?.previous, later?.offset);
  });

  test("knows the epochs that were renewed before it came", async (_, broker) => {
    const first = await broker();
    const [published] = await publishAll(first, "a room *>", ["x"]);
    const renewed = await first.renew("a room *>", published?.epoch ?? "");
    const second = await broker();
    const again = await second.publish("a room *>", bytesOf("y"), KEPT);
    assert.deepEqual([again.epoch, (await second.read("a room *>", ALL)).epoch], [renewed, renewed]);
    assert.equal((await second.publish("another room", bytesOf("y"), KEPT)).epoch, published?.epoch);
  });

  test("reads of a large log what the limits of the topic leave, in every way", async (_, broker) => {
    const node = await broker({ stream: { messages: 5_000 } });
    const texts = numbered("", 1, 1_000);
    for (let from = 0; from < 1_000; from += 100) {
      await publishAll(node, "room", texts.slice(from, from + 100));
      await publishAll(node, "another room", texts.slice(from, from + 37));
    }
    const history = { ...AMPLE, messages: 64 };
    const { first, top, entries } = await node.read("room", { ...ALL, history });
    assert.deepEqual(entries.map(textOf), texts.slice(936));
    assert.deepEqual([first, top], [entries[0]?.offset, entries[63]?.offset]);
    const whole = await node.read("room", ALL);
    assert.deepEqual(whole.entries.map(textOf), texts);
    const offsetOf = (text: string): number =>
      (whole.entries.find((entry) => textOf(entry) === text) as BrokerEntry).offset;
    const behind = await node.read("room", { ...ALL, history, after: offsetOf("500") });
    assert.deepEqual([behind.entries.map(textOf), behind.first], [texts.slice(936), first]);
    assert.equal(behind.entries[0]?.previous, offsetOf("936"));
    const near = await node.read("room", { ...ALL, history, after: offsetOf("990") });
    assert.deepEqual([near.entries.map(textOf), near.first <= offsetOf("990")], [texts.slice(990), true]);
    const none = await node.read("room", { ...ALL, history, messages: 0 });
    assert.deepEqual([none.first, none.top, none.entries], [first, top, []]);
  });

  test("removes what a topic does not keep", async (server, broker) => {
    const node = await broker({ stream: { messages: 5_000 } });
    for (let round = 0; round < 10; round += 1) {
      await publishAll(node, "room", numbered("", 1, 100), { ...KEPT, history: { ...AMPLE, messages: 10 } });
    }
    await using client = await natsConnect({ servers: server.url });
    const { state } = (await api(client, "STREAM.INFO.HOLDFAST")) as unknown as { state: { messages: number } };
    assert.ok(state.messages <= 120, `${state.messages} are stored`);
  });

  test("refuses a stream that cannot be the log of topics, and says why", async (server) => {
    await using client = await natsConnect({ servers: server.url });
    await api(client, "STREAM.CREATE.HOLDFAST", { name: "HOLDFAST", subjects: ["holdfast.log.*"], storage: "memory" });
    await using node = natsBroker(server.url);
    await until(async () => {
      const { error } = await outcomeOf(node.publish("room", bytesOf("x"), KEPT));
      return /needs republish from holdfast.log.\* to/.test(String((error as { cause?: unknown } | undefined)?.cause));
    }, "the reason");
  });

  test("uses a stream with other limits as it is", async (server, broker) => {
    const first = await broker({ stream: { messages: 5 } });
    await publishAll(first, "room", numbered("", 1, 10));
    const second = await broker({ stream: { messages: 100 } });
    await publishAll(second, "room", ["11"]);
    assert.deepEqual((await second.read("room", ALL)).entries.map(textOf), numbered("", 7, 11));
    assert.ok((await server.ask("jsz"))["streams"] === 2);
  });

  test("rejects messages that are larger than the server takes", async (_, broker) => {
    const node = await broker();
    const size = 2 * 1024 * 1024;
    for (const options of [KEPT, UNKEPT, { ...KEPT, id: "id" }]) {
      await assert.rejects(node.publish("room", new Uint8Array(size + 1), options), { code: "LIMIT" });
    }
    await assert.rejects(node.publish("room", new Uint8Array(size), { ...KEPT, id: "id" }), { code: "LIMIT" });
    assert.equal((await node.read("room", ALL)).top, 0);
  });

  test("bounds what waits for an answer, and takes more when the server has answered", async (server, broker) => {
    const node = await broker({ maxInFlight: 10, maxInFlightBytes: 1_000 });
    await server.freeze();
    const outcomes = numbered("", 1, 12).map((text) =>
      outcomeOf(node.publish("room", bytesOf(text), { ...KEPT, timeout: 300 })),
    );
    const codes = (await Promise.all(outcomes)).map(({ error }) => error?.code);
    assert.deepEqual(codes, [...Array.from({ length: 10 }, () => "TIMEOUT"), "LIMIT", "LIMIT"]);
    // They have timed out, but their bytes may still be in memory.
    assert.equal((await outcomeOf(node.publish("room", bytesOf("x"), KEPT))).error?.code, "LIMIT");
    server.thaw();
    await until(async () => (await outcomeOf(node.publish("room", bytesOf("y"), KEPT))).value !== undefined, "room");
    await assert.rejects(node.publish("room", new Uint8Array(1_001), KEPT), {
      code: "LIMIT",
      limit: "maxInFlightBytes",
    });
  });

  test("gives up a connection whose buffers are full, when the network carries nothing", async (server, broker) => {
    const node = await broker({}, server.faultyUrl);
    const recorder = await Recorder.on(node, "room");
    await server.proxy.set({ blackhole: true });
    const message = new Uint8Array(1024 * 1024);
    const outcomes = Array.from({ length: 15 }, () =>
      outcomeOf(node.publish("room", message, { ...KEPT, timeout: 1_000 })),
    );
    await Promise.all(outcomes);
    await until(() => recorder.count("interrupted") === 1, "interrupted");
    // From here on nothing is sent, so nothing waits.
    assert.equal((await outcomeOf(node.publish("room", message, KEPT))).error?.code, "CLOSED");
    // It does not wait until the kernel has sent what cannot be sent.
    await until(() => server.proxy.counts.accepted > 1, "another connection");
    await server.proxy.heal();
    await until(() => recorder.count("restored") === 1, "restored", 20_000);
    await node.publish("room", bytesOf("x"), KEPT);
    await until(() => recorder.texts.includes("x"), "a message");
  });

  test("ends while the server is frozen, and leaves nothing open", async (server) => {
    await using node = new Node(server.url);
    await node.until("ready");
    await server.freeze();
    await node.until("interrupted");
    // It is connecting again, to a server that accepts and is silent.
    await wait(1_000);
    node.program.process.send({});
    await node.until("closed");
    const { status } = await node.program.exit;
    assert.equal(status, 0);
  });

  test("says why it cannot publish: no JetStream, no permission, no login", async () => {
    await using plain = await NatsServer.start("", { jetstream: false });
    await using node = natsBroker(plain.url);
    await until(async () => {
      const { error } = await outcomeOf(node.publish("room", bytesOf("x"), KEPT));
      return /is it enabled/.test(causes(error));
    }, "the lack of JetStream");
    await using guarded = await NatsServer.start('authorization { user: "app", password: "secret" }');
    await using stranger = natsBroker(guarded.url);
    await until(
      async () => /authorization/i.test(causes((await outcomeOf(stranger.publish("room", bytesOf("x"), KEPT))).error)),
      "the lack of a login",
    );
    await using known = natsBroker(`nats://app:secret@127.0.0.1:${guarded.port}`);
    await connected(known);
    assert.equal((await known.publish("room", bytesOf("x"), KEPT)).duplicate, false);
  });

  it("is told within 10 s that the network between it and the server is broken", {
    timeout: 60_000,
    skip: noNetwork(),
  }, async () => {
    await using network = await Network.build();
    await using server = await NatsServer.start("", { by: network.on("server"), host: network.address("server") });
    await using node = new Node(server.url, network.on("client"));
    await node.until("ready");
    assert.equal((await node.ask("before")).what, "published");
    await network.lose("server", "client");
    await node.until("interrupted");
    assert.deepEqual(await node.ask("refused"), { what: "refused", text: "CLOSED" });
    await network.heal();
    await node.until("restored");
    assert.equal((await node.ask("after")).what, "published");
    await until(() => node.texts.includes("after"), "a message");
    assert.deepEqual(node.texts, ["before", "after"]);
  });

  test(
    "works with the permissions that the documentation names, and reports others",
    async (server) => {
      await using node = natsBroker(`nats://app:secret@127.0.0.1:${server.port}`);
      await connected(node);
      const recorder = await Recorder.on(node, "room");
      const [published] = await publishAll(node, "room", ["x"], { ...KEPT, history: { ...AMPLE, messages: 1 } });
      await until(() => recorder.entries.length === 1, "an entry");
      assert.equal((await node.read("room", ALL)).entries.length, 1);
      assert.notEqual(await node.renew("room", published?.epoch ?? ""), published?.epoch);
      await using other = natsBroker(`nats://app:secret@127.0.0.1:${server.port}`, { log: false, prefix: "other" });
      await until(async () => {
        const { error } = await outcomeOf(other.publish("room", bytesOf("x"), UNKEPT));
        return /permission/i.test(causes(error));
      }, "the lack of a permission");
      await assert.rejects(other.subscribe("room", SILENT).ready, { code: "CLOSED" });
    },
    `authorization { users: [ { user: "app", password: "secret", permissions: {
      publish: ["holdfast.>", "$JS.API.STREAM.*.HOLDFAST", "$JS.API.STREAM.*.HOLDFAST_EPOCHS",
        "$JS.API.STREAM.MSG.GET.HOLDFAST", "$JS.API.STREAM.MSG.GET.HOLDFAST_EPOCHS", "$JS.API.DIRECT.GET.HOLDFAST"],
      subscribe: ["holdfast.>", "_INBOX.>"] } } ] }`,
  );
});
