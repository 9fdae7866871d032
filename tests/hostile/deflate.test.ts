/** Harmful compressed messages: bombs in one frame, in fragments, in many messages; invalid data; many peers at once. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import { DEFAULTS } from "../../src/index.ts";
import { FrameReader, KEY, peerFrame } from "../kit/frames.ts";
import { upgradeRequest } from "../kit/raw-peer.ts";
import { AttackedServer, MIB, SCALE } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const LIMIT = { timeout: 240_000 };
const URL = "ws://127.0.0.1:0";
const KEEPS = { serverContextTakeover: true, clientContextTakeover: true };
const PING = peerFrame({ opcode: 9, payload: "here?", key: KEY });

/** The most processor time of an attack, in milliseconds. To inflate what it announces would take many times as much. */
const MOST_CPU = 1_500;

const flushed = (bytes: Uint8Array): Buffer => deflateRawSync(bytes, { level: 9, finishFlush: constants.Z_SYNC_FLUSH });

/** Blocks that inflate to this many MiB of zeros, and are a thousandth of that. Each begins at a byte and refers to no earlier one. */
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

/** Connects, and negotiates compression. */
async function agreed(port: number, offer = "permessage-deflate"): Promise<Attacker> {
  const attacker = await Attacker.to(port);
  attacker.socket.write(upgradeRequest("/", { "Sec-WebSocket-Extensions": offer }));
  await attacker.until(() => attacker.bytes.includes("\r\n\r\n"));
  assert.match(attacker.bytes.toString("latin1"), /^HTTP\/1\.1 101 [\s\S]*permessage-deflate/);
  return attacker;
}

const framesOf = ({ bytes }: Attacker): ReturnType<FrameReader["push"]> =>
  new FrameReader().push(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));

/** The close code of a server that has sent no message. */
async function closeCode(attacker: Attacker): Promise<number | undefined> {
  await attacker.until(() => attacker.ended);
  const [close] = framesOf(attacker);
  assert.equal(close?.opcode, 8, "nothing is sent before Close");
  attacker.socket.end();
  await attacker.closed;
  return close.payload.readUInt16BE();
}

/** While reading is paused, the kernel's socket table is read. Its text grows with the number of sockets on the machine. */
const TABLE = 8 * MIB;

/** A message as received, its growing buffer, and its decoded text; and zlib's buffers, which are freed later. */
const MEANWHILE = 8 * MIB;

/** No attack may hold more than the largest message, or cost more time and memory than this. */
async function attackedWith(
  options: Readonly<Record<string, unknown>>,
  attack: (attacked: AttackedServer) => Promise<void>,
  meanwhile: number = MEANWHILE,
  left: number = DEFAULTS.connection.maxMessageSize,
): Promise<void> {
  await using attacked = await AttackedServer.start({
    url: URL,
    does: "swallow",
    options: { compression: true, ...options },
  });
  // The cost of a first message, once per process.
  await using friend = await agreed(attacked.port);
  await friend.flood(first(flushed(Buffer.from("a friend's word")).subarray(0, -4), true), 1);
  await attacked.until(({ messages }) => messages === 1);
  const before = await attacked.begin();
  await attack(attacked);
  const { cpu } = await attacked.within(left, meanwhile);
  if (process.env["HOLDFAST_FIGURES"]) console.log(`cpu ${cpu - before.cpu}`);
  assert.ok(cpu - before.cpu < MOST_CPU, `it took ${cpu - before.cpu} ms of processor time`);
}

const ended = async (attacked: AttackedServer, count: number): Promise<readonly string[]> => {
  const { ends } = await attacked.until((report) => report.ends.length === count);
  return ends.map(({ code, error, limit }) => `${code} ${error} ${limit}`);
};

