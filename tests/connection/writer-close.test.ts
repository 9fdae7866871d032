/** Messages in parts when the connection closes: those that have ended are sent, the others are cut, and nobody waits. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedError } from "../../src/index.js";
import { pair, settled, type Wire, wired } from "../../src/testing/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader, framesIn, messagesIn } from "../frames.js";
import { blocked, outcomeOf } from "./blocked.js";

/** The frames that have come whole: opcode, and whether it is the last. */
const shapes = (wire: Wire): [number, boolean][] =>
  new FrameReader().push(wire.received).map(({ opcode, fin }) => [opcode, fin]);

describe("a message in parts when the connection closes", () => {
  it("is sent before the Close if it has ended, all of it", async () => {
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

  it("is cut if it has not, and the Close follows at once", async () => {
    const { connection, wire } = wired();
    const writer = connection.writer("text");
    await writer.write("half");
    const behind = outcomeOf(connection.send("behind"));
    const closed = connection.close(1000, "enough");
    const [late, end] = [writer.write("late"), writer.end()].map(outcomeOf);
    await settled();
    assert.deepEqual(shapes(wire), [
      [1, false],
      [8, true],
    ]);
    for (const { error } of [behind, late!, end!]) {
      assert.ok(error instanceof ClosedError);
      assert.deepEqual([error.closeCode, error.reason], [1000, "enough"]);
    }
    wire.write(peerFrame({ opcode: 8, payload: new Uint8Array([3, 232]), key: KEY }));
    wire.end();
    assert.equal((await closed).wasClean, true);
    assert.doesNotThrow(() => writer.abort());
  });

  it("is cut once: to give it up then does not disturb the closing handshake", async () => {
    const { client, server } = pair();
    const { closed } = client;
    {
      await using writer = client.writer("text");
      await writer.write("half");
      void client.close();
    }
    assert.deepEqual([(await closed).wasClean, (await server.closed).wasClean], [true, true]);
  });

  it("is not half sent if the kernel has none of it: what stands behind it is sent", async () => {
    const { connection, read, wire } = await blocked();
    const writer = connection.writer("text");
    const part = outcomeOf(writer.write("never"));
    const behind = connection.send("behind");
    void connection.close();
    await read(2);
    await behind;
    assert.deepEqual(
      shapes(wire).map(([opcode]) => opcode),
      [1, 1, 8],
    );
    assert.ok(part.error instanceof ClosedError);
  });

  it("is cut behind the part that is being written, which is completed", async () => {
    const { connection, wire } = wired({ capacity: 1_000 });
    const writer = connection.writer();
    const parts = [writer.write(new Uint8Array(200_000)), writer.write("never")].map(outcomeOf);
    await settled();
    void connection.close();
    await wire.until(({ received }) => new FrameReader().push(received).length === 2);
    const frames = framesIn(wire.received);
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

  it("does not keep a connection whose peer closes", async () => {
    const { client, server } = pair();
    const writer = client.writer("text");
    await writer.write("half");
    const closed = await server.close(3000, "going");
    assert.deepEqual([closed.code, closed.wasClean], [3000, true]);
    await assert.rejects(writer.write("late"), { code: "CLOSED", closeCode: 3000, by: "peer" });
  });

  it("is cut on TCP too, where the peer is told by the end inside a message", async () => {
    const { client, server } = pair({ protocol: "tcp", framing: "lines" });
    const writer = client.writer("text");
    await writer.write("half");
    void client.close();
    await assert.rejects(server.receive(), { code: "PROTOCOL", clause: "unexpected-eof" });
  });
});
