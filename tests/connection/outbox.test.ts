/** The way out of a connection: what leaves when, what is told of it, and how long it may take. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Alarms } from "../../src/connection/alarms.js";
import { type SettledOptions, settle } from "../../src/connection/options.js";
import { Outbox } from "../../src/connection/outbox.js";
import { Outgoing } from "../../src/connection/outgoing.js";
import { webSocketWire } from "../../src/connection/wire.js";
import { type ConnectionOptions, TimeoutError } from "../../src/index.js";
import { ManualClock, settled, wired } from "../../src/testing/index.js";
import type { Transport } from "../../src/transport/transport.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { framesIn } from "../frames.js";
import { blocked, outcomeOf, PLUG, received } from "./blocked.js";

class Unheard extends Alarms {
  readonly options: SettledOptions;

  constructor(options: SettledOptions) {
    super();
    this.options = options;
  }

  override rang(): void {}
}

/** An outbox whose kernel takes a write when it is told to, or `takes` each at once. */
function boxed(takes: boolean = false): { outbox: Outbox; writes: Uint8Array[]; send: (...texts: string[]) => void } {
  const writes: Uint8Array[] = [];
  const write = (bytes: Uint8Array): boolean => {
    writes.push(Uint8Array.from(bytes));
    return takes;
  };
  const transport = { write } as unknown as Transport;
  const options = settle({ clock: new ManualClock() }, "websocket");
  const owner = { overflowed: () => undefined, highWater: () => undefined, lowWater: () => undefined };
  const outbox = new Outbox(webSocketWire("server")(options), options, {
    ...owner,
    ...{ transport, alarms: new Unheard(options) },
    roomMade: () => undefined,
    finished: () => undefined,
  });
  return {
    outbox,
    writes,
    send: (...texts) => {
      for (const text of texts) outbox.send(new Outgoing(text, text), "wait");
    },
  };
}

const textsIn = (bytes: Uint8Array | undefined): string[] =>
  framesIn(bytes ?? new Uint8Array()).map(({ payload }) => payload.toString());
const opcodes = (bytes: Uint8Array): number[] => framesIn(bytes).map(({ opcode }) => opcode);

