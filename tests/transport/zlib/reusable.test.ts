/** The zlib that is kept: it gives what Node's public calls give, remembers nothing, and is not missed where it does not work. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { constants, deflateRawSync, inflateRawSync, type ZlibOptions } from "node:zlib";
import fc from "fast-check";
import { reusableZlib } from "../../../src/transport/zlib/reusable.ts";
import { outputOf } from "../broken-node.ts";
import type { Keeping } from "./reusable-program.ts";

const NOTHING = new Uint8Array();
const flushed = { finishFlush: constants.Z_SYNC_FLUSH };
const kept = reusableZlib();
const skip = kept !== undefined ? false : "HOLDFAST_TRANSPORT=socket has nothing kept";

/** Data of which some can be compressed. */
const data = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 40 }), fc.integer({ min: 1, max: 200 })), { maxLength: 20 })
  .map((parts) => Buffer.concat(parts.flatMap(([part, times]) => Array<Uint8Array>(times).fill(part))));

describe("the reusable zlib", { skip }, () => {
  it("compresses to the same bytes as a new zlib stream, at every level and window", () => {
    fc.assert(
      fc.property(data, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 9, max: 15 }), (bytes, level, windowBits) => {
        const packed = kept?.deflate(bytes, level, windowBits);
        // What is undefined is left to the public call.
        if (bytes.length > 16_384 || bytes.length + 262 > 2 ** windowBits) {
          assert.equal(packed, undefined);
        } else {
          assert.deepEqual(packed, deflateRawSync(bytes, { ...flushed, level, windowBits }));
        }
      }),
    );
  });

  it("compresses a text as its bytes, also with a lone surrogate", () => {
    for (const text of ["", "a", "häßlich".repeat(99), "\ud83d\ude00 \ud83d", "\u20ac".repeat(5_461)]) {
      assert.deepEqual(kept?.deflate(text, 1, 15), deflateRawSync(Buffer.from(text), { ...flushed, level: 1 }));
    }
    assert.equal(kept?.deflate("\u20ac".repeat(5_462), 1, 15), undefined);
  });

  it("compresses at most 16 KiB, and the result may be larger", () => {
    const noise = Buffer.from(Uint32Array.from({ length: 4_096 }, (_, index) => Math.imul(index, 0x9e3779b1)).buffer);
    for (const level of [1, 9]) {
      assert.deepEqual(kept?.deflate(noise, level, 15), deflateRawSync(noise, { ...flushed, level }));
    }
    assert.equal(kept?.deflate(Buffer.alloc(16_385), 1, 15), undefined);
  });

  it("decompresses to the same bytes or fails with the same error, for any input and any limit", () => {
    const dictionary = Buffer.from(Array.from({ length: 9_000 }, (_, index) => `${index} `).join("")).subarray(-32_768);
    const packed = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      data.map((bytes) => deflateRawSync(bytes)),
      data.map((bytes) => deflateRawSync(bytes, { level: 9, dictionary })),
      fc.tuple(data, fc.nat()).map(([bytes, cut]) => {
        const whole = deflateRawSync(bytes);
        return whole.subarray(0, cut % whole.length);
      }),
    );
    fc.assert(
      fc.property(
        packed,
        fc.constantFrom(64, 1_024, 5_000),
        fc.integer({ min: 1, max: 9_000 }),
        fc.boolean(),
        (bytes, piece, most, withDictionary) => {
          const before = withDictionary ? dictionary : undefined;
          const ran = kept?.inflate(bytes, NOTHING, before, piece, most);
          assert.ok(ran !== undefined);
          const limits = { chunkSize: piece, maxOutputLength: most, ...(before && { dictionary: before }) };
          const expected = publicly(bytes, limits);
          if (expected instanceof Error) {
            const code = ran.error === null && ran.bytes.length > most ? "ERR_BUFFER_TOO_LARGE" : ran.error?.code;
            assert.equal(code, expected.code);
            if (ran.error !== null) assert.equal(ran.error.message, expected.message);
            // A bomb is let go after the piece with which it is too large.
            if (ran.error === null) assert.ok(ran.bytes.length < most + piece + 1);
          } else {
            assert.deepEqual([ran.bytes, ran.error === null && ran.taken], [expected.buffer, expected.taken]);
          }
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it("lets no message refer to the previous message, nor to its dictionary", () => {
    const before = Buffer.from("what one peer has said, another must never see".repeat(9));
    const reaching = deflateRawSync(before.subarray(0, 100), { dictionary: before });
    const tells = (): boolean => kept?.inflate(reaching, NOTHING, undefined, 1_024, 9_999)?.error === null;
    assert.deepEqual(kept?.inflate(deflateRawSync(before), NOTHING, undefined, 1_024, 9_999)?.bytes, before);
    assert.equal(tells(), false);
    assert.equal(kept?.inflate(reaching, NOTHING, before, 1_024, 9_999)?.bytes?.length, 100);
    assert.equal(tells(), false);
  });

  it("lets no compressed message depend on any byte of earlier messages", () => {
    const text = Buffer.from("what one peer has said, another must never see: ".repeat(99));
    // Each of these begins the same data, so that the bytes after its end are those that would have followed.
    const lengths = fc.array(fc.integer({ min: 0, max: text.length }), { minLength: 2, maxLength: 9 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 9 }), (sizes, level) => {
        for (const size of sizes) {
          const message = text.subarray(0, size);
          assert.deepEqual(kept?.deflate(message, level, 15), deflateRawSync(message, { ...flushed, level }));
        }
      }),
    );
  });
});

function publicly(bytes: Uint8Array, limits: ZlibOptions): { buffer: Buffer; taken: number } | NodeJS.ErrnoException {
  try {
    const { buffer, engine } = inflateRawSync(bytes, { ...limits, info: true }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    return { buffer, taken: engine.bytesWritten };
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

const keeping = (broken: string, flags?: readonly string[], env?: Record<string, string>): Keeping =>
  outputOf("zlib/reusable-program", broken, flags, env);

describe("zlib is", () => {
  const same = { message: "hello again", invalid: "the compressed data is invalid: invalid block type" };

  it("reused, without a warning of Node, not even a pending deprecation", () => {
    const found = keeping("nothing", ["--pending-deprecation", "--throw-deprecation"]);
    assert.deepEqual(found, { ...same, kept: true, warnings: [] });
  });

  it("not reused with HOLDFAST_TRANSPORT=socket", () => {
    const found = keeping("nothing", [], { HOLDFAST_TRANSPORT: "socket" });
    assert.deepEqual(found, { ...same, kept: false, warnings: [] });
  });

  for (const broken of [
    "a handle is not begun anew",
    "a handle reports another handle's errors",
    "a stream is used by another name",
    "a handle has one more argument",
  ]) {
    it(`not reused, with one warning, on a Node on which ${broken}`, () => {
      const { warnings, ...found } = keeping(broken);
      assert.deepEqual(found, { ...same, kept: false });
      assert.deepEqual(
        warnings.map(({ name }) => name),
        ["HoldfastWarning"],
      );
      assert.match(warnings[0]!.message, /^Holdfast's reusable zlib does not work on Node v\d+.*, and is not used: ./);
    });
  }
});
