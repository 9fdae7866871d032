/** Tests of groups: membership, the messages of each member, and the effect of a slow member on others. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WebSocketEncoder } from "../../src/engine/websocket/encoder.ts";
import {
  type Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  Group,
  type GroupSendOptions,
  prepare,
} from "../../src/index.ts";
import { type LinkedOptions, type Pair, pair, settled } from "../../src/testing/index.ts";
import { type Blocked, blocked } from "../kit/blocked-connection.ts";

/** A member, and the messages that its peer receives. */
interface MemberScene extends Pair {
  readonly heard: readonly unknown[];
}

function memberScene(options: LinkedOptions & { readonly server?: ConnectionOptions } = {}): MemberScene {
  const heard: unknown[] = [];
  return { ...pair({ ...options, client: { message: (_, data) => void heard.push(data) } }), heard };
}

const memberScenes = (count: number): MemberScene[] => Array.from({ length: count }, () => memberScene());

function groupOf(members: readonly { readonly server: Connection }[]): Group {
  const group = new Group();
  for (const { server } of members) group.join(server);
  return group;
}

describe("a group", () => {
  it("begins empty, and has each member once", () => {
    const group = new Group();
    const [ann, ben] = memberScenes(2) as [MemberScene, MemberScene];
    assert.equal(group.size, 0);
    assert.deepEqual([...group], []);
    group.join(ann.server);
    group.join(ben.server);
    group.join(ann.server);
    assert.equal(group.size, 2);
    assert.deepEqual([...group], [ann.server, ben.server]);
    assert.ok(group.has(ann.server) && group.has(ben.server) && !group.has(ann.client));
  });

  it("can be left and joined again", async () => {
    const [ann, ben] = memberScenes(2) as [MemberScene, MemberScene];
    const group = groupOf([ann, ben]);
    group.leave(ann.server);
    group.leave(ann.server);
    group.leave(ann.client);
    assert.deepEqual([...group], [ben.server]);
    assert.deepEqual(group.send("one"), { taken: 1, refused: 0 });
    group.join(ann.server);
    assert.deepEqual(group.send("two"), { taken: 2, refused: 0 });
    await settled();
    assert.deepEqual([ann.heard, ben.heard], [["two"], ["one", "two"]]);
  });

  it("may change during an iteration", () => {
    const all = memberScenes(4);
    const group = groupOf(all);
    const late = memberScene();
    const met: Connection[] = [];
    for (const member of group) {
      met.push(member);
      group.leave(member);
      group.join(late.server);
    }
    assert.deepEqual(
      met,
      all.map(({ server }) => server),
    );
    assert.deepEqual([...group], [late.server]);
  });

  it("removes a member that ends, for each kind of end", async () => {
    const all = memberScenes(4) as [MemberScene, MemberScene, MemberScene, MemberScene];
    const group = groupOf(all);
    const [one, two, three] = all;
    await one.client.close();
    two.link.reset();
    three.server.terminate();
    await settled();
    assert.deepEqual([...group], [all[3].server]);
    assert.deepEqual(group.send("hello"), { taken: 1, refused: 0 });
  });

  it("does not accept a member that has begun to end", async () => {
    const group = new Group();
    const [closing, closed] = memberScenes(2) as [MemberScene, MemberScene];
    closing.link.freeze("client");
    void closing.server.close();
    await closed.server.close();
    group.join(closing.server);
    group.join(closed.server);
    assert.equal(group.size, 0);
    closing.server.terminate();
  });
});

