/** The content of one write: messages of any size, each in one frame, with control frames between frames and never inside one. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { MessageContent } from "../../../src/engine/protocol.ts";
import { prepare } from "../../../src/index.ts";
import { type RawPeer, settled, wired } from "../../../src/testing/index.ts";
import { type Frame, FrameReader, KEY, messagesIn, peerFrame } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";

const WRITE_SIZE = 65_536;

/** Bytes that differ by position, so that lost, duplicated or moved bytes are detected. */
function patterned(size: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(size);
  for (let index = 0; index < size; index += 1) bytes[index] = (index * 31 + (index >>> 8) * 7 + seed) & 0xff;
  return bytes;
}

/** Reads until this many messages are complete. */
async function frames(wire: RawPeer, messages: number): Promise<Frame[]> {
  const reader = new FrameReader();
  const read: Frame[] = [];
  await wire.until(() => {
    read.push(...reader.push(wire.take()));
    return read.filter(({ opcode, fin }) => opcode < 8 && fin).length >= messages;
  });
  await settled();
  read.push(...reader.push(wire.take()));
  assert.equal(reader.pending, 0);
  return read;
}

const SIZES = [0, 1, 125, 126, 65_521, 65_522, 65_523, 65_526, 65_527, 65_535, 65_536, 65_537, 131_072, 200_001];

for (const role of ["server", "client"] as const) {
  describe(`messages of a ${role} around and above the size of a write`, () => {
    it("arrive byte for byte, each in one frame, masked as required", async () => {
      const { connection, peer } = wired({ role, connection: { maxQueuedBytes: Infinity } });
      const messages = SIZES.map((size, index) => patterned(size, index));
      const sent = messages.map((message) => connection.send(message));
      const read = await frames(peer, messages.length);
      assert.ok(read.every(({ opcode, fin, masked }) => opcode === 2 && fin && masked === (role === "client")));
      assert.equal(read.length, messages.length);
      for (const [index, { payload }] of read.entries()) {
        assert.equal(Buffer.compare(payload, messages[index]!), 0, `message of ${SIZES[index]} bytes`);
      }
      await Promise.all(sent);
    });

    it("arrive as the same texts, with any characters", async () => {
      const { connection, peer } = wired({ role, connection: { maxQueuedBytes: Infinity } });
      const texts = ["€".repeat(30_000), `${"x".repeat(65_535)}😀`, "é".repeat(WRITE_SIZE), "\ud800".repeat(40_000)];
      const sent = texts.map((text) => connection.send(text));
      const read = await frames(peer, texts.length);
      assert.ok(read.every(({ opcode }) => opcode === 1));
      const messages = messagesIn(read);
      for (const index of [0, 1, 2]) assert.ok(messages[index] === texts[index]);
      assert.ok(messages[3] === "\ufffd".repeat(40_000), "a lone surrogate is sent as U+FFFD");
      await Promise.all(sent);
    });

    it("do not change the caller's memory", async () => {
      const { connection, peer } = wired({ role });
      const [small, large] = [patterned(100), patterned(100_000)];
      await Promise.all([connection.send(small), connection.send(large)]);
      await frames(peer, 2);
      assert.equal(Buffer.compare(small, patterned(100)), 0);
      assert.equal(Buffer.compare(large, patterned(100_000)), 0);
    });

    it("have control frames between them and never inside one, for any amounts that the kernel accepts", async () => {
      const { connection, peer } = wired({ role, capacity: 1_000, connection: { maxQueuedBytes: Infinity } });
      const key = role === "server" ? { key: KEY } : {};
      const messages = [300_000, 10, 100_000, WRITE_SIZE, 0].map((size, index) => patterned(size, index));
      const sent = messages.map((message) => connection.send(message));
      const reader = new FrameReader();
      const read: Frame[] = [];
      let asked = 0;
      let largeHasBegun = false;
      await peer.until(() => {
        read.push(...reader.push(peer.take()));
        // Called while half of a large message is written.
        if (reader.pending > 2_000 * (asked + 1)) {
          asked += 1;
          peer.write(peerFrame({ opcode: 9, payload: `${asked}`, ...key }));
        }
        largeHasBegun ||= reader.pending > WRITE_SIZE;
        return read.filter(({ opcode }) => opcode === 2).length === messages.length;
      });
      await Promise.all(sent);
      await settled();
      read.push(...reader.push(peer.take()));
      assert.ok(largeHasBegun && asked > 10);
      assert.deepEqual(
        messagesIn(read).map((message) => message.length),
        messages.map(({ length }) => length),
      );
      const answered = read.filter(({ opcode }) => opcode === 10).map(({ payload }) => Number(payload));
      assert.deepEqual(
        answered,
        [...answered].sort((one, other) => one - other),
      );
      const first = read.findIndex(({ opcode }) => opcode === 10);
      assert.equal(first, 1, "the answer is behind the frame that was being written, and before all that waits");
    });
  });
}

