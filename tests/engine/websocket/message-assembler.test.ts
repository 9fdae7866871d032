import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DecoderLimits } from "../../../src/engine/protocol.ts";
import { copyRange, MessageAssembler, plainBytes } from "../../../src/engine/websocket/message-assembler.ts";
import { bytesOf, hex } from "../../kit/frames.ts";
import { Recorder } from "../../kit/recording-visitor.ts";

const LIMITS: DecoderLimits = { maxMessageSize: Infinity, maxFragments: Infinity, streaming: false };
const STREAMING: DecoderLimits = { ...LIMITS, streaming: true };

/** An assembler with these pieces, and its visitor. */
function given(text: boolean, pieces: readonly (string | Uint8Array)[], limits: DecoderLimits = LIMITS) {
  const assembler = new MessageAssembler(limits, "RFC 6455 8.1");
  const visitor = new Recorder();
  assembler.begin(text);
  for (const piece of pieces.map(bytesOf)) {
    // With bytes around it that must not be used.
    const chunk = Uint8Array.from([0xff, ...piece, 0xff]);
    if (!assembler.append(chunk, 1, chunk.length - 1, visitor)) break;
    chunk.fill(0xee);
  }
  return { assembler, visitor };
}

describe("a message that comes in pieces", () => {
  it("is delivered once, complete, at its end", () => {
    const { assembler, visitor } = given(true, ["to be, ", "or not ", "", "to be"]);
    assert.deepEqual(visitor.calls, []);
    assert.equal(assembler.finish(visitor), true);
    assert.deepEqual(visitor.calls, [["message", "to be, or not to be"]]);
  });

  it("is a Uint8Array if it is binary, with its own bytes only", () => {
    for (const sizes of [[0], [1], [63, 1], [64], [65], [40, 40, 40], [1000, 1, 30]]) {
      const pieces = sizes.map((size, index) => new Uint8Array(size).fill(index + 1));
      const { assembler, visitor } = given(false, pieces);
      assembler.finish(visitor);
      const expected = Uint8Array.from(pieces.flatMap((piece) => [...piece]));
      assert.deepEqual(visitor.calls, [["message", expected]]);
      const message = visitor.calls[0]?.[1] as Uint8Array;
      assert.equal(message.buffer.byteLength, message.length, "keeps more alive than itself");
    }
  });

  it("is delivered without a copy if its size was known", () => {
    const { assembler, visitor } = given(false, [new Uint8Array(70)]);
    assembler.expect(100);
    assembler.append(new Uint8Array(30), 0, 30, visitor);
    const before = process.memoryUsage().arrayBuffers;
    assembler.finish(visitor);
    // The collector may free some bytes.
    assert.ok(process.memoryUsage().arrayBuffers <= before);
    assert.deepEqual(visitor.calls, [["message", new Uint8Array(100)]]);
  });

  it("has a size, and is known to be incomplete", () => {
    const { assembler, visitor } = given(true, ["abc", "é"]);
    assert.equal(assembler.size, 5);
    assert.equal(assembler.active, true);
    assembler.finish(visitor);
    assert.equal(assembler.size, 0);
    assert.equal(assembler.active, false);
  });

  it("leaves nothing behind for the next one", () => {
    const { assembler, visitor } = given(true, ["a long one ".repeat(20)]);
    assembler.expect(220);
    assembler.finish(visitor);
    assembler.begin(false);
    for (let count = 0; count < 300; count++) assembler.append(hex("01"), 0, 1, visitor);
    assembler.finishWith(hex("02"), 0, 1, visitor);
    assert.deepEqual(visitor.calls[1], ["message", Uint8Array.from([...new Uint8Array(300).fill(1), 2])]);
  });

  it("may end with bytes, in one call", () => {
    const { assembler, visitor } = given(true, ["wor"]);
    assert.equal(assembler.finishWith(bytesOf("-ld"), 1, 3, visitor), true);
    assert.deepEqual(visitor.calls, [["message", "world"]]);
  });

  it("may be cut inside a character", () => {
    const { assembler, visitor } = given(true, [hex("f0 9f"), hex("92"), hex("99 f0 9f"), hex("92 99")]);
    assembler.finish(visitor);
    assert.deepEqual(visitor.calls, [["message", "💙💙"]]);
  });

  it("keeps its byte order mark", () => {
    const { assembler, visitor } = given(true, [hex("ef bb"), hex("bf 61")]);
    assembler.finish(visitor);
    assembler.deliverWhole(true, hex("ef bb bf 62"), 0, 4, visitor);
    assert.deepEqual(visitor.calls, [
      ["message", "\ufeffa"],
      ["message", "\ufeffb"],
    ]);
  });

  it("fails at the first byte that is not UTF-8, with its index in the message", () => {
    const { assembler, visitor } = given(true, ["abcé", hex("62 ed"), hex("a0 80"), "never taken"]);
    const { closeCode, clause, problem } = visitor.violation;
    assert.equal(closeCode, 1007);
    assert.equal(clause, "RFC 6455 8.1");
    assert.match(problem, /\b0xa0 at 7\b/);
    assert.equal(assembler.failed, true);
    assert.equal(assembler.active, false);
    assert.equal(assembler.size, 0);
  });

  it("fails at its end inside a character", () => {
    const { assembler, visitor } = given(true, [hex("61 e2 82")]);
    assert.equal(assembler.failed, false);
    assert.equal(assembler.finish(visitor), false);
    assert.equal(visitor.violation.closeCode, 1007);
    assert.equal(assembler.failed, true);
  });

  it("fails in the last bytes as in any others", () => {
    for (const limits of [LIMITS, STREAMING]) {
      for (const end of [hex("ff"), hex("e2 82")]) {
        const assembler = new MessageAssembler(limits, "RFC 6455 8.1");
        const visitor = new Recorder();
        assembler.begin(true);
        assert.equal(assembler.finishWith(end, 0, end.length, visitor), false);
        assert.equal(visitor.violation.closeCode, 1007);
      }
    }
  });

  it("may hold any bytes if it is binary", () => {
    const { assembler, visitor } = given(false, [hex("ff fe"), hex("c3")]);
    assembler.finish(visitor);
    assembler.deliverWhole(false, hex("ff"), 0, 1, visitor);
    assert.deepEqual(visitor.calls, [
      ["message", hex("ff fe c3")],
      ["message", hex("ff")],
    ]);
  });

  it("is dropped by clear, with an incomplete character", () => {
    const { assembler, visitor } = given(true, [hex("61 e2")]);
    assembler.clear();
    assert.equal(assembler.active, false);
    assert.equal(assembler.size, 0);
    assembler.begin(true);
    assembler.finishWith(bytesOf("b"), 0, 1, visitor);
    assert.deepEqual(visitor.calls, [["message", "b"]]);
  });

  it("has its own array even if it is empty", () => {
    const { assembler, visitor } = given(false, []);
    assembler.finish(visitor);
    assembler.begin(false);
    assembler.finish(visitor);
    assert.notEqual(visitor.calls[0]?.[1], visitor.calls[1]?.[1]);
  });
});

