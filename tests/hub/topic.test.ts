/** Tests of topics: publishing, joining, the history, and the messages of each member. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Broker } from "../../src/broker/broker.ts";
import { memoryBroker } from "../../src/broker/memory.ts";
import { Hub } from "../../src/hub/hub.ts";
import type { HubOptions } from "../../src/hub/options.ts";
import type { ConnectionOptions } from "../../src/index.ts";
import { type LinkedOptions, ManualClock, type Pair, pair, settled } from "../../src/testing/index.ts";

/** A member, and the messages that its peer receives. */
interface MemberScene extends Pair {
  readonly heard: readonly unknown[];
}

function memberScene(options: LinkedOptions & { readonly server?: ConnectionOptions } = {}): MemberScene {
  const heard: unknown[] = [];
  return { ...pair({ ...options, client: { message: (_, data) => void heard.push(data) } }), heard };
}

/** Two hubs on one broker, as in two processes. Closing one of them must not close the broker of the other. */
function twoHubs(options: HubOptions = {}): { readonly one: Hub; readonly two: Hub; readonly broker: Broker } {
  const broker = memoryBroker({ clock: options.clock ?? new ManualClock() });
  return { one: new Hub({ ...options, broker }), two: new Hub({ ...options, broker }), broker };
}

describe("a topic", () => {
  it("sends a message to its members at all hubs, in the order of the broker", async () => {
    const { one, two } = twoHubs();
    const [ann, ben] = [memberScene(), memberScene({ kind: "tcp", framing: "lines" })];
    await one.topic("room").join(ann.server);
    await two.topic("room").join(ben.server);
    const results = [];
    for (const [hub, text] of [
      [one, "a"],
      [two, "b"],
      [one, "c"],
    ] as const)
      results.push(await hub.topic("room").publish(text));
    await settled();
    assert.deepEqual(ann.heard, ["a", "b", "c"]);
    assert.deepEqual(ben.heard, ["a", "b", "c"]);
    assert.deepEqual(
      results.map(({ offset, duplicate }) => [offset, duplicate]),
      [
        [1, false],
        [2, false],
        [3, false],
      ],
    );
  });

  it("sends binary messages as such, and not to the author", async () => {
    const { one, two } = twoHubs();
    const [ann, ben] = [memberScene(), memberScene()];
    await one.topic("room").join(ann.server);
    await two.topic("room").join(ben.server);
    await one.topic("room").publish(new Uint8Array([1, 2]), { except: ann.server });
    await settled();
    assert.deepEqual(ann.heard, []);
    assert.deepEqual(ben.heard, [new Uint8Array([1, 2])]);
  });

  it("exists while it has members", async () => {
    const { one } = twoHubs();
    const [ann, ben] = [memberScene(), memberScene()];
    const room = one.topic("room");
    assert.deepEqual(one.topics, []);
    await room.join(ann.server);
    await room.join(ben.server);
    assert.deepEqual([one.topics, room.members, one.stats.members], [["room"], [ann.server, ben.server], 2]);
    room.leave(ann.server);
    await ben.client.close();
    await settled();
    assert.deepEqual([one.topics, room.members, one.stats.members], [[], [], 0]);
  });

  it("gives a new member the last messages, or those behind its position", async () => {
    const { one, two } = twoHubs();
    const room = one.topic("room");
    for (const text of ["a", "b", "c", "d"]) await room.publish(text);
    const [ann, ben] = [memberScene(), memberScene()];
    const joined = await room.join(ann.server, { last: 2 });
    assert.deepEqual([joined.position.offset, joined.replayed, joined.resumed, joined.gap], [2, 2, false, undefined]);
    const resumed = await two.topic("room").join(ben.server, { after: joined.position });
    assert.deepEqual([resumed.replayed, resumed.resumed, resumed.gap], [2, true, undefined]);
    await room.publish("e");
    await settled();
    assert.deepEqual(
      [ann.heard, ben.heard],
      [
        ["c", "d", "e"],
        ["c", "d", "e"],
      ],
    );
  });

  it("tells what a position has missed", async () => {
    const { one } = twoHubs();
    const room = one.topic("room", { history: { messages: 3 } });
    for (const text of ["a", "b"]) await room.publish(text);
    const after = await room.position();
    for (const text of ["c", "d", "e", "f", "g"]) await room.publish(text);
    const ann = memberScene();
    const { gap, resumed, replayed } = await room.join(ann.server, { after });
    assert.deepEqual(
      [gap?.reason, gap?.from, gap?.to.offset, gap?.count, resumed, replayed],
      ["trimmed", after, 4, 2, false, 3],
    );
    await settled();
    assert.deepEqual(ann.heard, ["e", "f", "g"]);
    room.leave(ann.server);
    const forked = await room.join(ann.server, { after: { ...(await room.position()), check: 1 } });
    assert.deepEqual([forked.gap?.reason, forked.replayed], ["fork", 0]);
    room.leave(ann.server);
    const other = await room.join(ann.server, { after: { ...after, epoch: "other" }, last: 1 });
    assert.deepEqual([other.gap?.reason, other.replayed], ["epoch", 1]);
  });

  it("is read in pages, and followed in a loop", async () => {
    const { one, two } = twoHubs();
    const room = one.topic("room");
    for (const text of ["a", "b", "c"]) await room.publish(text);
    const page = await room.history({ limit: 2 });
    assert.deepEqual(
      page.entries.map(({ message, offset }) => [message, offset]),
      [
        ["a", 1],
        ["b", 2],
      ],
    );
    const next = await room.history({ after: page.position });
    assert.deepEqual([next.entries.map(({ message }) => message), next.gap], [["c"], undefined]);
    const back = await room.history({ reverse: true, limit: 2 });
    assert.deepEqual(
      back.entries.map(({ message }) => message),
      ["c", "b"],
    );
    const older = await room.history({ reverse: true, after: back.position });
    assert.deepEqual(
      older.entries.map(({ message }) => message),
      ["a"],
    );
    const ended = new AbortController();
    const heard: unknown[] = [];
    await assert.rejects(async () => {
      for await (const entry of two.topic("room").follow({ after: page.position, signal: ended.signal })) {
        heard.push(entry.type === "entry" ? entry.message : entry.reason);
        if (heard.length === 1) await room.publish("d");
        if (heard.length === 2) ended.abort(new Error("enough"));
      }
    }, /enough/);
    assert.deepEqual(heard, ["c", "d"]);
    assert.deepEqual(two.topics, []);
  });

  it("loads the state at a position first, and continues behind it", async () => {
    const { one } = twoHubs();
    const room = one.topic("room");
    await room.publish("a");
    const ann = memberScene();
    const { position } = await room.join(ann.server, {
      state: async ({ offset }) => {
        await room.publish("b");
        return `state at ${offset}`;
      },
    });
    await room.publish("c");
    await settled();
    assert.equal(position.offset, 1);
    assert.deepEqual(ann.heard, ["state at 1", "b", "c"]);
  });

  it("rejects a join whose state fails, or that takes too long", async () => {
    const clock = new ManualClock();
    const { one } = twoHubs({ clock });
    const room = one.topic("room");
    const ann = memberScene();
    await assert.rejects(
      room.join(ann.server, { state: () => Promise.reject(new Error("no database")) }),
      /no database/,
    );
    const late = assert.rejects(room.join(ann.server, { timeout: 50, state: () => new Promise(() => undefined) }), {
      code: "TIMEOUT",
      operation: "join",
    });
    await clock.advance(50);
    await late;
    assert.deepEqual([room.members, one.topics], [[], []]);
  });

  it("keeps a slow member on its messages: it gets them from the history", async () => {
    const { one } = twoHubs();
    const room = one.topic("room");
    const slow = memberScene({ capacity: 64, server: { maxQueuedMessages: 4, highWaterMark: 100_000 } });
    const fast = memberScene();
    await room.join(slow.server);
    await room.join(fast.server);
    slow.link.freeze("client");
    const sent = Array.from({ length: 100 }, (_, index) => `message ${index}`);
    for (const text of sent) await room.publish(text);
    await settled();
    assert.deepEqual(fast.heard, sent);
    assert.equal(one.stats.behind, 1);
    slow.link.thaw("client");
    for (let turn = 0; turn < 50; turn += 1) await settled();
    assert.deepEqual(slow.heard, sent);
    assert.equal(one.stats.behind, 0);
  });

  it("has nothing older than the age of its history, and continues at its last position", async () => {
    const clock = new ManualClock();
    const { one } = twoHubs({ clock });
    const room = one.topic("room", { history: { age: 1_000 } });
    const [ann, ben, cat] = [memberScene(), memberScene(), memberScene()];
    await room.join(ann.server);
    await room.publish("a");
    const after = await room.position();
    await clock.advance(1_000);
    const late = await room.join(ben.server, { last: 10 });
    const back = await room.join(cat.server, { after });
    assert.deepEqual([late.replayed, back.resumed, back.position], [0, true, after]);
    await room.publish("b");
    await settled();
    assert.deepEqual([ann.heard, ben.heard, cat.heard], [["a", "b"], ["b"], ["b"]]);
  });

  it("reports entries that another hub publishes without a history, and delivers the others", async () => {
    const errors: unknown[] = [];
    const { one, two } = twoHubs({ onError: (error) => void errors.push(error) });
    const ann = memberScene();
    const room = one.topic("room");
    await room.join(ann.server);
    await two.topic("room", { history: false }).publish("not kept");
    await room.publish("kept");
    await settled();
    assert.deepEqual(ann.heard, ["kept"]);
    assert.match(String(errors[0]), /topic "room": it is not kept/);
    assert.equal(one.stats.reads, 1);
  });
});
