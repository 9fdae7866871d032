/** Compressed messages that are meant to hurt: bombs in one frame, in many, in many messages; what is no deflate; crowds of them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { DEFAULTS } from "../../src/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import { upgradeRequest } from "../raw-peers.js";
import { Assault } from "./assault.js";
import { MIB, SCALE, Siege } from "./siege.js";

const LIMIT = { timeout: 240_000 };
const URL = "ws://127.0.0.1:0";
const KEEPS = { serverContextTakeover: true, clientContextTakeover: true };
const PING = peerFrame({ opcode: 9, payload: "here?", key: KEY });

/** Processor time, in milliseconds, that no attack may cost: what it announces would take many times as much to inflate. */
const MOST_CPU = 1_500;

const flushed = (bytes: Uint8Array): Buffer => deflateRawSync(bytes, { level: 9, finishFlush: constants.Z_SYNC_FLUSH });

/** Blocks that inflate to so many MiB of zeros, a thousandth of that in size. Each begins at an octet, and refers to none before it. */
const bomb = (mebibytes: number): Buffer =>
  Buffer.concat(new Array<Buffer>(mebibytes).fill(flushed(Buffer.alloc(MIB)))).subarray(0, -4);

const first = (payload: Uint8Array, fin: boolean): Uint8Array =>
  peerFrame({ opcode: 2, rsv: 4, payload, fin, key: KEY });
const more = (payload: Uint8Array, fin: boolean): Uint8Array => peerFrame({ opcode: 0, payload, fin, key: KEY });

function* fragments(body: Uint8Array, size: number): Generator<Uint8Array> {
  for (let at = 0; at < body.length; at += size) {
    const part = body.subarray(at, at + size);
    const fin = at + size >= body.length;
    yield at === 0 ? first(part, fin) : more(part, fin);
  }
}

/** Connects, and agrees on compression. */
async function agreed(port: number, offer = "permessage-deflate"): Promise<Assault> {
  const assault = await Assault.to(port);
  assault.socket.write(upgradeRequest("/", { "Sec-WebSocket-Extensions": offer }));
  await assault.until(() => assault.bytes.includes("\r\n\r\n"));
  assert.match(assault.bytes.toString("latin1"), /^HTTP\/1\.1 101 [\s\S]*permessage-deflate/);
  return assault;
}

const framesOf = ({ bytes }: Assault): ReturnType<FrameReader["push"]> =>
  new FrameReader().push(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));

/** The code that the server closes with, having sent no message. */
async function closeCode(assault: Assault): Promise<number | undefined> {
  await assault.until(() => assault.ended);
  const [close] = framesOf(assault);
  assert.equal(close?.opcode, 8, "nothing is sent before Close");
  assault.socket.end();
  await assault.closed;
  return close.payload.readUInt16BE();
}

/** While reading is paused the kernel's table of sockets is looked at, whose text is as long as the machine is busy. */
const TABLE = 8 * MIB;

/** A message as it came, while its store grows, and as it becomes; and what zlib takes, whose garbage is freed when it likes. */
const MEANWHILE = 8 * MIB;

/** Whatever is done to it leaves no more than the largest message may have, and costs no more time and memory than this. */
async function besieged(
  options: Readonly<Record<string, unknown>>,
  attack: (siege: Siege) => Promise<void>,
  meanwhile: number = MEANWHILE,
  left: number = DEFAULTS.maxMessageSize,
): Promise<void> {
  await using siege = await Siege.lay({ url: URL, does: "swallow", options: { compression: true, ...options } });
  // What a first message costs, once for the process.
  await using friend = await agreed(siege.port);
  await friend.flood(first(flushed(Buffer.from("a friend's word")).subarray(0, -4), true), 1);
  await siege.until(({ messages }) => messages === 1);
  const before = await siege.begin();
  await attack(siege);
  const { cpu } = await siege.within(left, meanwhile);
  if (process.env["HOLDFAST_SIEGE"]) console.log(`cpu ${cpu - before.cpu}`);
  assert.ok(cpu - before.cpu < MOST_CPU, `it took ${cpu - before.cpu} ms of processor time`);
}

