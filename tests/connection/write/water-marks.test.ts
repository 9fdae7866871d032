/** The size of the send queue: reported by the water marks, and awaited by drain. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settled, wired } from "../../../src/testing/index.ts";
import { blocked, charged, PLUG, received, stateOf } from "../../kit/blocked-connection.ts";

describe("the water marks", () => {
  it("are reported once for each crossing: above the high one, and down to the low one", async () => {
    const events: string[] = [];
    const { connection, read } = await blocked({
      highWaterMark: charged(110, 2),
      lowWaterMark: 5,
      highWater: ({ queuedBytes }) => events.push(`high ${queuedBytes}`),
      lowWater: ({ queuedBytes }) => events.push(`low ${queuedBytes}`),
    });
    connection.trySend("1234567890");
    assert.deepEqual(events, [], "at the mark is not past it");
    connection.trySend("1");
    connection.trySend("2");
    assert.deepEqual(events, [`high ${charged(111, 3)}`]);
    await read(4);
    assert.deepEqual(events, [`high ${charged(111, 3)}`, "low 0"]);
    connection.trySend("x".repeat(charged(111, 1)));
    await settled();
    assert.deepEqual(events.slice(2), [`high ${charged(111, 2)}`, "low 0"]);
  });

  it("are not reported if only the low one is crossed", async () => {
    const events: string[] = [];
    const { connection, read } = await blocked({
      highWaterMark: charged(200, 2),
      lowWaterMark: 50,
      lowWater: () => events.push("low"),
    });
    connection.trySend("x".repeat(60));
    await read(2);
    assert.deepEqual(events, []);
  });

  it("are reported also for messages that were withdrawn", async () => {
    const events: string[] = [];
    const { connection } = await blocked({
      highWaterMark: charged(104, 2),
      lowWaterMark: charged(100, 1),
      highWater: () => events.push("high"),
      lowWater: () => events.push("low"),
    });
    const abort = new AbortController();
    connection.send("12345", { signal: abort.signal }).catch(() => undefined);
    abort.abort();
    assert.deepEqual(events, ["high", "low"]);
  });

  it("are reported when calls that waited for room are queued", async () => {
    const events: string[] = [];
    const { connection, read } = await blocked({
      maxQueuedBytes: charged(200, 1),
      highWaterMark: charged(150, 1),
      lowWaterMark: 10,
      highWater: ({ queuedBytes }) => events.push(`high ${queuedBytes}`),
      lowWater: ({ queuedBytes }) => events.push(`low ${queuedBytes}`),
    });
    const sent = connection.send("x".repeat(200));
    assert.deepEqual(events, []);
    await read(2);
    await sent;
    assert.deepEqual(events, [`high ${charged(200, 1)}`, "low 0"]);
  });

  it("end the connection if their hooks throw", async () => {
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
  it("resolves at once if nothing waits", async () => {
    const { connection } = wired();
    await connection.drain();
  });

  it("resolves when the kernel has accepted everything, and not before", async () => {
    const { connection, peer, read } = await blocked();
    const sent = [connection.send("a"), connection.send("b")].map(stateOf);
    const drained = stateOf(connection.drain());
    await settled();
    assert.equal(drained.state, "pending");
    await read(3);
    assert.equal(drained.state, "resolved");
    assert.ok(sent.every(({ state }) => state === "resolved"));
    assert.deepEqual(received(peer), [PLUG, "a", "b"]);
  });

  it("resolves when the message that it waits for is withdrawn", async () => {
    const { connection } = wired();
    const abort = new AbortController();
    const sent = assert.rejects(connection.send("x", { signal: abort.signal }), { name: "AbortError" });
    const drained = connection.drain();
    abort.abort();
    await Promise.all([sent, drained]);
  });

  it("waits also for messages that wait for room, and for messages in parts", async () => {
    const { connection, read } = await blocked({ maxQueuedMessages: 2 });
    const writer = connection.writer("text");
    const sent = connection.send("b");
    const drained = stateOf(connection.drain());
    await read(1);
    assert.equal(drained.state, "pending");
    await writer.end("a");
    assert.deepEqual(await read(3), [PLUG, "a", "b"]);
    await sent;
    assert.equal(drained.state, "resolved");
  });

  it("has its own limits, which do not affect the connection", async () => {
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
    const drained = stateOf(connection.drain());
    const boom = new Error("boom");
    connection.terminate(boom);
    await settled();
    assert.equal((drained.error as Error).cause, boom);
    await assert.rejects(connection.drain(), (error) => error === drained.error);
  });
});
