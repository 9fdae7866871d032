/** A loop that answers received messages: its answers leave in one write, and resolved sends are not lost. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settled, type Wired, type WiredOptions, wired } from "../../../src/testing/index.ts";
import { received, stateOf } from "../../kit/blocked-connection.ts";
import { framesIn, KEY, peerFrame } from "../../kit/frames.ts";

const TEXTS = ["one", "two", "three", "four"];
const CHUNK = Buffer.concat(TEXTS.map((text) => peerFrame({ opcode: 1, payload: text, key: KEY })));

/** A connection that has received the whole chunk and has taken its first message. */
async function answering(options: WiredOptions = {}): Promise<Wired> {
  const scene = wired(options);
  scene.peer.write(CHUNK);
  await settled();
  await scene.connection.receive();
  return scene;
}

describe("a loop with awaited sends over the received messages", () => {
  it("answers all messages except the last one in one write, in order", async () => {
    const { connection, peer } = wired();
    peer.write(CHUNK);
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
    assert.deepEqual(received(peer), TEXTS);
  });

  it("waits as soon as the kernel accepts nothing", async () => {
    const { connection, peer } = wired({ capacity: 64 });
    peer.pause();
    connection.trySend("x".repeat(1_000));
    peer.write(CHUNK);
    await settled();
    const sent = stateOf(connection.send(await connection.receive()));
    await settled();
    assert.equal(sent.state, "pending");
    peer.resume();
    await peer.until(() => received(peer).length === 2);
    await settled();
    assert.equal(sent.state, "resolved");
  });

  it("waits for the kernel if the call has options", async () => {
    const { connection } = await answering();
    const sent = stateOf(connection.send("bounded", { timeout: 1_000 }));
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(sent.state, "pending");
    await settled();
    assert.equal(sent.state, "resolved");
  });

  it("keeps its promises: a message whose send has resolved is neither dropped for another one nor lost when the connection closes", async () => {
    const { connection, peer } = await answering({ connection: { overflow: "drop-oldest", maxQueuedMessages: 3 } });
    await connection.send("promised");
    for (const text of ["a", "b", "c", "d"]) connection.trySend(text);
    void connection.close(1000);
    await settled();
    assert.deepEqual(received(peer), ["promised", "c", "d"]);
    assert.equal(connection.droppedMessages, 2);
  });

  it("has its answers written before the Close of a failure", async () => {
    const { connection, peer } = await answering({ connection: { overflow: "close", maxQueuedMessages: 1 } });
    await connection.send("promised");
    connection.trySend("one too many");
    await settled();
    assert.deepEqual(
      framesIn(peer.received).map(({ opcode }) => opcode),
      [1, 8],
    );
    assert.equal(connection.state, "CLOSING");
  });
});
