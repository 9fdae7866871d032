/** Floods of fragments: many, tiny, empty, endless; and messages that arrive byte by byte. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../kit/frames.ts";
import { AttackedServer, MIB, SCALE } from "./attacked-server.ts";
import type { Report } from "./attacked-server-program.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const MANY = MIB * SCALE;
const URL = "ws://127.0.0.1:0";

/** Processor time of the server for a flood, in milliseconds: some microseconds for each of a million fragments. */
const CPU = 2_500 * SCALE;

/** Asserts that a flood has cost no more time than that. */
function cheap(before: Report, { cpu }: Report): void {
  if (process.env["HOLDFAST_FIGURES"]) console.log(`cpu ${cpu - before.cpu}`);
  assert.ok(cpu - before.cpu < CPU, `${cpu - before.cpu} ms of processor time`);
}

const first = peerFrame({ opcode: 2, payload: "x", fin: false, key: KEY });
const tiny = peerFrame({ opcode: 0, payload: "x", fin: false, key: KEY });
const empty = peerFrame({ opcode: 0, fin: false, key: KEY });
const last = peerFrame({ opcode: 0, payload: "x", key: KEY });

describe("a flood of fragments", LIMIT, () => {
  for (const [what, fragment] of Object.entries({ "one byte": tiny, "no bytes": empty })) {
    it(`with ${what} each is ended with 1009 at maxFragments, and then costs nothing`, async () => {
      await using attacked = await AttackedServer.start({ url: URL, does: "swallow" });
      await using attacker = await Attacker.on(attacked.port);
      const before = await attacked.begin();
      attacker.socket.write(first);
      await attacker.floodOf(fragment, MANY);
      await attacker.until(() => attacker.ended);
      assert.equal(attacker.closeCode, 1009);
      attacker.socket.end();
      assert.deepEqual(await attacked.ended(), [
        { code: 1009, by: "local", error: "LimitError", limit: "maxFragments" },
      ]);
      const report = await attacked.within(0);
      assert.equal(report.messages, 0);
      cheap(before, report);
    });

    it(`with ${what} each holds at most twice its payload, for any number of fragments`, async () => {
      const options = { maxFragments: Infinity, maxMessageSize: 2 * MANY };
      await using attacked = await AttackedServer.start({ url: URL, does: "swallow", options });
      await using attacker = await Attacker.on(attacked.port);
      const before = await attacked.begin();
      attacker.socket.write(first);
      const count = await attacker.floodOf(fragment, MANY);
      const payload = 1 + (fragment === tiny ? count : 0) + 1;
      // The answer follows the flood, so the flood was read, and the message is still incomplete.
      attacker.socket.write(peerFrame({ opcode: 9, payload: "here?", key: KEY }));
      await attacker.until(() => attacker.bytes.includes("here?"));
      await attacked.within(2 * payload);
      attacker.socket.write(last);
      const report = await attacked.until(({ messages }) => messages === 1);
      assert.equal(report.payload, payload);
      cheap(before, report);
    });
  }

  it("that has no end is ended with 1009 at maxMessageSize, of which twice is held at most", async () => {
    const options = { maxFragments: Infinity, maxMessageSize: MIB };
    await using attacked = await AttackedServer.start({ url: URL, does: "swallow", options });
    await using attacker = await Attacker.on(attacked.port);
    const before = await attacked.begin();
    const large = peerFrame({ opcode: 0, payload: new Uint8Array(1_000), fin: false, key: KEY });
    attacker.socket.write(first);
    await attacker.floodOf(large, 32 * 1_024);
    await attacker.until(() => attacker.ended);
    assert.equal(attacker.closeCode, 1009);
    attacker.socket.end();
    assert.deepEqual(await attacked.ended(), [
      { code: 1009, by: "local", error: "LimitError", limit: "maxMessageSize" },
    ]);
    cheap(before, await attacked.within(2 * MIB));
  });

  it("that is streamed and not read waits at the peer", async () => {
    await using attacked = await AttackedServer.start({
      url: URL,
      does: "ignore",
      options: { streaming: true },
      observed: true,
    });
    await using attacker = await Attacker.on(attacked.port);
    const before = await attacked.begin();
    attacker.socket.write(first);
    void attacker.floodOf(tiny, MANY);
    await attacked.until(({ paused }) => paused === 1);
    // And the kernel's socket table, which is read while reading is paused: its text grows with the sockets on the machine.
    cheap(before, await attacked.within(262_144 + 8 * MIB));
  });

  it("of 65,536 per message is received where so many are allowed", async () => {
    const options = { maxFragments: 65_536, maxMessageSize: 4 * MIB };
    await using attacked = await AttackedServer.start({ url: URL, does: "swallow", options });
    await using attacker = await Attacker.on(attacked.port);
    const before = await attacked.begin();
    const part = (opcode: number, fin: boolean): Uint8Array =>
      peerFrame({ opcode, fin, payload: new Uint8Array(64), key: KEY });
    attacker.socket.write(part(2, false));
    await attacker.flood(Buffer.concat(new Array<Uint8Array>(2_114).fill(part(0, false))), 31);
    attacker.socket.write(part(0, true));
    const { payload } = await attacked.until(({ messages }) => messages === 1);
    assert.equal(payload, 4 * MIB);
    cheap(before, await attacked.within(8 * MIB));
  });
});

describe("a message that arrives byte by byte", LIMIT, () => {
  it("in segments of their own is received, and costs no more than its size", async () => {
    await using attacked = await AttackedServer.start({ url: URL, does: "swallow" });
    await using attacker = await Attacker.on(attacked.port);
    const before = await attacked.begin();
    const message = peerFrame({ opcode: 1, payload: "é".repeat(16_384), key: KEY });
    for (const byte of message) await attacker.flood(Uint8Array.of(byte), 1);
    const report = await attacked.until(({ messages }) => messages === 1);
    assert.equal(report.payload, 16_384);
    cheap(before, await attacked.within(2 * message.length));
  });
});
