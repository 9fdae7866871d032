/** The outbox of a connection: which messages leave when, the results of sends, and the time limit of a write. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settle } from "../../../src/connection/options.ts";
import { webSocketProtocol } from "../../../src/connection/protocol.ts";
import { Tally } from "../../../src/connection/tally.ts";
import { Outbox } from "../../../src/connection/write/outbox.ts";
import { OutgoingMessage } from "../../../src/connection/write/outgoing-message.ts";
import { type ConnectionOptions, TimeoutError } from "../../../src/index.ts";
import { ManualClock, settled, wired } from "../../../src/testing/index.ts";
import type { Transport } from "../../../src/transport/transport.ts";
import { blocked, PLUG, received, stateOf } from "../../kit/blocked-connection.ts";
import { framesIn, KEY, peerFrame } from "../../kit/frames.ts";

/** An outbox whose fake kernel accepts a write when the test says so, or each one at once with `takes`. */
function boxed(takes: boolean = false): { outbox: Outbox; writes: Uint8Array[]; send: (...texts: string[]) => void } {
  const writes: Uint8Array[] = [];
  const write = (bytes: Uint8Array): boolean => {
    writes.push(Uint8Array.from(bytes));
    return takes;
  };
  const transport = { write } as unknown as Transport;
  const options = settle({ clock: new ManualClock() }, "websocket");
  const owner = {
    overflowed: () => undefined,
    highWater: () => undefined,
    lowWater: () => undefined,
    heldChanged: () => undefined,
  };
  const outbox = new Outbox(webSocketProtocol("server")(options), options, {
    ...owner,
    ...{ transport, inFlight: undefined, setWriteTimer: () => undefined, clearWriteTimer: () => undefined },
    kernelHasRoom: () => undefined,
    ...{ options, tally: undefined, beginTally: () => new Tally() },
    finished: () => undefined,
    writeFailed: (error) => assert.fail(String(error)),
  });
  return {
    outbox,
    writes,
    send: (...texts) => {
      for (const text of texts) outbox.send(new OutgoingMessage(text, text), "wait");
    },
  };
}

const textsIn = (bytes: Uint8Array | undefined): string[] =>
  framesIn(bytes ?? new Uint8Array()).map(({ payload }) => payload.toString());
const opcodes = (bytes: Uint8Array): number[] => framesIn(bytes).map(({ opcode }) => opcode);

describe("a write", () => {
  it("contains all messages of one event loop turn", async () => {
    const { writes, send } = boxed();
    send("a");
    await Promise.resolve();
    send("b", "c");
    process.nextTick(() => send("d"));
    assert.equal(writes.length, 0, "a lone message is not written before its turn has ended");
    await new Promise(setImmediate);
    assert.equal(writes.length, 1);
    assert.deepEqual(textsIn(writes[0]).sort(), ["a", "b", "c", "d"]);
  });

  it("after the microtasks contains messages sent synchronously; messages sent after an await leave at the end of the turn", async () => {
    const { outbox, writes, send } = boxed(true);
    outbox.writeSoon();
    send("a");
    send("b");
    assert.equal(writes.length, 0);
    await Promise.resolve();
    assert.deepEqual(writes.map(textsIn), [["a", "b"]]);
    send("c");
    await Promise.resolve();
    send("d");
    await Promise.resolve();
    assert.equal(writes.length, 1);
    await new Promise(setImmediate);
    assert.deepEqual(writes.map(textsIn), [
      ["a", "b"],
      ["c", "d"],
    ]);
  });

  it("does not begin while another one is pending", async () => {
    const { outbox, writes, send } = boxed();
    send("a");
    await settled();
    send("b", "c");
    await settled();
    assert.equal(writes.length, 1);
    outbox.written();
    assert.equal(writes.length, 2, "the next follows at once");
    assert.deepEqual(textsIn(writes[1]), ["b", "c"]);
  });

  it("leaves at the end of the received chunk, not at the end of the turn", () => {
    const { outbox, writes, send } = boxed();
    outbox.cork();
    send("a", "b");
    assert.equal(writes.length, 0);
    outbox.uncork();
    assert.equal(writes.length, 1);
  });

  it("has at most 65,536 bytes", async () => {
    const { outbox, writes, send } = boxed();
    send("x".repeat(40_000), "y".repeat(40_000), "z".repeat(200_000));
    await settled();
    for (let index = 0; index < writes.length && index < 9; index += 1) outbox.written();
    assert.ok(writes.every(({ length }) => length <= 65_536));
    const bytes = Buffer.concat(writes);
    assert.deepEqual(
      framesIn(bytes).map(({ payload }) => payload.length),
      [40_000, 40_000, 200_000],
    );
    assert.ok(writes.length <= 6, `${writes.length} writes`);
  });
});

