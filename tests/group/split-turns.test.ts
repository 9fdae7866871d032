/** Groups whose writes take several turns: each member gets every message once, in order, whatever else happens meanwhile. */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import fc from "fast-check";
import { settle } from "../../src/connection/options.ts";
import { webSocketProtocol } from "../../src/connection/protocol.ts";
import { TransportConnection } from "../../src/connection/transport-connection.ts";
import { SEND_BUDGET } from "../../src/group/members.ts";
import {
  type Connection,
  type ConnectionOptions,
  Group,
  type GroupMember,
  type GroupSendOptions,
  prepare,
} from "../../src/index.ts";
import { settled } from "../../src/testing/index.ts";
import { TURN_BUDGET } from "../../src/transport/end-of-turn.ts";
import { ScriptedTransport } from "../connection/scripted-transport.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";

const turn = (): Promise<void> => new Promise(setImmediate);

const CLOSE = "\x88\x02\x03\xe8";

const frame = (text: string): string => `\x81${String.fromCharCode(text.length)}${text}`;

class Member {
  readonly transport = new ScriptedTransport();
  readonly connection: Connection;

  constructor(options: ConnectionOptions = {}) {
    // No timer ends a connection of an earlier test: its end would take turns of a later one.
    const untimed = { heartbeat: { interval: Infinity }, idleTimeout: Infinity };
    const settings = settle({ ...untimed, ...options } as ConnectionOptions<never>, "websocket");
    const { transport } = this;
    const opening = { url: "ws://scripted", subprotocol: "", extensions: "", data: undefined };
    const connection = new TransportConnection({
      ...opening,
      transport,
      protocol: webSocketProtocol("server"),
      options: settings,
    });
    connection.start();
    this.connection = connection;
  }

  get received(): string {
    return this.transport.writes.join("");
  }

  hear(text: string): void {
    this.transport.events?.data(Buffer.from(peerFrame({ opcode: 1, payload: text, key: KEY })));
  }
}

/** Sets the budget of a turn for the time of a test. */
function limitTurns(t: TestContext, budget: Partial<typeof TURN_BUDGET>): void {
  const usual = { ...TURN_BUDGET };
  Object.assign(TURN_BUDGET, budget);
  t.after(() => Object.assign(TURN_BUDGET, usual));
}

function joined(count: number): { readonly group: Group; readonly members: Member[] } {
  const group = new Group();
  const members = Array.from({ length: count }, () => new Member());
  for (const { connection } of members) group.join(connection);
  return { group, members };
}

describe("a turn", () => {
  it("writes to no more members of a group than its budget allows, and the next turns to the others", async (t) => {
    limitTurns(t, { units: 10, time: 0 });
    const { group, members } = joined(35);
    group.send("one");
    for (const expected of [10, 20, 30, 35]) {
      await turn();
      assert.equal(members.filter(({ received }) => received === frame("one")).length, expected);
    }
  });

  it("ends at the budget of time", async (t) => {
    const { group, members } = joined(1_000);
    let now = performance.now();
    t.mock.method(performance, "now", () => now);
    limitTurns(t, { units: 1, time: 4 });
    // Each write takes a tenth of a millisecond.
    for (const { transport } of members)
      t.mock.method(transport, "write", () => {
        now += 0.1;
        return true;
      });
    group.send("one");
    let turns = 0;
    const begins: number[] = [];
    while (
      members.some(
        ({ transport }) => (transport.write as unknown as { mock: { callCount(): number } }).mock.callCount() === 0,
      )
    ) {
      begins.push(now);
      await turn();
      turns += 1;
    }
    begins.push(now);
    const longest = Math.max(...begins.slice(1).map((at, index) => at - (begins[index] as number)));
    assert.ok(longest < 6, `${longest} ms of ${turns} turns`);
  });

  it("writes each connection's own messages within the same budget", async (t) => {
    limitTurns(t, { units: 10, time: 0 });
    const members = Array.from({ length: 25 }, () => new Member());
    for (const { connection } of members) connection.trySend("own");
    for (const expected of [10, 20, 25]) {
      await turn();
      assert.equal(members.filter(({ received }) => received === frame("own")).length, expected);
    }
  });

  it("leaves messages that are sent meanwhile to the same write as the older ones", async (t) => {
    limitTurns(t, { units: 2, time: 0 });
    const { group, members } = joined(4);
    group.send("one");
    await turn();
    group.send("two");
    for (let count = 0; count < 4; count += 1) await turn();
    const writes = members.map(({ transport }) => transport.writes);
    const apart = [frame("one"), frame("two")];
    const together = [frame("one") + frame("two")];
    assert.deepEqual(writes, [apart, apart, together, together]);
  });

  it("does not delay the reads of other connections by all members of a group", async (t) => {
    limitTurns(t, { units: 10, time: 0 });
    const { group, members } = joined(100);
    const other = new Member({ message: (connection, data) => void connection.trySend(data) });
    group.send("one");
    await turn();
    other.hear("ping");
    assert.equal(other.received, frame("ping"));
    assert.ok(members.some(({ received }) => received === ""));
  });
});

