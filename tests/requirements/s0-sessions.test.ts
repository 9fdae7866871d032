/** S0: groups that lose members while they are sent to, loops that a stop ends, and tables that change under an iteration. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError, type Connection, Group, TimeoutError } from "../../src/index.js";
import { pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { outcomeOf } from "../connection/blocked.js";
import type { RawPeer } from "../raw-peers.js";
import { KINDS, textsIn } from "./joined.js";
import { Scene } from "./scene.js";
import { SPEECHES } from "./speech.js";

describe("S0-8 a member that fails is no member any more", () => {
  for (const kind of KINDS) {
    const { name, protocol, options } = kind;
    const members = (count: number, hook: (index: number) => void = () => undefined): Wired[] =>
      Array.from({ length: count }, (_, index) =>
        wired({ protocol, ...options, connection: { highWaterMark: 1, highWater: () => hook(index) } }),
      );

    it(`S0-8 on ${name} one that is killed in the middle of a broadcast is not sent to, then or later`, async () => {
      const group = new Group();
      // The first member's queue tells that its turn has come, while the others' turns have not.
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
      for (const [index, { wire }] of scenes.entries()) {
        assert.deepEqual(textsIn(kind, wire.received), index === 3 ? [] : ["one", "two"]);
      }
    });

    it(`S0-8 on ${name} one whose write fails leaves by itself`, async () => {
      const group = new Group();
      const scenes = members(5);
      for (const { connection } of scenes) group.join(connection);
      scenes[1]?.wire.reset();
      scenes[2]?.wire.pause();
      group.send("one");
      await settled();
      assert.equal(group.size, 4);
      assert.deepEqual(group.send("two"), { taken: 4, refused: 0 });
      await settled();
      assert.deepEqual(textsIn(kind, scenes[1]!.wire.received), []);
      assert.deepEqual(textsIn(kind, scenes[4]!.wire.received), ["one", "two"]);
    });

    it(`S0-8 on ${name} one on which no deadline can be set has left`, async () => {
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

    it(`S0-8 on ${name} one whose kernel takes nothing is closed when its queue is full, and the others are not held up`, async () => {
      const group = new Group();
      const [slow, quick] = [0, 1].map(() =>
        wired({ protocol, ...options, capacity: 64, connection: { maxQueuedMessages: 4, closeTimeout: 100 } }),
      ) as [Wired, Wired];
      for (const { connection } of [slow, quick]) group.join(connection);
      slow.wire.pause();
      const counts: number[] = [];
      for (let round = 0; round < 10; round += 1) {
        counts.push(group.send(`${round}`.padEnd(50)).taken);
        await settled();
      }
      assert.deepEqual(counts, [2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
      assert.equal(group.size, 1);
      assert.equal(textsIn(kind, quick.wire.received).length, 10);
      await slow.clock.advance(100);
      const { code, cause } = await slow.connection.closed;
      assert.equal(code, 1013);
      assert.equal((cause as Error).name, "LimitError");
    });
  }

  for (const speech of SPEECHES) {
    it(`S0-8 on real ${speech.name} sockets a member that resets in the middle of it`, async () => {
      const group = new Group();
      await using scene = await Scene.open(speech, {}, async (connection) => {
        group.join(connection);
        await connection.closed;
      });
      const peers: { peer: RawPeer; connection: Connection }[] = [];
      for (let index = 0; index < 5; index += 1) peers.push(await scene.peer());
      const victim = peers[2]!;
      const sent: string[] = [];
      // One message a turn, from before the reset until after it has been noticed.
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
        await peer.until(({ bytes }) => speech.messages(bytes).length === sent.length);
        assert.deepEqual(speech.messages(peer.bytes), sent);
      }
      assert.deepEqual(scene.errors, []);
    });
  }
});

describe("S0-9 a stop ends whoever waits", () => {
  for (const { name, protocol, options } of KINDS) {
    const stops: Readonly<Record<string, (connection: Connection) => void>> = {
      close: (connection) => void connection.close(),
      terminate: (connection) => connection.terminate(),
    };
    for (const [stop, call] of Object.entries(stops)) {
      it(`S0-9 on ${name} ${stop} ends a loop that waits for messages in the same turn`, async () => {
        const { connection } = wired({ protocol, ...options });
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

    it(`S0-9 on ${name} a session's writer loop, which waits for a message or a stop, is ended by either`, async () => {
      const { connection, wire } = wired({ protocol, ...options });
      const queue: string[] = ["one", "two"];
      const loop = (async () => {
        while (!connection.signal.aborted) {
          const message = queue.shift();
          if (message !== undefined) await connection.send(message);
          else await new Promise((resolve) => connection.signal.addEventListener("abort", resolve, { once: true }));
        }
      })();
      await settled();
      const ended = outcomeOf(loop);
      void connection.close();
      await new Promise(setImmediate);
      assert.equal(ended.state, "resolved");
      await settled();
      assert.deepEqual(textsIn({ protocol }, wire.received), ["one", "two"]);
    });

    it(`S0-9 on ${name} a write that the kernel does not take ends with closeTimeout at the latest`, async () => {
      const { connection, wire, clock } = wired({
        protocol,
        ...options,
        capacity: 16,
        connection: { closeTimeout: 300 },
      });
      wire.pause();
      const blocked = outcomeOf(connection.send("more than the kernel holds"));
      const queued = outcomeOf(connection.send("behind it"));
      const draining = outcomeOf(connection.drain());
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
      const { connection, wire } = wired({ protocol, ...options, capacity: 16 });
      wire.pause();
      const blocked = outcomeOf(connection.send("more than the kernel holds"));
      await settled();
      connection.terminate();
      await new Promise(setImmediate);
      assert.equal(blocked.state, "rejected");
      await connection.closed;
    });
  }

  for (const speech of SPEECHES) {
    it(`S0-9 on a real ${speech.name} socket whose peer does not read`, async () => {
      await using scene = await Scene.open(speech, { closeTimeout: 50 }, async ({ closed }) => void (await closed));
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

describe("S0-10 the table of members may change while it is gone through", () => {
  const MEMBERS = 10_000;
  const CHANGES = 1_000;

  it("S0-10 10,000 members, of which 1,000 leave and to which 1,000 come during the broadcast itself", async () => {
    const group = new Group();
    let turn: ((member: number) => void) | undefined;
    // Called from within the send to this member.
    const make = (index: number): Wired => wired({ connection: { highWaterMark: 1, highWater: () => turn?.(index) } });
    const scenes = Array.from({ length: MEMBERS }, (_, index) => make(index));
    const joiners = Array.from({ length: CHANGES }, (_, index) => make(MEMBERS + index));
    for (const { connection } of scenes) group.join(connection);

    // At every tenth member's turn: one leaves that has had its turn, or that has not, or itself; and one joins.
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
    await settled();

    const skipped = [...left.values()].filter((when) => when === "before").length;
    assert.equal(left.size, CHANGES);
    assert.ok(skipped > 250 && skipped < 750, `${skipped} left before their turn`);
    assert.deepEqual([taken, refused], [MEMBERS - skipped, 0]);
    for (const [index, { wire }] of scenes.entries()) {
      const copies = left.get(index) === "before" ? [] : ["one"];
      assert.deepEqual(textsIn(KINDS[0]!, wire.received), copies, `member ${index}`);
    }
    for (const { wire } of joiners)
      assert.equal(wire.received.length, 0, "who comes meanwhile is in time for the next");
    assert.equal(group.size, MEMBERS - left.size + CHANGES);
    assert.equal(group.send("two").taken, group.size);
  });

  it("S0-10 broadcasts, arrivals and departures side by side: each gets exactly what was sent while it was a member", async () => {
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
      for (const [scene, texts] of expected) if (group.has(scene.connection)) texts.push(`${round}`);
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
    await settled();
    for (const [scene, texts] of expected) {
      const got = textsIn(KINDS[0]!, scene.wire.received);
      if (scene.connection.state === "CLOSED") assert.deepEqual(got, texts.slice(0, got.length));
      else assert.deepEqual(got, texts);
    }
    assert.equal(group.send("last").taken, 2_000);
    assert.equal(group.size, 2_000);
  });

  it("S0-10 going through the members oneself is safe in the same way", () => {
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