describe("a write", () => {
  it("holds everything that one turn of the event loop brings", async () => {
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

  it("that is hastened holds what is sent without waiting, and what waits for anything leaves when the turn ends", async () => {
    const { outbox, writes, send } = boxed(true);
    outbox.hasten();
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

  it("is never begun while another is under way", async () => {
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

  it("leaves when a chunk that has come is done, not at the end of the turn", () => {
    const { outbox, writes, send } = boxed();
    outbox.hold();
    send("a", "b");
    assert.equal(writes.length, 0);
    outbox.release();
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
  it("tells what leaves with this turn, what waits for the kernel, and what is not taken", async () => {
    const { connection, wire } = wired({ capacity: 64, connection: { maxQueuedBytes: 200_000 } });
    assert.equal(connection.trySend("now"), "sent");
    assert.equal(connection.trySend(new Uint8Array(65_536)), "queued", "more than one write holds");
    await connection.drain();
    wire.pause();
    assert.equal(connection.trySend(PLUG), "sent");
    await settled();
    assert.equal(connection.trySend("later"), "queued");
    assert.equal(connection.trySend(new Uint8Array(200_000)), "refused");
  });

  it("tells of what stands behind a message that is being written in parts", async () => {
    const { connection, wire } = wired();
    const writer = connection.writer("text");
    assert.equal(connection.trySend("behind"), "queued");
    await settled();
    assert.equal(wire.received.length, 0);
    await writer.end("before");
    await settled();
    assert.deepEqual(received(wire), ["before", "behind"]);
    assert.equal(connection.trySend("now"), "sent");
    connection.writer().abort();
    assert.equal(connection.trySend("now, too"), "sent");
  });

  it("tells of frames that one write does not hold, however small their payloads", async () => {
    const { connection, wire } = wired({ connection: { maxQueuedMessages: Infinity } });
    const answers = Array.from({ length: 40_000 }, () => connection.trySend(""));
    const sent = answers.filter((answer) => answer === "sent").length;
    assert.ok(sent > 0 && sent * 2 <= 65_536, `${sent} frames of 2 bytes were said to leave with one write`);
    await connection.drain();
    await settled();
    assert.equal(framesIn(wire.received).length, 40_000);
  });
});

describe("a write that makes no progress", () => {
  const STUCK: ConnectionOptions = { writeTimeout: 100 };

  it("ends the connection after writeTimeout, and says that it held data", async () => {
    const { connection, clock, plug, wire } = await blocked(STUCK);
    const queued = outcomeOf(connection.send("queued"));
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
    assert.equal(wire.closed, true);
  });

  it("says that it held a pong, a ping or a Close", async () => {
    const cases: readonly [string, (scene: ReturnType<typeof wired>) => void][] = [
      ["write:pong", ({ wire }) => wire.write(peerFrame({ opcode: 9, payload: "hello", key: KEY }))],
      ["write:ping", ({ connection }) => void connection.ping().catch(() => undefined)],
      ["write:close", ({ connection }) => void connection.close()],
    ];
    for (const [operation, act] of cases) {
      const scene = wired({ capacity: 12, connection: STUCK });
      scene.wire.pause();
      scene.connection.trySend("0123456789");
      await settled();
      act(scene);
      await scene.clock.advance(100);
      const { cause } = await scene.connection.closed;
      assert.ok(cause instanceof TimeoutError);
      assert.deepEqual([cause.operation, cause.limit], [operation, "writeTimeout"]);
    }
  });

  it("says how long it really lasted when this side was late", async () => {
    const { connection, clock } = await blocked(STUCK);
    await clock.block(350);
    const { cause } = await connection.closed;
    assert.ok(cause instanceof TimeoutError);
    assert.deepEqual([cause.bound, cause.after], [100, 350]);
  });

  it("is one whose bytes do not move: a peer that reads slowly is not cut", async () => {
    const { connection, clock, wire } = wired({ capacity: 65_536, connection: STUCK });
    wire.pause();
    const sent = connection.send(new Uint8Array(1_000_000));
    for (let slab = 0; slab < 16; slab += 1) {
      await clock.advance(90);
      assert.equal(connection.state, "OPEN");
      wire.resume();
      await settled();
      wire.pause();
    }
    wire.resume();
    await sent;
    assert.deepEqual(
      received(wire).map(({ length }) => length),
      [1_000_000],
    );
  });

  it("counts from when bytes began to wait, not from the last write", async () => {
    const { connection, clock, wire } = wired({ capacity: 64, connection: STUCK });
    await connection.send("early");
    await clock.advance(5_000);
    wire.pause();
    connection.trySend(PLUG);
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    assert.equal(connection.state, "CLOSED");
  });
});

it("nothing follows the Close: neither a message nor a pong", async () => {
  const { connection, wire } = wired();
  connection.trySend("last");
  void connection.close();
  assert.equal(connection.trySend("late"), "refused");
  await settled();
  wire.write(peerFrame({ opcode: 9, key: KEY }));
  await settled();
  assert.deepEqual(opcodes(wire.received), [1, 8]);
});

it("a heartbeat asks nothing of a connection that has begun to end", async () => {
  const { connection, wire, clock } = wired({
    protocol: "tcp",
    framing: "lines",
    connection: { heartbeat: { interval: 10, message: "are you there" }, closeTimeout: 100 },
  });
  await clock.advance(10);
  assert.equal(Buffer.from(wire.take()).toString(), "are you there\n");
  wire.write("yes\n");
  void connection.close();
  await clock.advance(50);
  assert.equal(wire.ended, true);
  assert.equal(wire.take().length, 0);
});