const ended = async (siege: Siege, count: number): Promise<readonly string[]> => {
  const { ends } = await siege.until((report) => report.ends.length === count);
  return ends.map(({ code, error, limit }) => `${code} ${error} ${limit}`);
};

describe("a bomb", () => {
  // 1 MB that says it is 1 GB: what is announced on the wire is within maxMessageSize.
  const large = bomb(1_000);
  const cuts: Readonly<Record<string, number>> = { "in one frame": Infinity, "in a thousand frames": 1_000 };
  for (const [what, size] of Object.entries(cuts)) {
    it(`${what} is answered with 1009, and inflated no farther than the limit`, LIMIT, async () => {
      await besieged({}, async (siege) => {
        await using assault = await agreed(siege.port);
        for (const frame of fragments(large, size === Infinity ? large.length : size)) await assault.flood(frame, 1);
        assert.equal(await closeCode(assault), 1009);
        assert.match((await ended(siege, 1))[0] ?? "", /^1009 LimitError (maxMessageSize|.*maxInflationRatio)$/);
      });
    });
  }

  it(
    "of 1,000 to 1 is answered with 1009 although its message would be allowed, were it not compressed",
    LIMIT,
    async () => {
      // A hundred times 200 KB; not the 200 MB that they say they are.
      const most = 32 * MIB;
      const attack = async (siege: Siege): Promise<void> => {
        await using assault = await agreed(siege.port);
        for (const frame of fragments(bomb(200), MIB)) await assault.flood(frame, 1);
        assert.equal(await closeCode(assault), 1009);
        assert.match((await ended(siege, 1))[0] ?? "", /^1009 LimitError .*maxInflationRatio$/);
      };
      await besieged({ maxMessageSize: 256 * MIB }, attack, most);
    },
  );

  it("from each of a hundred peers at once costs no more than those that are inflated at a time", LIMIT, async () => {
    const count = 100;
    // Together they say that they are 6 GB.
    const most = 64 * MIB;
    const attack = async (siege: Siege): Promise<void> => {
      const crowd = await Promise.all(Array.from({ length: count }, () => agreed(siege.port)));
      const medium = Buffer.concat([...fragments(bomb(60), MIB)]);
      await Promise.all(crowd.map((assault) => assault.flood(medium, 1)));
      assert.deepEqual(new Set(await Promise.all(crowd.map(closeCode))), new Set([1009]));
      assert.equal((await ended(siege, count)).length, count);
    };
    // zlib's streams let go of what they were given only when the collector has come upon them.
    await besieged({}, attack, most, count * 65_536);
  });

  it("of many messages, each small enough, is taken message by message, with context and without", LIMIT, async () => {
    for (const compression of [true, KEEPS]) {
      const count = 1_000 * SCALE;
      await besieged({ compression }, async (siege) => {
        await using assault = await agreed(siege.port);
        // 60 KB each, from 80 bytes.
        const body = flushed(Buffer.alloc(60_000)).subarray(0, -4);
        await assault.floodOf(first(body, true), count);
        await assault.flood(PING, 1);
        await assault.until(() => framesOf(assault).length > 0);
        assert.equal(framesOf(assault)[0]?.opcode, 10);
        const { payload, messages } = await siege.report();
        assert.ok(messages > count);
        assert.ok(payload >= 60_000 * count);
      });
    }
  });

  it("of many messages that nobody takes waits with its sender", LIMIT, async () => {
    await using siege = await Siege.lay({
      ...{ url: URL, does: "ignore", observed: true },
      options: { compression: KEEPS },
    });
    await using assault = await agreed(siege.port);
    await siege.begin();
    const body = flushed(Buffer.alloc(60_000)).subarray(0, -4);
    void assault.floodOf(first(body, true), 10_000);
    await siege.until(({ paused }) => paused === 1);
    // The inbox, what was read with the message that filled it, and a window.
    await siege.within(262_144 + 3 * 65_536 + TABLE);
  });
});

