/** S0: write deadlines are instants that last, and nothing but what they are meant for answers to them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimeoutError } from "../../src/index.js";
import { pair, settled, wired } from "../../src/testing/index.js";
import { outcomeOf } from "../connection/blocked.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader, framesIn } from "../frames.js";
import { Joined, KINDS, textsIn } from "./joined.js";
import { Scene } from "./scene.js";
import { SPEECHES } from "./speech.js";

describe("S0-1 a write deadline is an absolute instant", () => {
  for (const { name, protocol, options } of KINDS) {
    it(`S0-1 on ${name} a write before it does not move it, and a write after it fails`, async () => {
      const { client, server, clock } = pair({ protocol, ...options });
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
      const { client, clock } = pair({ protocol, ...options });
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
    it(`S0-2 on ${name} nothing is tried: no time passes, and no byte is on the wire`, async () => {
      const { connection, wire, clock } = wired({ protocol, ...options });
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
      assert.equal(wire.received.length, 0);
      assert.deepEqual([connection.queuedMessages, connection.state], [0, "OPEN"]);

      connection.setWriteDeadline(clock.in(100));
      await connection.send("renewed");
      connection.setWriteDeadline(undefined);
      await clock.advance(1_000);
      await connection.send("cleared");
      await settled();
      assert.deepEqual(textsIn({ protocol }, wire.received), ["renewed", "cleared"]);
    });
  }

  for (const speech of SPEECHES) {
    it(`S0-2 on a real ${speech.name} socket the peer sees nothing of them`, async () => {
      await using scene = await Scene.open(speech, {}, async ({ closed }) => void (await closed));
      const { peer, connection } = await scene.peer();
      connection.setWriteDeadline(new Date(Date.now() - 1));
      for (const text of ["1", "2", "3"]) await assert.rejects(connection.send(text), { limit: "writeDeadline" });
      connection.setWriteDeadline(undefined);
      await connection.send("renewed");
      await peer.until(({ bytes }) => speech.messages(bytes).length > 0);
      assert.deepEqual(speech.messages(peer.bytes), ["renewed"]);
    });
  }
});

describe("S0-3 gaps between writes that are longer than the timeout do no harm", () => {
  const ways = {
    "with a deadline set before each write": { send: "deadline", options: {} },
    "with a timeout given to each write": { send: "timeout", options: {} },
    "with writeTimeout, and no code of the user's": { send: "plain", options: { writeTimeout: 100 } },
  } as const;
  for (const { name, protocol, options } of KINDS) {
    for (const [way, { send, options: own }] of Object.entries(ways)) {
      it(`S0-3 on ${name} ${way}`, async () => {
        const { client, server, clock } = pair({ protocol, ...options, client: own });
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

describe("S0-4 control frames never inherit a user's deadline", () => {
  const ping = peerFrame({ opcode: 9, payload: "still there?", key: KEY });

  it("S0-4 a Ping that comes behind it is answered, and the connection stays open", async () => {
    const { connection, wire, clock } = wired();
    connection.setWriteDeadline(clock.in(100));
    await connection.send("one");
    await clock.advance(200);
    wire.take();
    wire.write(ping);
    await clock.advance(1_000);
    assert.deepEqual(
      framesIn(wire.received).map(({ opcode, payload }) => [opcode, payload.toString()]),
      [[10, "still there?"]],
    );
    assert.equal(connection.state, "OPEN");
    await assert.rejects(connection.send("two"), { limit: "writeDeadline" });
  });

  it("S0-4 nor does a Pong that waits for the kernel when the deadline passes", async () => {
    const { connection, wire, clock } = wired({ capacity: 64 });
    wire.pause();
    connection.trySend("x".repeat(100));
    await settled();
    wire.write(ping);
    await settled();
    connection.setWriteDeadline(clock.in(100));
    await clock.advance(200);
    wire.resume();
    await wire.until(({ received }) => new FrameReader().push(received).length === 2);
    assert.deepEqual(
      framesIn(wire.received).map(({ opcode }) => opcode),
      [1, 10],
    );
    assert.equal(connection.state, "OPEN");
  });

  it("S0-4 nor do Pings of ours, by call and by heartbeat, and their answers", async () => {
    const { client, server, clock } = pair({ client: { heartbeat: { interval: 1_000, timeout: 500 } } });
    for (const end of [client, server]) end.setWriteDeadline(clock.in(100));
    await clock.advance(200);
    assert.equal(await client.ping(), 0);
    assert.equal(await server.ping(), 0);
    await clock.advance(10_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
  });

  it("S0-4 nor does the closing handshake", async () => {
    const { client, server, clock } = pair();
    for (const end of [client, server]) end.setWriteDeadline(clock.in(100));
    await clock.advance(200);
    assert.equal((await client.close()).wasClean, true);
    assert.equal((await server.closed).wasClean, true);
  });

  it("S0-4 on real sockets", async () => {
    await using scene = await Scene.open(SPEECHES[0]!, {}, async ({ closed }) => void (await closed));
    const { peer, connection } = await scene.peer();
    await connection.send("one");
    connection.setWriteDeadline(new Date(Date.now() - 100));
    const before = peer.bytes.length;
    peer.write(ping);
    await peer.until(({ bytes }) => bytes.includes("still there?", before));
    assert.equal(connection.state, "OPEN");

    await using ends = await Joined.open(KINDS[0]!);
    ends.server.setWriteDeadline(new Date(Date.now() - 100));
    assert.ok((await ends.client.ping()) >= 0);
  });
});

describe("S0-5 the error of a write names what timed out", () => {
  it("S0-5 a Pong that the kernel does not take is called that, although the message before it was delivered", async () => {
    const { connection, wire, clock } = wired({ capacity: 16, connection: { writeTimeout: 100 } });
    wire.pause();
    await connection.send("delivered");
    await clock.advance(50);
    wire.write(peerFrame({ opcode: 9, payload: "0123456789", key: KEY }));
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    const { operation, limit, bound, after } = cause;
    assert.deepEqual([operation, limit, bound, after], ["write:pong", "writeTimeout", 100, 100]);
    assert.match(cause.message, /write:pong.*100 ms.*100 ms/);
  });

  it("S0-5 data that the kernel does not take is called that, and whoever sent it gets the same error", async () => {
    const { connection, wire, clock } = wired({ capacity: 16, connection: { writeTimeout: 100 } });
    wire.pause();
    const sent = connection.send("more than the kernel holds").catch((error: unknown) => error);
    await settled();
    wire.write(peerFrame({ opcode: 9, payload: "a Ping meanwhile is not to blame", key: KEY }));
    await clock.advance(100);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    assert.deepEqual([cause.operation, cause.bound, cause.after], ["write:data", 100, 100]);
    assert.equal(await sent, cause);
  });

  it("S0-5 a deadline is told with its instant, and how long the write had lasted", async () => {
    const { connection, wire, clock } = wired({ capacity: 16 });
    wire.pause();
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

describe("S0-11 a deadline that is renewed counts for what waits already", () => {
  for (const { name, protocol, options } of KINDS) {
    for (const where of ["waits behind another", "is half on the wire"] as const) {
      for (const reads of [false, true]) {
        const what = reads ? "and is written if the peer reads by then" : "and fails only when that has passed";
        it(`S0-11 on ${name} a write that ${where} gets the longer time, ${what}`, async () => {
          const { connection, wire, clock } = wired({ protocol, ...options, capacity: 16 });
          wire.pause();
          if (where === "waits behind another") connection.trySend("more than the kernel holds");
          await settled();
          connection.setWriteDeadline(clock.in(100));
          const outcome = outcomeOf(connection.send("and this is more than it holds, too"));
          await clock.advance(50);
          connection.setWriteDeadline(clock.in(450));
          await clock.advance(50);
          assert.equal(outcome.state, "pending", "at +100");
          await clock.advance(399);
          assert.equal(outcome.state, "pending", "at +499");
          if (reads) wire.resume();
          await clock.advance(1);
          if (reads) assert.equal(outcome.state, "resolved");
          else assert.equal((outcome.error as TimeoutError).after, 500);
        });
      }
    }
  }

  it("S0-11 and the shorter time, if that is what it is renewed to", async () => {
    const { connection, wire, clock } = wired({ capacity: 16 });
    wire.pause();
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
