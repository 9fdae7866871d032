/** Tests of groups: who is a member, what each member gets, and what a slow one does to the others. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WebSocketEncoder } from "../../src/engine/websocket-encoder.js";
import {
  type Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  Group,
  type GroupSendOptions,
  prepare,
} from "../../src/index.js";
import { type LinkedOptions, type Pair, pair, settled } from "../../src/testing/index.js";
import { type Blocked, blocked } from "../connection/blocked.js";

/** A member, and what its peer gets. */
interface Seat extends Pair {
  readonly heard: readonly unknown[];
}

function seat(options: LinkedOptions & { readonly server?: ConnectionOptions } = {}): Seat {
  const heard: unknown[] = [];
  return { ...pair({ ...options, client: { message: (_, data) => void heard.push(data) } }), heard };
}

const seats = (count: number): Seat[] => Array.from({ length: count }, () => seat());

function groupOf(members: readonly { readonly server: Connection }[]): Group {
  const group = new Group();
  for (const { server } of members) group.join(server);
  return group;
}

describe("a group", () => {
  it("begins empty, and has each member once", () => {
    const group = new Group();
    const [ann, ben] = seats(2) as [Seat, Seat];
    assert.equal(group.size, 0);
    assert.deepEqual([...group], []);
    group.join(ann.server);
    group.join(ben.server);
    group.join(ann.server);
    assert.equal(group.size, 2);
    assert.deepEqual([...group], [ann.server, ben.server]);
    assert.ok(group.has(ann.server) && group.has(ben.server) && !group.has(ann.client));
  });

  it("is left, and may be joined again", async () => {
    const [ann, ben] = seats(2) as [Seat, Seat];
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

  it("may change while it is gone through", () => {
    const all = seats(4);
    const group = groupOf(all);
    const late = seat();
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

  it("is left by whoever ends, in whichever way", async () => {
    const all = seats(4) as [Seat, Seat, Seat, Seat];
    const group = groupOf(all);
    const [one, two, three] = all;
    await one.client.close();
    two.link.reset();
    three.server.terminate();
    await settled();
    assert.deepEqual([...group], [all[3].server]);
    assert.deepEqual(group.send("hello"), { taken: 1, refused: 0 });
  });

  it("is not joined by who has begun to end", async () => {
    const group = new Group();
    const [closing, closed] = seats(2) as [Seat, Seat];
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
  it("goes to every member once, in order, and to nobody else", async () => {
    const all = seats(5);
    const guest = seat();
    const group = groupOf(all);
    for (const word of ["one", "two", "three"]) assert.deepEqual(group.send(word), { taken: 5, refused: 0 });
    await settled();
    for (const { heard } of all) assert.deepEqual(heard, ["one", "two", "three"]);
    assert.deepEqual(guest.heard, []);
  });

  it("goes to nobody when there is nobody", () => {
    assert.deepEqual(new Group().send("hello"), { taken: 0, refused: 0 });
  });

  it("is not sent to its author if it is not to be", async () => {
    const [ann, ben] = seats(2) as [Seat, Seat];
    const group = groupOf([ann, ben]);
    assert.deepEqual(group.send("hello", { except: ann.server }), { taken: 1, refused: 0 });
    assert.deepEqual(group.send("all", { except: seat().server }), { taken: 2, refused: 0 });
    await settled();
    assert.deepEqual([ann.heard, ben.heard], [["all"], ["hello", "all"]]);
  });

  it("is encoded once, however many the members are", async (t) => {
    const encode = t.mock.method(WebSocketEncoder.prototype, "before");
    const all = seats(20);
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

  it("is told to whoever observes a member, frame by frame", async () => {
    const told: unknown[] = [];
    const observe = (event: ConnectionEvent): void => {
      if (event.type === "frame") told.push([event.direction, event.length]);
    };
    const watched = [seat({ server: { observe } }), seat({ server: { observe } })];
    const group = groupOf([...watched, ...seats(2)]);
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

  it("is each receiver's own, whatever the sender or another receiver then does with its bytes", async () => {
    const [ann, ben] = seats(2) as [Seat, Seat];
    const bytes = Uint8Array.of(1, 2, 3);
    groupOf([ann, ben]).send(bytes);
    bytes.fill(0);
    await settled();
    (ann.heard[0] as Uint8Array).fill(9);
    assert.deepEqual(Buffer.from(ben.heard[0] as Uint8Array), Buffer.of(1, 2, 3));
  });

  it("goes to each member in its own protocol", async () => {
    const all = [seat(), seat({ protocol: "tcp", framing: "lines" })];
    assert.deepEqual(groupOf(all).send("hello"), { taken: 2, refused: 0 });
    await settled();
    for (const { heard } of all) assert.deepEqual(heard, ["hello"]);
  });

  it("that one member's protocol cannot say goes to the others before that is thrown", async () => {
    const all = [seat(), seat({ protocol: "tcp", framing: "lines" }), seat()] as const;
    assert.throws(() => groupOf(all).send("two\nlines"), RangeError);
    await settled();
    assert.deepEqual(
      all.map(({ heard }) => heard),
      [["two\nlines"], [], ["two\nlines"]],
    );
  });

  it("reaches also those whose protocol could not say the one before it", async () => {
    const line = seat({ protocol: "tcp", framing: "lines" });
    const [ann, ben] = seats(2) as [Seat, Seat];
    const group = groupOf([line, ann, ben]);
    assert.throws(() => group.send("two\nlines"), RangeError);
    assert.deepEqual(group.send("one line"), { taken: 3, refused: 0 });
    await settled();
    assert.deepEqual(line.heard, ["one line"]);
    for (const { heard } of [ann, ben]) assert.deepEqual(heard, ["two\nlines", "one line"]);
  });

  it("that is none is a TypeError, and nothing is sent", async () => {
    const one = seat();
    const group = groupOf([one]);
    for (const wrong of [undefined, null, 5, {}, []]) assert.throws(() => group.send(wrong as never), TypeError);
    await settled();
    assert.deepEqual(one.heard, []);
  });

  it("does not reach who joins meanwhile, nor who leaves before its turn", async () => {
    const late = seat();
    const [first, second, third] = [seat({ server: { highWaterMark: 1, highWater: change } }), seat(), seat()];
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
    assert.deepEqual([...group], [first.server, third.server, late.server]);
  });

  it("that a hook sends meanwhile reaches everybody once, as does the one that has called it", async () => {
    const [full, apart, plain] = [seat({ server: { highWaterMark: 1, highWater } }), seat(), seat()];
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

  it("does not reach who has begun to end, who is then no member", () => {
    const [ann, ben] = seats(2) as [Seat, Seat];
    const group = groupOf([ann, ben]);
    ann.link.freeze("client");
    void ann.server.close();
    assert.deepEqual(group.send("hello"), { taken: 1, refused: 0 });
    assert.deepEqual([...group], [ben.server]);
    ann.server.terminate();
  });
});

describe("a slow member", () => {
  // Room for two messages behind the one that the kernel has taken half of.
  const slow = (): Promise<Blocked> => blocked({ maxQueuedMessages: 3, closeTimeout: Infinity });

  async function sent(count: number, options: (index: number) => GroupSendOptions) {
    const member = await slow();
    const others = seats(2);
    const group = groupOf([...others, { server: member.connection }]);
    const results = Array.from({ length: count }, (_, index) => group.send(`m${index}`, options(index)));
    await settled();
    for (const { heard } of others) assert.deepEqual(heard, [...heard].sort());
    assert.deepEqual(others[0]?.heard, others[1]?.heard);
    return { heard: others[0]?.heard.length, member, group, refused: results.map(({ refused }) => refused) };
  }

  it("is closed with 1013, and holds up nobody", async () => {
    const { member, group, refused, heard } = await sent(4, () => ({}));
    assert.equal(heard, 4);
    assert.deepEqual(refused, [0, 0, 1, 0]);
    assert.equal(member.connection.state, "CLOSING");
    assert.equal(group.size, 2);
    member.wire.resume();
    await member.wire.until(({ received }) => Buffer.from(received).includes(Buffer.of(0x03, 0xf5)));
    member.connection.terminate();
    const { code, by } = await member.connection.closed;
    assert.deepEqual([code, by], [1013, "local"]);
    await member.plug.catch(() => undefined);
  });

  it("does not get what is too much for it, under drop-newest and reject", async () => {
    for (const overflow of ["drop-newest", "reject"] as const) {
      const { member, group, refused, heard } = await sent(4, () => ({ overflow }));
      assert.equal(heard, 4);
      assert.deepEqual(refused, [0, 0, 1, 1]);
      assert.equal(group.size, 3);
      assert.deepEqual((await member.read(3)).slice(1), ["m0", "m1"]);
      assert.equal(member.connection.droppedMessages, overflow === "drop-newest" ? 2 : 0);
    }
  });

  it("gets the latest, under drop-oldest", async () => {
    const { member, refused, heard } = await sent(4, () => ({ overflow: "drop-oldest" }));
    assert.equal(heard, 4);
    assert.deepEqual(refused, [0, 0, 0, 0]);
    assert.deepEqual((await member.read(3)).slice(1), ["m2", "m3"]);
    assert.equal(member.connection.droppedMessages, 2);
  });

  it("gets the latest of each key, under coalesce", async () => {
    const { member } = await sent(6, (index) => ({ overflow: "coalesce", key: index % 2 ? "odd" : "even" }));
    assert.deepEqual((await member.read(3)).slice(1).sort(), ["m4", "m5"]);
    assert.equal(member.connection.droppedMessages, 4);
  });

  it("is not waited for, even if that is asked for against the types", async () => {
    const { refused } = await sent(4, () => ({ overflow: "wait" as never }));
    assert.deepEqual(refused, [0, 0, 1, 1]);
  });
});
