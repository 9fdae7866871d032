/** Groups whose members join, leave and die during a broadcast: each receives exactly the messages of its membership, once. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Connection, connect, Group, listen, type Server } from "../../src/index.ts";
import { openSockets } from "../kit/kernel-sockets.ts";

const MEMBERS = 200;

/** One member: the server's side, and the messages that its peer has received. */
interface Member {
  readonly served: Connection;
  readonly peer: Connection<undefined>;
  readonly got: string[];
}

/** This many connections, with both sides in this process. */
async function crowd(count: number): Promise<{ readonly server: Server; readonly members: Member[] }> {
  const arrived = new Map<number | undefined, Connection>();
  const server = await listen("ws://127.0.0.1:0", { open: (served) => void arrived.set(served.remotePort, served) });
  const join = async (): Promise<Member> => {
    const got: string[] = [];
    const peer = await connect(server.url, { message: (_, data) => void got.push(String(data)), maxConnecting: 50 });
    const served = arrived.get(peer.localPort);
    assert.ok(served !== undefined);
    return { served, peer, got };
  };
  return { server, members: await Promise.all(Array.from({ length: count }, join)) };
}

/** Resolves when every peer has received this many messages. */
async function everybody(members: readonly Member[], count: (member: Member) => number): Promise<void> {
  while (members.some((member) => member.got.length < count(member))) await new Promise(setImmediate);
}

describe("a group under load", { timeout: 120_000 }, () => {
  it("of whose members one in a hundred dies in each burst delivers every message to each survivor once, in order", async () => {
    const before = openSockets();
    const { server, members } = await crowd(MEMBERS);
    const group = new Group();
    for (const { served } of members) group.join(served);
    let sent = 0;
    let alive = members;
    const dead: Member[] = [];
    for (let burst = 0; burst < 10; burst += 1) {
      for (let message = 0; message < 40; message += 1) {
        group.send(`${sent}`);
        sent += 1;
        if (message % 20 !== 10) continue;
        // By either side, in the middle of the burst: in this turn, or in one of the turns in which it is written.
        const gone = alive[(burst * 37 + message) % alive.length] as Member;
        if (message < 20) gone.served.terminate();
        else gone.peer.terminate();
        if (burst % 2 === 1) await new Promise(setImmediate);
        alive = alive.filter((member) => member !== gone);
        dead.push(gone);
      }
      await everybody(alive, () => sent);
    }
    const all = Array.from({ length: sent }, (_, index) => `${index}`);
    for (const { got } of alive) assert.deepEqual(got, all);
    for (const { got, peer, served } of dead) {
      await Promise.all([peer.closed, served.closed]);
      assert.deepEqual(got, all.slice(0, got.length), "those who died have a beginning of it");
    }
    assert.deepEqual([dead.length, group.size], [20, MEMBERS - 20]);
    assert.equal(group.send("last").taken, MEMBERS - 20);
    await server.close({ drain: 5_000 });
    while (openSockets() > before) await new Promise(setImmediate);
  });

  it("that is joined and left 100,000 times meanwhile has exactly the expected members", async () => {
    const { server, members } = await crowd(MEMBERS);
    const group = new Group();
    const inside = new Set<Member>();
    const expected = new Map(members.map((member) => [member, [] as string[]]));
    for (let change = 0; change < 100_000; change += 1) {
      // Well spread, and the same in every run.
      const member = members[(Math.imul(change, 2_654_435_761) >>> 8) % MEMBERS] as Member;
      if (inside.delete(member)) group.leave(member.served);
      else {
        inside.add(member);
        group.join(member.served);
      }
      if (change % 100 > 0) continue;
      const { taken, refused } = group.send(`${change}`);
      assert.deepEqual([taken, refused, group.size], [inside.size, 0, inside.size]);
      for (const one of inside) expected.get(one)?.push(`${change}`);
      // Half of a queue.
      if (change % 50_000 === 0) await Promise.all(members.map(({ served }) => served.drain()));
    }
    await everybody(members, (member) => expected.get(member)?.length ?? 0);
    for (const member of members) assert.deepEqual(member.got, expected.get(member));
    assert.deepEqual(new Set(group), new Set([...inside].map(({ served }) => served)));
    await server.close({ drain: 5_000 });
    assert.equal(group.size, 0);
  });
});
