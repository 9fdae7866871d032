/** Floods of Pings and Pongs, to a peer that reads the answers and to one that never does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { AttackedServer, SCALE } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const URL = "ws://127.0.0.1:0";
const MANY = 150_000 * SCALE;

const ping = (payload: string): Uint8Array => peerFrame({ opcode: 9, payload, key: KEY });
const LARGE = ping("p".repeat(125));

describe("a flood of Pings", LIMIT, () => {
  it("whose Pongs are never read holds only the newest few, and loses no Pong that matters", async () => {
    const options = { writeTimeout: 240_000 };
    await using attacked = await AttackedServer.start({ url: URL, does: "swallow", options });
    await using attacker = await Attacker.on(attacked.port);
    await attacked.begin();
    attacker.socket.pause();
    await attacker.floodOf(LARGE, MANY);
    await attacker.flood(ping("the last"), 1);
    // A message follows the Pings, since Pongs are not read: when it has arrived, the Pings have.
    await attacker.flood(peerFrame({ opcode: 1, payload: "behind", key: KEY }), 1);
    await attacked.until(({ messages }) => messages === 1);
    // A write of 64 KiB may be in progress.
    await attacked.within(65_536);
    const reader = new FrameReader();
    const pongs: string[] = [];
    attacker.heard = (chunk) => {
      for (const { opcode, payload } of reader.push(chunk)) {
        assert.equal(opcode, 10);
        pongs.push(payload.toString());
      }
    };
    attacker.socket.resume();
    await attacker.until(() => pongs.at(-1) === "the last");
    assert.equal(pongs.at(-1), "the last");
    assert.ok(pongs.length < MANY, "the kernel's buffers were full, or nothing was tried here");
    assert.deepEqual(new Set(pongs), new Set(["p".repeat(125), "the last"]));
  });

  it("whose Pongs are never read is ended by writeTimeout", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "swallow", options: { writeTimeout: 300 } });
    await using attacker = await Attacker.on(attacked.port);
    await attacked.begin();
    attacker.socket.pause();
    // Until the kernel's buffers are full: when Pongs wait, few are kept.
    const flood = attacker.floodOf(LARGE, Infinity);
    assert.deepEqual(await attacked.ended(), [
      { code: 1006, by: "local", error: "TimeoutError", limit: "writeTimeout" },
    ]);
    await attacked.within(0, 65_536);
    attacker.socket.resume();
    await attacker.closed;
    await flood;
  });

  for (const count of [10, 1_000]) {
    it(`of ${count} in one segment gets a Pong for each if the peer reads`, async () => {
      await using attacked = await AttackedServer.start({ url: URL, does: "swallow" });
      await using attacker = await Attacker.on(attacked.port);
      const payloads = Array.from({ length: count }, (_, index) => `${index}`);
      await attacker.flood(Buffer.concat(payloads.map(ping)), 1);
      await attacker.until(() => attacker.frames.length === count);
      assert.deepEqual(
        attacker.frames.map(({ opcode, payload }) => `${opcode} ${payload}`),
        payloads.map((payload) => `10 ${payload}`),
      );
    });
  }

  it("that arrives byte by byte gets a Pong for each", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "swallow" });
    await using attacker = await Attacker.on(attacked.port);
    for (const byte of Buffer.concat(Array.from({ length: 10 }, (_, index) => ping(`${index}`)))) {
      await attacker.flood(Uint8Array.of(byte), 1);
    }
    await attacker.until(() => attacker.frames.length === 10);
    assert.deepEqual(
      attacker.frames.map(({ payload }) => payload.toString()),
      ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    );
  });

  it("between the fragments of a message does not change the message", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "echo" });
    await using attacker = await Attacker.on(attacked.port);
    const text = "é€😀".repeat(100);
    const fragments = Array.from(Buffer.from(text), (byte, index) =>
      peerFrame({ opcode: index === 0 ? 1 : 0, payload: Uint8Array.of(byte), fin: false, key: KEY }),
    );
    const end = peerFrame({ opcode: 0, key: KEY });
    await attacker.flood(Buffer.concat([...fragments.flatMap((fragment) => [fragment, LARGE]), end]), 1);
    await attacker.until(() => attacker.frames.some(({ opcode }) => opcode === 1));
    assert.equal(attacker.frames.find(({ opcode }) => opcode === 1)?.payload.toString(), text);
    assert.equal(attacker.frames.filter(({ opcode }) => opcode === 10).length, fragments.length);
  });
});

describe("a flood of unsolicited Pongs", LIMIT, () => {
  it("is ignored, and costs no more than to read it", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "echo" });
    await using attacker = await Attacker.on(attacked.port);
    const before = await attacked.begin();
    await attacker.floodOf(peerFrame({ opcode: 10, payload: new Uint8Array(4), key: KEY }), MANY);
    await attacker.flood(peerFrame({ opcode: 1, payload: "behind", key: KEY }), 1);
    await attacker.until(() => attacker.frames.length === 1);
    assert.equal(attacker.frames[0]?.payload.toString(), "behind");
    const { cpu } = await attacked.within(0);
    // Some microseconds for each.
    assert.ok(cpu - before.cpu < 1_000 * SCALE, `${cpu - before.cpu} ms of processor time`);
  });
});
