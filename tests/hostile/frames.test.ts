/** Invalid frames: each is answered with the right code, once, and nothing after it is processed. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connect, isConnectionError } from "../../src/index.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { type RawPeer, rawServer, switchingTo } from "../kit/raw-peer.ts";
import { AttackedServer, MIB } from "./attacked-server.ts";
import type { Report } from "./attacked-server-program.ts";
import { Attacker } from "./attacker.ts";
import { VIOLATIONS, type Violation, wireOf } from "./violations.ts";

const LIMIT = { timeout: 240_000 };
const nameOf = (limit: string): string => (limit === "" ? "ProtocolError" : "LimitError");

/** How the bytes are cut: not at all, or each alone. */
const CUTS: Readonly<Record<string, (bytes: Buffer) => readonly Buffer[]>> = {
  "in one segment": (bytes) => [bytes],
  "a byte at a time": (bytes) => (bytes.length > 1_000 ? [bytes] : Array.from(bytes, (byte) => Buffer.of(byte))),
};

describe("an invalid frame of a client", LIMIT, () => {
  let attacked: AttackedServer;
  let begun: Report;
  before(async () => {
    attacked = await AttackedServer.start({ url: "ws://127.0.0.1:0", does: "swallow" });
    begun = await attacked.begin();
  });
  after(async () => {
    try {
      // All of them together leave no more than the code that the first one loads, and the list of their ends.
      const { cpu, ends } = await attacked.within(MIB);
      const each = (cpu - begun.cpu) / ends.length;
      if (process.env["HOLDFAST_FIGURES"]) console.log(`cpu ${each} for each of ${ends.length}`);
      assert.ok(each < 50, `${each} ms of processor time for each, its connection included`);
    } finally {
      await attacked[Symbol.asyncDispose]();
    }
  });

  for (const [cut, cutOf] of Object.entries(CUTS)) {
    for (const [what, { frames, code, limit = "", before: whole = 0 }] of VIOLATIONS) {
      it(`is answered with ${code} when it arrives ${cut}: ${what}`, async () => {
        const { ends, messages } = await attacked.report();
        await using attacker = await Attacker.on(attacked.port);
        for (const chunk of cutOf(wireOf(frames, true))) await attacker.flood(chunk, 1);
        // Messages and Pings after it are ignored: RFC 6455 section 7.1.7.
        await attacker.flood(wireOf([{ opcode: 1, payload: "behind" }, { opcode: 9 }], true), 1);
        await attacker.until(() => attacker.ended);
        assert.deepEqual(
          attacker.frames.map(({ opcode, fin, masked }) => ({ opcode, fin, masked })),
          [{ opcode: 8, fin: true, masked: false }],
        );
        assert.equal(attacker.closeCode, code);
        attacker.socket.end();
        await attacker.closed;
        const report = await attacked.until((now) => now.connections === 0);
        assert.deepEqual(report.ends.slice(ends.length), [{ code, by: "local", error: nameOf(limit), limit }]);
        assert.equal(report.messages - messages, whole);
      });
    }
  }

  it("is answered with 1002 when it is not masked", async () => {
    await using attacker = await Attacker.on(attacked.port);
    await attacker.flood(peerFrame({ opcode: 1, payload: "bare" }), 1);
    await attacker.until(() => attacker.ended);
    assert.equal(attacker.closeCode, 1002);
  });

  it("is answered with 1002 when it is the request of a browser's form", async () => {
    await using attacker = await Attacker.on(attacked.port);
    await attacker.flood(Buffer.from("POST / HTTP/1.1\r\n\r\n"), 1);
    await attacker.until(() => attacker.ended);
    assert.equal(attacker.closeCode, 1002);
  });
});

/** Acts as a server that sends these frames. Returns the codes of the answers; -1 stands for anything but a masked Close. */
async function provoke(peer: RawPeer, frames: Violation["frames"]): Promise<number[]> {
  await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
  const request = peer.text;
  peer.write(switchingTo(request));
  peer.write(wireOf([...frames, { opcode: 1, payload: "behind" }, { opcode: 9 }], false));
  await peer.until(({ ended }) => ended);
  peer.socket.end();
  return new FrameReader()
    .push(peer.bytes.subarray(request.length))
    .map(({ opcode, masked, payload }) => (opcode === 8 && masked ? payload.readUInt16BE() : -1));
}

describe("an invalid frame of a server", LIMIT, () => {
  for (const [what, { frames, code, limit = "", before: whole = 0 }] of VIOLATIONS) {
    it(`is answered with ${code}, and ends the client with an error: ${what}`, async () => {
      const sockets = openSockets();
      {
        const answers: Promise<readonly number[]>[] = [];
        await using server = await rawServer((peer) => void answers.push(provoke(peer, frames)));
        const messages: unknown[] = [];
        const client = await connect(`ws://127.0.0.1:${server.port}`, {
          message: (_, message) => void messages.push(message),
        });
        const { code: told, by, wasClean, cause } = await client.closed;
        assert.deepEqual({ told, by, wasClean }, { told: code, by: "local", wasClean: false });
        assert.ok(isConnectionError(cause));
        assert.equal(cause.name, nameOf(limit));
        assert.deepEqual(await Promise.all(answers), [[code]]);
        assert.equal(messages.length, whole);
      }
      assert.equal(openSockets(), sockets);
    });
  }

  it("is answered with 1002 when it is masked", async () => {
    const answers: Promise<readonly number[]>[] = [];
    await using server = await rawServer(
      (peer) => void answers.push(provoke(peer, [{ opcode: 1, payload: "x", key: KEY }])),
    );
    const client = await connect(`ws://127.0.0.1:${server.port}`);
    await assert.rejects(client.receive(), {
      name: "ProtocolError",
      closeCode: 1002,
      by: "peer",
      clause: "RFC 6455 5.1",
    });
    assert.deepEqual(await Promise.all(answers), [[1002]]);
    await client.closed;
  });
});