it("any messages, sent at any time, with pings at any time, through any kernel, arrive whole and in order", async () => {
  const size = fc.oneof(fc.nat(300), fc.integer({ min: 65_500, max: 65_560 }), fc.nat(200_000));
  const act = fc.oneof(
    { weight: 5, arbitrary: fc.record({ do: fc.constant("send" as const), size, text: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("ping" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  );
  const role = fc.constantFrom("server" as const, "client" as const);
  const capacity = fc.constantFrom(5_000, 65_536, 1_000_000);
  await fc.assert(
    fc.asyncProperty(role, capacity, fc.array(act, { maxLength: 20 }), async (role, capacity, acts) => {
      const { connection, peer } = wired({ role, capacity, connection: { maxQueuedBytes: Infinity } });
      const given: MessageContent[] = [];
      const sent: Promise<void>[] = [];
      for (const [index, one] of acts.entries()) {
        if (one.do === "ping") connection.ping().catch(() => undefined);
        else if (one.do === "turn") await new Promise(setImmediate);
        else {
          const bytes = patterned(one.size, index);
          given.push(one.text ? Buffer.from(bytes).toString("hex").slice(0, one.size) : bytes);
          sent.push(connection.send(given.at(-1)!));
        }
      }
      const read = await frames(peer, given.length);
      await Promise.all(sent);
      const messages = messagesIn(read);
      assert.equal(messages.length, given.length);
      for (const [index, message] of messages.entries()) {
        const one = given[index]!;
        assert.ok(typeof one === "string" ? message === one : Buffer.compare(message as Buffer, one) === 0);
      }
    }),
    runs(40),
  );
});

it("a message that is prepared once for many connections has the same bytes on each, at any size", async () => {
  const [one, other] = [wired(), wired()];
  const message = prepare(patterned(150_000));
  const small = prepare("small");
  for (const { connection } of [one, other]) {
    connection.trySend(small);
    await connection.send(message);
    await connection.send(small);
  }
  for (const { peer } of [one, other]) {
    const messages = messagesIn(await frames(peer, 3));
    assert.deepEqual([messages[0], messages[2]], ["small", "small"]);
    assert.equal(Buffer.compare(messages[1] as Buffer, patterned(150_000)), 0);
  }
});

it("a framing's own bytes are before and after each message, at any size", async () => {
  const sizes = [1, 65_529, 65_530, 65_533, 65_536, 100_000, 131_065, 131_072];
  const cases = [
    { framing: { lengthPrefix: 4 } as const, before: 4, behind: 0 },
    { framing: { delimiter: "--end--" } as const, before: 0, behind: 7 },
  ];
  for (const { framing, before, behind } of cases) {
    const { connection, peer } = wired({ kind: "tcp", framing });
    const messages = sizes.map((size) => Buffer.alloc(size, "x"));
    // One at a time, so that each begins a write, and some end exactly at the end of a write.
    for (const message of messages) await connection.send(message);
    const whole = sizes.reduce((sum, size) => sum + size + before + behind, 0);
    await peer.until(({ received }) => received.length === whole);
    const bytes = Buffer.from(peer.received);
    let at = 0;
    for (const size of sizes) {
      if (before > 0) assert.equal(bytes.readUInt32BE(at), size);
      at += before;
      assert.equal(Buffer.compare(bytes.subarray(at, at + size), Buffer.alloc(size, "x")), 0);
      at += size;
      assert.equal(bytes.subarray(at, at + behind).toString(), "--end--".slice(0, behind));
      at += behind;
    }
  }
});
