/** Single messages through zlib: valid RFC 7692 data is decoded, everything else is refused, and no limit is exceeded. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync } from "node:zlib";
import fc from "fast-check";
import {
  deflateLater,
  deflateNow,
  type Inflated,
  inflateLater,
  inflateNow,
  MAX_SYNCHRONOUS,
} from "../../../src/transport/zlib/zlib.ts";
import { hex } from "../../kit/frames.ts";

const MOST = 2 ** 24;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const how = { level: 1, windowBits: 15, dictionary: undefined };

function text(inflated: Inflated): string {
  if (inflated.bytes !== undefined) return new TextDecoder().decode(inflated.bytes);
  return inflated.why === "failed" ? `failed: ${inflated.error.message}` : `${inflated.why}: ${inflated.problem}`;
}

const inflate = (packed: Uint8Array, most: number = MOST): string => text(inflateNow(packed, undefined, most));
const later = (packed: Uint8Array, most: number = MOST): Promise<Inflated> =>
  new Promise((resolve) => inflateLater(packed, undefined, most, resolve));

describe("a compressed message", () => {
  // RFC 7692 7.2.3, the examples.
  const examples: readonly (readonly [name: string, packed: string, message: string])[] = [
    ["7.2.3.1 of one block", "f2 48 cd c9 c9 07 00", "Hello"],
    ["7.2.3.3 of a block that is not compressed", "00 05 00 fa ff 48 65 6c 6c 6f 00", "Hello"],
    ["7.2.3.4 of a block that says it is the last", "f3 48 cd c9 c9 07 00 00", "Hello"],
    ["7.2.3.4 without the octet behind it", "f3 48 cd c9 c9 07 00", "Hello"],
    ["7.2.3.5 of two blocks", "f2 48 05 00 00 00 ff ff ca c9 c9 07 00", "Hello"],
    ["7.2.3.6 that is empty", "00", ""],
    ["that is empty, written as no octet", "", ""],
    ["that is empty, as a last block", "03 00 00", ""],
    ["of two blocks that each say they are the last", "f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00", "HelloHello"],
    ["whose end is a last block that our octets complete", "f2 48 cd c9 c9 07 00 00 00 ff ff 01", "Hello"],
  ];
  for (const [name, packed, message] of examples) {
    it(`${name} is decompressed to the original`, async () => {
      assert.equal(inflate(hex(packed)), message);
      assert.equal(text(await later(hex(packed))), message);
    });
  }

  const invalid: readonly (readonly [name: string, packed: string, problem: RegExp])[] = [
    ["of a block type that does not exist", "07", /invalid: invalid block type/],
    ["that ends inside a block", "f2 48 cd c9", /^invalid: /],
    ["that refers to what never was", "4a 04 41 00", /^invalid: /],
    ["with something else behind its last block", "f3 48 cd c9 c9 07 00 ff ff", /^invalid: /],
    // Found by fuzzing.
    [
      "that ends inside a block, which the appended bytes could end",
      `${"63 ".repeat(6)}${"ff ".repeat(92)}63`,
      /^invalid: /,
    ],
    ["that announces the octets behind it as its own", "01 0a 00 f5 ff 41", /ends inside a block/],
    ["of which the last octets were not taken off", "f2 48 cd c9 c9 07 00 00 00 ff", /^invalid: /],
  ];
  for (const [name, packed, problem] of invalid) {
    it(`${name} is invalid`, async () => {
      assert.match(inflate(hex(packed)), problem);
      assert.match(text(await later(hex(packed))), problem);
    });
  }

  it("may end in the same octets that are appended to it", () => {
    const data = hex("41 00 00 ff ff 01 00 00 ff ff");
    for (const level of [0, 1, 9]) {
      const packed = deflateNow(data, { ...how, level }, true);
      assert.deepEqual(Uint8Array.from(inflateNow(packed, undefined, data.length).bytes ?? []), data);
      assert.match(inflate(packed, data.length - 1), /^over: /);
    }
  });

  it("that is cut anywhere is invalid, or a message that ends with a block", () => {
    const packed = deflateNow(bytes("abc ".repeat(50) + Math.PI), how, true);
    for (let end = 1; end < packed.length; end += 1) {
      const inflated = inflateNow(packed.subarray(0, end), undefined, MOST);
      assert.ok(inflated.bytes === undefined, `${end} of ${packed.length}`);
    }
  });

  it("may have sixteen blocks marked as the last, and no more: each costs a start of zlib", () => {
    const last = hex("f3 48 cd c9 c9 07 00");
    const times = (count: number): Uint8Array => Buffer.concat(Array<Uint8Array>(count).fill(last));
    const open = hex("f2 48 cd c9 c9 07 00");
    for (const end of [hex(""), hex("00"), open]) {
      const most = Buffer.concat([times(16), end]);
      assert.equal(inflate(most), "Hello".repeat(end === open ? 17 : 16));
      assert.match(inflate(Buffer.concat([last, most])), /more than 16 blocks/);
    }
  });

  it("may be as large as its limit, and not one byte larger", async () => {
    for (const size of [1, 1_000, 65_536, 200_000]) {
      const packed = deflateNow(new Uint8Array(size), how, true);
      for (const outcome of [inflateNow(packed, undefined, size), await later(packed, size)]) {
        assert.equal(outcome.bytes?.length, size);
      }
      for (const outcome of [inflateNow(packed, undefined, size - 1), await later(packed, size - 1)]) {
        assert.equal(text(outcome), `over: a message inflates to more than ${size - 1} bytes`);
      }
    }
  });

  it("is limited over several blocks that are marked as the last", () => {
    const hello = hex("f3 48 cd c9 c9 07 00");
    assert.equal(inflate(Buffer.concat([hello, hello]), 10), "HelloHello");
    assert.match(inflate(Buffer.concat([hello, hello]), 9), /^over/);
    assert.match(inflate(Buffer.concat([hello, hello]), 5), /^over/);
  });

  it("may refer to its dictionary, also after a block marked as the last", () => {
    const dictionary = bytes("the quick brown fox");
    const packed = deflateNow(dictionary, { ...how, dictionary }, true);
    assert.ok(packed.length < 8);
    assert.equal(text(inflateNow(packed, dictionary, MOST)), "the quick brown fox");
    assert.match(text(inflateNow(packed, undefined, MOST)), /^invalid/);
    const behind = Buffer.concat([deflateRawSync(dictionary), packed]);
    assert.equal(text(inflateNow(behind, undefined, MOST)), "the quick brown foxthe quick brown fox");
  });
});

describe("compressing", () => {
  it("is reversed by decompression, at every level and window, with a dictionary or without", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 3_000 }),
        fc.uint8Array({ maxLength: 600 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 8, max: 15 }),
        (data, before, level, windowBits) => {
          const dictionary = before.length === 0 ? undefined : before.subarray(-(2 ** windowBits));
          const packed = deflateNow(data, { level, windowBits, dictionary }, true);
          assert.deepEqual(inflateNow(packed, dictionary, MOST).bytes?.subarray(), Buffer.from(data));
        },
      ),
    );
  });

  it("on another thread gives the same", async () => {
    const data = bytes(
      JSON.stringify(Array.from({ length: 9_000 }, (_, index) => ({ index, root: Math.sqrt(index) }))),
    );
    assert.ok(data.length > MAX_SYNCHRONOUS);
    const packed = await new Promise<Uint8Array>((resolve) => deflateLater(data, how, true, resolve));
    assert.deepEqual(packed, deflateNow(data, how, true));
    assert.deepEqual(inflateNow(packed, undefined, MOST).bytes, Buffer.from(data));
  });

  it("keeps the last octets if more of the message follows", () => {
    const first = deflateNow(bytes("Hello "), how, false);
    assert.deepEqual(first.subarray(-4), Buffer.from(hex("00 00 ff ff")));
    const last = deflateNow(bytes("Hello World"), { ...how, dictionary: bytes("Hello ") }, true);
    assert.equal(inflate(Buffer.concat([first, last])), "Hello Hello World");
  });

  it("gives stored blocks if zlib fails", async () => {
    const impossible = { ...how, level: 99 };
    for (const size of [0, 1, 65_535, 65_536, 150_000]) {
      const data = Buffer.alloc(size, "abc");
      const packed = [
        deflateNow(data, impossible, true),
        await new Promise<Uint8Array>((resolve) => deflateLater(data, impossible, true, resolve)),
      ];
      for (const one of packed) assert.deepEqual(inflateNow(one, undefined, MOST).bytes, data);
    }
  });
});

it("at most four messages are processed on other threads, and the waiting ones follow in order", async () => {
  const packed = deflateNow(new Uint8Array(300_000), { ...how, level: 9 }, true);
  const order: number[] = [];
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) => {
      const { bytes: inflated } = await later(packed, 300_000);
      order.push(index);
      assert.equal(inflated?.length, 300_000);
    }),
  );
  // One may overtake another that was begun with it, and no other.
  for (const [place, index] of order.entries()) assert.ok(Math.abs(place - index) < 4, order.join());
});

it("decompression fails as a fault of this process if zlib has no memory", () => {
  const outcome = inflateNow(
    deflateRawSync("x", { finishFlush: constants.Z_SYNC_FLUSH }),
    // Nothing that Node could give to zlib.
    { length: 40_000 } as never,
    MOST,
  );
  assert.match(text(outcome), /^failed/);
});
