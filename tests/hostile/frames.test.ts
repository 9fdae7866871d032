/** Frames that break the rules: each ends with the right code, once, and nothing behind it is looked at. */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { connect, isConnectionError } from "../../src/index.js";
import { openSockets } from "../descriptors.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import { type RawPeer, rawServer, switchingTo } from "../raw-peers.js";
import { Assault } from "./assault.js";
import { MIB, Siege } from "./siege.js";
import type { Report } from "./victim.js";
import { VIOLATIONS, type Violation, wireOf } from "./violations.js";

const LIMIT = { timeout: 240_000 };
const nameOf = (limit: string): string => (limit === "" ? "ProtocolError" : "LimitError");

/** How bytes may come: at once, or each alone. */
const CUTS: Readonly<Record<string, (bytes: Buffer) => readonly Buffer[]>> = {
  "in one segment": (bytes) => [bytes],
  "a byte at a time": (bytes) => (bytes.length > 1_000 ? [bytes] : Array.from(bytes, (byte) => Buffer.of(byte))),
};

describe("a client's frame that breaks the rules", LIMIT, () => {
  let siege: Siege;
  let begun: Report;
  before(async () => {
    siege = await Siege.lay({ url: "ws://127.0.0.1:0", does: "swallow" });
    begun = await siege.begin();
  });
  after(async () => {
    try {
      // What all of them together leave is what the first of them has made the process load, and the list of their ends.
      const { cpu, ends } = await siege.within(MIB);
      const each = (cpu - begun.cpu) / ends.length;
      if (process.env["HOLDFAST_SIEGE"]) console.log(`cpu ${each} for each of ${ends.length}`);
      assert.ok(each < 50, `${each} ms of processor time for each, its connection included`);
    } finally {
      await siege[Symbol.asyncDispose]();
    }
  });

  for (const [cut, cutOf] of Object.entries(CUTS)) {
    for (const [what, { frames, code, limit = "", before: whole = 0 }] of VIOLATIONS) {
      it(`is answered with ${code} when it comes ${cut}: ${what}`, async () => {
        const { ends, messages } = await siege.report();
        await using assault = await Assault.on(siege.port);
        for (const chunk of cutOf(wireOf(frames, true))) await assault.flood(chunk, 1);
        // Neither a message nor a ping counts any more: RFC 6455 section 7.1.7.
        await assault.flood(wireOf([{ opcode: 1, payload: "behind" }, { opcode: 9 }], true), 1);
        await assault.until(() => assault.ended);
        assert.deepEqual(
          assault.frames.map(({ opcode, fin, masked }) => ({ opcode, fin, masked })),
          [{ opcode: 8, fin: true, masked: false }],
        );
        assert.equal(assault.closeCode, code);
        assault.socket.end();
        await assault.closed;
        const report = await siege.until((now) => now.connections === 0);
        assert.deepEqual(report.ends.slice(ends.length), [{ code, by: "local", error: nameOf(limit), limit }]);
        assert.equal(report.messages - messages, whole);
      });
    }
  }

  it("is answered with 1002 when it is not masked", async () => {
    await using assault = await Assault.on(siege.port);
    await assault.flood(peerFrame({ opcode: 1, payload: "bare" }), 1);
    await assault.until(() => assault.ended);
    assert.equal(assault.closeCode, 1002);
  });

  it("is answered with 1002 when it is no frame but what a browser's form would send", async () => {
    await using assault = await Assault.on(siege.port);
    await assault.flood(Buffer.from("POST / HTTP/1.1\r\n\r\n"), 1);
    await assault.until(() => assault.ended);
    assert.equal(assault.closeCode, 1002);
  });
});

/** Plays a server that sends these. Answers with the codes of what is sent back, -1 standing for what is no masked Close. */
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

describe("a server's frame that breaks the rules", LIMIT, () => {
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