describe("what is no deflate", () => {
  const hello = flushed(Buffer.from("Hello")).subarray(0, -4);
  const lastBlock = deflateRawSync("Hello");
  const noise = Buffer.from(Array.from({ length: 4_000 }, (_, index) => (index * 167 + (index >> 3)) & 255));
  const wrong: Readonly<Record<string, Uint8Array>> = {
    noise: Buffer.concat([Buffer.of(0x07), noise]),
    "data that ends inside a block": hello.subarray(0, 3),
    "noise behind the last block": Buffer.concat([lastBlock, Buffer.of(0xff), noise]),
    "half a megabyte of last blocks, of nothing": Buffer.concat(new Array<Buffer>(250_000).fill(Buffer.of(3, 0))),
    "a megabyte behind the last block": Buffer.concat([lastBlock, Buffer.alloc(MIB - 100, 0x55)]),
    "a reference to before the beginning": Buffer.from("f200110000", "hex"),
  };
  for (const [what, body] of Object.entries(wrong)) {
    it(`is answered with 1007, whole or cut, and costs nothing: ${what}`, LIMIT, async () => {
      await besieged({}, async (siege) => {
        const sizes = [body.length, Math.ceil(body.length / 7)];
        for (const size of sizes) {
          await using assault = await agreed(siege.port);
          await assault.flood(Buffer.concat([...fragments(body, size)]), 1);
          assert.equal(await closeCode(assault), 1007);
        }
        assert.deepEqual(new Set(await ended(siege, sizes.length)), new Set(["1007 ProtocolError "]));
      });
    });
  }

  it("is a text that is no UTF-8 where its fragments meet, for which 1007 is the answer, too", LIMIT, async () => {
    await besieged({}, async (siege) => {
      const body = flushed(Buffer.concat([Buffer.from("κόσμε"), Buffer.of(0xed, 0xa0, 0x80)])).subarray(0, -4);
      for (let size = 1; size <= body.length; size += 1) {
        await using assault = await agreed(siege.port);
        const frames = [...fragments(body, size)];
        // As a text.
        frames[0]![0]! -= 1;
        await assault.flood(Buffer.concat(frames), 1);
        assert.equal(await closeCode(assault), 1007);
      }
    });
  });
});

describe("peers that compress, and then are silent", () => {
  const COUNT = 500;
  const word = first(flushed(Buffer.from("one word among others ".repeat(100))).subarray(0, -4), true);

  // What any idle connection may hold, of which the most is node's socket: a stream of zlib's would be 40 to 300 KiB more.
  const IDLE = 16_384;
  for (const [what, compression, most] of [
    ["without context hold no window and no stream of zlib's", true, IDLE],
    [
      "with 9 bits of context hold a window each way",
      { ...KEEPS, serverWindowBits: 9, clientWindowBits: 9 },
      IDLE + 2 * 2 ** 9,
    ],
  ] as const) {
    it(`${what}: ${most} bytes each at the most`, LIMIT, async () => {
      await using siege = await Siege.lay({ url: URL, does: "swallow", options: { compression } });
      const crowd: Assault[] = [];
      const join = async (count: number): Promise<void> => {
        for (let each = 0; each < count; each += 1) {
          const assault = await agreed(siege.port, "permessage-deflate; client_max_window_bits");
          await assault.flood(word, 1);
          crowd.push(assault);
        }
        await siege.until(({ messages }) => messages === crowd.length);
      };
      await join(20);
      await siege.begin();
      await join(COUNT);
      await siege.within(COUNT * most);
      for (const { socket } of crowd) socket.destroy();
      await Promise.all(crowd.map(({ closed }) => closed));
      await siege.until(({ connections }) => connections === 0);
    });
  }
});
