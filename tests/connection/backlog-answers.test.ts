/** A loop that answers what has come: its sends go out together, and what they were told holds. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settled, type Wired, type WiredOptions, wired } from "../../src/testing/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { framesIn } from "../frames.js";
import { outcomeOf, received } from "./blocked.js";

const TEXTS = ["one", "two", "three", "four"];
const CHUNK = Buffer.concat(TEXTS.map((text) => peerFrame({ opcode: 1, payload: text, key: KEY })));

/** A connection to which the whole chunk has come, and which has taken its first message. */
async function answering(options: WiredOptions = {}): Promise<Wired> {
  const scene = wired(options);
  scene.wire.write(CHUNK);
  await settled();
  await scene.connection.receive();
  return scene;
}

describe("a loop with awaited sends over what has come", () => {
  it("answers all of it but the last in one write, in order", async () => {
    const { connection, wire } = wired();
    wire.write(CHUNK);
    await settled();
    const turns: number[] = [];
    let turn = 0;
    const count = (): void => {
      turn += 1;
      if (turn < 20) setImmediate(count);
    };
    setImmediate(count);
    for (const _ of TEXTS) {
      await connection.send(await connection.receive());
      turns.push(turn);
    }
    assert.deepEqual(turns.slice(0, 3), [0, 0, 0], "while more has come, no send waits for a write");
    assert.ok((turns[3] as number) > 0, "the last one has nothing to be hurried for, and resolves with the write");
    await settled();
    assert.deepEqual(received(wire), TEXTS);
  });

  it("waits as soon as the kernel does", async () => {
    const { connection, wire } = wired({ capacity: 64 });
    wire.pause();
    connection.trySend("x".repeat(1_000));
    wire.write(CHUNK);
    await settled();
    const sent = outcomeOf(connection.send(await connection.receive()));
    await settled();
    assert.equal(sent.state, "pending");
    wire.resume();
    await wire.until(() => received(wire).length === 2);
    await settled();
    assert.equal(sent.state, "resolved");
  });

  it("waits for no less than the kernel if the call has options", async () => {
    const { connection } = await answering();
    const sent = outcomeOf(connection.send("bounded", { timeout: 1_000 }));
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(sent.state, "pending");
    await settled();
    assert.equal(sent.state, "resolved");
  });

  it("is not cheated: what was said to leave is neither dropped for others nor lost to the connection's end", async () => {
    const { connection, wire } = await answering({ connection: { overflow: "drop-oldest", maxQueuedMessages: 3 } });
    await connection.send("promised");
    for (const text of ["a", "b", "c", "d"]) connection.trySend(text);
    void connection.close(1000);
    await settled();
    assert.deepEqual(received(wire), ["promised", "c", "d"]);
    assert.equal(connection.droppedMessages, 2);
  });

  it("has its answers on the wire before the Close that a failure brings", async () => {
    const { connection, wire } = await answering({ connection: { overflow: "close", maxQueuedMessages: 1 } });
    await connection.send("promised");
    connection.trySend("one too many");
    await settled();
    assert.deepEqual(
      framesIn(wire.received).map(({ opcode }) => opcode),
      [1, 8],
    );
    assert.equal(connection.state, "CLOSING");
  });
});
