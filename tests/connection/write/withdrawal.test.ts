/** Sends whose limit is reached: withdrawn if no byte is written, and otherwise the connection ends. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimeoutError } from "../../../src/index.ts";
import { settled, wired } from "../../../src/testing/index.ts";
import { blocked, charged, PLUG, received, stateOf } from "../../kit/blocked-connection.ts";

describe("a send of which no byte is written", () => {
  it("is withdrawn at its timeout, and the connection stays open", async () => {
    const { connection, clock, plug, read } = await blocked();
    const facts = { code: "TIMEOUT", operation: "send", limit: "timeout", bound: 50, after: 50, retriable: true };
    const timedOut = assert.rejects(connection.send("late", { timeout: 50 }), facts);
    const patient = connection.send("patient", { timeout: 51 });
    assert.equal(connection.queuedMessages, 3);
    await clock.advance(50);
    await timedOut;
    assert.deepEqual([connection.state, connection.queuedMessages], ["OPEN", 2]);
    assert.deepEqual(await read(2), [PLUG, "patient"]);
    await Promise.all([plug, patient]);
    assert.equal(connection.droppedMessages, 0, "its owner knows of it, so it is not lost");
  });

  it("is withdrawn at its deadline", async () => {
    const { connection, clock, read } = await blocked();
    const deadline = clock.in(50);
    const facts = { operation: "send", limit: "deadline", bound: deadline, after: 50, retriable: true };
    const timedOut = assert.rejects(connection.send("late", { deadline }), facts);
    await clock.advance(50);
    await timedOut;
    const next = connection.send("next");
    assert.deepEqual(await read(2), [PLUG, "next"]);
    await next;
  });

  it("is withdrawn at the write deadline of the connection, which rejects later sends until it is replaced", async () => {
    const { connection, clock, peer } = wired({ capacity: 64 });
    peer.pause();
    connection.trySend(PLUG);
    await settled();
    const deadline = clock.in(50);
    const late = connection.send("late");
    connection.setWriteDeadline(deadline);
    const facts = { operation: "send", limit: "writeDeadline", bound: deadline, after: 50, retriable: true };
    const timedOut = assert.rejects(late, facts);
    await clock.advance(50);
    await timedOut;
    assert.deepEqual([connection.state, connection.queuedMessages], ["OPEN", 1]);
    await assert.rejects(connection.send("too late"), { limit: "writeDeadline", after: 0, retriable: true });
    assert.equal(connection.trySend("too late"), "refused");
    connection.setWriteDeadline(clock.in(50));
    const next = connection.send("next");
    peer.resume();
    await next;
    await settled();
    assert.deepEqual(received(peer), [PLUG, "next"]);
  });

  it("is withdrawn when its signal aborts, and rejects with the same reason object", async () => {
    const { connection, read } = await blocked();
    const abort = new AbortController();
    const reason = { any: "thing" };
    const outcome = stateOf(connection.send("no more", { signal: abort.signal }));
    abort.abort(reason);
    await settled();
    assert.equal(outcome.error, reason);
    assert.equal(connection.queuedMessages, 1);
    const next = connection.send("next");
    assert.deepEqual(await read(2), [PLUG, "next"]);
    await next;
  });

  it("is not queued if a limit has already passed", async () => {
    const { connection, clock, peer } = wired();
    const spent = { code: "TIMEOUT", after: 0, retriable: true };
    await assert.rejects(connection.send("x", { timeout: 0 }), { ...spent, limit: "timeout" });
    await assert.rejects(connection.send("x", { deadline: clock.in(0) }), { ...spent, limit: "deadline" });
    await assert.rejects(connection.send("x", { signal: AbortSignal.abort("stop") }), (reason) => reason === "stop");
    assert.equal(connection.queuedMessages, 0);
    await settled();
    assert.equal(peer.received.length, 0);
  });

  it("makes room for waiting calls when it is withdrawn", async () => {
    const { connection, clock, read } = await blocked({ maxQueuedBytes: charged(110, 3) });
    const late = stateOf(connection.send("x".repeat(charged(10, 1)), { timeout: 50 }));
    const [a, b] = [connection.send("aaaaa"), connection.send("bbbbb")];
    assert.equal(connection.queuedMessages, 2);
    await clock.advance(50);
    assert.equal(late.state, "rejected");
    assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [charged(110, 3), 3]);
    assert.deepEqual(await read(3), [PLUG, "aaaaa", "bbbbb"]);
    await Promise.all([a, b]);
  });

  it("is withdrawn while it waits for room", async () => {
    const { connection, clock, read } = await blocked({ maxQueuedMessages: 2 });
    const kept = connection.send("kept");
    const late = assert.rejects(connection.send("late", { timeout: 50 }), { retriable: true });
    const last = connection.send("last");
    await clock.advance(50);
    await late;
    assert.deepEqual(await read(3), [PLUG, "kept", "last"]);
    await Promise.all([kept, last]);
  });
});

describe("a send of which some bytes are written", () => {
  for (const bound of ["timeout", "deadline", "writeDeadline"] as const) {
    it(`ends the connection at its ${bound}, and every call rejects with the reason`, async () => {
      const { connection, clock, peer } = wired({ capacity: 64 });
      peer.pause();
      const deadline = clock.in(50);
      if (bound === "writeDeadline") connection.setWriteDeadline(deadline);
      const options = bound === "timeout" ? { timeout: 50 } : bound === "deadline" ? { deadline } : {};
      const half = stateOf(connection.send(PLUG, options));
      await settled();
      const receiving = stateOf(connection.receive());
      await clock.advance(50);
      const { cause, code, wasClean } = await connection.closed;
      assert.ok(cause instanceof TimeoutError);
      const { operation, limit, after, retriable } = cause;
      assert.deepEqual([operation, limit, after, retriable], ["send", bound, 50, false]);
      assert.deepEqual([code, wasClean], [1006, false]);
      assert.deepEqual([half.error === cause, receiving.error === cause], [true, true]);
    });
  }

  it("continues without its caller when its signal aborts: cancelling one call must not break the connection", async () => {
    const { connection, peer } = wired({ capacity: 64 });
    peer.pause();
    const abort = new AbortController();
    const half = stateOf(connection.send(PLUG, { signal: abort.signal }));
    await settled();
    abort.abort("enough");
    const next = connection.send("next");
    await settled();
    assert.deepEqual([half.state, half.error], ["rejected", "enough"]);
    peer.resume();
    await next;
    await settled();
    assert.deepEqual(received(peer), [PLUG, "next"]);
    assert.equal(connection.state, "OPEN");
  });

  it("is not affected by a limit that passes after the kernel has accepted it", async () => {
    const { connection, clock, peer } = wired();
    await connection.send("x", { timeout: 50 });
    connection.setWriteDeadline(clock.in(100));
    await connection.send("y");
    await clock.advance(1_000);
    assert.equal(connection.state, "OPEN");
    assert.deepEqual(received(peer), ["x", "y"]);
  });
});
