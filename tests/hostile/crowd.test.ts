/** Many connections with little traffic: the memory of one that is idle, or that has only announced a large message. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../kit/frames.ts";
import { AttackedServer, SCALE } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const WS = "ws://127.0.0.1:0";
const TCP = "tcp://127.0.0.1:0";
const CROWD = 1_000 * SCALE;
// The largest possible limit, and so the largest length that can be announced.
const LARGEST = 2 ** 29 - 24;
const HALF_GIB = Buffer.of(0x1f, 0xff, 0xff, 0xe8);

/** The most bytes of an idle connection, with Node's socket. */
const IDLE = 16_384;

/** Opens this many, a hundred at a time, so that the backlog has room. */
async function crowd(join: () => Promise<Attacker>): Promise<Attacker[] & AsyncDisposable> {
  const members: Attacker[] = [];
  while (members.length < CROWD) members.push(...(await Promise.all(Array.from({ length: 100 }, join))));
  return Object.assign(members, {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
    },
  });
}

describe(`${CROWD} connections`, LIMIT, () => {
  it(`hold at most ${IDLE} bytes each after a short message, and nothing for what they then announce`, async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo", options: { maxMessageSize: LARGEST } });
    const before = await attacked.begin();
    await using members = await crowd(() => Attacker.on(attacked.port));
    const words = [1, 2, 9].map((opcode) => peerFrame({ opcode, payload: "a word", key: KEY }));
    for (const word of words) for (const { socket } of members) socket.write(word);
    await Promise.all(members.map((member) => member.until(() => member.frames.length === words.length)));
    // Not a multiple of the 64 KiB of a read.
    const after = await attacked.within(CROWD * IDLE);
    assert.equal(after.connections, CROWD);
    assert.equal(after.messages - before.messages, 2 * CROWD);

    await attacked.begin();
    const much = { payload: "x", announced: BigInt(LARGEST), key: KEY };
    const announcements = [
      peerFrame({ ...much, opcode: 1 }),
      peerFrame({ ...much, opcode: 2 }),
      peerFrame({ ...much, opcode: 2, fin: false }),
    ];
    for (const [index, { socket }] of members.entries()) {
      socket.write(Buffer.concat([words[2]!, announcements[index % announcements.length]!]));
    }
    await Promise.all(members.map((member) => member.until(() => member.frames.length === words.length + 1)));
    await attacked.within(CROWD * 1_024);
  });

  it("hold twice the size of the messages that they begin, and nothing after those have ended", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "swallow" });
    await using members = await crowd(() => Attacker.on(attacked.port));
    const here = peerFrame({ opcode: 9, payload: "here?", key: KEY });
    const answered = async (count: number): Promise<void> => {
      await Promise.all(members.map((member) => member.until(() => member.frames.length === count)));
    };
    for (const { socket } of members) socket.write(here);
    await answered(1);
    await attacked.begin();
    // In a hundred fragments, as many as are allowed in one message.
    const part = peerFrame({ opcode: 0, payload: new Uint8Array(100), fin: false, key: KEY });
    const open = Buffer.concat([
      peerFrame({ opcode: 2, fin: false, key: KEY }),
      ...new Array<Uint8Array>(100).fill(part),
    ]);
    for (const { socket } of members) socket.write(Buffer.concat([open, here]));
    await answered(2);
    const during = await attacked.within(CROWD * (2 * 10_000 + 1_024));
    assert.equal(during.messages, 0);
    for (const { socket } of members) socket.write(Buffer.concat([peerFrame({ opcode: 0, key: KEY }), here]));
    await answered(3);
    const behind = await attacked.within(CROWD * 1_024, CROWD * (2 * 10_000 + 1_024));
    assert.deepEqual([behind.messages, behind.payload], [CROWD, CROWD * 10_000]);
  });

  it("hold nothing for what they announce by a length prefix", async () => {
    const options = { framing: { lengthPrefix: 4 }, maxMessageSize: LARGEST };
    await using attacked = await AttackedServer.start({ url: TCP, does: "echo", options });
    await using members = await crowd(() => Attacker.to(attacked.port));
    const word = Buffer.of(0, 0, 0, 1, 0x78);
    const say = async (bytes: Uint8Array, answered: number): Promise<void> => {
      for (const { socket } of members) socket.write(bytes);
      await Promise.all(members.map((member) => member.until(() => member.received === answered)));
    };
    await say(word, word.length);
    await attacked.begin();
    await say(Buffer.concat([word, HALF_GIB, Buffer.of(0x78)]), 2 * word.length);
    await attacked.within(CROWD * 1_024);
  });

  it("leave nothing behind when they end", async () => {
    await using attacked = await AttackedServer.start({ url: WS, does: "echo" });
    const before = await attacked.report();
    // Twice, so that memory that the server keeps for reuse is not counted.
    for (const measured of [false, true]) {
      if (measured) await attacked.begin();
      await using members = await crowd(() => Attacker.on(attacked.port));
      for (const [index, { socket }] of members.entries()) {
        if (index % 3 === 0) socket.resetAndDestroy();
        else if (index % 3 === 1) socket.end(peerFrame({ opcode: 8, key: KEY }));
        else socket.end(peerFrame({ opcode: 2, payload: new Uint8Array(1_000), fin: false, key: KEY }));
      }
      await Promise.all(members.map(({ closed }) => closed));
      const { ends, handled, sockets } = await attacked.until(({ connections }) => connections === 0);
      assert.equal(ends.length, handled);
      assert.equal(sockets, before.sockets);
    }
    await attacked.within(0, CROWD * IDLE);
  });
});
