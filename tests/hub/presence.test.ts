/** Tests of presence: who is in a topic at all hubs, changes, and the end of a hub. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Broker,
  Hub,
  memoryBroker,
  type PresenceEvent,
  type PresenceResult,
  type Topic,
} from "../../src/index.ts";
import { ManualClock, pair, settled } from "../../src/testing/index.ts";

/** A broker that several hubs use: it is not closed with one of them, and can be cut off from one of them. */
function cutOff(broker: Broker): { readonly broker: Broker; cut: boolean } {
  const connection: { cut: boolean; readonly broker: Broker } = {
    cut: false,
    broker: {
      honours: broker.honours,
      publish: (...given) => (connection.cut ? Promise.reject(new Error("cut")) : broker.publish(...given)),
      subscribe: (topic, listener) =>
        broker.subscribe(topic, {
          entry: (entry) => {
            if (!connection.cut) listener.entry(entry);
          },
          interrupted: (cause) => listener.interrupted(cause),
          restored: () => listener.restored(),
          invalid: (error, offset) => listener.invalid(error, offset),
        }),
      read: (...given) => broker.read(...given),
      renew: (...given) => broker.renew(...given),
      close: async () => undefined,
      [Symbol.asyncDispose]: async () => undefined,
    },
  };
  return connection;
}

interface Scene {
  readonly clock: ManualClock;
  readonly hubs: readonly Hub[];
  readonly rooms: readonly Topic[];
  readonly connections: readonly { cut: boolean }[];
  readonly published: string[];
}

function scene(count: number): Scene {
  const clock = new ManualClock();
  const shared = memoryBroker({ clock });
  const published: string[] = [];
  const counted: Broker = Object.assign(Object.create(shared) as Broker, {
    honours: shared.honours,
    publish: (...given: Parameters<Broker["publish"]>) => {
      published.push(given[0]);
      return shared.publish(...given);
    },
    subscribe: (...given: Parameters<Broker["subscribe"]>) => shared.subscribe(...given),
    read: (...given: Parameters<Broker["read"]>) => shared.read(...given),
    renew: (...given: Parameters<Broker["renew"]>) => shared.renew(...given),
  });
  const connections = Array.from({ length: count }, () => cutOff(counted));
  const hubs = connections.map(({ broker }) => new Hub({ broker, clock }));
  return { clock, hubs, rooms: hubs.map((hub) => hub.topic("room", { presence: true })), connections, published };
}

/** Asks while the clock advances, because a hub that has just begun waits for hubs that it does not know yet. */
async function ids({ clock }: Scene, room: Topic | undefined): Promise<string[]> {
  const asked = (room as Topic).presence();
  await clock.advance(300);
  return (await asked).members.map(({ id }) => id).sort();
}

function watching(room: Topic | undefined): {
  readonly events: PresenceEvent[];
  readonly stop: AbortController;
  readonly ended: Promise<void>;
} {
  const events: PresenceEvent[] = [];
  const stop = new AbortController();
  const loop = async (): Promise<void> => {
    for await (const event of (room as Topic).watch({ signal: stop.signal })) events.push(event);
  };
  return { events, stop, ended: loop().catch(() => undefined) };
}

const shown = (events: readonly PresenceEvent[]): string[] =>
  events.map((event) =>
    event.type === "present"
      ? `present ${event.members
          .map(({ id }) => id)
          .sort()
          .join(",")}`
      : `${event.type} ${event.member.id}${event.member.state === undefined ? "" : ` ${JSON.stringify(event.member.state)}`}`,
  );

