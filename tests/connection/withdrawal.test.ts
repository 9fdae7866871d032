/** Sends whose bound is reached: taken back while nothing is on the wire, and the connection's end when something is. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TimeoutError } from "../../src/index.js";
import { settled, wired } from "../../src/testing/index.js";
import { blocked, outcomeOf, PLUG, received } from "./blocked.js";

describe("a send that has not begun to be written", () => {
  it("is taken back when its timeout is reached, and the connection lives", async () => {
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

  it("is taken back when its deadline is reached", async () => {
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

  it("is taken back when the connection's write deadline is reached, which later sends find spent until it is renewed", async () => {
    const { connection, clock, wire } = wired({ capacity: 64 });
    wire.pause();
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
    wire.resume();
    await next;
    await settled();
    assert.deepEqual(received(wire), [PLUG, "next"]);
  });

  it("is taken back when its signal aborts, and rejects with the signal's reason untouched", async () => {
    const { connection, read } = await blocked();
    const abort = new AbortController();
    const reason = { any: "thing" };
    const outcome = outcomeOf(connection.send("no more", { signal: abort.signal }));
    abort.abort(reason);
    await settled();
    assert.equal(outcome.error, reason);
    assert.equal(connection.queuedMessages, 1);
    const next = connection.send("next");
    assert.deepEqual(await read(2), [PLUG, "next"]);
    await next;
  });

  it("is not even queued if a bound has passed already", async () => {
    const { connection, clock, wire } = wired();
    const spent = { code: "TIMEOUT", after: 0, retriable: true };
    await assert.rejects(connection.send("x", { timeout: 0 }), { ...spent, limit: "timeout" });
    await assert.rejects(connection.send("x", { deadline: clock.in(0) }), { ...spent, limit: "deadline" });
    await assert.rejects(connection.send("x", { signal: AbortSignal.abort("stop") }), (reason) => reason === "stop");
    assert.equal(connection.queuedMessages, 0);
    await settled();
    assert.equal(wire.received.length, 0);
  });

  it("makes room when it is taken back, for those who wait for it", async () => {
    const { connection, clock, read } = await blocked({ maxQueuedBytes: 110 });
    const late = outcomeOf(connection.send("1234567890", { timeout: 50 }));
    const [a, b] = [connection.send("aaaaa"), connection.send("bbbbb")];
    assert.equal(connection.queuedBytes, 110);
    await clock.advance(50);
    assert.equal(late.state, "rejected");
    assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [110, 3]);
    assert.deepEqual(await read(3), [PLUG, "aaaaa", "bbbbb"]);
    await Promise.all([a, b]);
  });

  it("is taken back from among those who wait for room", async () => {
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

describe("a send of which part is on the wire", () => {
  for (const bound of ["timeout", "deadline", "writeDeadline"] as const) {
    it(`ends the connection when its ${bound} is reached, and everybody is told why`, async () => {
      const { connection, clock, wire } = wired({ capacity: 64 });
      wire.pause();
      const deadline = clock.in(50);
      if (bound === "writeDeadline") connection.setWriteDeadline(deadline);
      const options = bound === "timeout" ? { timeout: 50 } : bound === "deadline" ? { deadline } : {};
      const half = outcomeOf(connection.send(PLUG, options));
      await settled();
      const receiving = outcomeOf(connection.receive());
      await clock.advance(50);
      const { cause, code, wasClean } = await connection.closed;
      assert.ok(cause instanceof TimeoutError);
      const { operation, limit, after, retriable } = cause;
      assert.deepEqual([operation, limit, after, retriable], ["send", bound, 50, false]);
      assert.deepEqual([code, wasClean], [1006, false]);
      assert.deepEqual([half.error === cause, receiving.error === cause], [true, true]);
    });
  }

  it("goes on without its caller when its signal aborts: to cancel one call must not break the connection", async () => {
    const { connection, wire } = wired({ capacity: 64 });
    wire.pause();
    const abort = new AbortController();
    const half = outcomeOf(connection.send(PLUG, { signal: abort.signal }));
    await settled();
    abort.abort("enough");
    const next = connection.send("next");
    await settled();
    assert.deepEqual([half.state, half.error], ["rejected", "enough"]);
    wire.resume();
    await next;
    await settled();
    assert.deepEqual(received(wire), [PLUG, "next"]);
    assert.equal(connection.state, "OPEN");
  });

  it("is not ended by a bound that comes after the kernel has it", async () => {
    const { connection, clock, wire } = wired();
    await connection.send("x", { timeout: 50 });
    connection.setWriteDeadline(clock.in(100));
    await connection.send("y");
    await clock.advance(1_000);
    assert.equal(connection.state, "OPEN");
    assert.deepEqual(received(wire), ["x", "y"]);
  });
});