describe("a message to a group", () => {
  it("is sent to every member once, in order, and to no other connection", async () => {
    const all = memberScenes(5);
    const guest = memberScene();
    const group = groupOf(all);
    for (const word of ["one", "two", "three"]) assert.deepEqual(group.send(word), { taken: 5, refused: 0 });
    await settled();
    for (const { heard } of all) assert.deepEqual(heard, ["one", "two", "three"]);
    assert.deepEqual(guest.heard, []);
  });

  it("is sent to no connection if there are no members", () => {
    assert.deepEqual(new Group().send("hello"), { taken: 0, refused: 0 });
  });

  it("is not sent to the member in `except`", async () => {
    const [ann, ben] = memberScenes(2) as [MemberScene, MemberScene];
    const group = groupOf([ann, ben]);
    assert.deepEqual(group.send("hello", { except: ann.server }), { taken: 1, refused: 0 });
    assert.deepEqual(group.send("all", { except: memberScene().server }), { taken: 2, refused: 0 });
    await settled();
    assert.deepEqual([ann.heard, ben.heard], [["all"], ["hello", "all"]]);
  });

  it("is encoded once for any number of members", async (t) => {
    const encode = t.mock.method(WebSocketEncoder.prototype, "before");
    const all = memberScenes(20);
    const group = groupOf(all);
    group.send("to all");
    assert.equal(encode.mock.callCount(), 1);
    await settled();
    assert.equal(encode.mock.callCount(), 1);
    const shared = prepare(Uint8Array.of(1, 2, 3));
    group.send(shared);
    groupOf(all.slice(10)).send(shared);
    await settled();
    assert.equal(encode.mock.callCount(), 2);
    for (const [index, { heard }] of all.entries()) {
      assert.equal(heard[0], "to all");
      assert.equal(heard.length, index < 10 ? 2 : 3);
      assert.deepEqual(Buffer.from(heard[1] as Uint8Array), Buffer.of(1, 2, 3));
    }
  });

  it("is reported frame by frame by the trace of a member, which stays on the fan-out", async () => {
    const told: unknown[] = [];
    const observe = (event: ConnectionEvent): void => {
      if (event.type === "frame") told.push([event.direction, event.length]);
    };
    const watched = [
      memberScene({ server: { observe, trace: true } }),
      memberScene({ server: { observe, trace: true } }),
    ];
    const group = groupOf([...watched, ...memberScenes(2)]);
    group.send("one");
    group.send("three");
    await settled();
    assert.deepEqual(told, [
      ["out", 3],
      ["out", 5],
      ["out", 3],
      ["out", 5],
    ]);
  });

  it("is a separate copy for each receiver: neither the sender nor another receiver can change it", async () => {
    const [ann, ben] = memberScenes(2) as [MemberScene, MemberScene];
    const bytes = Uint8Array.of(1, 2, 3);
    groupOf([ann, ben]).send(bytes);
    bytes.fill(0);
    await settled();
    (ann.heard[0] as Uint8Array).fill(9);
    assert.deepEqual(Buffer.from(ben.heard[0] as Uint8Array), Buffer.of(1, 2, 3));
  });

  it("is encoded in the protocol of each member", async () => {
    const all = [memberScene(), memberScene({ kind: "tcp", framing: "lines" })];
    assert.deepEqual(groupOf(all).send("hello"), { taken: 2, refused: 0 });
    await settled();
    for (const { heard } of all) assert.deepEqual(heard, ["hello"]);
  });

  it("that the framing of one member cannot encode is sent to the other members before the error is thrown", async () => {
    const all = [memberScene(), memberScene({ kind: "tcp", framing: "lines" }), memberScene()] as const;
    assert.throws(() => groupOf(all).send("two\nlines"), RangeError);
    await settled();
    assert.deepEqual(
      all.map(({ heard }) => heard),
      [["two\nlines"], [], ["two\nlines"]],
    );
  });

  it("is sent also to members whose framing could not encode the one before", async () => {
    const line = memberScene({ kind: "tcp", framing: "lines" });
    const [ann, ben] = memberScenes(2) as [MemberScene, MemberScene];
    const group = groupOf([line, ann, ben]);
    assert.throws(() => group.send("two\nlines"), RangeError);
    assert.deepEqual(group.send("one line"), { taken: 3, refused: 0 });
    await settled();
    assert.deepEqual(line.heard, ["one line"]);
    for (const { heard } of [ann, ben]) assert.deepEqual(heard, ["two\nlines", "one line"]);
  });

  it("of an invalid type is a TypeError, and nothing is sent", async () => {
    const one = memberScene();
    const group = groupOf([one]);
    for (const wrong of [undefined, null, 5, {}, []]) assert.throws(() => group.send(wrong as never), TypeError);
    await settled();
    assert.deepEqual(one.heard, []);
  });

  it("is not sent to a member that joins during the call, nor to one that leaves before its turn", async () => {
    const late = memberScene();
    const [first, second, third] = [
      memberScene({ server: { highWaterMark: 1, highWater: change } }),
      memberScene(),
      memberScene(),
    ];
    const group = groupOf([first, second, third]);
    function change(): void {
      group.leave(second.server);
      group.join(late.server);
    }
    assert.deepEqual(group.send("hello"), { taken: 2, refused: 0 });
    await settled();
    assert.deepEqual(
      [first, second, third, late].map(({ heard }) => heard.length),
      [1, 0, 1, 0],
    );
    assert.deepEqual(new Set(group), new Set([first.server, third.server, late.server]));
  });

  it("that a hook sends during the call is sent to every member once, as is the outer one", async () => {
    const [full, apart, plain] = [
      memberScene({ server: { highWaterMark: 1, highWater } }),
      memberScene(),
      memberScene(),
    ];
    const all = [full, apart, plain];
    const group = groupOf(all);
    function highWater(): void {
      group.send("within", { except: apart.server });
    }
    for (let turn = 0; turn < 3; turn += 1) {
      assert.deepEqual(group.send("hello"), { taken: 3, refused: 0 });
      await settled();
    }
    const [once, twice] = [["hello"], ["hello", "within"]].map((words) => [...words, ...words, ...words].sort());
    assert.deepEqual(
      all.map(({ heard }) => [...heard].sort()),
      [twice, once, twice],
    );
  });

  it("is not sent to a member that has begun to end, which is removed", () => {
    const [ann, ben] = memberScenes(2) as [MemberScene, MemberScene];
    const group = groupOf([ann, ben]);
    ann.link.freeze("client");
    void ann.server.close();
    assert.deepEqual(group.send("hello"), { taken: 1, refused: 0 });
    assert.deepEqual([...group], [ben.server]);
    ann.server.terminate();
  });
});

