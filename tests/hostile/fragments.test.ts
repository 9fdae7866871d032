/** Floods of fragments: many, tiny, empty, without end; and messages that come a byte at a time. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { Assault } from "./assault.js";
import { MIB, SCALE, Siege } from "./siege.js";
import type { Report } from "./victim.js";

const LIMIT = { timeout: 240_000 };
const MANY = MIB * SCALE;
const URL = "ws://127.0.0.1:0";

/** Processor time of the server, in milliseconds, for a flood: some microseconds for each of a million fragments. */
const CPU = 2_500 * SCALE;

/** Proves that a flood has cost no more time than that. */
function cheap(before: Report, { cpu }: Report): void {
  if (process.env["HOLDFAST_SIEGE"]) console.log(`cpu ${cpu - before.cpu}`);
  assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms of processor time`);
}

const first = peerFrame({ opcode: 2, payload: "x", fin: false, key: KEY });
const tiny = peerFrame({ opcode: 0, payload: "x", fin: false, key: KEY });
const empty = peerFrame({ opcode: 0, fin: false, key: KEY });
const last = peerFrame({ opcode: 0, payload: "x", key: KEY });

describe("a flood of fragments", LIMIT, () => {
  for (const [what, fragment] of Object.entries({ "one byte": tiny, "no bytes": empty })) {
    it(`with ${what} each is ended with 1009 at maxFragments, and then costs nothing`, async () => {
      await using siege = await Siege.lay({ url: URL, does: "swallow" });
      await using assault = await Assault.on(siege.port);
      const before = await siege.begin();
      assault.socket.write(first);
      await assault.floodOf(fragment, MANY);
      await assault.until(() => assault.ended);
      assert.equal(assault.closeCode, 1009);
      assault.socket.end();
      assert.deepEqual(await siege.ended(), [{ code: 1009, by: "local", error: "LimitError", limit: "maxFragments" }]);
      const report = await siege.within(0);
      assert.equal(report.messages, 0);
      cheap(before, report);
    });

    it(`with ${what} each holds at most twice its payload, however many may come`, async () => {
      const options = { maxFragments: Infinity, maxMessageSize: 2 * MANY };
      await using siege = await Siege.lay({ url: URL, does: "swallow", options });
      await using assault = await Assault.on(siege.port);
      const before = await siege.begin();
      assault.socket.write(first);
      const count = await assault.floodOf(fragment, MANY);
      const payload = 1 + (fragment === tiny ? count : 0) + 1;
      // What is answered stands behind the flood, so the flood has been read; and the message is still under way.
      assault.socket.write(peerFrame({ opcode: 9, payload: "here?", key: KEY }));
      await assault.until(() => assault.bytes.includes("here?"));
      await siege.within(2 * payload);
      assault.socket.write(last);
      const report = await siege.until(({ messages }) => messages === 1);
      assert.equal(report.payload, payload);
      cheap(before, report);
    });
  }

  it("that has no end is ended with 1009 at maxMessageSize, of which twice is held at most", async () => {
    const options = { maxFragments: Infinity, maxMessageSize: MIB };
    await using siege = await Siege.lay({ url: URL, does: "swallow", options });
    await using assault = await Assault.on(siege.port);
    const before = await siege.begin();
    const large = peerFrame({ opcode: 0, payload: new Uint8Array(1_000), fin: false, key: KEY });
    assault.socket.write(first);
    await assault.floodOf(large, 32 * 1_024);
    await assault.until(() => assault.ended);
    assert.equal(assault.closeCode, 1009);
    assault.socket.end();
    assert.deepEqual(await siege.ended(), [{ code: 1009, by: "local", error: "LimitError", limit: "maxMessageSize" }]);
    cheap(before, await siege.within(2 * MIB));
  });

  it("that is streamed and not read waits with the peer", async () => {
    await using siege = await Siege.lay({ url: URL, does: "ignore", options: { streaming: true }, observed: true });
    await using assault = await Assault.on(siege.port);
    const before = await siege.begin();
    assault.socket.write(first);
    void assault.floodOf(tiny, MANY);
    await siege.until(({ paused }) => paused === 1);
    // And the kernel's table of sockets, which is looked at while reading is paused: its text is as long as the machine is busy.
    cheap(before, await siege.within(262_144 + 8 * MIB));
  });

  it("made of 65,536 to a message is a message, where so many are allowed", async () => {
    const options = { maxFragments: 65_536, maxMessageSize: 4 * MIB };
    await using siege = await Siege.lay({ url: URL, does: "swallow", options });
    await using assault = await Assault.on(siege.port);
    const before = await siege.begin();
    const part = (opcode: number, fin: boolean): Uint8Array =>
      peerFrame({ opcode, fin, payload: new Uint8Array(64), key: KEY });
    assault.socket.write(part(2, false));
    await assault.flood(Buffer.concat(new Array<Uint8Array>(2_114).fill(part(0, false))), 31);
    assault.socket.write(part(0, true));
    const { payload } = await siege.until(({ messages }) => messages === 1);
    assert.equal(payload, 4 * MIB);
    cheap(before, await siege.within(8 * MIB));
  });
});

describe("a message that comes a byte at a time", LIMIT, () => {
  it("in segments of their own is received, and costs no more than its size", async () => {
    await using siege = await Siege.lay({ url: URL, does: "swallow" });
    await using assault = await Assault.on(siege.port);
    const before = await siege.begin();
    const message = peerFrame({ opcode: 1, payload: "é".repeat(16_384), key: KEY });
    for (const byte of message) await assault.flood(Uint8Array.of(byte), 1);
    const report = await siege.until(({ messages }) => messages === 1);
    assert.equal(report.payload, 16_384);
    cheap(before, await siege.within(2 * message.length));
  });
});
