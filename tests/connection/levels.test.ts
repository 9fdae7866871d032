/** How much waits to be written: the water marks tell of it, and drain waits for the end of it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settled, wired } from "../../src/testing/index.js";
import { blocked, outcomeOf, PLUG, received } from "./blocked.js";

describe("the water marks", () => {
  it("are told once for each crossing: beyond the high one, and down to the low one", async () => {
    const told: string[] = [];
    const { connection, read } = await blocked({
      highWaterMark: 110,
      lowWaterMark: 5,
      highWater: ({ queuedBytes }) => told.push(`high ${queuedBytes}`),
      lowWater: ({ queuedBytes }) => told.push(`low ${queuedBytes}`),
    });
    connection.trySend("1234567890");
    assert.deepEqual(told, [], "at the mark is not past it");
    connection.trySend("1");
    connection.trySend("2");
    assert.deepEqual(told, ["high 111"]);
    await read(4);
    assert.deepEqual(told, ["high 111", "low 0"]);
    connection.trySend("x".repeat(111));
    await settled();
    assert.deepEqual(told.slice(2), ["high 111", "low 0"]);
  });

  it("are not told when only the low one is crossed", async () => {
    const told: string[] = [];
    const { connection, read } = await blocked({
      highWaterMark: 200,
      lowWaterMark: 50,
      lowWater: () => told.push("low"),
    });
    connection.trySend("x".repeat(60));
    await read(2);
    assert.deepEqual(told, []);
  });

  it("are told of messages that were taken back, too", async () => {
    const told: string[] = [];
    const { connection } = await blocked({
      highWaterMark: 104,
      lowWaterMark: 100,
      highWater: () => told.push("high"),
      lowWater: () => told.push("low"),
    });
    const abort = new AbortController();
    connection.send("12345", { signal: abort.signal }).catch(() => undefined);
    abort.abort();
    assert.deepEqual(told, ["high", "low"]);
  });

  it("are told when those who waited for room get it", async () => {
    const told: string[] = [];
    const { connection, read } = await blocked({
      maxQueuedBytes: 150,
      highWaterMark: 110,
      lowWaterMark: 10,
      highWater: ({ queuedBytes }) => told.push(`high ${queuedBytes}`),
      lowWater: ({ queuedBytes }) => told.push(`low ${queuedBytes}`),
    });
    const sent = connection.send("x".repeat(150));
    await read(2);
    await sent;
    assert.deepEqual(told, ["high 150", "low 0"]);
  });

  it("end the connection when their hooks throw", async () => {
    const errors: unknown[] = [];
    const boom = new Error("boom");
    const { connection } = await blocked({
      highWaterMark: 100,
      highWater: () => {
        throw boom;
      },
      onError: (error) => errors.push(error),
    });
    connection.trySend("x");
    assert.deepEqual([connection.state, errors], ["CLOSING", [boom]]);
  });
});

describe("drain", () => {
  it("resolves at once when nothing waits", async () => {
    const { connection } = wired();
    await connection.drain();
  });

  it("resolves when the kernel has everything, and not before", async () => {
    const { connection, wire, read } = await blocked();
    const sent = [connection.send("a"), connection.send("b")].map(outcomeOf);
    const drained = outcomeOf(connection.drain());
    await settled();
    assert.equal(drained.state, "pending");
    await read(3);
    assert.equal(drained.state, "resolved");
    assert.ok(sent.every(({ state }) => state === "resolved"));
    assert.deepEqual(received(wire), [PLUG, "a", "b"]);
  });

  it("resolves when what it waited for is taken back", async () => {
    const { connection } = wired();
    const abort = new AbortController();
    const sent = assert.rejects(connection.send("x", { signal: abort.signal }), { name: "AbortError" });
    const drained = connection.drain();
    abort.abort();
    await Promise.all([sent, drained]);
  });

  it("waits for messages that wait for room, and for those in parts", async () => {
    const { connection, read } = await blocked({ maxQueuedMessages: 2 });
    const writer = connection.writer("text");
    const sent = connection.send("b");
    const drained = outcomeOf(connection.drain());
    await read(1);
    assert.equal(drained.state, "pending");
    await writer.end("a");
    assert.deepEqual(await read(3), [PLUG, "a", "b"]);
    await sent;
    assert.equal(drained.state, "resolved");
  });

  it("has bounds of its own, and leaves the connection as it is when one is reached", async () => {
    const { connection, clock, read } = await blocked();
    const facts = { code: "TIMEOUT", operation: "drain", limit: "timeout", bound: 50, after: 50, retriable: true };
    const timedOut = assert.rejects(connection.drain({ timeout: 50 }), facts);
    const aborted = assert.rejects(
      connection.drain({ signal: AbortSignal.abort("enough") }),
      (reason) => reason === "enough",
    );
    await clock.advance(50);
    await Promise.all([timedOut, aborted]);
    const again = connection.drain();
    await read(1);
    await again;
    assert.equal(connection.state, "OPEN");
  });

  it("rejects with the reason of the connection's end", async () => {
    const { connection } = await blocked();
    const drained = outcomeOf(connection.drain());
    const boom = new Error("boom");
    connection.terminate(boom);
    await settled();
    assert.equal((drained.error as Error).cause, boom);
    await assert.rejects(connection.drain(), (error) => error === drained.error);
  });
});
