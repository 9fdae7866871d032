/** The memory budget of the process: what counts, and what happens at each of its steps. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type CloseInfo, type Connection, Group, LimitError, memoryBudget } from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { blocked, charged, PLUG } from "../kit/blocked-connection.ts";
import { framesIn, KEY, peerFrame } from "../kit/frames.ts";

const { limit } = memoryBudget;
let counts = { refused: 0, paused: 0, ended: 0 };
beforeEach(() => {
  assert.equal(memoryBudget.heldBytes, 0, "connections of earlier tests hold nothing");
  counts = { ...counted() };
});
afterEach(() => {
  memoryBudget.limit = limit;
});

const counted = (): typeof counts => {
  const { refused, paused, ended } = memoryBudget;
  return { refused, paused, ended };
};

/** How often each step was taken in this test. */
const taken = (): typeof counts => {
  const { refused, paused, ended } = memoryBudget;
  return { refused: refused - counts.refused, paused: paused - counts.paused, ended: ended - counts.ended };
};

const text = (size: number): Uint8Array => peerFrame({ opcode: 1, payload: Buffer.alloc(size, "x"), key: KEY });
const half = (size: number): Uint8Array => text(size).subarray(0, size / 2 + 100);

async function ends(connection: Connection): Promise<CloseInfo> {
  connection.terminate();
  return connection.closed;
}

describe("memoryBudget.limit", () => {
  it("is a quarter of the heap limit by default, and takes only numbers from 1", () => {
    assert.ok(limit > 1_048_576 && Number.isInteger(limit));
    for (const wrong of [0, -1, Number.NaN]) {
      assert.throws(() => {
        memoryBudget.limit = wrong;
      }, RangeError);
    }
    assert.throws(() => {
      memoryBudget.limit = "1" as never;
    }, TypeError);
    memoryBudget.limit = Infinity;
  });
});

describe("memoryBudget.heldBytes", () => {
  it("counts queued messages and the write in progress, and nothing behind the end", async () => {
    const { connection, plug } = await blocked({ overflow: "reject" });
    const before = memoryBudget.heldBytes;
    connection.send("x".repeat(1_000)).catch(() => undefined);
    assert.equal(memoryBudget.heldBytes - before, charged(1_000, 1));
    assert.ok(before >= charged(PLUG.length, 1));
    await ends(connection);
    await assert.rejects(plug);
    assert.equal(memoryBudget.heldBytes, 0);
  });

  it("counts nothing any more when the peer has read everything", async () => {
    const { connection, read } = await blocked();
    for (let count = 0; count < 5; count += 1) void connection.send("x".repeat(100));
    assert.ok(memoryBudget.heldBytes > charged(PLUG.length + 500, 6) - 1);
    await read(6);
    assert.equal(memoryBudget.heldBytes, 0);
    await ends(connection);
  });

  it("counts a message of a group once, and its overhead for each member that has it in its queue", async () => {
    const members = [await blocked(), await blocked(), await blocked()];
    const before = memoryBudget.heldBytes;
    const group = new Group();
    for (const { connection } of members) group.join(connection);
    group.send("x".repeat(10_000));
    await settled();
    assert.equal(memoryBudget.heldBytes - before, 10_000 + charged(0, 3));
    await members[0]!.read(2);
    assert.ok(memoryBudget.heldBytes >= 10_000 + charged(0, 2));
    for (const { connection, plug } of members) {
      plug.catch(() => undefined);
      await ends(connection);
    }
    assert.equal(memoryBudget.heldBytes, 0);
  });

  it("counts messages that the application has not taken, two bytes for each character", async () => {
    const { connection, peer } = wired();
    for (let count = 0; count < 3; count += 1) peer.write(text(1_000));
    await settled();
    const three = memoryBudget.heldBytes;
    assert.ok(three >= 6_000 && three < 8_000, String(three));
    for (let count = 0; count < 3; count += 1) await connection.receive();
    assert.equal(memoryBudget.heldBytes, 0);
    await ends(connection);
  });

  it("counts a message that is partly received, until the rest arrives or the connection ends", async () => {
    const { connection, peer } = wired();
    peer.write(half(10_000));
    await settled();
    const received = memoryBudget.heldBytes;
    assert.ok(received >= 5_000 && received <= 10_000, String(received));
    peer.write(text(10_000).subarray(5_100));
    assert.equal(String(await connection.receive()).length, 10_000);
    assert.equal(memoryBudget.heldBytes, 0);
    peer.write(half(10_000));
    await settled();
    assert.equal(memoryBudget.heldBytes, received);
    await ends(connection);
    assert.equal(memoryBudget.heldBytes, 0);
  });

  it("counts nothing for messages that the application leaves behind when the connection has ended", async () => {
    const { connection, peer } = wired();
    peer.write(text(1_000));
    await settled();
    await ends(connection);
    assert.equal(memoryBudget.heldBytes, 0);
    assert.equal(String(await connection.receive()).length, 1_000);
    assert.equal(memoryBudget.heldBytes, 0);
  });
});

