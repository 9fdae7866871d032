/** Messages written in parts: their frames, the messages behind them, and the ways in which they end early. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ClosedError, TimeoutError } from "../../../src/index.ts";
import { type RawPeer, settled, wired } from "../../../src/testing/index.ts";
import { blocked, charged, PLUG, received, refusedMessageOf, stateOf } from "../../kit/blocked-connection.ts";
import { FrameReader, framesIn, peerFrame } from "../../kit/frames.ts";

/** The complete frames that the peer received: the opcode, whether the frame is the last one, and its payload. */
const shapes = (wire: RawPeer): [number, boolean, string][] =>
  new FrameReader().push(wire.received).map(({ opcode, fin, payload }) => [opcode, fin, payload.toString()]);

describe("the parts of a message", () => {
  it("leave as fragments, and the last one ends the message", async () => {
    const { connection, peer } = wired();
    const writer = connection.writer("text");
    await writer.write("a");
    await writer.write("b");
    await settled();
    assert.deepEqual(shapes(peer), [
      [1, false, "a"],
      [0, false, "b"],
    ]);
    await writer.end("c");
    await settled();
    assert.deepEqual(shapes(peer).slice(2), [[0, true, "c"]]);
  });

  it("leave in one write if they are written in one turn, in the order of the calls", async () => {
    const { connection, peer } = wired({ role: "client" });
    const writer = connection.writer();
    const parts = [writer.write("a"), writer.write(new Uint8Array([98])), writer.end(new Uint16Array([0x6363]))];
    await Promise.all(parts);
    await settled();
    assert.deepEqual(shapes(peer), [
      [2, false, "a"],
      [0, false, "b"],
      [0, true, "cc"],
    ]);
    assert.ok(framesIn(peer.received).every(({ masked }) => masked));
  });

  it("are one frame if there is one part, and one empty frame if there is none", async () => {
    const { connection, peer } = wired();
    await connection.writer("text").end("whole");
    await connection.writer().end();
    await settled();
    assert.deepEqual(shapes(peer), [
      [1, true, "whole"],
      [2, true, ""],
    ]);
  });

  it("may be larger than a write, with pings and pongs between the frames and never inside one", async () => {
    const { connection, peer } = wired({ role: "client", capacity: 5_000 });
    const sizes = [200_000, 10, 65_536, 300_000];
    const writer = connection.writer();
    const parts = sizes.map((size) => writer.write(new Uint8Array(size).fill(size & 0xff)));
    parts.push(writer.end());
    await settled();
    const rtt = connection.ping();
    await settled();
    peer.write(peerFrame({ opcode: 9, payload: "asked" }));
    await Promise.all(parts);
    await settled();
    const frames = framesIn(peer.received);
    assert.deepEqual(
      frames.map(({ opcode, fin, payload }) => (opcode < 8 ? [opcode, fin, payload.length] : opcode)),
      [[2, false, 200_000], 9, 10, [0, false, 10], [0, false, 65_536], [0, false, 300_000], [0, true, 0]],
    );
    for (const [index, { payload }] of frames.filter(({ opcode }) => opcode < 8).entries()) {
      assert.ok(payload.every((byte) => byte === (sizes[index]! & 0xff)));
    }
    peer.write(peerFrame({ opcode: 10, payload: frames[1]!.payload }));
    assert.equal(await rtt, 0);
  });

  it("wait up to maxQueuedMessages, and a further part is rejected and returned in the error", async () => {
    const { connection, read } = await blocked({ maxQueuedMessages: 3 });
    const writer = connection.writer("text");
    const parts = ["a", "b", "c"].map((part) => writer.write(part));
    const refused = stateOf(writer.write("d"));
    await settled();
    assert.equal(refusedMessageOf(refused.error), "d");
    const read1 = await read(1);
    assert.deepEqual(read1, [PLUG]);
    await Promise.all(parts);
    await writer.end("e");
    await settled();
    assert.deepEqual(await read(2), [PLUG, "abce"]);
  });

  it("end the message on a framing with a delimiter, also if the last part is empty", async () => {
    const { connection, peer } = wired({ kind: "tcp", framing: { delimiter: "\r\n" } });
    const writer = connection.writer();
    await writer.write("");
    await writer.write("a");
    await writer.write("");
    connection.trySend("behind");
    await writer.end("b");
    await connection.writer().end();
    await settled();
    assert.equal(Buffer.from(peer.received).toString(), "ab\r\nbehind\r\n\r\n");
  });

  it("must not form a delimiter, not even across two parts that are written in one turn", async () => {
    const { connection, peer } = wired({ kind: "tcp", framing: { delimiter: "\r\n" } });
    const writer = connection.writer();
    const first = writer.write("a\r");
    await assert.rejects(writer.write("\nb"), RangeError);
    await assert.rejects(writer.write("b\r\n"), RangeError);
    await first;
    await writer.end("b");
    await settled();
    assert.equal(Buffer.from(peer.received).toString(), "a\rb\r\n");
  });
});

it("the parts of one message are validated independently of other messages that are written meanwhile", async () => {
  const { connection, peer } = wired({ kind: "tcp", framing: { delimiter: "\r\n" } });
  const [one, other] = [connection.writer(), connection.writer()];
  await one.write("a\r");
  const b = other.write("b\r");
  connection.trySend("whole");
  await assert.rejects(one.write("\nc"), RangeError);
  await one.end("c");
  await b;
  await other.end("c");
  await settled();
  assert.equal(Buffer.from(peer.received).toString(), "a\rc\r\nb\rc\r\nwhole\r\n");
});

