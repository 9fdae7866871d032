/** Peers that do not read: what is kept for them is bounded, and every loss is reported. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DEFAULTS } from "../../src/index.ts";
import { FrameReader, peerFrame } from "../kit/frames.ts";
import { AttackedServer, MIB, SCALE } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const URL = "ws://127.0.0.1:0";
const SIZE = 50_000;
const COUNT = 4_000 * SCALE;
// Beyond its limits: a message that the application holds and one that passed the limit of the inbox; and 64 KiB each for a
// write in progress, for bytes that are not decoded, for a part of the next message, and for what Node read in advance.
const BESIDE = 2 * SIZE + 4 * 65_536;
/** The memory that all connections together keep for later copies, in bytes. */
const SPARE = 2_097_152;
const KEPT: number = DEFAULTS.connection.maxQueuedBytes + DEFAULTS.connection.maxInboxBytes + BESIDE;

/** Messages that contain their number. The masking key is zero, so that the payload can be changed in place. */
class Numbered {
  readonly #frame: Buffer = Buffer.from(peerFrame({ opcode: 2, payload: Buffer.alloc(SIZE, 0x5a), key: [0, 0, 0, 0] }));

  next(number: number): Buffer {
    const frame = Buffer.from(this.#frame);
    frame.writeUInt32BE(number, frame.length - SIZE);
    return frame;
  }
}

/** The numbers of the received messages, each of which must be complete. */
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

async function send(attacker: Attacker, from: number, to: number): Promise<void> {
  const numbered = new Numbered();
  for (let number = from; number < to; number += 1) await attacker.flood(numbered.next(number), 1);
}

describe(`an echo of ${(SIZE * COUNT) / 1e6} MB that is not read`, LIMIT, () => {
  it("waits at its sender, and arrives complete when it is read", async () => {
    await using attacked = await AttackedServer.start({
      url: URL,
      does: "echo",
      options: { writeTimeout: 240_000 },
      observed: true,
    });
    await using attacker = await Attacker.on(attacked.port);
    await attacked.begin();
    const numbers = new Numbers();
    attacker.heard = (chunk) => numbers.hear(chunk);
    attacker.socket.pause();
    const sent = send(attacker, 0, COUNT);
    await attacked.until(({ paused }) => paused === 1);
    const { messages } = await attacked.within(KEPT);
    assert.ok(messages < COUNT, "the kernel's buffers were full, or nothing was tried here");
    attacker.socket.resume();
    await sent;
    await attacker.until(() => numbers.seen.length === COUNT);
    assert.equal(numbers.seen.length, COUNT);
    assert.ok(
      numbers.seen.every((number, index) => number === index),
      "each arrived once, and in order",
    );
    await attacked.within(KEPT);
  });

  it("by trySend is refused where there is no room: what was accepted arrives", async () => {
    await using attacked = await AttackedServer.start({
      url: URL,
      does: "tryEcho",
      options: { writeTimeout: 240_000 },
    });
    await using attacker = await Attacker.on(attacked.port);
    await attacked.begin();
    const numbers = new Numbers();
    attacker.heard = (chunk) => numbers.hear(chunk);
    attacker.socket.pause();
    await send(attacker, 0, COUNT);
    const { refused } = await attacked.until(({ messages }) => messages === COUNT);
    await attacked.within(KEPT);
    assert.ok(refused > 0 && refused < COUNT, `${refused} of ${COUNT} were refused`);
    attacker.socket.resume();
    await attacker.until(() => numbers.seen.length === COUNT - refused);
    assert.ok(
      numbers.seen.every((number, index) => number > (numbers.seen[index - 1] ?? -1)),
      "each once, and in order",
    );
    await attacked.until(({ queuedBytes }) => queuedBytes === 0);
    assert.equal(numbers.seen.length, COUNT - refused);
  });

  it("is ended by writeTimeout, and leaves nothing behind", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "echo", options: { writeTimeout: 300 } });
    await using attacker = await Attacker.on(attacked.port);
    await attacked.begin();
    attacker.socket.pause();
    const sent = send(attacker, 0, COUNT);
    assert.deepEqual(await attacked.ended(), [
      { code: 1006, by: "local", error: "TimeoutError", limit: "writeTimeout" },
    ]);
    await attacked.within(0, KEPT);
    attacker.socket.resume();
    await sent;
  });
});

describe("a member of a group that does not read", LIMIT, () => {
  it("is closed with 1013, costs no more than its queue, and the others get every message", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "broadcast", options: { closeTimeout: 500 } });
    await using slow = await Attacker.on(attacked.port);
    await using quick = await Attacker.on(attacked.port);
    await using other = await Attacker.on(attacked.port);
    await attacked.until(({ connections }) => connections === 3);
    await attacked.begin();
    slow.socket.pause();
    const heard = [quick, other].map((attacker) => {
      const numbers = new Numbers();
      attacker.heard = (chunk) => numbers.hear(chunk);
      return { attacker, numbers };
    });
    // At a time no more than the queue of a reading member holds; in total far more than the kernel buffers.
    const count = COUNT / 4;
    for (let sent = 0; sent < count; sent += 10) {
      await send(quick, sent, sent + 10);
      for (const { attacker, numbers } of heard) await attacker.until(() => numbers.seen.length === sent + 10);
    }
    for (const { numbers } of heard) {
      assert.equal(numbers.seen.length, count);
      assert.ok(
        numbers.seen.every((number, index) => number === index),
        "each arrived once, and in order",
      );
    }
    // Each member has its own queue. The member that does not read has filled it.
    const { refused } = await attacked.within(3 * KEPT);
    assert.equal(refused, 1);
    const { ends } = await attacked.until((report) => report.connections === 2);
    assert.deepEqual(ends, [{ code: 1013, by: "local", error: "LimitError", limit: "maxQueuedBytes" }]);
  });
});

describe("a server that echoes to many peers that do not read", LIMIT, () => {
  it("holds no more for each than its limits allow", async () => {
    const members = 20;
    const limits = { maxQueuedBytes: 65_536, maxInboxBytes: 65_536 };
    const options = { ...limits, writeTimeout: 240_000 };
    await using attacked = await AttackedServer.start({ url: URL, does: "echo", options, observed: true });
    await attacked.begin();
    const attackers = await Promise.all(Array.from({ length: members }, () => Attacker.on(attacked.port)));
    for (const attacker of attackers) {
      attacker.socket.pause();
      void send(attacker, 0, COUNT);
    }
    await attacked.until(({ paused }) => paused === members);
    await attacked.within(members * (limits.maxQueuedBytes + limits.maxInboxBytes + BESIDE) + SPARE);
    await Promise.all(attackers.map((attacker) => attacker[Symbol.asyncDispose]()));
    await attacked.ended();
    // Memory for copies is kept for later copies.
    await attacked.within(MIB + SPARE);
  });
});