describe("at 90 % of memoryBudget.limit", () => {
  it("a connection reads on only when its inbox is empty", async () => {
    const large = wired();
    large.peer.write(half(9_500 * 2));
    const reading = wired();
    await settled();
    memoryBudget.limit = Math.floor(memoryBudget.heldBytes / 0.95);
    reading.peer.write(text(1));
    await settled();
    assert.equal(taken().paused, 1);
    for (let count = 0; count < 3; count += 1) {
      reading.peer.write(text(10));
      await settled();
    }
    for (const size of [1, 10, 10, 10]) assert.equal(String(await reading.connection.receive()).length, size);
    assert.equal(taken().ended, 0);
    await ends(large.connection);
    await ends(reading.connection);
  });

  it("reads as before when less is held", async () => {
    const large = wired();
    large.peer.write(half(20_000));
    await settled();
    memoryBudget.limit = Math.floor(memoryBudget.heldBytes / 0.95);
    await ends(large.connection);
    const reading = wired();
    for (let count = 0; count < 3; count += 1) reading.peer.write(text(10));
    await settled();
    assert.equal(taken().paused, 0);
    await ends(reading.connection);
  });
});

describe("at memoryBudget.limit", () => {
  it("the connections that hold most end with 1013, and the others continue", async () => {
    memoryBudget.limit = 60_000;
    // Half of each message: its buffer has room for all of it.
    const sizes = [1_000, 15_000, 2_000, 10_000];
    const scenes = sizes.map(() => wired());
    for (const [index, size] of sizes.entries()) {
      scenes[index]!.peer.write(half(2 * size));
      await settled();
    }
    assert.equal(taken().ended, 0);
    const last = wired();
    last.peer.write(half(10_000));
    await settled();
    assert.equal(taken().ended, 1);
    const [, largest] = scenes;
    largest!.peer.end();
    const { code, cause, by } = await largest!.connection.closed;
    assert.ok(cause instanceof LimitError);
    assert.deepEqual([code, by, cause.limit, cause.maximum], [1013, "local", "memoryBudget", 60_000]);
    const [close] = framesIn(largest!.peer.received).slice(-1);
    assert.equal(close?.payload.readUInt16BE(), 1013);
    for (const { connection } of [...scenes.filter((scene) => scene !== largest), last]) {
      assert.equal(connection.state, "OPEN");
      await ends(connection);
    }
  });

  it("no connection ends that holds nothing, although what is being written is freed later", async () => {
    const idle = [wired(), wired()];
    for (const { connection, peer } of idle) {
      peer.write(text(10));
      await connection.receive();
    }
    const slow = [await blocked(), await blocked(), await blocked()];
    const each = memoryBudget.heldBytes / slow.length;
    memoryBudget.limit = Math.floor(1.5 * each);
    await settled();
    assert.equal(taken().ended, 2, "the third one holds less than 90 % of the limit");
    for (const { connection } of idle) assert.equal(connection.state, "OPEN");
    for (const { connection } of [...idle, ...slow]) await ends(connection);
    for (const { plug } of slow) await plug.catch(() => undefined);
  });

  it("hooks of ends that send to other connections do not end those inside one another", async () => {
    let [depth, deepest, endings] = [0, 0, 0];
    const closing = (): void => {
      depth += 1;
      endings += 1;
      deepest = Math.max(deepest, depth);
      for (const { connection } of members) if (connection.state === "OPEN") connection.trySend("left ".repeat(1_000));
      depth -= 1;
    };
    const members: Awaited<ReturnType<typeof blocked>>[] = [];
    for (let count = 0; count < 20; count += 1) members.push(await blocked({ closing, maxQueuedBytes: 1_000_000 }));
    for (const { plug } of members) plug.catch(() => undefined);
    memoryBudget.limit = memoryBudget.heldBytes + 20_000;
    for (let count = 0; count < 5; count += 1)
      for (const { connection } of members) connection.trySend("x".repeat(3_000));
    await settled();
    assert.ok(endings > 1, `${endings} connections have ended`);
    assert.equal(deepest, 1);
    assert.ok(taken().ended <= members.length, "each is counted once");
    for (const { connection } of members) await ends(connection);
  });

  it("a connection that sends more than its share ends, and its sends reject with the error", async () => {
    const { connection, plug } = await blocked({ maxQueuedBytes: 1_000_000 });
    plug.catch(() => undefined);
    memoryBudget.limit = memoryBudget.heldBytes + 10_000;
    const sends = Array.from({ length: 20 }, () => connection.send("x".repeat(1_000)));
    const results = await Promise.allSettled(sends);
    for (const result of results) assert.equal(result.status, "rejected");
    const [{ reason }] = results as [PromiseRejectedResult];
    assert.ok(reason instanceof LimitError, String(reason));
    assert.equal(reason.limit, "memoryBudget");
    await ends(connection);
    assert.equal(memoryBudget.heldBytes, 0);
  });

  it("a connection with messages that the application does not take ends, and frees them", async () => {
    const scene = wired();
    for (let count = 0; count < 4; count += 1) scene.peer.write(text(1_000));
    await settled();
    memoryBudget.limit = 4_000;
    await settled();
    assert.equal(memoryBudget.heldBytes, 0);
    scene.peer.end();
    const { cause } = await scene.connection.closed;
    assert.ok(cause instanceof LimitError);
    assert.equal(memoryBudget.heldBytes, 0);
    await assert.rejects(scene.connection.receive(), { limit: "memoryBudget" });
  });

  it("a connection whose end has begun is cut off if it still holds the memory", async () => {
    const { connection, plug } = await blocked({ maxQueuedBytes: 1_000_000 });
    plug.catch(() => undefined);
    connection.send("x".repeat(50_000)).catch(() => undefined);
    void connection.close();
    memoryBudget.limit = 10_000;
    const { wasClean, cause } = await connection.closed;
    assert.deepEqual([wasClean, (cause as LimitError).limit], [false, "memoryBudget"]);
    assert.equal(memoryBudget.heldBytes, 0);
  });
});
