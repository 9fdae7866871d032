/** The messages that wait to be written: their bounds, and what each policy does with one that does not fit. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitError, Overflow } from "../../src/index.js";
import { settled, wired } from "../../src/testing/index.js";
import { framesIn } from "../frames.js";
import { blocked, handedBack, outcomeOf, PLUG, received, watched } from "./blocked.js";

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"];

describe("the bounds of the backlog", () => {
  for (const overflow of POLICIES) {
    it(`hold exactly maxQueuedBytes under ${overflow}`, async () => {
      const { connection, plug, read } = await blocked({ overflow, maxQueuedBytes: 110 });
      assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [100, 1]);
      const [fits, empty] = [connection.send("1234567890"), connection.send("")];
      assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [110, 3]);
      assert.equal(connection.droppedMessages, 0);
      assert.deepEqual(await read(3), [PLUG, "1234567890", ""]);
      await Promise.all([plug, fits, empty]);
      assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [0, 0]);
    });

    it(`hold exactly maxQueuedMessages under ${overflow}`, async () => {
      const { connection, plug, read } = await blocked({ overflow, maxQueuedMessages: 3 });
      const sent = ["", ""].map((text) => connection.send(text));
      assert.equal(connection.queuedMessages, 3);
      await read(3);
      await Promise.all([plug, ...sent]);
    });

    it(`count the bytes of UTF-8 under ${overflow}`, async () => {
      const { connection } = await blocked({ overflow, maxQueuedBytes: 107 });
      assert.equal(connection.trySend("é€😀".slice(0, 2)), "queued");
      assert.equal(connection.queuedBytes, 105);
      assert.equal(connection.trySend("€", { overflow: "reject" }), "refused");
      assert.equal(connection.trySend("é", { overflow: "reject" }), "queued");
      assert.equal(connection.queuedBytes, 107);
    });

    it(`refuse at once what would never fit, under ${overflow}`, async () => {
      const { connection } = wired({ connection: { overflow, maxQueuedBytes: 10 } });
      const message = new Uint8Array(11);
      const facts = { code: "LIMIT", limit: "maxQueuedBytes", maximum: 10, actual: 11 };
      await assert.rejects(connection.send(message), (error: LimitError) => {
        assert.deepEqual({ ...error, ...facts }, { ...error });
        assert.equal(error.refused, message);
        return true;
      });
      assert.equal(connection.state, overflow === "close" ? "CLOSING" : "OPEN");
    });
  }
});

describe("a full queue under wait", () => {
  it("holds calls back in order, and takes each as soon as there is room", async () => {
    const { connection, wire } = await blocked({ maxQueuedMessages: 2 });
    const outcomes = ["a", "b", "c"].map((text) => outcomeOf(connection.send(text)));
    await settled();
    assert.equal(connection.queuedMessages, 2, "the plug and one more");
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ["pending", "pending", "pending"],
    );
    let most = 0;
    wire.resume();
    await wire.until(() => {
      most = Math.max(most, connection.queuedMessages);
      return received(wire).length === 4;
    });
    assert.deepEqual(received(wire), [PLUG, "a", "b", "c"]);
    assert.equal(most, 2);
    await settled();
    assert.ok(outcomes.every(({ state }) => state === "resolved"));
  });

  it("never holds more bytes than maxQueuedBytes, whatever the sizes", async () => {
    const { connection, wire } = await blocked({ maxQueuedBytes: 128 });
    const sizes = Array.from({ length: 60 }, (_, index) => (index * 37) % 129);
    const sent = sizes.map((size) => connection.send("x".repeat(size)));
    assert.ok(connection.queuedBytes <= 128);
    let most = 0;
    wire.resume();
    await wire.until(() => {
      most = Math.max(most, connection.queuedBytes);
      return received(wire).length > sizes.length;
    });
    const got = received(wire);
    assert.deepEqual(
      got.slice(1).map(({ length }) => length),
      sizes,
    );
    assert.ok(most <= 128, `${most} bytes were queued`);
    await Promise.all(sent);
  });

  it("holds as many calls as maxQueuedMessages, and hands one more its message back", async () => {
    const { events, observe } = watched();
    const { connection, read } = await blocked({ maxQueuedMessages: 2, observe });
    const taken = ["a", "b", "c"].map((text) => connection.send(text));
    const one = new Uint8Array([1]);
    await assert.rejects(connection.send(one), { code: "LIMIT", limit: "maxQueuedMessages", maximum: 2, refused: one });
    assert.equal(events.length, 1);
    assert.deepEqual(await read(4), [PLUG, "a", "b", "c"]);
    await Promise.all(taken);
  });

  it("refuses what trySend brings, and lets nothing overtake those who wait", async () => {
    const { events, observe } = watched();
    const { connection, read } = await blocked({ maxQueuedBytes: 104, observe });
    const waiting = connection.send("12345");
    assert.equal(connection.queuedBytes, 100);
    assert.equal(connection.trySend("1"), "refused", "there would be room, but it is not next");
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["reject"],
    );
    assert.deepEqual(await read(2), [PLUG, "12345"]);
    await waiting;
    assert.equal(connection.droppedMessages, 0);
  });

  it("rejects everybody who waits when the connection ends, with its one reason", async () => {
    const { connection, plug, clock } = await blocked({ maxQueuedMessages: 2, writeTimeout: 50 });
    const waiting = [plug, ...["a", "b"].map((text) => connection.send(text))].map(outcomeOf);
    await clock.advance(50);
    const { cause } = await connection.closed;
    assert.deepEqual(
      waiting.map(({ state, error }) => [state, error === cause]),
      waiting.map(() => ["rejected", true]),
    );
  });
});

describe("a full queue under reject", () => {
  it("hands the message back with the numbers, and changes nothing", async () => {
    const { events, observe } = watched();
    const { connection, read } = await blocked({ overflow: "reject", maxQueuedBytes: 104, observe });
    const kept = connection.send("1234");
    const message = Buffer.from("x");
    await assert.rejects(connection.send(message), (error: LimitError) => {
      const { name, code, limit, maximum, actual } = error;
      assert.deepEqual([name, code, limit, maximum, actual], ["LimitError", "LIMIT", "maxQueuedBytes", 104, 105]);
      assert.equal(error.refused, message, "the very same bytes");
      assert.match(error.message, /^Cannot send: .*104.*105/);
      return true;
    });
    assert.equal(connection.trySend("y"), "refused");
    assert.deepEqual(
      events.map(({ policy, queuedBytes, queuedMessages }) => [policy, queuedBytes, queuedMessages]),
      [
        ["reject", 104, 2],
        ["reject", 104, 2],
      ],
    );
    assert.equal(connection.droppedMessages, 0);
    assert.deepEqual(await read(2), [PLUG, "1234"]);
    await kept;
    await connection.send("room again");
  });

  it("names the bound that was reached", async () => {
    const { connection } = await blocked({ overflow: "reject", maxQueuedMessages: 1 });
    const facts = { limit: "maxQueuedMessages", maximum: 1, actual: 2, refused: "x" };
    await assert.rejects(connection.send("x"), facts);
  });
});

describe("a full queue under drop-newest", () => {
  it("loses what comes, counts it, and keeps what it has", async () => {
    const { events, observe } = watched();
    const { connection, read } = await blocked({ overflow: "drop-newest", maxQueuedMessages: 2, observe });
    const kept = connection.send("kept");
    const lost = outcomeOf(connection.send("lost"));
    assert.equal(connection.trySend("lost too"), "refused");
    await settled();
    assert.equal(lost.state, "rejected");
    assert.equal(handedBack(lost.error), "lost");
    assert.equal(connection.droppedMessages, 2);
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["drop-newest", "drop-newest"],
    );
    assert.deepEqual(await read(2), [PLUG, "kept"]);
    await kept;
    assert.equal(connection.droppedMessages, 2);
  });
});

describe("a full queue under drop-oldest", () => {
  it("loses the oldest that has not begun, and hands it back to its sender", async () => {
    const { events, observe } = watched();
    const { connection, read } = await blocked({ overflow: "drop-oldest", maxQueuedMessages: 3, observe });
    const outcomes = ["a", "b", "c"].map((text) => outcomeOf(connection.send(text)));
    assert.equal(connection.trySend("d"), "queued");
    await settled();
    assert.deepEqual(
      outcomes.map(({ state, error }) => (state === "rejected" ? handedBack(error) : state)),
      ["a", "b", "pending"],
    );
    assert.equal(connection.droppedMessages, 2);
    assert.deepEqual(
      events.map(({ policy, queuedMessages }) => [policy, queuedMessages]),
      [
        ["drop-oldest", 2],
        ["drop-oldest", 2],
      ],
    );
    assert.deepEqual(await read(3), [PLUG, "c", "d"], "never what the kernel has begun to take");
    assert.equal(outcomes[2]?.state, "resolved");
  });

  it("loses as many as the new one needs, and no more", async () => {
    const { connection, read } = await blocked({ overflow: "drop-oldest", maxQueuedBytes: 110 });
    const outcomes = ["aaa", "bbb", "ccc"].map((text) => outcomeOf(connection.send(text)));
    outcomes.push(outcomeOf(connection.send("ddddd")));
    await settled();
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ["rejected", "rejected", "pending", "pending"],
    );
    assert.equal(connection.droppedMessages, 2);
    assert.deepEqual(await read(3), [PLUG, "ccc", "ddddd"]);
  });

  it("refuses the new one if all that is queued has begun", async () => {
    const { connection } = await blocked({ overflow: "drop-oldest", maxQueuedMessages: 1 });
    await assert.rejects(connection.send("x"), { code: "LIMIT", refused: "x" });
    assert.equal(connection.droppedMessages, 0, "it was handed back, not lost");
  });

  it("does not empty the queue for one that cannot fit", async () => {
    const { connection, read } = await blocked({ overflow: "drop-oldest", maxQueuedBytes: 110 });
    const kept = ["aa", "bb", "cc"].map((text) => connection.send(text));
    await assert.rejects(connection.send("x".repeat(11)), { code: "LIMIT", maximum: 110 });
    assert.equal(connection.droppedMessages, 0);
    assert.deepEqual(await read(4), [PLUG, "aa", "bb", "cc"]);
    await Promise.all(kept);
  });
});

describe("a queue under coalesce", () => {
  it("puts a message in the place of the one with its key, full or not", async () => {
    const { events, observe } = watched();
    const { connection, read } = await blocked({ overflow: "coalesce", observe });
    const old = outcomeOf(connection.send("price 1", { key: "price" }));
    const [other, plain] = [connection.send("size 1", { key: "size" }), connection.send("no key")];
    assert.equal(connection.trySend("price 22", { key: "price" }), "queued");
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [4, 100 + 8 + 6 + 6]);
    await settled();
    assert.equal(handedBack(old.error), "price 1");
    assert.match(String(old.error), /price/);
    assert.equal(connection.droppedMessages, 1);
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["coalesce"],
    );
    assert.deepEqual(await read(4), [PLUG, "price 22", "size 1", "no key"]);
    await Promise.all([other, plain]);
  });

  it("counts every one that was replaced", async () => {
    const { connection, read } = await blocked({ overflow: "coalesce" });
    const outcomes = Array.from({ length: 100 }, (_, index) => outcomeOf(connection.send(`${index}`, { key: "k" })));
    assert.deepEqual(await read(2), [PLUG, "99"]);
    assert.equal(connection.droppedMessages, 99);
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      [...Array<string>(99).fill("rejected"), "resolved"],
    );
  });

  it("does not replace what has begun to be written", async () => {
    const { connection, wire } = wired({ capacity: 64, connection: { overflow: "coalesce" } });
    wire.pause();
    const first = outcomeOf(connection.send("a".repeat(100), { key: "k" }));
    await settled();
    connection.trySend("b", { key: "k" });
    connection.trySend("c", { key: "k" });
    wire.resume();
    await wire.until(() => received(wire).length === 2);
    assert.deepEqual(received(wire), ["a".repeat(100), "c"]);
    await settled();
    assert.equal(first.state, "resolved");
    assert.equal(connection.droppedMessages, 1);
  });

  it("refuses what has no place to take, or would make the queue too large", async () => {
    const { connection, read } = await blocked({ overflow: "coalesce", maxQueuedBytes: 104 });
    const kept = connection.send("1234", { key: "k" });
    await assert.rejects(connection.send("5", { key: "other" }), { code: "LIMIT", refused: "5" });
    await assert.rejects(connection.send("12345", { key: "k" }), { code: "LIMIT", refused: "12345", maximum: 104 });
    assert.equal(connection.droppedMessages, 0);
    assert.deepEqual(await read(2), [PLUG, "1234"]);
    await kept;
  });

  it("needs the policy: a key alone replaces nothing", async () => {
    const { connection, read } = await blocked();
    const sent = ["a", "b"].map((text) => connection.send(text, { key: "k" }));
    assert.deepEqual(await read(3), [PLUG, "a", "b"]);
    await Promise.all(sent);
  });
});

describe("a full queue under close", () => {
  it("ends the connection with 1013, and gives everybody the one reason", async () => {
    const { events, observe } = watched();
    const scene = await blocked({ overflow: "close", maxQueuedMessages: 2, observe });
    const { connection, wire } = scene;
    const [plug, queued] = [outcomeOf(scene.plug), outcomeOf(connection.send("queued"))];
    const one = outcomeOf(connection.send("one too many"));
    await settled();
    assert.equal(connection.state, "CLOSING");
    assert.equal(handedBack(one.error), "one too many");
    assert.deepEqual([plug.error === one.error, queued.error === one.error], [true, true]);
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["close"],
    );
    assert.equal(connection.trySend("x"), "refused");
    wire.resume();
    await wire.until(() => wire.ended);
    const frames = framesIn(wire.received);
    assert.deepEqual(
      frames.map(({ opcode }) => opcode),
      [1, 8],
      "the frame that was under way is completed",
    );
    assert.equal(frames[1]?.payload.readUInt16BE(0), 1013);
    wire.end();
    const { code, by, wasClean, cause } = await connection.closed;
    assert.deepEqual([code, by, wasClean, cause === one.error], [1013, "local", false, true]);
    assert.equal(connection.droppedMessages, 0);
  });
});

it("a policy given with the message stands above the connection's", async () => {
  const { connection, read } = await blocked({ overflow: "close", maxQueuedMessages: 2 });
  const kept = connection.send("kept");
  await assert.rejects(connection.send("a", { overflow: "reject" }), { refused: "a" });
  await assert.rejects(connection.send("b", { overflow: "drop-newest" }), { refused: "b" });
  const waiting = connection.send("c", { overflow: "wait" });
  assert.equal(connection.state, "OPEN");
  assert.deepEqual(await read(3), [PLUG, "kept", "c"]);
  await Promise.all([kept, waiting]);
});
