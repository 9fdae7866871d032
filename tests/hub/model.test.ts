/** What each member gets is a run of one history of the log, or is broken by a gap that it is told in its place. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Hub } from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { runs } from "../kit/random.ts";
import { Client, ENCODER, Member } from "./clients.ts";
import { type Delivery, FaultyBroker, FaultyServer } from "./faulty-broker.ts";

const NODES = 2;
const MEMBERS = 4;
const KEEPS = 12;

const node = fc.nat(NODES - 1);
const who = fc.nat(MEMBERS - 1);
const act = fc.oneof(
  { weight: 24, arbitrary: fc.record({ do: fc.constant("publish" as const), node }) },
  {
    weight: 40,
    arbitrary: fc.record({
      do: fc.constant("deliver" as const),
      at: fc.nat(NODES),
      how: fc.constantFrom<Delivery>("pass", "pass", "pass", "pass", "lose", "double"),
    }),
  },
  { weight: 12, arbitrary: fc.record({ do: fc.constant("read" as const), who }) },
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("join" as const),
      who,
      node,
      room: fc.constantFrom(2, 5, 1_000),
      last: fc.constantFrom(0, 3),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("cut", "leave"), who }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("interrupt", "restore", "fail"), node }) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("roll back" as const), entries: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom("empty", "renew") }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("wait" as const), for: fc.constantFrom(1, 100, 31_000) }) },
) as fc.Arbitrary<Act>;

interface Act {
  readonly do: string;
  readonly node?: number;
  readonly who?: number;
  readonly at?: number;
  readonly how?: Delivery;
  readonly room?: number;
  readonly last?: number;
  readonly entries?: number;
  readonly for?: number;
}

/** Runs the acts, then lets everything heal. */
async function play(acts: readonly Act[], contiguous: boolean): Promise<void> {
  const clock = new ManualClock();
  const server = new FaultyServer(KEEPS, contiguous);
  const brokers = Array.from({ length: NODES }, () => new FaultyBroker(server));
  const errors: unknown[] = [];
  const hubs = brokers.map(
    (broker) =>
      new Hub({
        broker,
        clock,
        encoder: ENCODER,
        random: () => 0.5,
        onError: (error) => {
          errors.push(error);
        },
      }),
  );
  const topics = hubs.map((hub) => hub.topic("t", { history: { messages: KEEPS } }));
  const clients = Array.from({ length: MEMBERS }, (_, index) => new Client(`client ${index}`, server));
  let published = 0;
  let losses = 0;
  const pending: Promise<unknown>[] = [];
  const publish = (at: number): void => {
    published += 1;
    pending.push((topics[at] as (typeof topics)[0]).publish(`message ${published}`).catch(() => undefined));
  };
  const join = (client: Client, at: number, room: number, last: number): void => {
    void client.member?.close();
    const member = new Member(client, room);
    client.member = member;
    const { position } = client;
    const options = {
      ...(position && { after: position }),
      last: position === undefined ? last : 0,
      timeout: Infinity,
    };
    pending.push((topics[at] as (typeof topics)[0]).join(member, options).catch(() => undefined));
  };
  for (const one of acts) {
    const client = clients[one.who ?? 0] as Client;
    const broker = brokers[one.node ?? 0] as FaultyBroker;
    if (one.do === "publish") publish(one.node as number);
    else if (one.do === "deliver") server.deliver(one.at as number, one.how as Delivery);
    else if (one.do === "read") client.member?.read();
    else if (one.do === "join") join(client, one.node as number, one.room as number, one.last as number);
    else if (one.do === "cut") void client.member?.close();
    else if (one.do === "leave")
      for (const topic of topics) if (client.member !== undefined) topic.leave(client.member);
    if (one.do === "interrupt") broker.interrupt();
    else if (one.do === "restore") broker.restore();
    else if (one.do === "fail") broker.failures += 1;
    else if (one.do === "roll back") {
      losses += 1;
      server.rollBack(one.entries as number);
    } else if (one.do === "empty") {
      losses += 1;
      server.empty();
    } else if (one.do === "renew") {
      // Another hub has seen a fork behind what these have: the entries are the same.
      losses += 1;
      server.renewEpoch();
    } else if (one.do === "wait") await clock.advance(one.for as number);
    await settled();
  }
  // Everything heals: each client comes back, and gets what it has missed.
  for (const broker of brokers) {
    broker.restore();
    broker.failures = 0;
  }
  await clock.advance(10_000);
  for (const [index, client] of clients.entries()) join(client, index % NODES, 1_000, 0);
  await clock.advance(10_000);
  publish(0);
  await settled();
  // The newest message is lost on the way to all hubs, without a sign: they find it by themselves.
  for (const { queue } of server.subscriptions) queue.length = 0;
  await clock.advance(31_000);
  for (let turn = 0; turn < 3; turn += 1) {
    for (const { member } of clients) member?.read();
    await settled();
  }
  await Promise.all(pending);
  for (const { name, last, gaps } of clients) {
    assert.equal(last, server.tip, `${name} has the newest message`);
    if (losses === 0 && published <= KEEPS) assert.equal(gaps, 0, `${name} has a gap, and nothing was lost`);
  }
  assert.deepEqual(errors, []);
  assert.ok(server.renewals <= losses, `${server.renewals} renewals after ${losses} losses`);
  assert.equal(
    hubs.reduce((sum, { stats }) => sum + stats.behind, 0),
    0,
  );
  for (const { stats } of hubs) assert.equal(stats.holes, stats.healedHoles + stats.toldHoles + stats.endedHoles);
  await Promise.all(hubs.map((hub) => hub.close()));
  await clock.advance(60_000);
}