describe("a group of 50,000 members", () => {
  const MEMBERS = 50_000;

  it("gets each message in order, and no call and no turn writes to more members than its budget", async (t) => {
    // What the other tests have left takes time of these turns.
    await settled();
    let writes = 0;
    let now = 0;
    // Each write takes 50 microseconds.
    const { write } = ScriptedTransport.prototype;
    const clock = Object.getOwnPropertyDescriptor(performance, "now");
    t.after(() => {
      ScriptedTransport.prototype.write = write;
      if (clock === undefined) Reflect.deleteProperty(performance, "now");
      else Object.defineProperty(performance, "now", clock);
    });
    // Not `t.mock`, which keeps a stack for each call.
    ScriptedTransport.prototype.write = function (bytes) {
      writes += 1;
      now += 0.05;
      return write.call(this, bytes);
    };
    const { group, members } = joined(MEMBERS);
    Object.defineProperty(performance, "now", { value: () => now, configurable: true, writable: true });
    const late = new Member();
    const [busy, left, ended] = [100, 20_000, 40_000].map((index) => members[index] as Member) as [
      Member,
      Member,
      Member,
    ];
    busy.connection.trySend("own");
    const calls: unknown[] = [];
    let most = 0;
    const send = (text: string, options: GroupSendOptions = {}): void => {
      const before = writes;
      calls.push(group.send(text, options));
      assert.equal(writes, before);
    };
    const endTurn = async (): Promise<void> => {
      const before = writes;
      await turn();
      most = Math.max(most, writes - before);
    };
    send("one");
    await endTurn();
    send("two", { except: busy.connection });
    group.join(late.connection);
    group.leave(left.connection);
    void ended.connection.close();
    for (const member of members) if (member.received === "") member.connection.trySend("direct");
    await endTurn();
    send("three", { overflow: "coalesce", key: "k" });
    for (let before = -1, quiet = 0; quiet < 5; quiet = before === writes ? quiet + 1 : 0) {
      before = writes;
      await endTurn();
    }
    // The tasks of a turn are counted too, so a turn may end earlier.
    assert.ok(most <= 256 + 16, `${most} writes in a turn`);
    const [one, two, three, direct] = ["one", "two", "three", "direct"].map(frame);
    for (const member of members) {
      if (member === busy || member === left || member === ended) continue;
      assert.equal(member.received.replace(direct as string, ""), `${one}${two}${three}`);
      assert.ok(!member.received.includes(direct as string) || member.received === `${one}${two}${direct}${three}`);
    }
    assert.equal(busy.received, `${frame("own")}${one}${three}`);
    assert.equal(left.received, `${one}${two}${direct}`);
    assert.equal(ended.received, `${one}${two}${CLOSE}`);
    assert.equal(late.received, three);
    assert.deepEqual(calls, [
      { taken: MEMBERS, refused: 0, deferred: MEMBERS },
      { taken: MEMBERS - 1, refused: 0 },
      { taken: MEMBERS, refused: 0, deferred: MEMBERS },
    ]);
  });

  it("can be iterated while 1,000 join and 1,000 leave", () => {
    const { group, members } = joined(10_000);
    const late = Array.from({ length: 1_000 }, () => new Member().connection);
    const met: Connection[] = [];
    for (const member of group) {
      met.push(member);
      const index = met.length;
      if (index <= 1_000) {
        group.leave((members[10_000 - index] as Member).connection);
        group.join(late[index - 1] as Connection);
      }
    }
    assert.deepEqual(new Set(met), new Set(members.map(({ connection }) => connection)));
    assert.equal(group.size, 10_000);
    assert.deepEqual([...group].slice(9_000), late);
  });
});

interface Members {
  join(connection: GroupMember): void;
  leave(connection: GroupMember): void;
  send(message: string, options: { readonly except?: Connection }): unknown;
}

