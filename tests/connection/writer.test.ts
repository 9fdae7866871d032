/** Messages written in parts: what is on the wire, what waits behind them, and the ways in which they end early. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ClosedError, TimeoutError } from "../../src/index.js";
import { settled, type Wire, wired } from "../../src/testing/index.js";
import { peerFrame } from "../engine/peer-frames.js";
import { FrameReader, framesIn } from "../frames.js";
import { blocked, handedBack, outcomeOf, PLUG, received } from "./blocked.js";

/** The frames that have come whole: opcode, whether it is the last, and its payload. */
const shapes = (wire: Wire): [number, boolean, string][] =>
  new FrameReader().push(wire.received).map(({ opcode, fin, payload }) => [opcode, fin, payload.toString()]);

describe("the parts of a message", () => {
  it("leave as fragments, the last of which ends it", async () => {
    const { connection, wire } = wired();
    const writer = connection.writer("text");
    await writer.write("a");
    await writer.write("b");
    await settled();
    assert.deepEqual(shapes(wire), [
      [1, false, "a"],
      [0, false, "b"],
    ]);
    await writer.end("c");
    await settled();
    assert.deepEqual(shapes(wire).slice(2), [[0, true, "c"]]);
  });

  it("leave in one write when they are written in one turn, and in the order of the calls", async () => {
    const { connection, wire } = wired({ role: "client" });
    const writer = connection.writer();
    const parts = [writer.write("a"), writer.write(new Uint8Array([98])), writer.end(new Uint16Array([0x6363]))];
    await Promise.all(parts);
    await settled();
    assert.deepEqual(shapes(wire), [
      [2, false, "a"],
      [0, false, "b"],
      [0, true, "cc"],
    ]);
    assert.ok(framesIn(wire.received).every(({ masked }) => masked));
  });

  it("are a message of one frame when there is one, and of one empty frame when there is none", async () => {
    const { connection, wire } = wired();
    await connection.writer("text").end("whole");
    await connection.writer().end();
    await settled();
    assert.deepEqual(shapes(wire), [
      [1, true, "whole"],
      [2, true, ""],
    ]);
  });

  it("may be larger than a write, with pings and pongs between them and inside none", async () => {
    const { connection, wire } = wired({ role: "client", capacity: 5_000 });
    const sizes = [200_000, 10, 65_536, 300_000];
    const writer = connection.writer();
    const parts = sizes.map((size) => writer.write(new Uint8Array(size).fill(size & 0xff)));
    parts.push(writer.end());
    await settled();
    const rtt = connection.ping();
    await settled();
    wire.write(peerFrame({ opcode: 9, payload: "asked" }));
    await Promise.all(parts);
    await settled();
    const frames = framesIn(wire.received);
    assert.deepEqual(
      frames.map(({ opcode, fin, payload }) => (opcode < 8 ? [opcode, fin, payload.length] : opcode)),
      [[2, false, 200_000], 9, 10, [0, false, 10], [0, false, 65_536], [0, false, 300_000], [0, true, 0]],
    );
    for (const [index, { payload }] of frames.filter(({ opcode }) => opcode < 8).entries()) {
      assert.ok(payload.every((byte) => byte === (sizes[index]! & 0xff)));
    }
    wire.write(peerFrame({ opcode: 10, payload: frames[1]!.payload }));
    assert.equal(await rtt, 0);
  });

  it("wait as many as maxQueuedMessages, and one more is handed back", async () => {
    const { connection, read } = await blocked({ maxQueuedMessages: 3 });
    const writer = connection.writer("text");
    const parts = ["a", "b", "c"].map((part) => writer.write(part));
    const refused = outcomeOf(writer.write("d"));
    await settled();
    assert.equal(handedBack(refused.error), "d");
    const read1 = await read(1);
    assert.deepEqual(read1, [PLUG]);
    await Promise.all(parts);
    await writer.end("e");
    await settled();
    assert.deepEqual(await read(2), [PLUG, "abce"]);
  });

  it("end on a framing with a delimiter too, of which an empty part is no sign", async () => {
    const { connection, wire } = wired({ protocol: "tcp", framing: { delimiter: "\r\n" } });
    const writer = connection.writer();
    await writer.write("");
    await writer.write("a");
    await writer.write("");
    connection.trySend("behind");
    await writer.end("b");
    await connection.writer().end();
    await settled();
    assert.equal(Buffer.from(wire.received).toString(), "ab\r\nbehind\r\n\r\n");
  });

  it("must not make a delimiter, be it across two of them that are written in one turn", async () => {
    const { connection, wire } = wired({ protocol: "tcp", framing: { delimiter: "\r\n" } });
    const writer = connection.writer();
    const first = writer.write("a\r");
    assert.throws(() => writer.write("\nb"), RangeError);
    assert.throws(() => writer.write("b\r\n"), RangeError);
    await first;
    await writer.end("b");
    await settled();
    assert.equal(Buffer.from(wire.received).toString(), "a\rb\r\n");
  });
});