describe("trySend", () => {
  it("returns `sent` for the write of this turn, `queued` behind a pending write, and `refused` without room", async () => {
    const { connection, peer } = wired({ capacity: 64, connection: { maxQueuedBytes: 200_000 } });
    assert.equal(connection.trySend("now"), "sent");
    assert.equal(connection.trySend(new Uint8Array(65_536)), "queued", "more than one write holds");
    await connection.drain();
    peer.pause();
    assert.equal(connection.trySend(PLUG), "sent");
    await settled();
    assert.equal(connection.trySend("later"), "queued");
    assert.equal(connection.trySend(new Uint8Array(200_000)), "refused");
  });

  it("returns `queued` for a message behind a message in parts that has not ended", async () => {
    const { connection, peer } = wired();
    const writer = connection.writer("text");
    assert.equal(connection.trySend("behind"), "queued");
    await settled();
    assert.equal(peer.received.length, 0);
    await writer.end("before");
    await settled();
    assert.deepEqual(received(peer), ["before", "behind"]);
    assert.equal(connection.trySend("now"), "sent");
    connection.writer().abort();
    assert.equal(connection.trySend("now, too"), "sent");
  });

  it("returns `queued` for frames that do not fit into one write, also with small payloads", async () => {
    const { connection, peer } = wired({ connection: { maxQueuedBytes: Infinity } });
    const answers = Array.from({ length: 40_000 }, () => connection.trySend(""));
    const sent = answers.filter((answer) => answer === "sent").length;
    assert.ok(sent > 0 && sent * 2 <= 65_536, `${sent} frames of 2 bytes were said to leave with one write`);
    await connection.drain();
    await settled();
    assert.equal(framesIn(peer.received).length, 40_000);
  });
});

describe("a write without progress", () => {
  const STUCK: ConnectionOptions = { writeTimeout: 100 };

  it("ends the connection after writeTimeout, and the error names the operation write:data", async () => {
    const { connection, clock, plug, peer } = await blocked(STUCK);
    const queued = stateOf(connection.send("queued"));
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    const { cause, code, by, wasClean } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    const { operation, limit, bound, after, retriable } = cause;
    assert.deepEqual([operation, limit, bound, after, retriable], ["write:data", "writeTimeout", 100, 100, false]);
    assert.deepEqual([code, by, wasClean], [1006, "local", false]);
    await assert.rejects(plug, (error) => error === cause);
    assert.equal(queued.error, cause);
    await settled();
    assert.equal(peer.closed, true);
  });

  it("has an error that names a pong, a ping or a Close if the write contained one", async () => {
    const cases: readonly [string, (scene: ReturnType<typeof wired>) => void][] = [
      ["write:pong", ({ peer }) => peer.write(peerFrame({ opcode: 9, payload: "hello", key: KEY }))],
      ["write:ping", ({ connection }) => void connection.ping().catch(() => undefined)],
      ["write:close", ({ connection }) => void connection.close()],
    ];
    for (const [operation, act] of cases) {
      const scene = wired({ capacity: 12, connection: STUCK });
      scene.peer.pause();
      scene.connection.trySend("0123456789");
      await settled();
      act(scene);
      await scene.clock.advance(100);
      const { cause } = await scene.connection.closed;
      assert.ok(cause instanceof TimeoutError);
      assert.deepEqual([cause.operation, cause.limit], [operation, "writeTimeout"]);
    }
  });

  it("has an error with the actual duration if this process was late", async () => {
    const { connection, clock } = await blocked(STUCK);
    await clock.block(350);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    assert.deepEqual([cause.bound, cause.after], [100, 350]);
  });

  it("is one of which no byte moves: a peer that reads slowly does not end the connection", async () => {
    const { connection, clock, peer } = wired({ capacity: 65_536, connection: STUCK });
    peer.pause();
    const sent = connection.send(new Uint8Array(1_000_000));
    for (let writeSize = 0; writeSize < 16; writeSize += 1) {
      await clock.advance(90);
      assert.equal(connection.state, "OPEN");
      peer.resume();
      await settled();
      peer.pause();
    }
    peer.resume();
    await sent;
    assert.deepEqual(
      received(peer).map(({ length }) => length),
      [1_000_000],
    );
  });

  it("is measured from the moment when bytes began to wait, not from the last write", async () => {
    const { connection, clock, peer } = wired({ capacity: 64, connection: STUCK });
    await connection.send("early");
    await clock.advance(5_000);
    peer.pause();
    connection.trySend(PLUG);
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    assert.equal(connection.state, "CLOSED");
  });
});

it("nothing follows the Close: neither a message nor a pong", async () => {
  const { connection, peer } = wired();
  connection.trySend("last");
  void connection.close();
  assert.equal(connection.trySend("late"), "refused");
  await settled();
  peer.write(peerFrame({ opcode: 9, key: KEY }));
  await settled();
  assert.deepEqual(opcodes(peer.received), [1, 8]);
});

it("a heartbeat sends nothing on a connection that has begun to end", async () => {
  const { connection, peer, clock } = wired({
    kind: "tcp",
    framing: "lines",
    connection: { heartbeat: { interval: 10, message: "are you there" }, closeTimeout: 100 },
  });
  await clock.advance(10);
  assert.equal(Buffer.from(peer.take()).toString(), "are you there\n");
  peer.write("yes\n");
  void connection.close();
  await clock.advance(50);
  assert.equal(peer.ended, true);
  assert.equal(peer.take().length, 0);
});
