/** Peers that do not read: what is kept for them is bounded, and nothing of it is lost without a word. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS } from "../../src/index.js";
import { peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import { Assault } from "./assault.js";
import { MIB, SCALE, Siege } from "./siege.js";

const LIMIT = { timeout: 240_000 };
const URL = "ws://127.0.0.1:0";
const SIZE = 50_000;
const COUNT = 4_000 * SCALE;
// Beyond its limits: a message in the application's hands and one that passed the inbox's line; and of 64 KiB each, a write
// that is under way, what was read and not decoded, what was decoded of the next message, and what node read ahead.
const BESIDE = 2 * SIZE + 4 * 65_536;
const KEPT: number = DEFAULTS.maxQueuedBytes + DEFAULTS.maxInboxBytes + BESIDE;

/** Messages that bear their number. The key is zero, so that the payload stands there as it is and can be numbered anew. */
class Numbered {
  readonly #frame: Buffer = Buffer.from(peerFrame({ opcode: 2, payload: Buffer.alloc(SIZE, 0x5a), key: [0, 0, 0, 0] }));

  next(number: number): Buffer {
    const frame = Buffer.from(this.#frame);
    frame.writeUInt32BE(number, frame.length - SIZE);
    return frame;
  }
}

/** The numbers of the messages that come, each of which must be whole. */
class Numbers {
  readonly seen: number[] = [];
  readonly #reader = new FrameReader();

  hear(chunk: Buffer): void {
    for (const { opcode, payload } of this.#reader.push(chunk)) {
      if (opcode !== 2) continue;
      assert.equal(payload.length, SIZE);
      this.seen.push(payload.readUInt32BE());
    }
  }
}

async function send(assault: Assault, from: number, to: number): Promise<void> {
  const numbered = new Numbered();
  for (let number = from; number < to; number += 1) await assault.flood(numbered.next(number), 1);
}

describe(`an echo of ${(SIZE * COUNT) / 1e6} MB that nobody reads`, LIMIT, () => {
  it("is held back with its sender, and comes whole when it is read", async () => {
    await using siege = await Siege.lay({ url: URL, does: "echo", options: { writeTimeout: 240_000 }, observed: true });
    await using assault = await Assault.on(siege.port);
    await siege.begin();
    const numbers = new Numbers();
    assault.heard = (chunk) => numbers.hear(chunk);
    assault.socket.pause();
    const sent = send(assault, 0, COUNT);
    await siege.until(({ paused }) => paused === 1);
    const { messages } = await siege.within(KEPT);
    assert.ok(messages < COUNT, "the kernel's buffers were full, or nothing was tried here");
    assault.socket.resume();
    await sent;
    await assault.until(() => numbers.seen.length === COUNT);
    assert.equal(numbers.seen.length, COUNT);
    assert.ok(
      numbers.seen.every((number, index) => number === index),
      "each came once, and in order",
    );
    await siege.within(KEPT);
  });

  it("by trySend is refused where there is no room: what was not refused comes", async () => {
    await using siege = await Siege.lay({ url: URL, does: "tryEcho", options: { writeTimeout: 240_000 } });
    await using assault = await Assault.on(siege.port);
    await siege.begin();
    const numbers = new Numbers();
    assault.heard = (chunk) => numbers.hear(chunk);
    assault.socket.pause();
    await send(assault, 0, COUNT);
    const { refused } = await siege.until(({ messages }) => messages === COUNT);
    await siege.within(KEPT);
    assert.ok(refused > 0 && refused < COUNT, `${refused} of ${COUNT} were refused`);
    assault.socket.resume();
    await assault.until(() => numbers.seen.length === COUNT - refused);
    assert.ok(
      numbers.seen.every((number, index) => number > (numbers.seen[index - 1] ?? -1)),
      "each once, and in order",
    );
    await siege.until(({ queuedBytes }) => queuedBytes === 0);
    assert.equal(numbers.seen.length, COUNT - refused);
  });

  it("is ended by writeTimeout, and leaves nothing behind", async () => {
    await using siege = await Siege.lay({ url: URL, does: "echo", options: { writeTimeout: 300 } });
    await using assault = await Assault.on(siege.port);
    await siege.begin();
    assault.socket.pause();
    const sent = send(assault, 0, COUNT);
    assert.deepEqual(await siege.ended(), [{ code: 1006, by: "local", error: "TimeoutError", limit: "writeTimeout" }]);
    await siege.within(0, KEPT);
    assault.socket.resume();
    await sent;
  });
});

describe("a member of a group who does not read", LIMIT, () => {
  it("is closed with 1013, costs no more than its queue, and keeps nobody from getting everything", async () => {
    await using siege = await Siege.lay({ url: URL, does: "broadcast", options: { closeTimeout: 500 } });
    await using slow = await Assault.on(siege.port);
    await using quick = await Assault.on(siege.port);
    await using other = await Assault.on(siege.port);
    await siege.until(({ connections }) => connections === 3);
    await siege.begin();
    slow.socket.pause();
    const heard = [quick, other].map((assault) => {
      const numbers = new Numbers();
      assault.heard = (chunk) => numbers.hear(chunk);
      return { assault, numbers };
    });
    // No more at a time than the queue of one who reads can hold; in all far more than the kernel does.
    const count = COUNT / 4;
    for (let sent = 0; sent < count; sent += 10) {
      await send(quick, sent, sent + 10);
      for (const { assault, numbers } of heard) await assault.until(() => numbers.seen.length === sent + 10);
    }
    for (const { numbers } of heard) {
      assert.equal(numbers.seen.length, count);
      assert.ok(
        numbers.seen.every((number, index) => number === index),
        "each came once, and in order",
      );
    }
    // Everyone has a queue of its own; who does not read has filled it.
    const { refused } = await siege.within(3 * KEPT);
    assert.equal(refused, 1);
    const { ends } = await siege.until((report) => report.connections === 2);
    assert.deepEqual(ends, [{ code: 1013, by: "local", error: "LimitError", limit: "maxQueuedBytes" }]);
  });
});

describe("a server that echoes to many who do not read", LIMIT, () => {
  it("holds no more for each than its limits allow", async () => {
    const members = 20;
    const limits = { maxQueuedBytes: 65_536, maxInboxBytes: 65_536 };
    const options = { ...limits, writeTimeout: 240_000 };
    await using siege = await Siege.lay({ url: URL, does: "echo", options, observed: true });
    await siege.begin();
    const attackers = await Promise.all(Array.from({ length: members }, () => Assault.on(siege.port)));
    for (const attacker of attackers) {
      attacker.socket.pause();
      void send(attacker, 0, COUNT);
    }
    await siege.until(({ paused }) => paused === members);
    await siege.within(members * (limits.maxQueuedBytes + limits.maxInboxBytes + BESIDE));
    await Promise.all(attackers.map((attacker) => attacker[Symbol.asyncDispose]()));
    await siege.ended();
    await siege.within(MIB);
  });
});