describe("each member of a topic", () => {
  for (const contiguous of [true, false]) {
    it(`gets a run of one history, or a gap: ${contiguous ? "contiguous offsets" : "linked offsets"}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { minLength: 10, maxLength: 80 }), (acts) => play(acts, contiguous)),
        runs(150),
      );
    });
  }

  // What the node got before the broker was there again had been lost by the broker meanwhile. The hub waited for what is before it.
  it("gets later messages when the broker has lost what a node got during an interruption", async () => {
    const join: Act = { do: "join", who: 0, node: 0, room: 2, last: 0 };
    const acts: Act[] = [
      { do: "publish", node: 0 },
      { do: "interrupt", node: 0 },
      join,
      { do: "publish", node: 1 },
      { do: "deliver", at: 0, how: "pass" },
      { do: "roll back", entries: 2 },
    ];
    for (const contiguous of [true, false]) await play(acts, contiguous);
  });

  // The hub has read the log at the instant of the join, and before it: a position that is ahead of it is no fork.
  it("is not told of a fork when another hub has delivered more", async () => {
    const acts: Act[] = [
      { do: "join", who: 0, node: 0, room: 2, last: 0 },
      { do: "join", who: 1, node: 1, room: 2, last: 0 },
      { do: "publish", node: 0 },
      { do: "deliver", at: 1, how: "pass" },
      { do: "read", who: 1 },
      { do: "join", who: 1, node: 0, room: 2, last: 0 },
      { do: "interrupt", node: 0 },
      { do: "join", who: 0, node: 0, room: 2, last: 0 },
      { do: "read", who: 1 },
      { do: "publish", node: 0 },
    ];
    for (const contiguous of [true, false]) await play(acts, contiguous);
  });

  // The sum of the holes was wrong: what was still missing when the last member left was neither healed nor told.
  it("has an end for each hole when the last member leaves during a verification", async () => {
    const acts: Act[] = [
      { do: "join", who: 3, node: 0, room: 2, last: 0 },
      { do: "fail", node: 0 },
      { do: "publish", node: 0 },
      { do: "publish", node: 0 },
      { do: "deliver", at: 0, how: "lose" },
      { do: "deliver", at: 0, how: "pass" },
      { do: "cut", who: 3 },
    ];
    for (const contiguous of [true, false]) await play(acts, contiguous);
  });
});