describe("a message in one chunk", () => {
  it("is delivered at once, as a copy", () => {
    const chunk = bytesOf("[text]");
    const visitor = new Recorder();
    const assembler = new MessageAssembler(LIMITS, "RFC 6455 8.1");
    assert.equal(assembler.deliverWhole(true, chunk, 1, 5, visitor), true);
    assert.equal(assembler.deliverWhole(false, chunk, 1, 5, visitor), true);
    chunk.fill(0);
    assert.deepEqual(visitor.calls, [
      ["message", "text"],
      ["message", bytesOf("text")],
    ]);
    assert.equal(assembler.active, false);
  });

  it("fails where it is not UTF-8, as one in pieces does", () => {
    for (const limits of [LIMITS, STREAMING]) {
      for (const [bytes, problem] of [
        ["61 c0 62", /\b0xc0 at 1\b/],
        ["61 c3", /ends inside/],
      ] as const) {
        const visitor = new Recorder();
        const assembler = new MessageAssembler(limits, "RFC 6455 8.1");
        assert.equal(assembler.deliverWhole(true, hex(`ff ${bytes} ff`), 1, 1 + hex(bytes).length, visitor), false);
        assert.equal(visitor.violation.closeCode, 1007);
        assert.match(visitor.violation.problem, problem);
        assert.equal(assembler.failed, true);
      }
    }
  });
});