describe("a slow member", () => {
  // Room for two messages behind the one that the kernel has half accepted.
  const slow = (): Promise<Blocked> => blocked({ maxQueuedMessages: 3, closeTimeout: Infinity });

  async function sent(count: number, options: (index: number) => GroupSendOptions) {
    const member = await slow();
    const others = memberScenes(2);
    const group = groupOf([...others, { server: member.connection }]);
    const results = Array.from({ length: count }, (_, index) => group.send(`m${index}`, options(index)));
    await settled();
    for (const { heard } of others) assert.deepEqual(heard, [...heard].sort());
    assert.deepEqual(others[0]?.heard, others[1]?.heard);
    return { heard: others[0]?.heard.length, member, group, refused: results.map(({ refused }) => refused) };
  }

  it("is closed with 1013, and does not delay others", async () => {
    const { member, group, refused, heard } = await sent(4, () => ({}));
    assert.equal(heard, 4);
    assert.deepEqual(refused, [0, 0, 1, 0]);
    assert.equal(member.connection.state, "CLOSING");
    assert.equal(group.size, 2);
    member.peer.resume();
    await member.peer.until(({ received }) => Buffer.from(received).includes(Buffer.of(0x03, 0xf5)));
    member.connection.terminate();
    const { code, by } = await member.connection.closed;
    assert.deepEqual([code, by], [1013, "local"]);
    await member.plug.catch(() => undefined);
  });

  it("does not receive messages without room, under drop-newest and reject", async () => {
    for (const overflow of ["drop-newest", "reject"] as const) {
      const { member, group, refused, heard } = await sent(4, () => ({ overflow }));
      assert.equal(heard, 4);
      assert.deepEqual(refused, [0, 0, 1, 1]);
      assert.equal(group.size, 3);
      assert.deepEqual((await member.read(3)).slice(1), ["m0", "m1"]);
      assert.equal(member.connection.droppedMessages, overflow === "drop-newest" ? 2 : 0);
    }
  });

  it("receives the latest messages, under drop-oldest", async () => {
    const { member, refused, heard } = await sent(4, () => ({ overflow: "drop-oldest" }));
    assert.equal(heard, 4);
    assert.deepEqual(refused, [0, 0, 0, 0]);
    assert.deepEqual((await member.read(3)).slice(1), ["m2", "m3"]);
    assert.equal(member.connection.droppedMessages, 2);
  });

  it("receives the latest message of each key, under coalesce", async () => {
    const { member } = await sent(6, (index) => ({ overflow: "coalesce", key: index % 2 ? "odd" : "even" }));
    assert.deepEqual((await member.read(3)).slice(1).sort(), ["m4", "m5"]);
    assert.equal(member.connection.droppedMessages, 4);
  });

  it("is not awaited, even if untyped code tries to", async () => {
    const { refused } = await sent(4, () => ({ overflow: "wait" as never }));
    assert.deepEqual(refused, [0, 0, 1, 1]);
  });
});