describe("the presence of a topic", () => {
  it("lists and counts the members at all hubs, with their states", async () => {
    const all = scene(3);
    const [one, two, three] = all.rooms;
    await one?.join(pair().server, { presence: { id: "ann", state: { typing: true } } });
    await two?.join(pair().server, { presence: { id: "ben" } });
    await two?.join(pair().server, { presence: { id: "ben" } });
    await settled();
    assert.deepEqual(await ids(all, one), ["ann", "ben", "ben"]);
    assert.deepEqual(await ids(all, three), ["ann", "ben", "ben"]);
    const counted = three?.count();
    await all.clock.advance(300);
    assert.deepEqual(await counted, { members: [], count: 3, complete: true });
    const asked = three?.presence();
    await all.clock.advance(300);
    assert.deepEqual((await asked)?.members.find(({ id }) => id === "ann")?.state, { typing: true });
  });

  it("tells who joins, changes and leaves", async () => {
    const all = scene(2);
    const [one, two] = all.rooms as [Topic, Topic];
    const [ann, ben, cat] = [pair(), pair(), pair()];
    await one.join(ann.server, { presence: { id: "ann" } });
    const { events, stop, ended } = watching(two);
    await all.clock.advance(300);
    await one.join(ben.server, { presence: { id: "ben", state: 1 } });
    await two.join(cat.server, { presence: { id: "cat" } });
    await settled();
    assert.ok(one.update(ben.server, { typing: true }));
    assert.ok(!two.update(ben.server, 1));
    await settled();
    one.leave(ann.server);
    await cat.client.close();
    await settled();
    assert.deepEqual(shown(events), [
      "present ann",
      "join ben 1",
      "join cat",
      'update ben {"typing":true}',
      "leave ann",
      "leave cat",
    ]);
    stop.abort();
    await ended;
  });

  it("loses the members of a hub together when it dies, and at once when it closes", async () => {
    const all = scene(3);
    const [one, two, three] = all.rooms as [Topic, Topic, Topic];
    for (const id of ["ann", "ben"]) await one.join(pair().server, { presence: { id } });
    await two.join(pair().server, { presence: { id: "cat" } });
    const { events, stop, ended } = watching(three);
    await all.clock.advance(300);
    (all.connections[0] as { cut: boolean }).cut = true;
    await all.clock.advance(9_000);
    assert.equal(events.length, 1);
    await all.clock.advance(11_000);
    assert.deepEqual(shown(events), ["present ann,ben,cat", "leave ann", "leave ben"]);
    await all.hubs[1]?.close();
    await settled();
    assert.deepEqual(shown(events).slice(3), ["leave cat"]);
    // It comes back.
    (all.connections[0] as { cut: boolean }).cut = false;
    await all.clock.advance(6_000);
    assert.deepEqual(shown(events).slice(4).sort(), ["join ann", "join ben"]);
    stop.abort();
    await ended;
  });

  it("keeps the members of other hubs when this process was stopped for longer than their lease", async () => {
    for (const stopped of [12_000, 20_000, 60_000]) {
      const all = scene(2);
      const [one, two] = all.rooms as [Topic, Topic];
      // Its timer is the first one then: it looks at the leases before it hears anything.
      const { events, stop, ended } = watching(one);
      await all.clock.advance(300);
      await two.join(pair().server, { presence: { id: "ann" } });
      await all.clock.advance(6_000);
      // An application that asks before the hub has heard anything again: what the other hub has sent is still on its way.
      const other = all.connections[1] as { cut: boolean };
      other.cut = true;
      let asked: Promise<PresenceResult> | undefined;
      all.clock.wakeAt(all.clock.now(), () => {
        asked = one.presence();
      });
      await all.clock.block(stopped);
      await all.clock.advance(3_000);
      assert.equal(((await asked) as PresenceResult).complete, false);
      other.cut = false;
      await all.clock.advance(10_000);
      assert.deepEqual(shown(events), ["present ", "join ann"], `after ${stopped} ms`);
      // What it has not heard since then counts.
      other.cut = true;
      await all.clock.advance(21_000);
      assert.deepEqual(shown(events), ["present ", "join ann", "leave ann"]);
      stop.abort();
      await ended;
    }
  });

  it("finds changes that were lost on the way", async () => {
    const all = scene(2);
    const [one, two] = all.rooms as [Topic, Topic];
    await one.join(pair().server, { presence: { id: "ann" } });
    const { events, stop, ended } = watching(two);
    await all.clock.advance(300);
    const watcher = all.connections[1] as { cut: boolean };
    watcher.cut = true;
    await one.join(pair().server, { presence: { id: "ben" } });
    await settled();
    watcher.cut = false;
    await all.clock.advance(6_000);
    assert.deepEqual(shown(events), ["present ann", "join ben"]);
    stop.abort();
    await ended;
  });

  it("costs one message for all joins of a turn, and nothing for members that are idle", async () => {
    const all = scene(2);
    const [one] = all.rooms as [Topic, Topic];
    await one.join(pair().server);
    await all.clock.advance(10_000);
    all.published.length = 0;
    await Promise.all(Array.from({ length: 200 }, () => one.join(pair().server)));
    await settled();
    assert.deepEqual(all.published, ["\0of room"]);
    await all.clock.advance(5_000);
    all.published.length = 0;
    await all.clock.advance(60_000);
    assert.deepEqual([...new Set(all.published)], ["\0hubs"]);
    assert.ok(all.published.length <= 13, `${all.published.length} messages in a minute`);
  });

  it("needs the option, and states that fit", async () => {
    const hub = new Hub();
    const plain = hub.topic("room");
    await assert.rejects(plain.presence(), { name: "TypeError", message: /without the option presence/ });
    assert.throws(() => plain.watch(), TypeError);
    const room = hub.topic("room", { presence: true });
    await assert.rejects(room.join(pair().server, { presence: { state: "x".repeat(5_000) } }), RangeError);
    await assert.rejects(room.join(pair().server, { presence: { id: "x".repeat(256) } }), RangeError);
    assert.throws(() => hub.topic("x".repeat(252), { presence: true }), RangeError);
    await hub.close();
    await assert.rejects(room.presence(), { code: "CLOSED" });
  });
});
