/** Floods of pings and pongs, to a peer that reads the answers and to one that never does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import { Assault } from "./assault.js";
import { SCALE, Siege } from "./siege.js";

const LIMIT = { timeout: 240_000 };
const URL = "ws://127.0.0.1:0";
const MANY = 150_000 * SCALE;

const ping = (payload: string): Uint8Array => peerFrame({ opcode: 9, payload, key: KEY });
const LARGE = ping("p".repeat(125));

describe("a flood of pings", LIMIT, () => {
  it("whose pongs are never read holds nothing but the newest few, and loses none that counts", async () => {
    const options = { writeTimeout: 240_000 };
    await using siege = await Siege.lay({ url: URL, does: "swallow", options });
    await using assault = await Assault.on(siege.port);
    await siege.begin();
    assault.socket.pause();
    await assault.floodOf(LARGE, MANY);
    await assault.flood(ping("the last"), 1);
    // Behind the pings a message, since pongs are not read: when it has come, they have.
    await assault.flood(peerFrame({ opcode: 1, payload: "behind", key: KEY }), 1);
    await siege.until(({ messages }) => messages === 1);
    // One write of 64 KiB may be under way.
    await siege.within(65_536);
    const reader = new FrameReader();
    const pongs: string[] = [];
    assault.heard = (chunk) => {
      for (const { opcode, payload } of reader.push(chunk)) {
        assert.equal(opcode, 10);
        pongs.push(payload.toString());
      }
    };
    assault.socket.resume();
    await assault.until(() => pongs.at(-1) === "the last");
    assert.equal(pongs.at(-1), "the last");
    assert.ok(pongs.length < MANY, "the kernel's buffers were full, or nothing was tried here");
    assert.deepEqual(new Set(pongs), new Set(["p".repeat(125), "the last"]));
  });

  it("whose pongs are never read is ended by writeTimeout", async () => {
    await using siege = await Siege.lay({ url: URL, does: "swallow", options: { writeTimeout: 300 } });
    await using assault = await Assault.on(siege.port);
    await siege.begin();
    assault.socket.pause();
    // For as long as it takes until the kernel's buffers are full: pongs are few as soon as they have to wait.
    const flood = assault.floodOf(LARGE, Infinity);
    assert.deepEqual(await siege.ended(), [{ code: 1006, by: "local", error: "TimeoutError", limit: "writeTimeout" }]);
    await siege.within(0, 65_536);
    assault.socket.resume();
    await assault.closed;
    await flood;
  });

  for (const count of [10, 1_000]) {
    it(`of ${count} in one segment is answered ping by ping to a peer that reads`, async () => {
      await using siege = await Siege.lay({ url: URL, does: "swallow" });
      await using assault = await Assault.on(siege.port);
      const payloads = Array.from({ length: count }, (_, index) => `${index}`);
      await assault.flood(Buffer.concat(payloads.map(ping)), 1);
      await assault.until(() => assault.frames.length === count);
      assert.deepEqual(
        assault.frames.map(({ opcode, payload }) => `${opcode} ${payload}`),
        payloads.map((payload) => `10 ${payload}`),
      );
    });
  }

  it("that comes a byte at a time is answered ping by ping", async () => {
    await using siege = await Siege.lay({ url: URL, does: "swallow" });
    await using assault = await Assault.on(siege.port);
    for (const byte of Buffer.concat(Array.from({ length: 10 }, (_, index) => ping(`${index}`)))) {
      await assault.flood(Uint8Array.of(byte), 1);
    }
    await assault.until(() => assault.frames.length === 10);
    assert.deepEqual(
      assault.frames.map(({ payload }) => payload.toString()),
      ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
    );
  });

  it("between the fragments of a message leaves the message whole", async () => {
    await using siege = await Siege.lay({ url: URL, does: "echo" });
    await using assault = await Assault.on(siege.port);
    const text = "é€😀".repeat(100);
    const fragments = Array.from(Buffer.from(text), (byte, index) =>
      peerFrame({ opcode: index === 0 ? 1 : 0, payload: Uint8Array.of(byte), fin: false, key: KEY }),
    );
    const end = peerFrame({ opcode: 0, key: KEY });
    await assault.flood(Buffer.concat([...fragments.flatMap((fragment) => [fragment, LARGE]), end]), 1);
    await assault.until(() => assault.frames.some(({ opcode }) => opcode === 1));
    assert.equal(assault.frames.find(({ opcode }) => opcode === 1)?.payload.toString(), text);
    assert.equal(assault.frames.filter(({ opcode }) => opcode === 10).length, fragments.length);
  });
});

describe("a flood of pongs that nobody asked for", LIMIT, () => {
  it("is passed over, at no more than it costs to read it", async () => {
    await using siege = await Siege.lay({ url: URL, does: "echo" });
    await using assault = await Assault.on(siege.port);
    const before = await siege.begin();
    await assault.floodOf(peerFrame({ opcode: 10, payload: new Uint8Array(4), key: KEY }), MANY);
    await assault.flood(peerFrame({ opcode: 1, payload: "behind", key: KEY }), 1);
    await assault.until(() => assault.frames.length === 1);
    assert.equal(assault.frames[0]?.payload.toString(), "behind");
    const { cpu } = await siege.within(0);
    // Some microseconds for each.
    assert.ok(cpu - before.cpu < 1_000 * SCALE, `${cpu - before.cpu} ms of processor time`);
  });
});
