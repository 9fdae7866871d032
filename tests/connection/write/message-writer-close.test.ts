/** Messages in parts when the connection closes: ended ones are sent, others are truncated, and the close does not wait. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError } from "../../../src/index.ts";
import { ManualClock, pair, type RawPeer, settled, type Wired, wired } from "../../../src/testing/index.ts";
import { blocked, stateOf } from "../../kit/blocked-connection.ts";
import { FrameReader, framesIn, KEY, messagesIn, peerFrame } from "../../kit/frames.ts";

/** The complete frames that the peer received: the opcode, and whether the frame is the last one. */
const shapes = (wire: RawPeer): [number, boolean][] =>
  new FrameReader().push(wire.received).map(({ opcode, fin }) => [opcode, fin]);

describe("a message in parts when the connection closes", () => {
  it("is sent completely before the Close if it has ended", async () => {
    const { client, server } = pair({ client: { maxMessageSize: 1_000_000 } });
    const writer = client.writer("text");
    const parts = [writer.write("a"), writer.write("b"), writer.end("c")];
    const behind = client.send("behind");
    const closed = client.close();
    assert.equal(await server.receive(), "abc");
    assert.equal(await server.receive(), "behind");
    await Promise.all([...parts, behind]);
    const { wasClean, code } = await closed;
    assert.deepEqual([wasClean, code], [true, 1000]);
  });

  it("is truncated if it has not ended, and the Close follows at once", async () => {
    const { connection, peer } = wired();
    const writer = connection.writer("text");
    await writer.write("half");
    const behind = stateOf(connection.send("behind"));
    const closed = connection.close(1000, "enough");
    const [late, end] = [writer.write("late"), writer.end()].map(stateOf);
    await settled();
    assert.deepEqual(shapes(peer), [
      [1, false],
      [8, true],
    ]);
    for (const { error } of [behind, late!, end!]) {
      assert.ok(error instanceof ClosedError);
      assert.deepEqual([error.closeCode, error.reason], [1000, "enough"]);
    }
    peer.write(peerFrame({ opcode: 8, payload: new Uint8Array([3, 232]), key: KEY }));
    peer.end();
    assert.equal((await closed).wasClean, true);
    assert.doesNotThrow(() => writer.abort());
  });

  it("is truncated once: a later abort does not disturb the closing handshake", async () => {
    const { client, server } = pair();
    const { closed } = client;
    {
      await using writer = client.writer("text");
      await writer.write("half");
      void client.close();
    }
    assert.deepEqual([(await closed).wasClean, (await server.closed).wasClean], [true, true]);
  });

  it("is not sent at all if the kernel has none of it, and the messages behind it are sent", async () => {
    const { connection, read, peer } = await blocked();
    const writer = connection.writer("text");
    const part = stateOf(writer.write("never"));
    const behind = connection.send("behind");
    void connection.close();
    await read(2);
    await behind;
    assert.deepEqual(
      shapes(peer).map(([opcode]) => opcode),
      [1, 1, 8],
    );
    assert.ok(part.error instanceof ClosedError);
  });

  it("is truncated after the part that is being written, which is completed", async () => {
    const { connection, peer } = wired({ capacity: 1_000 });
    const writer = connection.writer();
    const parts = [writer.write(new Uint8Array(200_000)), writer.write("never")].map(stateOf);
    await settled();
    void connection.close();
    await peer.until(({ received }) => new FrameReader().push(received).length === 2);
    const frames = framesIn(peer.received);
    assert.deepEqual(
      frames.map(({ opcode, fin, payload }) => [opcode, fin, payload.length]),
      [
        [2, false, 200_000],
        [8, true, 2],
      ],
    );
    assert.deepEqual(messagesIn(frames), []);
    await settled();
    assert.deepEqual([parts[0]?.state, parts[1]?.state], ["resolved", "rejected"]);
  });

  it("does not delay the end when the peer closes", async () => {
    const { client, server } = pair();
    const writer = client.writer("text");
    await writer.write("half");
    const closed = await server.close(3000, "going");
    assert.deepEqual([closed.code, closed.wasClean], [3000, true]);
    await assert.rejects(writer.write("late"), { code: "CLOSED", closeCode: 3000, by: "peer" });
  });

  it("is truncated on TCP too, where the peer detects the end inside a message", async () => {
    const { client, server } = pair({ kind: "tcp", framing: "lines" });
    const writer = client.writer("text");
    await writer.write("half");
    void client.close();
    await assert.rejects(server.receive(), { code: "PROTOCOL", clause: "unexpected-eof" });
  });
});

describe("a connection that fails while a part of a message is being written", () => {
  const failures: Record<
    string,
    { readonly code: number; readonly fail: (scene: Wired, clock: ManualClock) => unknown }
  > = {
    "by a frame that breaks a rule": { code: 1002, fail: ({ peer }) => peer.write([0x82, 0]) },
    "by a time limit": { code: 1001, fail: (_, clock) => clock.advance(5_000) },
    "by the application": { code: 4000, fail: ({ connection }) => void connection.close(4000) },
  };
  for (const [how, { code, fail }] of Object.entries(failures)) {
    for (const text of [true, false]) {
      it(`completes its frame before the Close frame: ${how}, ${text ? "text" : "bytes"}`, async () => {
        const clock = new ManualClock();
        const scene = wired({ capacity: 1_000, connection: { clock, idleTimeout: 5_000, heartbeat: false } });
        const { connection, peer } = scene;
        peer.pause();
        // More than one write, of which the kernel has accepted a part.
        const part = "x".repeat(200_000);
        const writer = connection.writer(text ? "text" : "binary");
        const calls = [part, "never written"].map((data) => writer.write(text ? data : Buffer.from(data)));
        for (const call of calls) call.catch(() => undefined);
        await settled();
        await fail(scene, clock);
        await settled();
        peer.resume();
        await peer.until(({ received }) => new FrameReader().push(received).some(({ opcode }) => opcode === 8));
        const [first, close] = new FrameReader().push(peer.received);
        assert.deepEqual([first?.opcode, first?.fin, first?.payload.length], [text ? 1 : 2, false, part.length]);
        assert.ok(first?.payload.equals(Buffer.from(part)));
        assert.deepEqual([close?.opcode, close?.payload.readUInt16BE()], [8, code]);
        connection.terminate();
      });
    }
  }
});