it("the parts of one message are judged without those of others that are written meanwhile", async () => {
  const { connection, wire } = wired({ protocol: "tcp", framing: { delimiter: "\r\n" } });
  const [one, other] = [connection.writer(), connection.writer()];
  await one.write("a\r");
  const b = other.write("b\r");
  connection.trySend("whole");
  assert.throws(() => one.write("\nc"), RangeError);
  await one.end("c");
  await b;
  await other.end("c");
  await settled();
  assert.equal(Buffer.from(wire.received).toString(), "a\rc\r\nb\rc\r\nwhole\r\n");
});

describe("what is sent while a message is being written in parts", () => {
  it("waits behind its end, whoever sent it", async () => {
    const { connection, wire } = wired();
    const [one, other] = [connection.writer("text"), connection.writer("text")];
    const sent = outcomeOf(connection.send("behind"));
    const [b1, b2] = [other.write("b1"), other.end("b2")].map(outcomeOf);
    await one.write("a1");
    await settled();
    assert.deepEqual(received(wire), []);
    assert.deepEqual([b1?.state, b2?.state, sent.state], ["pending", "pending", "pending"]);
    await one.end("a2");
    await settled();
    assert.deepEqual(received(wire), ["a1a2", "b1b2", "behind"]);
    assert.deepEqual([b1?.state, b2?.state, sent.state], ["resolved", "resolved", "resolved"]);
  });

  it("counts in the queue, and the message itself as one without bytes", async () => {
    const { connection } = wired({ connection: { maxQueuedMessages: 2, maxQueuedBytes: 10 } });
    const writer = connection.writer("text");
    await writer.write("x".repeat(100));
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [1, 0]);
    assert.equal(connection.trySend("behind"), "queued");
    assert.equal(connection.trySend("more"), "refused");
    await writer.end();
    await connection.drain();
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [0, 0]);
  });

  it("finds its place when the queue is full: a writer waits for one as a send does", async () => {
    const { connection, read } = await blocked({ maxQueuedMessages: 2 });
    const sent = connection.send("a");
    const writer = connection.writer("text");
    const parts = [writer.write("b1"), writer.end("b2")];
    assert.doesNotThrow(() => connection.writer("text"));
    assert.throws(() => connection.writer("text"), { code: "LIMIT", limit: "maxQueuedMessages" });
    assert.deepEqual(await read(3), [PLUG, "a", "b1b2"]);
    await Promise.all([sent, ...parts]);
  });

  it("leaves at once when a message of which nothing was written is given up", async () => {
    const { connection, wire } = wired();
    const writer = connection.writer("text");
    const behind = connection.send("behind");
    await settled();
    assert.equal(wire.received.length, 0);
    writer.abort();
    await behind;
    await settled();
    assert.deepEqual(shapes(wire), [[1, true, "behind"]]);
    assert.throws(() => writer.write("late"), { name: "TypeError", message: /has ended/ });
  });
});