describe("a streamed message", () => {
  it("is delivered in pieces, each a copy, and an end that may be empty", () => {
    const { assembler, visitor } = given(true, ["one", "", "two"], STREAMING);
    assert.equal(assembler.size, 6);
    assembler.finish(visitor);
    assert.deepEqual(visitor.calls, [
      ["piece", "text", bytesOf("one"), false],
      ["piece", "text", bytesOf("two"), false],
      ["piece", "text", new Uint8Array(), true],
    ]);
    assert.equal(assembler.size, 0);
    assert.equal(assembler.active, false);
  });

  it("ends with its last bytes in one call", () => {
    const { assembler, visitor } = given(false, [hex("ff")], STREAMING);
    assembler.finishWith(hex("01 02 03"), 1, 2, visitor);
    assert.deepEqual(visitor.calls, [
      ["piece", "binary", hex("ff"), false],
      ["piece", "binary", hex("02"), true],
    ]);
    assert.equal(assembler.active, false);
  });

  it("is one piece if it is in one chunk", () => {
    const visitor = new Recorder();
    const assembler = new MessageAssembler(STREAMING, "RFC 6455 8.1");
    assembler.deliverWhole(true, bytesOf("é"), 0, 2, visitor);
    assembler.deliverWhole(false, hex("ff"), 0, 1, visitor);
    assert.deepEqual(visitor.calls, [
      ["piece", "text", bytesOf("é"), true],
      ["piece", "binary", hex("ff"), true],
    ]);
  });

  it("fails at its end inside a character, without a final piece", () => {
    const { assembler, visitor } = given(true, [hex("e2")], STREAMING);
    assert.equal(assembler.finish(visitor), false);
    assert.deepEqual(
      visitor.calls.map(([name]) => name),
      ["piece", "fail"],
    );
  });

  it("has pieces with their own arrays, even empty ones", () => {
    const visitor = new Recorder();
    const assembler = new MessageAssembler(STREAMING, "RFC 6455 8.1");
    for (let count = 0; count < 2; count++) {
      assembler.begin(false);
      assembler.finish(visitor);
    }
    assert.notEqual(visitor.calls[0]?.[2], visitor.calls[1]?.[2]);
  });
});

describe("the visitor's result", () => {
  it("is the assembler's result, and no failure", () => {
    const no = new Recorder(() => false);
    for (const limits of [LIMITS, STREAMING]) {
      const assembler = new MessageAssembler(limits, "RFC 6455 8.1");
      assert.equal(assembler.deliverWhole(true, bytesOf("a"), 0, 1, no), false);
      assert.equal(assembler.deliverWhole(false, bytesOf("a"), 0, 1, no), false);
      assembler.begin(true);
      assert.equal(assembler.append(bytesOf("a"), 0, 1, no), !limits.streaming);
      assert.equal(assembler.finish(no), false);
      assembler.begin(true);
      assert.equal(assembler.finishWith(bytesOf("a"), 0, 1, no), false);
      assert.equal(assembler.failed, false);
      assert.equal(assembler.active, false);
    }
  });
});

describe("copies", () => {
  it("are of the class Uint8Array, for every subclass", () => {
    const buffer = Buffer.from("xabcx").subarray(1, 4);
    assert.equal(plainBytes(buffer).constructor, Uint8Array);
    assert.deepEqual(plainBytes(buffer), bytesOf("abc"));
    assert.equal(plainBytes(buffer).buffer, buffer.buffer);
    const copy = copyRange(buffer, 1, 3);
    assert.deepEqual(copy, bytesOf("bc"));
    assert.equal(copy.buffer.byteLength, 2);
  });

  it("are not made of arrays that are plain already", () => {
    const bytes = new Uint8Array(3);
    assert.equal(plainBytes(bytes), bytes);
  });
});