/** What a group must be equal to: each message is sent to each member individually. */
class Loop implements Members {
  readonly #members = new Set<Connection>();

  join(connection: Connection): void {
    if (connection.state !== "OPEN" || this.#members.has(connection)) return;
    this.#members.add(connection);
    void connection.closed.then(() => this.leave(connection));
  }

  leave(connection: Connection): void {
    this.#members.delete(connection);
  }

  send(message: string, { except }: { readonly except?: Connection }): void {
    const prepared = prepare(message);
    for (const member of this.#members)
      if (member !== except && member.state === "OPEN") member.trySend(prepared, { overflow: "close" });
  }
}

const MEMBERS = 6;
const who = fc.nat(MEMBERS - 1);
const group = fc.nat(1);
const size = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 90 }) },
  { weight: 1, arbitrary: fc.constantFrom(126, 20_000, 65_530, 70_000) },
);
const act = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("send"), group, size, except: fc.option(who, { freq: 3 }) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom("direct", "await", "part", "hear"), who, size }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom("leave", "join"), group, who }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom("drain", "fill", "room", "close", "look"), who }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("turns"), count: fc.integer({ min: 1, max: 4 }) }) },
);
interface Act {
  readonly do: string;
  readonly who?: number;
  readonly group?: number;
  readonly size?: number;
  readonly count?: number;
  readonly except?: number | null;
}

/** Plays the steps. Returns the bytes that each member has received. */
async function play(acts: readonly Act[], kind: () => Members): Promise<string[]> {
  const groups = [kind(), kind()] as const;
  const options: ConnectionOptions = {
    writeTimeout: Infinity,
    message: (connection, data) => void groups[1].send(`of ${String(data)}`, { except: connection }),
  };
  const members = Array.from({ length: MEMBERS }, () => new Member(options));
  for (const { connection } of members) for (const group of groups) group.join(connection);
  for (const [index, one] of acts.entries()) {
    const member = members[one.who ?? 0] as Member;
    const { connection, transport } = member;
    const group = groups[(one.group ?? 0) as 0 | 1];
    const data = `${index}:`.padEnd(one.size ?? 0, "x");
    if (one.do === "send") {
      const except = typeof one.except === "number" ? members[one.except]?.connection : undefined;
      group.send(data, except === undefined ? {} : { except });
    } else if (one.do === "direct") connection.trySend(data);
    else if (one.do === "await") connection.send(data).catch(() => undefined);
    else if (one.do === "drain") connection.drain().catch(() => undefined);
    else if (one.do === "look") assert.ok(connection.queuedBytes >= connection.queuedMessages);
    else if (one.do === "join") group.join(connection);
    else if (one.do === "leave") group.leave(connection);
    else if (one.do === "close") void connection.close();
    else if (one.do === "fill") transport.fill();
    else if (one.do === "room") transport.drain();
    else if (one.do === "hear") member.hear(`${index}`);
    else if (one.do === "part" && connection.state === "OPEN") {
      const writer = connection.writer("text");
      writer.write(data).catch(() => undefined);
      writer.end().catch(() => undefined);
    } else if (one.do === "turns") for (let count = 0; count < (one.count as number); count += 1) await turn();
  }
  for (const { transport } of members) transport.drain();
  // In each turn, at least one connection is written to.
  for (let count = 0; count < 4; count += 1) await settled();
  const received = members.map((member) => member.received);
  for (const { connection } of members) connection.terminate();
  await settled();
  return received;
}

/** Compares groups with loops, while a turn writes to one connection only. */
async function compare(t: TestContext, members: number): Promise<void> {
  const usual = { ...TURN_BUDGET };
  const { members: usualMembers } = SEND_BUDGET;
  t.after(() => {
    Object.assign(TURN_BUDGET, usual);
    SEND_BUDGET.members = usualMembers;
  });
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 60 }), async (acts) => {
      Object.assign(TURN_BUDGET, usual);
      const expected = await play(acts, () => new Loop());
      Object.assign(TURN_BUDGET, { units: 1, time: 0 });
      SEND_BUDGET.members = members;
      const actual = await play(acts, () => new Group());
      assert.deepEqual(actual, expected);
    }),
    runs(300),
  );
}

describe("messages of groups", () => {
  it("arrive at each member as if they had been sent individually, if a turn writes to one connection only", (t) =>
    compare(t, 512));

  for (const members of [0, 2])
    it(`arrive in the same way if a call sends to ${members} members that are not on the fan-out, and the turns to the others`, (t) =>
      compare(t, members));
});
