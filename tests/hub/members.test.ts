/** Tests of members of topics: slow ones, many of them, of several kinds, on real sockets; and what cannot be delivered. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SEND_BUDGET } from "../../src/group/members.ts";
import {
  type Broker,
  type Connection,
  connect,
  type EnvelopeEvent,
  EnvelopeReader,
  envelope,
  Hub,
  type HubEvent,
  listen,
  type Message,
  memoryBroker,
  ReconnectingConnection,
  type Topic,
} from "../../src/index.ts";
import { ManualClock, type PairOptions, pair, settled } from "../../src/testing/index.ts";

interface Scene {
  readonly server: Connection;
  readonly heard: unknown[];
  pause(): void;
  resume(): void;
}

/** A member whose peer can stop to read. Little fits into its queue and into the kernels between both. */
function slow(options: PairOptions = {}): Scene {
  const heard: unknown[] = [];
  const { server, link } = pair({
    ...options,
    capacity: 64,
    server: { maxQueuedMessages: 4, highWaterMark: 1_000_000, writeTimeout: Infinity },
    client: { message: (_, data) => void heard.push(data) },
  });
  return { server, heard, pause: () => link.freeze("client"), resume: () => link.thaw("client") };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await settled();
}

const texts = (count: number, from: number = 0): string[] =>
  Array.from({ length: count }, (_, index) => `message ${from + index}`);

async function publishAll(room: Topic, messages: readonly string[]): Promise<void> {
  for (const message of messages) await room.publish(message);
}

describe("a slow member", () => {
  it("is told of a gap in its place, when it falls behind the history", async () => {
    const events: HubEvent[] = [];
    const hub = new Hub({
      observe: (event) => void events.push(event),
      encoder: {
        ...envelope(),
        message: ({ message }) => message,
        gap: ({ reason, count }) => `gap ${reason} ${count}`,
        joined: () => undefined,
      },
    });
    const room = hub.topic("room", { history: { messages: 10 } });
    const member = slow();
    await room.join(member.server);
    member.pause();
    const sent = texts(100);
    await publishAll(room, sent);
    member.resume();
    await turns(20);
    const at = member.heard.findIndex((text) => String(text).startsWith("gap"));
    assert.deepEqual(member.heard.slice(0, at), sent.slice(0, at));
    assert.deepEqual(member.heard.slice(at), [`gap trimmed ${90 - at}`, ...sent.slice(90)]);
    assert.deepEqual(hub.stats.gaps, { trimmed: 1, epoch: 0, fork: 0, lost: 0 });
    assert.deepEqual(
      events.map(({ type }) => type),
      ["gap"],
    );
  });

  it("is closed with 1013 under the policy close", async () => {
    const hub = new Hub();
    const room = hub.topic("room", { overflow: "close" });
    const member = slow();
    await room.join(member.server);
    member.pause();
    await publishAll(room, texts(20));
    member.resume();
    assert.equal((await member.server.closed).code, 1013);
    assert.deepEqual(room.members, []);
  });

  it("gets the newest message of each key under the policy latest, and no gap", async () => {
    const hub = new Hub();
    const room = hub.topic("room", { overflow: "latest", history: { messages: 8 } });
    const member = slow();
    await room.join(member.server);
    member.pause();
    for (let round = 0; round < 20; round += 1)
      for (const key of ["a", "b"]) await room.publish(`${key}${round}`, { key });
    await room.publish("none");
    member.resume();
    await turns(20);
    assert.deepEqual(member.heard.slice(-3), ["a19", "b19", "none"]);
    assert.ok(member.heard.length < 20, `${member.heard.length} messages`);
    assert.equal(hub.stats.gaps.trimmed, 0);
  });

  it("is one of many: each gets all messages, also those of which it is told in a later turn", async (t) => {
    const { members: usual } = SEND_BUDGET;
    t.after(() => {
      SEND_BUDGET.members = usual;
    });
    SEND_BUDGET.members = 3;
    const hub = new Hub();
    const room = hub.topic("room");
    const all = Array.from({ length: 12 }, (_, index) =>
      slow(index % 2 === 0 ? {} : { kind: "tcp", framing: "lines" }),
    );
    for (const { server } of all) await room.join(server);
    for (const member of all.slice(0, 8)) member.pause();
    const sent = texts(50);
    for (const text of sent) assert.ok(room.tryPublish(text));
    await turns(5);
    for (const member of all) member.resume();
    await turns(60);
    for (const { heard } of all) assert.deepEqual(heard, sent);
    assert.equal(hub.stats.behind, 0);
  });

  it("with a message that does not fit into its queue is closed with 1013", async () => {
    const hub = new Hub();
    const room = hub.topic("room");
    const { server } = pair({ server: { maxQueuedBytes: 2_000, maxMessageSize: 1_000 } });
    await room.join(server);
    await room.publish("x".repeat(10_000));
    await turns(40);
    assert.equal((await server.closed).code, 1013);
  });

  it("loads its state again at a gap, and continues behind it", async () => {
    const hub = new Hub();
    const room = hub.topic("room", { history: { messages: 5 } });
    const member = slow();
    const positions: number[] = [];
    const state = async ({ offset }: { readonly offset: number }): Promise<string> => {
      positions.push(offset);
      return `state at ${offset}`;
    };
    await room.join(member.server, { state });
    member.pause();
    await publishAll(room, texts(60));
    member.resume();
    await turns(20);
    await room.publish("last");
    await settled();
    assert.deepEqual(positions, [0, 60]);
    assert.deepEqual(member.heard.slice(-2), ["state at 60", "last"]);
  });
});