describe("a part whose bound is reached", () => {
  it("is taken back before anything of it was written, and the message goes on without it", async () => {
    const { connection, clock, read } = await blocked();
    const writer = connection.writer("text");
    const facts = { code: "TIMEOUT", operation: "send", limit: "timeout", retriable: true };
    const late = ["x", "y"].map((part) => assert.rejects(writer.write(part, { timeout: 50 }), facts));
    const kept = writer.write("a");
    const aborted = new AbortController();
    const stopped = assert.rejects(writer.write("z", { signal: aborted.signal }), (reason) => reason === "stop");
    aborted.abort("stop");
    await clock.advance(50);
    await Promise.all([...late, stopped]);
    await read(1);
    await kept;
    await writer.end("b");
    assert.deepEqual(await read(2), [PLUG, "ab"]);
    assert.equal(connection.state, "OPEN");
  });

  it("leaves the message ended if that it has been", async () => {
    const { connection, clock, read } = await blocked();
    const writer = connection.writer("text");
    const late = assert.rejects(writer.write("a", { timeout: 50 }), { retriable: true });
    const ended = writer.end("b");
    const behind = connection.send("behind");
    await clock.advance(50);
    await late;
    assert.deepEqual(await read(3), [PLUG, "b", "behind"]);
    await Promise.all([ended, behind]);
    assert.throws(() => writer.write("c"), TypeError);
  });

  it("is yet to be written if it was the last: the message has not ended", async () => {
    const { connection, clock, read } = await blocked();
    const writer = connection.writer("text");
    const first = writer.write("a");
    const timedOut = assert.rejects(writer.end("b", { timeout: 50 }), { retriable: true });
    const behind = connection.send("behind");
    await clock.advance(50);
    await timedOut;
    await read(1);
    await first;
    await writer.end("c");
    assert.deepEqual(await read(3), [PLUG, "ac", "behind"]);
    await behind;
  });

  it("is yet to be written if its bound had passed before the call", async () => {
    const { connection, wire } = wired();
    const writer = connection.writer("text");
    await assert.rejects(writer.write("a", { timeout: 0 }), { code: "TIMEOUT", retriable: true });
    await assert.rejects(writer.end("b", { timeout: 0 }), { code: "TIMEOUT", retriable: true });
    await writer.end("c");
    await settled();
    assert.deepEqual(shapes(wire), [[1, true, "c"]]);
  });

  it("ends the connection when part of it is on the wire", async () => {
    const { connection, clock, wire } = wired({ capacity: 64 });
    wire.pause();
    const writer = connection.writer("text");
    const half = outcomeOf(writer.write(PLUG, { timeout: 50 }));
    await settled();
    await clock.advance(50);
    const { cause } = await connection.closed;
    assert.equal(half.error, cause);
    assert.deepEqual([cause instanceof TimeoutError, (cause as TimeoutError).retriable], [true, false]);
  });
});

describe("a message that is given up", () => {
  it("ends the connection if part of it is on the wire, since nothing else can tell the peer", async () => {
    const { connection, wire } = wired();
    const boom = new Error("boom");
    const writer = connection.writer("text");
    await writer.write("a");
    writer.abort(boom);
    const { code, cause } = await connection.closed;
    assert.equal(code, 1006);
    assert.equal((cause as ClosedError).cause, boom);
    await settled();
    assert.equal(wire.closed, true);
  });

  it("rejects what waits of it with the reason, and leaves no trace if nothing was written", async () => {
    const { connection, read } = await blocked();
    const boom = new Error("boom");
    const writer = connection.writer("text");
    const parts = [writer.write("a"), writer.write("b")].map(outcomeOf);
    writer.abort(boom);
    await settled();
    assert.ok(parts.every(({ error }) => error === boom));
    const next = connection.send("next");
    assert.deepEqual(await read(2), [PLUG, "next"]);
    await next;
  });

  it("is given up by whoever leaves its scope without having ended it", async () => {
    const { connection, wire } = wired();
    {
      await using _writer = connection.writer("text");
    }
    {
      await using writer = connection.writer("text");
      await writer.end("whole");
    }
    await settled();
    assert.deepEqual(shapes(wire), [[1, true, "whole"]]);
    assert.equal(connection.state, "OPEN");
  });
});

it("a framing that needs each message's size first has no writer", () => {
  const { connection } = wired({ protocol: "tcp", framing: { lengthPrefix: 4 } });
  assert.throws(() => connection.writer(), TypeError);
});

it("a write behind the end of its message is a mistake", async () => {
  const { connection } = wired();
  const writer = connection.writer("text");
  await writer.end("whole");
  assert.throws(() => writer.write("more"), TypeError);
  assert.throws(() => writer.end(), TypeError);
});
