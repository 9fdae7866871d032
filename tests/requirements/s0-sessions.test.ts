/** S0: groups that lose members during a broadcast, loops that end by a stop, and tables that change during an iteration. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SEND_BUDGET } from "../../src/group/members.ts";
import { ClosedError, type Connection, Group, TimeoutError } from "../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../src/testing/index.ts";
import { stateOf } from "../kit/blocked-connection.ts";
import { KINDS, textsIn } from "../kit/connected-pair.ts";
import type { RawPeer } from "../kit/raw-peer.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

describe("S0-8 a member that fails leaves its group", () => {
  for (const kind of KINDS) {
    const { name, protocol, options } = kind;
    const members = (count: number, hook: (index: number) => void = () => undefined): Wired[] =>
      Array.from({ length: count }, (_, index) =>
        wired({ kind: protocol, ...options, connection: { highWaterMark: 1, highWater: () => hook(index) } }),
      );

    it(`S0-8 on ${name} a member that is killed in the middle of a broadcast gets nothing, then or later`, async () => {
      const group = new Group();
      // The queue of the first member shows that its turn has come, and those of the others that theirs have not.
      const scenes = members(5, (index) => {
        if (index === 0) scenes[3]?.connection.terminate();
      });
      for (const { connection } of scenes) group.join(connection);
      assert.deepEqual(group.send("one"), { taken: 4, refused: 0 });
      assert.equal(group.size, 4);
      assert.equal(group.has(scenes[3]!.connection), false);
      await settled();
      assert.deepEqual(group.send("two"), { taken: 4, refused: 0 });
      await settled();
      for (const [index, { peer }] of scenes.entries()) {
        assert.deepEqual(textsIn(kind, peer.received), index === 3 ? [] : ["one", "two"]);
      }
    });

    it(`S0-8 on ${name} a member whose write fails leaves by itself`, async () => {
      const group = new Group();
      const scenes = members(5);
      for (const { connection } of scenes) group.join(connection);
      scenes[1]?.peer.reset();
      scenes[2]?.peer.pause();
      group.send("one");
      await settled();
      assert.equal(group.size, 4);
      assert.deepEqual(group.send("two"), { taken: 4, refused: 0 });
      await settled();
      assert.deepEqual(textsIn(kind, scenes[1]!.peer.received), []);
      assert.deepEqual(textsIn(kind, scenes[4]!.peer.received), ["one", "two"]);
    });

    it(`S0-8 on ${name} a member that has ended, so that no deadline can be set, has left`, async () => {
      const group = new Group();
      const [scene] = members(1) as [Wired];
      const { connection, clock } = scene;
      group.join(connection);
      connection.terminate();
      await connection.closed;
      assert.throws(
        () => connection.setWriteDeadline(clock.in(100)),
        (error) => error instanceof ClosedError,
      );
      assert.equal(group.size, 0);
      group.join(connection);
      assert.equal(group.size, 0, "and cannot come back");
      assert.deepEqual(group.send("x"), { taken: 0, refused: 0 });
    });

    it(`S0-8 on ${name} a member whose kernel accepts nothing is closed when its queue is full, and the others do not wait`, async () => {
      const group = new Group();
      const [slow, quick] = [0, 1].map(() =>
        wired({ kind: protocol, ...options, capacity: 64, connection: { maxQueuedMessages: 4, closeTimeout: 100 } }),
      ) as [Wired, Wired];
      for (const { connection } of [slow, quick]) group.join(connection);
      slow.peer.pause();
      const counts: number[] = [];
      for (let round = 0; round < 10; round += 1) {
        counts.push(group.send(`${round}`.padEnd(50)).taken);
        await settled();
      }
      assert.deepEqual(counts, [2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
      assert.equal(group.size, 1);
      assert.equal(textsIn(kind, quick.peer.received).length, 10);
      await slow.clock.advance(100);
      const { code, cause } = await slow.connection.closed;
      assert.equal(code, 1013);
      assert.equal((cause as Error).name, "LimitError");
    });
  }

  for (const wire of WIRE_PROTOCOLS) {
    it(`S0-8 on real ${wire.name} sockets a member that resets in the middle of a broadcast`, async () => {
      const group = new Group();
      await using scene = await ServerWithPeers.open(wire, {}, async (connection) => {
        group.join(connection);
        await connection.closed;
      });
      const peers: { peer: RawPeer; connection: Connection }[] = [];
      for (let index = 0; index < 5; index += 1) peers.push(await scene.peer());
      const victim = peers[2]!;
      const sent: string[] = [];
      // One message a turn, from before the reset until it was detected.
      for (let after = 0; after < 10; ) {
        const text = `message ${sent.length}`;
        sent.push(text);
        group.send(text);
        if (sent.length === 5) victim.peer.socket.resetAndDestroy();
        await new Promise(setImmediate);
        if (!group.has(victim.connection)) after += 1;
      }
      assert.equal(group.size, 4);
      for (const { peer, connection } of peers) {
        if (peer === victim.peer) continue;
        await connection.drain();
        await peer.until(({ bytes }) => wire.messages(bytes).length === sent.length);
        assert.deepEqual(wire.messages(peer.bytes), sent);
      }
      assert.deepEqual(scene.errors, []);
    });
  }
});

describe("S0-9 a stop ends every wait", () => {
  for (const { name, protocol, options } of KINDS) {
    const stops: Readonly<Record<string, (connection: Connection) => void>> = {
      close: (connection) => void connection.close(),
      terminate: (connection) => connection.terminate(),
    };
    for (const [stop, call] of Object.entries(stops)) {
      it(`S0-9 on ${name} ${stop} ends a loop that waits for messages in the same turn`, async () => {
        const { connection } = wired({ kind: protocol, ...options });
        let ended = false;
        const loop = (async () => {
          for await (const _ of connection) assert.fail("nothing was sent");
        })();
        loop
          .catch(() => undefined)
          .finally(() => {
            ended = true;
          });
        await settled();
        call(connection);
        assert.equal(connection.signal.aborted, true, "whoever produces is told before the call returns");
        await new Promise(setImmediate);
        assert.equal(ended, true);
        if (stop === "close") await loop;
        else await assert.rejects(loop, ClosedError);
      });
    }

    it(`S0-9 on ${name} a writer loop that waits for a message or a stop is ended by either`, async () => {
      const { connection, peer } = wired({ kind: protocol, ...options });
      const queue: string[] = ["one", "two"];
      const loop = (async () => {
        while (!connection.signal.aborted) {
          const message = queue.shift();
          if (message !== undefined) await connection.send(message);
          else await new Promise((resolve) => connection.signal.addEventListener("abort", resolve, { once: true }));
        }
      })();
      await settled();
      const ended = stateOf(loop);
      void connection.close();
      await new Promise(setImmediate);
      assert.equal(ended.state, "resolved");
      await settled();
      assert.deepEqual(textsIn({ protocol }, peer.received), ["one", "two"]);
    });

    it(`S0-9 on ${name} a write that the kernel does not accept ends with closeTimeout at the latest`, async () => {
      const { connection, peer, clock } = wired({
        kind: protocol,
        ...options,
        capacity: 16,
        connection: { closeTimeout: 300 },
      });
      peer.pause();
      const blocked = stateOf(connection.send("more than the kernel holds"));
      const queued = stateOf(connection.send("behind it"));
      const draining = stateOf(connection.drain());
      await settled();
      const closed = connection.close();
      await clock.advance(299);
      assert.deepEqual([blocked.state, queued.state, draining.state], ["pending", "pending", "pending"]);
      await clock.advance(1);
      const { cause, wasClean } = await closed;
      assert.ok(cause instanceof TimeoutError);
      assert.deepEqual([cause.operation, cause.limit, wasClean], ["close", "closeTimeout", false]);
      for (const { state } of [blocked, queued, draining]) assert.equal(state, "rejected");
    });

    it(`S0-9 on ${name} terminate ends that write at once`, async () => {
      const { connection, peer } = wired({ kind: protocol, ...options, capacity: 16 });
      peer.pause();
      const blocked = stateOf(connection.send("more than the kernel holds"));
      await settled();
      connection.terminate();
      await new Promise(setImmediate);
      assert.equal(blocked.state, "rejected");
      await connection.closed;
    });
  }

  for (const wire of WIRE_PROTOCOLS) {
    it(`S0-9 on a real ${wire.name} socket whose peer does not read`, async () => {
      await using scene = await ServerWithPeers.open(
        wire,
        { closeTimeout: 50 },
        async ({ closed }) => void (await closed),
      );
      const { peer, connection } = await scene.peer();
      peer.socket.pause();
      const blocked: Promise<void>[] = [];
      while (connection.queuedBytes < 500_000) {
        const sent = connection.send("x".repeat(100_000));
        blocked.push(sent);
        await Promise.race([sent, new Promise(setImmediate)]);
      }
      const { cause } = await connection.close();
      assert.ok(cause instanceof TimeoutError);
      assert.equal(cause.limit, "closeTimeout");
      const outcomes = await Promise.allSettled(blocked);
      assert.ok(outcomes.some(({ status }) => status === "rejected"));
    });
  }
});

/** Resolves when everything has arrived: a turn writes to some of the connections only. */
async function written(scenes: readonly Wired[]): Promise<void> {
  do await settled();
  while (scenes.some(({ connection: { queuedMessages, state } }) => queuedMessages > 0 && state === "OPEN"));
  await settled();
}