describe("a bomb", () => {
  // 1 MB that inflates to 1 GB: the announced size is below maxMessageSize.
  const large = bomb(1_000);
  const cuts: Readonly<Record<string, number>> = { "in one frame": Infinity, "in a thousand frames": 1_000 };
  for (const [what, size] of Object.entries(cuts)) {
    it(`${what} is answered with 1009, and inflated only up to the limit`, LIMIT, async () => {
      await attackedWith({}, async (attacked) => {
        await using attacker = await agreed(attacked.port);
        for (const frame of fragments(large, size === Infinity ? large.length : size)) await attacker.flood(frame, 1);
        assert.equal(await closeCode(attacker), 1009);
        assert.match((await ended(attacked, 1))[0] ?? "", /^1009 LimitError (maxMessageSize|.*maxInflationRatio)$/);
      });
    });
  }

  it(
    "of 1,000 to 1 is answered with 1009 although its message would be allowed without compression",
    LIMIT,
    async () => {
      // A hundred times 200 KB, and not the 200 MB of their content.
      const most = 32 * MIB;
      const attack = async (attacked: AttackedServer): Promise<void> => {
        await using attacker = await agreed(attacked.port);
        for (const frame of fragments(bomb(200), MIB)) await attacker.flood(frame, 1);
        assert.equal(await closeCode(attacker), 1009);
        assert.match((await ended(attacked, 1))[0] ?? "", /^1009 LimitError .*maxInflationRatio$/);
      };
      await attackedWith({ maxMessageSize: 256 * MIB }, attack, most);
    },
  );

  it(
    "from each of a hundred peers at once costs no more than those that are inflated at the same time",
    LIMIT,
    async () => {
      const count = 100;
      // Their content is 6 GB.
      const most = 64 * MIB;
      const attack = async (attacked: AttackedServer): Promise<void> => {
        const crowd = await Promise.all(Array.from({ length: count }, () => agreed(attacked.port)));
        const medium = Buffer.concat([...fragments(bomb(60), MIB)]);
        await Promise.all(crowd.map((attacker) => attacker.flood(medium, 1)));
        assert.deepEqual(new Set(await Promise.all(crowd.map(closeCode))), new Set([1009]));
        assert.equal((await ended(attacked, count)).length, count);
      };
      // zlib streams release their memory only at a garbage collection.
      await attackedWith({}, attack, most, count * 65_536);
    },
  );

  it(
    "of many messages below the limit is received message by message, with context takeover and without",
    LIMIT,
    async () => {
      for (const compression of [true, KEEPS]) {
        const count = 1_000 * SCALE;
        await attackedWith({ compression }, async (attacked) => {
          await using attacker = await agreed(attacked.port);
          // 60 KB each, from 80 bytes.
          const body = flushed(Buffer.alloc(60_000)).subarray(0, -4);
          await attacker.floodOf(first(body, true), count);
          await attacker.flood(PING, 1);
          await attacker.until(() => framesOf(attacker).length > 0);
          assert.equal(framesOf(attacker)[0]?.opcode, 10);
          const { payload, messages } = await attacked.report();
          assert.ok(messages > count);
          assert.ok(payload >= 60_000 * count);
        });
      }
    },
  );

  it("of many messages waits at its sender while the application does not receive", LIMIT, async () => {
    await using attacked = await AttackedServer.start({
      ...{ url: URL, does: "ignore", observed: true },
      options: { compression: KEEPS },
    });
    await using attacker = await agreed(attacked.port);
    await attacked.begin();
    const body = flushed(Buffer.alloc(60_000)).subarray(0, -4);
    void attacker.floodOf(first(body, true), 10_000);
    await attacked.until(({ paused }) => paused === 1);
    // The inbox, the bytes of the read that filled it, and a window.
    await attacked.within(262_144 + 3 * 65_536 + TABLE);
  });
});

describe("invalid deflate data", () => {
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
      await attackedWith({}, async (attacked) => {
        const sizes = [body.length, Math.ceil(body.length / 7)];
        for (const size of sizes) {
          await using attacker = await agreed(attacked.port);
          await attacker.flood(Buffer.concat([...fragments(body, size)]), 1);
          assert.equal(await closeCode(attacker), 1007);
        }
        assert.deepEqual(new Set(await ended(attacked, sizes.length)), new Set(["1007 ProtocolError "]));
      });
    });
  }

  it("and text that is invalid UTF-8 where its fragments meet are answered with 1007", LIMIT, async () => {
    await attackedWith({}, async (attacked) => {
      const body = flushed(Buffer.concat([Buffer.from("κόσμε"), Buffer.of(0xed, 0xa0, 0x80)])).subarray(0, -4);
      for (let size = 1; size <= body.length; size += 1) {
        await using attacker = await agreed(attacked.port);
        const frames = [...fragments(body, size)];
        // As a text.
        frames[0]![0]! -= 1;
        await attacker.flood(Buffer.concat(frames), 1);
        assert.equal(await closeCode(attacker), 1007);
      }
    });
  });
});

describe("peers that compress, and then are idle", () => {
  const COUNT = 500;
  const word = first(flushed(Buffer.from("one word among others ".repeat(100))).subarray(0, -4), true);

  // As any idle connection, most of it for Node's socket. A zlib stream would add 40 to 300 KiB.
  const IDLE = 16_384;
  for (const [what, compression, most] of [
    ["without context hold no window and no stream of zlib's", true, IDLE],
    [
      "with a window of 9 bits hold a window each way",
      { ...KEEPS, serverWindowBits: 9, clientWindowBits: 9 },
      IDLE + 2 * 2 ** 9,
    ],
  ] as const) {
    it(`${what}: at most ${most} bytes each`, LIMIT, async () => {
      await using attacked = await AttackedServer.start({ url: URL, does: "swallow", options: { compression } });
      const crowd: Attacker[] = [];
      const join = async (count: number): Promise<void> => {
        for (let each = 0; each < count; each += 1) {
          const attacker = await agreed(attacked.port, "permessage-deflate; client_max_window_bits");
          await attacker.flood(word, 1);
          crowd.push(attacker);
        }
        await attacked.until(({ messages }) => messages === crowd.length);
      };
      await join(20);
      await attacked.begin();
      await join(COUNT);
      await attacked.within(COUNT * most);
      for (const { socket } of crowd) socket.destroy();
      await Promise.all(crowd.map(({ closed }) => closed));
      await attacked.until(({ connections }) => connections === 0);
    });
  }
});
