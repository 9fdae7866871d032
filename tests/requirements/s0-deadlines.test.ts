/** S0: a write deadline is an instant that stays set, and applies to nothing but the application's writes. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimeoutError } from "../../src/index.ts";
import { pair, settled, wired } from "../../src/testing/index.ts";
import { stateOf } from "../kit/blocked-connection.ts";
import { ConnectedPair, KINDS, textsIn } from "../kit/connected-pair.ts";
import { FrameReader, framesIn, KEY, peerFrame } from "../kit/frames.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS } from "../kit/wire-protocols.ts";

describe("S0-1 a write deadline is an absolute instant", () => {
  for (const { name, protocol, options } of KINDS) {
    it(`S0-1 on ${name} a write before it does not move it, and a write after it fails`, async () => {
      const { client, server, clock } = pair({ kind: protocol, ...options });
      const deadline = clock.in(100);
      client.setWriteDeadline(deadline);
      await clock.advance(10);
      await client.send("at +10");
      await clock.advance(89);
      await client.send("at +99");
      await clock.advance(51);
      await assert.rejects(client.send("at +150"), (error: TimeoutError) => {
        assert.ok(error instanceof TimeoutError);
        const { code, timeout, operation, limit, bound } = error;
        assert.deepEqual([code, timeout, operation, limit], ["TIMEOUT", true, "send", "writeDeadline"]);
        assert.equal(bound, deadline, "the instant that was set, which the write at +10 did not change");
        return true;
      });
      assert.deepEqual([String(await server.receive()), String(await server.receive())], ["at +10", "at +99"]);
      assert.equal(client.state, "OPEN");
    });

    it(`S0-1 on ${name} a deadline given with one send is an instant, too`, async () => {
      const { client, clock } = pair({ kind: protocol, ...options });
      const deadline = clock.in(100);
      await clock.advance(10);
      await client.send("at +10", { deadline });
      await clock.advance(140);
      await assert.rejects(client.send("at +150", { deadline }), { limit: "deadline", bound: deadline });
      await client.send("without it");
    });
  }
});

describe("S0-2 a deadline that has passed fails every later write at once, until it is renewed", () => {
  for (const { name, protocol, options } of KINDS) {
    it(`S0-2 on ${name} nothing is attempted: no time passes, and no byte is sent`, async () => {
      const { connection, peer, clock } = wired({ kind: protocol, ...options });
      connection.setWriteDeadline(clock.in(100));
      await clock.advance(150);
      for (const text of ["1", "2", "3"]) {
        const refused = connection.send(text).catch((error: unknown) => error);
        const turn = new Promise((resolve) => setImmediate(resolve, "a turn of the event loop"));
        const error = await Promise.race([refused, turn]);
        assert.ok(error instanceof TimeoutError, String(error));
        assert.deepEqual([error.after, error.retriable], [0, true]);
        assert.equal(connection.trySend(text), "refused");
      }
      const writer = connection.writer("text");
      await assert.rejects(writer.write("4"), { limit: "writeDeadline" });
      writer.abort();
      await clock.advance(1_000);
      assert.equal(peer.received.length, 0);
      assert.deepEqual([connection.queuedMessages, connection.state], [0, "OPEN"]);

      connection.setWriteDeadline(clock.in(100));
      await connection.send("renewed");
      connection.setWriteDeadline(undefined);
      await clock.advance(1_000);
      await connection.send("cleared");
      await settled();
      assert.deepEqual(textsIn({ protocol }, peer.received), ["renewed", "cleared"]);
    });
  }

  for (const wire of WIRE_PROTOCOLS) {
    it(`S0-2 on a real ${wire.name} socket the peer receives none of them`, async () => {
      await using scene = await ServerWithPeers.open(wire, {}, async ({ closed }) => void (await closed));
      const { peer, connection } = await scene.peer();
      connection.setWriteDeadline(new Date(Date.now() - 1));
      for (const text of ["1", "2", "3"]) await assert.rejects(connection.send(text), { limit: "writeDeadline" });
      connection.setWriteDeadline(undefined);
      await connection.send("renewed");
      await peer.until(({ bytes }) => wire.messages(bytes).length > 0);
      assert.deepEqual(wire.messages(peer.bytes), ["renewed"]);
    });
  }
});

describe("S0-3 gaps between writes that are longer than the timeout have no effect", () => {
  const ways = {
    "with a deadline set before each write": { send: "deadline", options: {} },
    "with a timeout given to each write": { send: "timeout", options: {} },
    "with writeTimeout, and no code of the user's": { send: "plain", options: { writeTimeout: 100 } },
  } as const;
  for (const { name, protocol, options } of KINDS) {
    for (const [way, { send, options: own }] of Object.entries(ways)) {
      it(`S0-3 on ${name} ${way}`, async () => {
        const { client, server, clock } = pair({ kind: protocol, ...options, client: own });
        for (let round = 0; round < 20; round += 1) {
          if (send === "deadline") client.setWriteDeadline(clock.in(100));
          await client.send(`${round}`, send === "timeout" ? { timeout: 100 } : undefined);
          assert.equal(String(await server.receive()), `${round}`);
          await clock.advance(250);
        }
        assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
      });
    }
  }
});

describe("S0-4 control frames never use a deadline of the application", () => {
  const ping = peerFrame({ opcode: 9, payload: "still there?", key: KEY });

  it("S0-4 a Ping after it is answered, and the connection stays open", async () => {
    const { connection, peer, clock } = wired();
    connection.setWriteDeadline(clock.in(100));
    await connection.send("one");
    await clock.advance(200);
    peer.take();
    peer.write(ping);
    await clock.advance(1_000);
    assert.deepEqual(
      framesIn(peer.received).map(({ opcode, payload }) => [opcode, payload.toString()]),
      [[10, "still there?"]],
    );
    assert.equal(connection.state, "OPEN");
    await assert.rejects(connection.send("two"), { limit: "writeDeadline" });
  });

  it("S0-4 a Pong that waits for the kernel when the deadline passes is not affected", async () => {
    const { connection, peer, clock } = wired({ capacity: 64 });
    peer.pause();
    connection.trySend("x".repeat(100));
    await settled();
    peer.write(ping);
    await settled();
    connection.setWriteDeadline(clock.in(100));
    await clock.advance(200);
    peer.resume();
    await peer.until(({ received }) => new FrameReader().push(received).length === 2);
    assert.deepEqual(
      framesIn(peer.received).map(({ opcode }) => opcode),
      [1, 10],
    );
    assert.equal(connection.state, "OPEN");
  });

  it("S0-4 our Pings, by call and by heartbeat, and their answers are not affected", async () => {
    const { client, server, clock } = pair({ client: { heartbeat: { interval: 1_000, timeout: 500 } } });
    for (const end of [client, server]) end.setWriteDeadline(clock.in(100));
    await clock.advance(200);
    assert.equal(await client.ping(), 0);
    assert.equal(await server.ping(), 0);
    await clock.advance(10_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
  });

  it("S0-4 the closing handshake is not affected", async () => {
    const { client, server, clock } = pair();
    for (const end of [client, server]) end.setWriteDeadline(clock.in(100));
    await clock.advance(200);
    assert.equal((await client.close()).wasClean, true);
    assert.equal((await server.closed).wasClean, true);
  });

  it("S0-4 on real sockets", async () => {
    await using scene = await ServerWithPeers.open(WIRE_PROTOCOLS[0]!, {}, async ({ closed }) => void (await closed));
    const { peer, connection } = await scene.peer();
    await connection.send("one");
    connection.setWriteDeadline(new Date(Date.now() - 100));
    const before = peer.bytes.length;
    peer.write(ping);
    await peer.until(({ bytes }) => bytes.includes("still there?", before));
    assert.equal(connection.state, "OPEN");

    await using ends = await ConnectedPair.open(KINDS[0]!);
    ends.server.setWriteDeadline(new Date(Date.now() - 100));
    assert.ok((await ends.client.ping()) >= 0);
  });
});

describe("S0-5 the error of a write names what timed out", () => {
  it("S0-5 a Pong that the kernel does not accept is named, although the message before it was delivered", async () => {
    const { connection, peer, clock } = wired({ capacity: 16, connection: { writeTimeout: 100 } });
    peer.pause();
    await connection.send("delivered");
    await clock.advance(50);
    peer.write(peerFrame({ opcode: 9, payload: "0123456789", key: KEY }));
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    const { operation, limit, bound, after } = cause;
    assert.deepEqual([operation, limit, bound, after], ["write:pong", "writeTimeout", 100, 100]);
    assert.match(cause.message, /a pong.*100 ms.*100 ms/);
  });

  it("S0-5 data that the kernel does not accept is named, and its sender gets the same error", async () => {
    const { connection, peer, clock } = wired({ capacity: 16, connection: { writeTimeout: 100 } });
    peer.pause();
    const sent = connection.send("more than the kernel holds").catch((error: unknown) => error);
    await settled();
    peer.write(peerFrame({ opcode: 9, payload: "a Ping meanwhile is not to blame", key: KEY }));
    await clock.advance(100);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    assert.deepEqual([cause.operation, cause.bound, cause.after], ["write:data", 100, 100]);
    assert.equal(await sent, cause);
  });

  it("S0-5 the error of a deadline has its instant, and the duration of the write", async () => {
    const { connection, peer, clock } = wired({ capacity: 16 });
    peer.pause();
    connection.trySend("more than the kernel holds");
    await settled();
    await clock.advance(30);
    const deadline = clock.in(70);
    const waiting = connection.send("waits", { deadline });
    const timedOut = assert.rejects(waiting, { operation: "send", limit: "deadline", bound: deadline, after: 70 });
    await clock.advance(70);
    await timedOut;
  });
});

describe("S0-11 a renewed deadline applies to writes that wait already", () => {
  for (const { name, protocol, options } of KINDS) {
    for (const where of ["waits behind another", "is half on the wire"] as const) {
      for (const reads of [false, true]) {
        const what = reads ? "and is written if the peer reads by then" : "and fails only when that has passed";
        it(`S0-11 on ${name} a write that ${where} gets the later deadline, ${what}`, async () => {
          const { connection, peer, clock } = wired({ kind: protocol, ...options, capacity: 16 });
          peer.pause();
          if (where === "waits behind another") connection.trySend("more than the kernel holds");
          await settled();
          connection.setWriteDeadline(clock.in(100));
          const outcome = stateOf(connection.send("and this is more than it holds, too"));
          await clock.advance(50);
          connection.setWriteDeadline(clock.in(450));
          await clock.advance(50);
          assert.equal(outcome.state, "pending", "at +100");
          await clock.advance(399);
          assert.equal(outcome.state, "pending", "at +499");
          if (reads) peer.resume();
          await clock.advance(1);
          if (reads) assert.equal(outcome.state, "resolved");
          else assert.equal((outcome.error as TimeoutError).after, 500);
        });
      }
    }
  }

  it("S0-11 and an earlier deadline, if it is renewed to one", async () => {
    const { connection, peer, clock } = wired({ capacity: 16 });
    peer.pause();
    connection.trySend("more than the kernel holds");
    await settled();
    connection.setWriteDeadline(clock.in(500));
    const timedOut = assert.rejects(connection.send("waits"), { limit: "writeDeadline", after: 60 });
    await clock.advance(50);
    connection.setWriteDeadline(clock.in(10));
    await clock.advance(10);
    await timedOut;
  });
});