describe("a message sent while another one is written in parts", () => {
  it("waits until that one has ended, for every sender", async () => {
    const { connection, peer } = wired();
    const [one, other] = [connection.writer("text"), connection.writer("text")];
    const sent = stateOf(connection.send("behind"));
    const [b1, b2] = [other.write("b1"), other.end("b2")].map(stateOf);
    await one.write("a1");
    await settled();
    assert.deepEqual(received(peer), []);
    assert.deepEqual([b1?.state, b2?.state, sent.state], ["pending", "pending", "pending"]);
    await one.end("a2");
    await settled();
    assert.deepEqual(received(peer), ["a1a2", "b1b2", "behind"]);
    assert.deepEqual([b1?.state, b2?.state, sent.state], ["resolved", "resolved", "resolved"]);
  });

  it("counts in the queue, and the message in parts counts as one message without bytes", async () => {
    const { connection } = wired({ connection: { maxQueuedMessages: 2, maxQueuedBytes: charged(10, 2) } });
    const writer = connection.writer("text");
    await writer.write("x".repeat(100));
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [1, charged(0, 1)]);
    assert.equal(connection.trySend("behind"), "queued");
    assert.equal(connection.trySend("more"), "refused");
    await writer.end();
    await connection.drain();
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [0, 0]);
  });

  it("has a defined place when the queue is full: a writer waits for room as a send does", async () => {
    const { connection, read } = await blocked({ maxQueuedMessages: 2 });
    const sent = connection.send("a");
    const writer = connection.writer("text");
    const parts = [writer.write("b1"), writer.end("b2")];
    assert.doesNotThrow(() => connection.writer("text"));
    assert.throws(() => connection.writer("text"), { code: "LIMIT", limit: "maxQueuedMessages" });
    assert.deepEqual(await read(3), [PLUG, "a", "b1b2"]);
    await Promise.all([sent, ...parts]);
  });

  it("leaves at once when the message in parts is aborted before a byte of it was written", async () => {
    const { connection, peer } = wired();
    const writer = connection.writer("text");
    const behind = connection.send("behind");
    await settled();
    assert.equal(peer.received.length, 0);
    writer.abort();
    await behind;
    await settled();
    assert.deepEqual(shapes(peer), [[1, true, "behind"]]);
    await assert.rejects(writer.write("late"), { name: "TypeError", message: /has ended/ });
  });
});

describe("a part whose limit is reached", () => {
  it("is withdrawn if no byte of it was written, and the message continues without it", async () => {
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

  it("leaves the message ended if another part has ended it", async () => {
    const { connection, clock, read } = await blocked();
    const writer = connection.writer("text");
    const late = assert.rejects(writer.write("a", { timeout: 50 }), { retriable: true });
    const ended = writer.end("b");
    const behind = connection.send("behind");
    await clock.advance(50);
    await late;
    assert.deepEqual(await read(3), [PLUG, "b", "behind"]);
    await Promise.all([ended, behind]);
    await assert.rejects(writer.write("c"), TypeError);
  });

  it("can be written again if it was the last part: the message has not ended", async () => {
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

  it("can be written again if its limit had passed before the call", async () => {
    const { connection, peer } = wired();
    const writer = connection.writer("text");
    await assert.rejects(writer.write("a", { timeout: 0 }), { code: "TIMEOUT", retriable: true });
    await assert.rejects(writer.end("b", { timeout: 0 }), { code: "TIMEOUT", retriable: true });
    await writer.end("c");
    await settled();
    assert.deepEqual(shapes(peer), [[1, true, "c"]]);
  });

  it("ends the connection if some of its bytes are written", async () => {
    const { connection, clock, peer } = wired({ capacity: 64 });
    peer.pause();
    const writer = connection.writer("text");
    const half = stateOf(writer.write(PLUG, { timeout: 50 }));
    await settled();
    await clock.advance(50);
    const { cause } = await connection.closed;
    assert.equal(half.error, cause);
    assert.deepEqual([cause instanceof TimeoutError, (cause as TimeoutError).retriable], [true, false]);
  });
});

describe("a message that is aborted", () => {
  it("ends the connection if some of its bytes are written, because nothing else can notify the peer", async () => {
    const { connection, peer } = wired();
    const boom = new Error("boom");
    const writer = connection.writer("text");
    await writer.write("a");
    writer.abort(boom);
    const { code, cause } = await connection.closed;
    assert.equal(code, 1006);
    assert.equal((cause as ClosedError).cause, boom);
    await settled();
    assert.equal(peer.closed, true);
  });

  it("rejects its waiting parts with the reason, and has no effect on the peer if nothing was written", async () => {
    const { connection, read } = await blocked();
    const boom = new Error("boom");
    const writer = connection.writer("text");
    const parts = [writer.write("a"), writer.write("b")].map(stateOf);
    writer.abort(boom);
    await settled();
    assert.ok(parts.every(({ error }) => error === boom));
    const next = connection.send("next");
    assert.deepEqual(await read(2), [PLUG, "next"]);
    await next;
  });

  it("is aborted when its scope is left before it has ended", async () => {
    const { connection, peer } = wired();
    {
      await using _writer = connection.writer("text");
    }
    {
      await using writer = connection.writer("text");
      await writer.end("whole");
    }
    await settled();
    assert.deepEqual(shapes(peer), [[1, true, "whole"]]);
    assert.equal(connection.state, "OPEN");
  });
});

it("a framing that needs the size of a message first has no writer", () => {
  const { connection } = wired({ kind: "tcp", framing: { lengthPrefix: 4 } });
  assert.throws(() => connection.writer(), TypeError);
});

it("a write after the end of its message is a TypeError", async () => {
  const { connection } = wired();
  const writer = connection.writer("text");
  await writer.end("whole");
  await assert.rejects(writer.write("more"), TypeError);
  await assert.rejects(writer.end(), TypeError);
});
