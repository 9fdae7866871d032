/** The send queue: its limits, and the effect of each policy on a message that does not fit. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LimitError, Overflow } from "../../../src/index.ts";
import { settled, wired } from "../../../src/testing/index.ts";
import {
  blocked,
  charged,
  observedOverflows,
  PLUG,
  received,
  refusedMessageOf,
  stateOf,
} from "../../kit/blocked-connection.ts";
import { framesIn } from "../../kit/frames.ts";

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce", "close"];

describe("the limits of the send queue", () => {
  for (const overflow of POLICIES) {
    it(`allow exactly maxQueuedBytes under ${overflow}`, async () => {
      const { connection, plug, read } = await blocked({ overflow, maxQueuedBytes: charged(110, 3) });
      assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [charged(100, 1), 1]);
      const [fits, empty] = [connection.send("1234567890"), connection.send("")];
      assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [charged(110, 3), 3]);
      assert.equal(connection.droppedMessages, 0);
      assert.deepEqual(await read(3), [PLUG, "1234567890", ""]);
      await Promise.all([plug, fits, empty]);
      assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [0, 0]);
    });

    it(`allow exactly maxQueuedMessages under ${overflow}`, async () => {
      const { connection, plug, read } = await blocked({ overflow, maxQueuedMessages: 3 });
      const sent = ["", ""].map((text) => connection.send(text));
      assert.equal(connection.queuedMessages, 3);
      await read(3);
      await Promise.all([plug, ...sent]);
    });

    it(`count the bytes of UTF-8 under ${overflow}`, async () => {
      const { connection } = await blocked({ overflow, maxQueuedBytes: charged(107, 3) });
      assert.equal(connection.trySend("é€😀".slice(0, 2)), "queued");
      assert.equal(connection.queuedBytes, charged(105, 2));
      assert.equal(connection.trySend("€", { overflow: "reject" }), "refused");
      assert.equal(connection.trySend("é", { overflow: "reject" }), "queued");
      assert.equal(connection.queuedBytes, charged(107, 3));
    });

    it(`refuse a message at once that can never fit, under ${overflow}`, async () => {
      const { connection } = wired({ connection: { overflow, maxQueuedBytes: 10 } });
      const message = new Uint8Array(11);
      const facts = { code: "LIMIT", limit: "maxQueuedBytes", maximum: 10, actual: 11 };
      await assert.rejects(connection.send(message), (error: LimitError) => {
        assert.deepEqual({ ...error, ...facts }, { ...error });
        assert.deepEqual(Buffer.from(error.returned as Uint8Array), Buffer.alloc(11));
        return true;
      });
      assert.equal(connection.state, overflow === "close" ? "CLOSING" : "OPEN");
    });
  }
});

describe("a full queue under wait", () => {
  it("delays calls in order, and queues each as soon as there is room", async () => {
    const { connection, peer } = await blocked({ maxQueuedMessages: 2 });
    const outcomes = ["a", "b", "c"].map((text) => stateOf(connection.send(text)));
    await settled();
    assert.equal(connection.queuedMessages, 2, "the plug and one more");
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ["pending", "pending", "pending"],
    );
    let most = 0;
    peer.resume();
    await peer.until(() => {
      most = Math.max(most, connection.queuedMessages);
      return received(peer).length === 4;
    });
    assert.deepEqual(received(peer), [PLUG, "a", "b", "c"]);
    assert.equal(most, 2);
    await settled();
    assert.ok(outcomes.every(({ state }) => state === "resolved"));
  });

  it("never holds more than maxQueuedBytes, with messages of any size", async () => {
    const most = charged(28 * 128, 28);
    const { connection, peer } = await blocked({ maxQueuedBytes: most });
    // More than fit into the queue, and no more than may wait for room.
    const sizes = Array.from({ length: 50 }, (_, index) => (index * 37) % 129);
    const sent = sizes.map((size) => connection.send("x".repeat(size)));
    assert.ok(connection.queuedBytes <= most);
    assert.ok(connection.queuedMessages < sizes.length);
    let reached = 0;
    peer.resume();
    await peer.until(() => {
      reached = Math.max(reached, connection.queuedBytes);
      return received(peer).length > sizes.length;
    });
    const got = received(peer);
    assert.deepEqual(
      got.slice(1).map(({ length }) => length),
      sizes,
    );
    assert.ok(reached <= most, `${reached} bytes were queued`);
    await Promise.all(sent);
  });

  it("delays as many calls as maxQueuedMessages, and rejects a further one with its message in the error", async () => {
    const { events, observe } = observedOverflows();
    const { connection, read } = await blocked({ maxQueuedMessages: 2, observe });
    const taken = ["a", "b", "c"].map((text) => connection.send(text));
    const one = new Uint8Array([1]);
    await assert.rejects(connection.send(one), {
      code: "LIMIT",
      limit: "maxQueuedMessages",
      maximum: 2,
      returned: one,
    });
    assert.equal(events.length, 1);
    assert.deepEqual(await read(4), [PLUG, "a", "b", "c"]);
    await Promise.all(taken);
  });

  it("refuses a message of trySend, and no message overtakes the waiting ones", async () => {
    const { events, observe } = observedOverflows();
    const { connection, read } = await blocked({ maxQueuedBytes: charged(104, 2), observe });
    const waiting = connection.send("12345");
    assert.equal(connection.queuedBytes, charged(100, 1));
    assert.equal(connection.trySend("1"), "refused", "there would be room, but it is not next");
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["reject"],
    );
    assert.deepEqual(await read(2), [PLUG, "12345"]);
    await waiting;
    assert.equal(connection.droppedMessages, 0);
  });

  it("rejects all waiting calls when the connection ends, with the same reason", async () => {
    const { connection, plug, clock } = await blocked({ maxQueuedMessages: 2, writeTimeout: 50 });
    const waiting = [plug, ...["a", "b"].map((text) => connection.send(text))].map(stateOf);
    await clock.advance(50);
    const { cause } = await connection.closed;
    assert.deepEqual(
      waiting.map(({ state, error }) => [state, error === cause]),
      waiting.map(() => ["rejected", true]),
    );
  });
});

describe("a full queue under reject", () => {
  it("rejects with the message and the numbers, and changes nothing", async () => {
    const { events, observe } = observedOverflows();
    const { connection, read } = await blocked({ overflow: "reject", maxQueuedBytes: charged(104, 2), observe });
    const kept = connection.send("1234");
    const message = Buffer.from("x");
    await assert.rejects(connection.send(message), (error: LimitError) => {
      const { name, code, limit, maximum, actual } = error;
      assert.deepEqual(
        [name, code, limit, maximum, actual],
        ["LimitError", "LIMIT", "maxQueuedBytes", charged(104, 2), charged(105, 3)],
      );
      message.fill(0);
      assert.deepEqual(Buffer.from(error.returned as Uint8Array), Buffer.from("x"), "as it was at the call");
      assert.match(error.message, /^Cannot send: maxQueuedBytes is \d+, and this makes \d+/);
      return true;
    });
    assert.equal(connection.trySend("y"), "refused");
    assert.deepEqual(
      events.map(({ policy, queuedBytes, queuedMessages }) => [policy, queuedBytes, queuedMessages]),
      [
        ["reject", charged(104, 2), 2],
        ["reject", charged(104, 2), 2],
      ],
    );
    assert.equal(connection.droppedMessages, 0);
    assert.deepEqual(await read(2), [PLUG, "1234"]);
    await kept;
    await connection.send("room again");
  });

  it("names the limit that was reached", async () => {
    const { connection } = await blocked({ overflow: "reject", maxQueuedMessages: 1 });
    const facts = { limit: "maxQueuedMessages", maximum: 1, actual: 2, returned: "x" };
    await assert.rejects(connection.send("x"), facts);
  });
});

describe("a full queue under drop-newest", () => {
  it("drops the new message, counts it, and keeps the queued ones", async () => {
    const { events, observe } = observedOverflows();
    const { connection, read } = await blocked({ overflow: "drop-newest", maxQueuedMessages: 2, observe });
    const kept = connection.send("kept");
    const lost = stateOf(connection.send("lost"));
    assert.equal(connection.trySend("lost too"), "refused");
    await settled();
    assert.equal(lost.state, "rejected");
    assert.equal(refusedMessageOf(lost.error), "lost");
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
  it("drops the oldest message that is not being written, and rejects its call with the message", async () => {
    const { events, observe } = observedOverflows();
    const { connection, read } = await blocked({ overflow: "drop-oldest", maxQueuedMessages: 3, observe });
    const outcomes = ["a", "b", "c"].map((text) => stateOf(connection.send(text)));
    assert.equal(connection.trySend("d"), "queued");
    await settled();
    assert.deepEqual(
      outcomes.map(({ state, error }) => (state === "rejected" ? refusedMessageOf(error) : state)),
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

  it("drops as many messages as the new one needs, and no more", async () => {
    const { connection, read } = await blocked({ overflow: "drop-oldest", maxQueuedBytes: charged(110, 4) });
    const outcomes = ["aaa", "bbb", "ccc"].map((text) => stateOf(connection.send(text)));
    outcomes.push(stateOf(connection.send("d".repeat(charged(5, 1)))));
    await settled();
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ["rejected", "rejected", "pending", "pending"],
    );
    assert.equal(connection.droppedMessages, 2);
    assert.deepEqual(await read(3), [PLUG, "ccc", "d".repeat(charged(5, 1))]);
  });

  it("refuses the new message if all queued ones are being written", async () => {
    const { connection } = await blocked({ overflow: "drop-oldest", maxQueuedMessages: 1 });
    await assert.rejects(connection.send("x"), { code: "LIMIT", returned: "x" });
    assert.equal(connection.droppedMessages, 0, "it was handed back, not lost");
  });

  it("does not drop messages for one that cannot fit", async () => {
    const { connection, read } = await blocked({ overflow: "drop-oldest", maxQueuedBytes: charged(110, 4) });
    const kept = ["aa", "bb", "cc"].map((text) => connection.send(text));
    await assert.rejects(connection.send("x".repeat(charged(11, 2) + 512)), {
      code: "LIMIT",
      maximum: charged(110, 4),
    });
    assert.equal(connection.droppedMessages, 0);
    assert.deepEqual(await read(4), [PLUG, "aa", "bb", "cc"]);
    await Promise.all(kept);
  });
});

describe("a queue under coalesce", () => {
  it("replaces the queued message with the same key at its position, full or not", async () => {
    const { events, observe } = observedOverflows();
    const { connection, read } = await blocked({ overflow: "coalesce", observe });
    const old = stateOf(connection.send("price 1", { key: "price" }));
    const [other, plain] = [connection.send("size 1", { key: "size" }), connection.send("no key")];
    assert.equal(connection.trySend("price 22", { key: "price" }), "queued");
    assert.deepEqual([connection.queuedMessages, connection.queuedBytes], [4, charged(100 + 8 + 6 + 6, 4)]);
    await settled();
    assert.equal(refusedMessageOf(old.error), "price 1");
    assert.match(String(old.error), /price/);
    assert.equal(connection.droppedMessages, 1);
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["coalesce"],
    );
    assert.deepEqual(await read(4), [PLUG, "price 22", "size 1", "no key"]);
    await Promise.all([other, plain]);
  });

  it("counts every replaced message", async () => {
    const { connection, read } = await blocked({ overflow: "coalesce" });
    const outcomes = Array.from({ length: 100 }, (_, index) => stateOf(connection.send(`${index}`, { key: "k" })));
    assert.deepEqual(await read(2), [PLUG, "99"]);
    assert.equal(connection.droppedMessages, 99);
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      [...Array<string>(99).fill("rejected"), "resolved"],
    );
  });

  it("does not replace a message that is being written", async () => {
    const { connection, peer } = wired({ capacity: 64, connection: { overflow: "coalesce" } });
    peer.pause();
    const first = stateOf(connection.send("a".repeat(100), { key: "k" }));
    await settled();
    connection.trySend("b", { key: "k" });
    connection.trySend("c", { key: "k" });
    peer.resume();
    await peer.until(() => received(peer).length === 2);
    assert.deepEqual(received(peer), ["a".repeat(100), "c"]);
    await settled();
    assert.equal(first.state, "resolved");
    assert.equal(connection.droppedMessages, 1);
  });

  it("refuses a message that replaces none and does not fit, or whose replacement would not fit", async () => {
    const { connection, read } = await blocked({ overflow: "coalesce", maxQueuedBytes: charged(104, 2) });
    const kept = connection.send("1234", { key: "k" });
    await assert.rejects(connection.send("5", { key: "other" }), { code: "LIMIT", returned: "5" });
    await assert.rejects(connection.send("12345", { key: "k" }), {
      code: "LIMIT",
      returned: "12345",
      maximum: charged(104, 2),
    });
    assert.equal(connection.droppedMessages, 0);
    assert.deepEqual(await read(2), [PLUG, "1234"]);
    await kept;
  });

  it("requires the policy: a key without it replaces nothing", async () => {
    const { connection, read } = await blocked();
    const sent = ["a", "b"].map((text) => connection.send(text, { key: "k" }));
    assert.deepEqual(await read(3), [PLUG, "a", "b"]);
    await Promise.all(sent);
  });
});

describe("a full queue under close", () => {
  it("ends the connection with 1013, and rejects every call with the same reason", async () => {
    const { events, observe } = observedOverflows();
    const scene = await blocked({ overflow: "close", maxQueuedMessages: 2, observe });
    const { connection, peer } = scene;
    const [plug, queued] = [stateOf(scene.plug), stateOf(connection.send("queued"))];
    const one = stateOf(connection.send("one too many"));
    await settled();
    assert.equal(connection.state, "CLOSING");
    assert.equal(refusedMessageOf(one.error), "one too many");
    assert.deepEqual([plug.error === one.error, queued.error === one.error], [true, true]);
    assert.deepEqual(
      events.map(({ policy }) => policy),
      ["close"],
    );
    assert.equal(connection.trySend("x"), "refused");
    peer.resume();
    await peer.until(() => peer.ended);
    const frames = framesIn(peer.received);
    assert.deepEqual(
      frames.map(({ opcode }) => opcode),
      [1, 8],
      "the frame that was under way is completed",
    );
    assert.equal(frames[1]?.payload.readUInt16BE(0), 1013);
    peer.end();
    const { code, by, wasClean, cause } = await connection.closed;
    assert.deepEqual([code, by, wasClean, cause === one.error], [1013, "local", false, true]);
    assert.equal(connection.droppedMessages, 0);
  });
});

it("the policy of a message overrides that of the connection", async () => {
  const { connection, read } = await blocked({ overflow: "close", maxQueuedMessages: 2 });
  const kept = connection.send("kept");
  await assert.rejects(connection.send("a", { overflow: "reject" }), { returned: "a" });
  await assert.rejects(connection.send("b", { overflow: "drop-newest" }), { returned: "b" });
  const waiting = connection.send("c", { overflow: "wait" });
  assert.equal(connection.state, "OPEN");
  assert.deepEqual(await read(3), [PLUG, "kept", "c"]);
  await Promise.all([kept, waiting]);
});