describe("S0-10 the members may change during an iteration", () => {
  const MEMBERS = 10_000;
  const CHANGES = 1_000;

  it("S0-10 10,000 members, of which 1,000 leave and which 1,000 join during the broadcast itself", async (t) => {
    // Otherwise the members get it in later turns, and those that leave meanwhile get it as they leave.
    const { members } = SEND_BUDGET;
    SEND_BUDGET.members = MEMBERS;
    t.after(() => {
      SEND_BUDGET.members = members;
    });
    const group = new Group();
    let turn: ((member: number) => void) | undefined;
    // Called inside the send to this member.
    const make = (index: number): Wired => wired({ connection: { highWaterMark: 1, highWater: () => turn?.(index) } });
    const scenes = Array.from({ length: MEMBERS }, (_, index) => make(index));
    const joiners = Array.from({ length: CHANGES }, (_, index) => make(MEMBERS + index));
    for (const { connection } of scenes) group.join(connection);

    // At every tenth member: a member leaves that was already sent to, or was not, or itself; and one joins.
    const left = new Map<number, "before" | "after">();
    turn = (member) => {
      if (member % 10 !== 0) return;
      const round = member / 10;
      const far = MEMBERS - 8 - 10 * Math.floor(round / 4);
      const gone = [member, member + 5, member - 3, far][round % 4] as number;
      group.leave(scenes[gone]!.connection);
      left.set(gone, gone > member ? "before" : "after");
      group.join(joiners[round]!.connection);
    };
    const { taken, refused } = group.send("one");
    turn = undefined;
    await written(scenes);

    const skipped = [...left.values()].filter((when) => when === "before").length;
    assert.equal(left.size, CHANGES);
    assert.ok(skipped > 250 && skipped < 750, `${skipped} left before their turn`);
    assert.deepEqual([taken, refused], [MEMBERS - skipped, 0]);
    for (const [index, { peer }] of scenes.entries()) {
      const copies = left.get(index) === "before" ? [] : ["one"];
      assert.deepEqual(textsIn(KINDS[0]!, peer.received), copies, `member ${index}`);
    }
    for (const { peer } of joiners)
      assert.equal(peer.received.length, 0, "who comes meanwhile is in time for the next");
    assert.equal(group.size, MEMBERS - left.size + CHANGES);
    assert.equal(group.send("two").taken, group.size);
  });

  it("S0-10 concurrent broadcasts, joins and leaves: each member gets exactly what was sent during its membership", async () => {
    const group = new Group();
    const expected = new Map<Wired, string[]>();
    const join = (): void => {
      const scene = wired();
      expected.set(scene, []);
      group.join(scene.connection);
    };
    for (let index = 0; index < 2_000; index += 1) join();
    const all = [...expected.keys()];
    for (let round = 0; round < 20; round += 1) {
      group.send(`${round}`);
      for (const [{ connection }, texts] of expected)
        if (group.has(connection) && connection.state === "OPEN") texts.push(`${round}`);
      for (let change = 0; change < 50; change += 1) {
        join();
        const { connection } = all[round * 50 + change]!;
        // By leaving, by closing, by dying.
        if (change % 3 === 0) group.leave(connection);
        else if (change % 3 === 1) void connection.close();
        else connection.terminate();
      }
      if (round % 3 === 0) await settled();
    }
    await written([...expected.keys()]);
    for (const [scene, texts] of expected) {
      const got = textsIn(KINDS[0]!, scene.peer.received);
      if (scene.connection.state === "CLOSED") assert.deepEqual(got, texts.slice(0, got.length));
      else assert.deepEqual(got, texts);
    }
    // Members whose end has begun leave the group at the latest when it is their turn.
    group.send("last");
    await written([...expected.keys()]);
    assert.equal(group.size, 2_000);
    assert.equal(group.send("after it").taken, 2_000);
  });

  it("S0-10 iteration by the application is safe in the same way", () => {
    const group = new Group();
    const scenes = Array.from({ length: 100 }, () => pair());
    for (const { server } of scenes) group.join(server);
    let seen = 0;
    for (const member of group) {
      seen += 1;
      group.leave(member);
      group.join(pair().server);
    }
    assert.deepEqual([seen, group.size], [100, 100]);
  });
});