describe("the members of a topic", () => {
  it("are WebSockets, framed TCP and reconnecting connections, on real sockets", async () => {
    await using hub = new Hub({ encoder: envelope() });
    const room = hub.topic("room");
    const open = async (connection: Connection): Promise<void> => void (await room.join(connection));
    await using web = await listen("ws://127.0.0.1:0/", { open });
    await using tcp = await listen("tcp://127.0.0.1:0", { open, framing: "lines" });
    const readers: { readonly events: EnvelopeEvent[] }[] = [];
    const reading = (): { message: (connection: unknown, data: Message) => void } => {
      const [reader, events] = [new EnvelopeReader(), [] as EnvelopeEvent[]];
      readers.push({ events });
      return { message: (_, data) => void events.push(reader.receive(data)) };
    };
    await using one = await connect(web.url, reading());
    await using two = await connect(tcp.url, { framing: "lines", ...reading() });
    // A peer to which this process connects, and which is a member too.
    const heard: string[] = [];
    await using far = await listen("ws://127.0.0.1:0/", { message: (_, data) => void heard.push(String(data)) });
    await using client = new ReconnectingConnection(far.url);
    await room.join(client);
    while (room.members.length < 3) await settled();
    const sent = texts(30);
    await publishAll(room, sent);
    while (heard.length < 31 || readers.some(({ events }) => events.length < 31)) await settled();
    for (const { events } of readers)
      assert.deepEqual(
        events.slice(1).map((event) => (event.type === "message" ? event.message : event)),
        sent,
      );
    assert.deepEqual(
      heard.slice(1).map((text) => text.slice(2)),
      sent,
    );
    assert.ok(one.state === "OPEN" && two.state === "OPEN");
  });

  it("do not get what their framing cannot encode, and get what follows", async () => {
    const errors: unknown[] = [];
    const hub = new Hub({ onError: (error) => void errors.push(error) });
    const room = hub.topic("room");
    const [lines, web] = [slow({ kind: "tcp", framing: "lines" }), slow()];
    await room.join(lines.server);
    await room.join(web.server);
    await publishAll(room, ["one", "two\nlines", "three"]);
    await turns(5);
    assert.deepEqual(lines.heard, ["one", "three"]);
    assert.deepEqual(web.heard, ["one", "two\nlines", "three"]);
    assert.equal(errors.length, 1);
  });

  it("may leave while they join, and join once however often they ask", async () => {
    const broker = memoryBroker();
    let answer = (): void => undefined;
    const waits = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const slowBroker: Broker = Object.assign(Object.create(broker) as Broker, {
      honours: broker.honours,
      subscribe: (...given: Parameters<Broker["subscribe"]>) => broker.subscribe(...given),
      publish: (...given: Parameters<Broker["publish"]>) => broker.publish(...given),
      renew: (...given: Parameters<Broker["renew"]>) => broker.renew(...given),
      close: () => broker.close(),
      read: async (...given: Parameters<Broker["read"]>) => {
        await waits;
        return broker.read(...given);
      },
    });
    await using hub = new Hub({ broker: slowBroker });
    const room = hub.topic("room");
    const [ann, ben] = [slow(), slow()];
    const left = assert.rejects(room.join(ann.server), { code: "CLOSED", reason: "the member has left the topic" });
    const twice = [room.join(ben.server), room.join(ben.server)];
    await settled();
    room.leave(ann.server);
    await left;
    answer();
    const [first, second] = await Promise.all(twice);
    assert.deepEqual(first, second);
    assert.deepEqual(room.members, [ben.server]);
    const { replayed, resumed } = await room.join(ben.server, { last: 5, state: () => "not again" });
    assert.deepEqual([replayed, resumed], [0, false]);
    await room.publish("once");
    await settled();
    assert.deepEqual([ann.heard, ben.heard], [[], ["once"]]);
  });

  it("are bounded, as are topics and messages on their way", async () => {
    const clock = new ManualClock();
    const broker = memoryBroker({ clock });
    const stuck: Broker = Object.assign(Object.create(broker) as Broker, {
      honours: broker.honours,
      subscribe: (...given: Parameters<Broker["subscribe"]>) => broker.subscribe(...given),
      read: (...given: Parameters<Broker["read"]>) => broker.read(...given),
      renew: (...given: Parameters<Broker["renew"]>) => broker.renew(...given),
      publish: () => new Promise(() => undefined),
      close: () => broker.close(),
    });
    const hub = new Hub({ broker: stuck, clock, maxTopics: 1, maxPublishing: 2 });
    const room = hub.topic("room");
    const { server } = slow();
    await room.join(server);
    await assert.rejects(hub.topic("other").join(server), { code: "LIMIT", limit: "maxTopics" });
    assert.ok(room.tryPublish("one") && room.tryPublish("two") && !room.tryPublish("three"));
    await assert.rejects(room.publish("four"), { code: "LIMIT", limit: "maxPublishing" });
    assert.equal(hub.stats.publishing, 2);
    await hub.close();
    await assert.rejects(room.publish("five"), { code: "CLOSED" });
    await assert.rejects(room.join(server), { code: "CLOSED" });
    assert.ok(!room.tryPublish("six"));
    assert.equal(server.state, "OPEN");
  });

  it("and the calls of a topic refuse what they cannot use", async () => {
    const hub = new Hub();
    const room = hub.topic("room");
    const { server } = slow();
    for (const name of ["", "\0x", "x".repeat(256)]) assert.throws(() => hub.topic(name), RangeError);
    assert.throws(() => hub.topic("room", { history: { messages: 0 } }), RangeError);
    assert.throws(() => hub.topic("room", { overflow: "wait" as "close" }), RangeError);
    assert.throws(() => new Hub({ maxTopics: "1" as unknown as number }), TypeError);
    assert.throws(() => new Hub({ broker: {} as Broker }), TypeError);
    await assert.rejects(room.publish(7 as unknown as string), TypeError);
    await assert.rejects(room.publish("x", { key: "x".repeat(256) }), RangeError);
    await assert.rejects(room.publish("x", { ids: "1" } as object), TypeError);
    await assert.rejects(room.join({} as Connection), TypeError);
    await assert.rejects(room.join(server, { after: { epoch: "e", offset: -1, check: 0 } }), RangeError);
    await assert.rejects(room.join(server, { last: 1.5 }), RangeError);
    await assert.rejects(room.history({ limit: -1 }), RangeError);
    assert.throws(() => room.follow({ after: "x" as never }), TypeError);
    const undefinedOptions = {
      after: undefined,
      last: undefined,
      state: undefined,
      presence: undefined,
      timeout: undefined,
    };
    await room.join(server, { ...undefinedOptions, signal: undefined });
    await room.publish("x", {
      id: undefined,
      key: undefined,
      except: undefined,
      timeout: undefined,
      signal: undefined,
    });
    const aborted = AbortSignal.abort(new Error("no"));
    for (const call of [
      room.publish("x", { signal: aborted }),
      room.join(server, { signal: aborted }),
      room.history({ signal: aborted }),
    ])
      await assert.rejects(call, /no/);
  });
});
