import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Utf8Validator } from "../../../src/engine/websocket/utf8.ts";
import { hex } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";

const decoder = new TextDecoder("utf-8", { fatal: true });

// Bytes that may complete a character: a second byte of each range, and up to two more.
const SECONDS = ["80", "8f", "90", "9f", "a0", "bf"];
const ENDINGS = ["", ...SECONDS.flatMap((second) => [second, `${second} 80`, `${second} 80 80`])].map(hex);

/** True if some valid text begins with these bytes, by another implementation. */
function begins(bytes: Uint8Array): boolean {
  return ENDINGS.some((ending) => {
    try {
      decoder.decode(Uint8Array.from([...bytes, ...ending]));
      return true;
    } catch {
      return false;
    }
  });
}

/** The index of the first invalid byte, by that implementation. */
function offending(bytes: Uint8Array): number {
  for (let size = 1; size <= bytes.length; size++) if (!begins(bytes.subarray(0, size))) return size - 1;
  return -1;
}

function fed(bytes: Uint8Array, step: number): number {
  const validator = new Utf8Validator();
  for (let at = 0; at < bytes.length; at += step) {
    const found = validator.push(bytes, at, Math.min(at + step, bytes.length));
    if (found >= 0) return found;
  }
  return -1;
}

describe("Utf8Validator", () => {
  it("accepts each code point except surrogates, and reports it as complete only after its last byte", () => {
    const encoder = new TextEncoder();
    for (let point = 0; point <= 0x10ffff; point += point < 0x3000 ? 1 : 0x3d) {
      if (point >= 0xd800 && point <= 0xdfff) continue;
      const bytes = encoder.encode(String.fromCodePoint(point));
      const validator = new Utf8Validator();
      for (let at = 0; at < bytes.length; at++) {
        assert.equal(validator.push(bytes, at, at + 1), -1, point.toString(16));
        assert.equal(validator.complete, at === bytes.length - 1, point.toString(16));
      }
    }
  });

  it("judges every two bytes as the platform's decoder does", () => {
    for (let first = 0x80; first < 0x100; first++) {
      for (let second = 0; second < 0x100; second += second % 16 === 15 || second % 16 === 0 ? 1 : 7) {
        const bytes = Uint8Array.of(first, second);
        assert.equal(fed(bytes, 2), offending(bytes), `${first.toString(16)} ${second.toString(16)}`);
      }
    }
  });

  const refused: readonly (readonly [what: string, bytes: string, at: number])[] = [
    ["a continuation byte that continues nothing", "61 80", 1],
    ["an overlong form of two bytes", "c1 bf", 0],
    ["an overlong form of three bytes", "e0 9f bf", 1],
    ["an overlong form of four bytes", "f0 8f bf bf", 1],
    ["the first surrogate", "ed a0 80", 1],
    ["the last surrogate", "ed bf bf", 1],
    ["what lies just above U+10FFFF", "f4 90 80 80", 1],
    ["what lies far above U+10FFFF", "f5 80 80 80", 0],
    ["a byte that is never used", "ff", 0],
    ["ASCII where a second byte is due", "c3 41", 1],
    ["ASCII where a third byte is due", "e2 82 41", 2],
    ["ASCII where a fourth byte is due", "f0 9f 92 41", 3],
    ["a lead byte where a continuation byte is due", "f0 9f f0", 2],
    ["a last byte that is too high", "e2 82 c0", 2],
  ];
  for (const [what, bytes, at] of refused) {
    it(`refuses ${what} at byte ${at}`, () => {
      for (const before of [0, 3, 70, 77]) {
        for (const behind of [0, 80]) {
          const text = Uint8Array.from([
            ...new Uint8Array(before).fill(0x61),
            ...hex(bytes),
            ...new Uint8Array(behind).fill(0x62),
          ]);
          for (const step of [1, 2, 65, 200]) assert.equal(fed(text, step), before + at, `step ${step}`);
        }
      }
    });
  }

  const accepted = [
    "ed 9f bf",
    "ee 80 80",
    "f4 8f bf bf",
    "f0 90 80 80",
    "e0 a0 80",
    "c2 80",
    "df bf",
    "ef bf bf",
    "00",
    "7f",
  ];
  for (const bytes of accepted) {
    it(`accepts ${bytes}, at a boundary`, () => {
      for (const step of [1, 4]) assert.equal(fed(hex(bytes), step), -1);
    });
  }

  it("finds an invalid byte anywhere among ASCII, for any alignment", () => {
    for (let align = 0; align < 4; align++) {
      for (let at = 0; at < 150; at++) {
        const bytes = new Uint8Array(160).fill(0x61).subarray(align, align + 150);
        bytes[at] = 0x80;
        assert.equal(new Utf8Validator().push(bytes, 0, 150), at);
        assert.equal(new Utf8Validator().push(bytes, Math.min(3, at), 150), at);
      }
    }
  });

  it("reads only the bytes between its bounds", () => {
    const bytes = Uint8Array.from([0xff, 0xff, 0xff, ...new Uint8Array(100).fill(0x61), 0xff, 0xff, 0xff]);
    for (let from = 3; from < 8; from++) {
      for (let to = 99; to <= 103; to++) assert.equal(new Utf8Validator().push(bytes, from, to), -1);
    }
  });

  it("starts again after reset", () => {
    const validator = new Utf8Validator();
    assert.equal(validator.push(hex("e0"), 0, 1), -1);
    validator.reset();
    assert.equal(validator.complete, true);
    // Not the narrow range after E0.
    assert.equal(validator.push(hex("e1 80 80"), 0, 3), -1);
    assert.equal(validator.complete, true);
  });

  it("finds the same byte wherever the text is cut", () => {
    const bit = fc.oneof(
      {
        weight: 3,
        arbitrary: fc.string({ unit: "grapheme", maxLength: 40 }).map((text) => [...new TextEncoder().encode(text)]),
      },
      { weight: 1, arbitrary: fc.array(fc.nat(255), { maxLength: 3 }) },
      { weight: 1, arbitrary: fc.constant(new Array<number>(70).fill(0x20)) },
    );
    fc.assert(
      fc.property(fc.array(bit, { maxLength: 8 }), fc.integer({ min: 1, max: 90 }), (bits, step) => {
        const bytes = Uint8Array.from(bits.flat());
        const expected = offending(bytes);
        assert.equal(fed(bytes, bytes.length + 1), expected);
        assert.equal(fed(bytes, step), expected);
      }),
      runs(200),
    );
  });
});
