import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as close from "../../../src/engine/websocket/close-codes.ts";
import { closePayload, fittingReason, isWireCode, parseClose } from "../../../src/engine/websocket/close-codes.ts";
import { hex } from "../../kit/frames.ts";

describe("close codes", () => {
  it("have the numbers of RFC 6455 7.4.1 and its registry", () => {
    assert.deepEqual(
      [
        close.NORMAL,
        close.GOING_AWAY,
        close.PROTOCOL_ERROR,
        close.UNSUPPORTED_DATA,
        close.NO_STATUS,
        close.ABNORMAL,
        close.INVALID_PAYLOAD,
        close.POLICY_VIOLATION,
        close.TOO_BIG,
        close.MANDATORY_EXTENSION,
        close.INTERNAL_ERROR,
        close.SERVICE_RESTART,
        close.TRY_AGAIN_LATER,
      ],
      [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013],
    );
  });

  it("may be in a frame from 1000 to 1003, 1007 to 1014 and 3000 to 4999, and no others of all 65,536", () => {
    const allowed: number[] = [];
    for (let code = 0; code < 65536; code++) if (isWireCode(code)) allowed.push(code);
    const expected = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    for (let code = 3000; code < 5000; code++) expected.push(code);
    assert.deepEqual(allowed, expected);
  });

  it("may not be in a frame if they are no integers", () => {
    for (const code of [1000.5, Number.NaN, Infinity, -1000]) assert.equal(isWireCode(code), false);
  });
});

describe("closePayload", () => {
  it("holds the code in network order and the reason in UTF-8", () => {
    assert.deepEqual(closePayload(1000, ""), hex("03 e8"));
    assert.deepEqual(closePayload(4999, "é!"), hex("13 87 c3 a9 21"));
  });

  it("has room for a reason of 123 bytes and not of 124", () => {
    assert.equal(closePayload(1001, "x".repeat(123)).length, 125);
    assert.throws(() => closePayload(1001, "x".repeat(124)), { name: "RangeError", message: /124 bytes.* 123 / });
  });

  it("counts bytes and not characters", () => {
    assert.equal(closePayload(1001, "é".repeat(61)).length, 124);
    assert.throws(() => closePayload(1001, "é".repeat(62)), RangeError);
  });

  it("refuses codes that may not be sent", () => {
    for (const code of [1000.5, Number.NaN, Infinity, 0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 66536, -1]) {
      assert.throws(() => closePayload(code, ""), RangeError, String(code));
    }
  });

  it("is empty for 1005, which allows no reason", () => {
    assert.equal(closePayload(1005, "").length, 0);
    assert.throws(() => closePayload(1005, "x"), { name: "RangeError", message: /1005 and a reason/ });
  });

  it("refuses a code that is no number with a TypeError", () => {
    for (const code of ["1000", undefined, null, 1000n, {}]) {
      assert.throws(() => closePayload(code as number, ""), TypeError, String(code));
    }
  });

  it("refuses a reason that is no string", () => {
    const reasons = [
      new Float32Array(20),
      new Uint8Array(2),
      new ArrayBuffer(4),
      new DataView(new ArrayBuffer(4)),
      12,
      [],
      {},
    ];
    for (const reason of [...reasons, undefined, null, Symbol("s")]) {
      assert.throws(() => closePayload(1000, reason as string), TypeError);
    }
  });
});

describe("parseClose", () => {
  it("reads an empty payload as 1005", () => {
    assert.deepEqual(parseClose(new Uint8Array()), { code: 1005, reason: "" });
  });

  it("reads what closePayload wrote", () => {
    assert.deepEqual(parseClose(closePayload(3000, "Grüße, 世界")), { code: 3000, reason: "Grüße, 世界" });
  });

  it("keeps a byte order mark in the reason", () => {
    assert.deepEqual(parseClose(hex("03 e8 ef bb bf 61")), { code: 1000, reason: "\ufeffa" });
  });

  const violation = (payload: Uint8Array) => {
    const said = parseClose(payload);
    assert.ok("closeCode" in said);
    return said;
  };

  it("answers one byte with 1002", () => {
    const said = violation(hex("03"));
    assert.equal(said.closeCode, 1002);
    assert.equal(said.clause, "RFC 6455 5.5.1");
  });

  it("answers a code that may not be sent with 1002, naming it", () => {
    for (const code of [0, 999, 1004, 1006, 1015, 2999, 5000, 65535]) {
      const said = violation(Uint8Array.of(code >> 8, code & 255));
      assert.equal(said.closeCode, 1002, String(code));
      assert.equal(said.clause, "RFC 6455 7.4");
      assert.match(said.problem, new RegExp(`\\b${code}\\b`));
    }
  });

  it("answers a reason that is not UTF-8 with 1007", () => {
    for (const reason of ["ff", "c3", "ed a0 80", "ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80 65"]) {
      const said = violation(hex(`03 e8 ${reason}`));
      assert.equal(said.closeCode, 1007);
      assert.equal(said.clause, "RFC 6455 8.1");
    }
  });
});

describe("a reason that is too long", () => {
  const bytesOf = (text: string): number => Buffer.byteLength(text);

  it("is cut after the last character that fits in a Close frame", () => {
    for (const [character, count] of [
      ["x", 123],
      ["é", 61],
      ["€", 41],
      ["😀", 30],
      ["\uFFFD", 41],
    ] as const) {
      assert.equal(fittingReason(character.repeat(124)), character.repeat(count));
      assert.equal(fittingReason(character.repeat(count)), character.repeat(count));
    }
  });

  it("keeps every character that fits, and cuts none in two", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 20, maxLength: 150 }), (reason) => {
        const fitting = fittingReason(reason);
        assert.ok(reason.startsWith(fitting));
        assert.ok(bytesOf(fitting) <= 123);
        const [next = ""] = reason.slice(fitting.length);
        assert.ok(next === "" || bytesOf(fitting + next) > 123);
        assert.equal(closePayload(1000, fitting).length, 2 + bytesOf(fitting));
      }),
    );
  });
});
