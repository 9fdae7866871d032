/** Many connections that each do little: what one of them may hold, when it is idle or has only announced much. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { Assault } from "./assault.js";
import { SCALE, Siege } from "./siege.js";

const LIMIT = { timeout: 240_000 };
const WS = "ws://127.0.0.1:0";
const TCP = "tcp://127.0.0.1:0";
const CROWD = 1_000 * SCALE;
// The largest that may be allowed, and so the most that can be announced.
const LARGEST = 2 ** 29 - 24;
const HALF_GIB = Buffer.of(0x1f, 0xff, 0xff, 0xe8);

/** What an idle connection may hold in all, node's socket included. */
const IDLE = 16_384;

/** So many, connected a hundred at a time: more at once would be more than listen's backlog. */
async function crowd(join: () => Promise<Assault>): Promise<Assault[] & AsyncDisposable> {
  const members: Assault[] = [];
  while (members.length < CROWD) members.push(...(await Promise.all(Array.from({ length: 100 }, join))));
  return Object.assign(members, {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(members.map((member) => member[Symbol.asyncDispose]()));
    },
  });
}

describe(`${CROWD} connections`, LIMIT, () => {
  it(`hold at most ${IDLE} bytes each when they have said a word, and nothing for what they then announce`, async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo", options: { maxMessageSize: LARGEST } });
    const before = await siege.begin();
    await using members = await crowd(() => Assault.on(siege.port));
    const words = [1, 2, 9].map((opcode) => peerFrame({ opcode, payload: "a word", key: KEY }));
    for (const word of words) for (const { socket } of members) socket.write(word);
    await Promise.all(members.map((member) => member.until(() => member.frames.length === words.length)));
    // No multiple of the 64 KiB that a word was read from.
    const after = await siege.within(CROWD * IDLE);
    assert.equal(after.connections, CROWD);
    assert.equal(after.messages - before.messages, 2 * CROWD);

    await siege.begin();
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
    await siege.within(CROWD * 1_024);
  });

  it("hold twice of the messages that they leave open, and nothing once those have ended", async () => {
    await using siege = await Siege.lay({ url: WS, does: "swallow" });
    await using members = await crowd(() => Assault.on(siege.port));
    const here = peerFrame({ opcode: 9, payload: "here?", key: KEY });
    const answered = async (count: number): Promise<void> => {
      await Promise.all(members.map((member) => member.until(() => member.frames.length === count)));
    };
    for (const { socket } of members) socket.write(here);
    await answered(1);
    await siege.begin();
    // In a hundred fragments, as many as may be sent before the message has to end.
    const part = peerFrame({ opcode: 0, payload: new Uint8Array(100), fin: false, key: KEY });
    const open = Buffer.concat([
      peerFrame({ opcode: 2, fin: false, key: KEY }),
      ...new Array<Uint8Array>(100).fill(part),
    ]);
    for (const { socket } of members) socket.write(Buffer.concat([open, here]));
    await answered(2);
    const during = await siege.within(CROWD * (2 * 10_000 + 1_024));
    assert.equal(during.messages, 0);
    for (const { socket } of members) socket.write(Buffer.concat([peerFrame({ opcode: 0, key: KEY }), here]));
    await answered(3);
    const behind = await siege.within(CROWD * 1_024, CROWD * (2 * 10_000 + 1_024));
    assert.deepEqual([behind.messages, behind.payload], [CROWD, CROWD * 10_000]);
  });

  it("hold nothing for what they announce by a length prefix", async () => {
    const options = { framing: { lengthPrefix: 4 }, maxMessageSize: LARGEST };
    await using siege = await Siege.lay({ url: TCP, does: "echo", options });
    await using members = await crowd(() => Assault.to(siege.port));
    const word = Buffer.of(0, 0, 0, 1, 0x78);
    const say = async (bytes: Uint8Array, answered: number): Promise<void> => {
      for (const { socket } of members) socket.write(bytes);
      await Promise.all(members.map((member) => member.until(() => member.received === answered)));
    };
    await say(word, word.length);
    await siege.begin();
    await say(Buffer.concat([word, HALF_GIB, Buffer.of(0x78)]), 2 * word.length);
    await siege.within(CROWD * 1_024);
  });

  it("leave nothing behind when they go", async () => {
    await using siege = await Siege.lay({ url: WS, does: "echo" });
    const before = await siege.report();
    // Twice, so that what the server keeps for the next time is not counted.
    for (const measured of [false, true]) {
      if (measured) await siege.begin();
      await using members = await crowd(() => Assault.on(siege.port));
      for (const [index, { socket }] of members.entries()) {
        if (index % 3 === 0) socket.resetAndDestroy();
        else if (index % 3 === 1) socket.end(peerFrame({ opcode: 8, key: KEY }));
        else socket.end(peerFrame({ opcode: 2, payload: new Uint8Array(1_000), fin: false, key: KEY }));
      }
      await Promise.all(members.map(({ closed }) => closed));
      const { ends, handled, sockets } = await siege.until(({ connections }) => connections === 0);
      assert.equal(ends.length, handled);
      assert.equal(sockets, before.sockets);
    }
    await siege.within(0, CROWD * IDLE);
  });
});
