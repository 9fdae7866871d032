/** Compressed messages in the decoder: collected as received, within the limits, wherever the network cuts. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { DecoderLimits } from "../../src/engine/protocol.ts";
import { WebSocketDecoder } from "../../src/engine/websocket/decoder.ts";
import { joined, KEY, type PeerFrame, peerFrame } from "../kit/frames.ts";
import { Recorder } from "../kit/recording-visitor.ts";

const LIMITS: DecoderLimits = { maxMessageSize: 1_000, maxFragments: 4, streaming: false };
const MOST_PACKED = 1_000 + 63 + 64;

class Unpacker extends Recorder {
  compressed(type: "text" | "binary", bytes: Uint8Array): boolean {
    this.calls.push(["piece", type, bytes, true]);
    return true;
  }
}

function decoded(frames: readonly PeerFrame[], limits: DecoderLimits = LIMITS, cuts: readonly number[] = []): Unpacker {
  const decoder = new WebSocketDecoder("server", limits, true);
  const visitor = new Unpacker();
  const stream = joined(...frames.map((frame) => peerFrame({ key: KEY, ...frame })));
  const places = [...cuts.map((cut) => cut % (stream.length + 1)).sort((a, b) => a - b), stream.length];
  let from = 0;
  for (const place of places) {
    decoder.receive(Uint8Array.from(stream.subarray(from, place)), 0, visitor);
    from = place;
  }
  return visitor;
}

describe("a compressed message", () => {
  it("is delivered as received, with its type, in its own array", () => {
    for (const opcode of [1, 2]) {
      const { calls } = decoded([{ opcode, rsv: 4, payload: Uint8Array.of(0xff, 0xfe) }]);
      assert.deepEqual(calls, [["piece", opcode === 1 ? "text" : "binary", Uint8Array.of(0xff, 0xfe), true]]);
      const [call] = calls;
      assert.equal(call?.[0] === "piece" && call[2].buffer.byteLength, 2);
    }
  });

  it("may be fragmented, with control frames between its fragments, and follow uncompressed ones", () => {
    const { calls } = decoded([
      { opcode: 1, payload: "plain" },
      { opcode: 1, rsv: 4, payload: "a", fin: false },
      { opcode: 9, payload: "?" },
      { opcode: 0, payload: "", fin: false },
      { opcode: 0, payload: "b" },
      { opcode: 2, payload: "plain" },
      { opcode: 2, rsv: 4, payload: "" },
    ]);
    assert.deepEqual(calls, [
      ["message", "plain"],
      ["ping", Uint8Array.of(63)],
      ["piece", "text", Uint8Array.of(97, 98), true],
      ["message", new TextEncoder().encode("plain")],
      ["piece", "binary", new Uint8Array(), true],
    ]);
  });

  it("is the same wherever it is cut", () => {
    const frames: PeerFrame[] = [
      { opcode: 1, rsv: 4, payload: "abc", fin: false },
      { opcode: 9, payload: "ping" },
      { opcode: 0, payload: "x".repeat(200), fin: false },
      { opcode: 0, payload: "" },
      { opcode: 2, payload: "y".repeat(126) },
      { opcode: 2, rsv: 4, payload: "z".repeat(130) },
    ];
    const { calls } = decoded(frames);
    fc.assert(
      fc.property(fc.array(fc.nat(1_000)), (cuts) => {
        assert.deepEqual(decoded(frames, LIMITS, cuts).calls, calls);
      }),
    );
  });

  it("may be a little larger than the limit of its content, and no more: judged by the announced length", () => {
    assert.equal(decoded([{ opcode: 1, rsv: 4, payload: new Uint8Array(MOST_PACKED) }]).calls[0]?.[0], "piece");
    const { violation } = decoded([{ opcode: 1, rsv: 4, announced: BigInt(MOST_PACKED + 1) }]);
    assert.deepEqual([violation.closeCode, violation.limit?.name], [1009, "maxMessageSize"]);
    const fragmented = decoded([
      { opcode: 1, rsv: 4, payload: new Uint8Array(MOST_PACKED), fin: false },
      { opcode: 0, announced: 1n },
    ]);
    assert.equal(fragmented.violation.closeCode, 1009);
  });

  it("is bounded in its fragments", () => {
    const frames = [1, 0, 0, 0, 0].map((opcode) => ({ opcode, rsv: opcode === 1 ? 4 : 0, fin: false }));
    assert.equal(decoded(frames).violation.limit?.name, "maxFragments");
  });

  it("is bounded with streaming, too, because it is collected", () => {
    const streaming = { ...LIMITS, streaming: true };
    assert.equal(
      decoded([{ opcode: 1, rsv: 4, announced: BigInt(MOST_PACKED + 1) }], streaming).violation.closeCode,
      1009,
    );
    assert.deepEqual(decoded([{ opcode: 1, payload: "ab" }], streaming).calls, [
      ["piece", "text", Uint8Array.of(97, 98), true],
    ]);
  });

  it("allows no second message inside it, compressed or not", () => {
    for (const rsv of [0, 4]) {
      const { calls } = decoded([
        { opcode: 1, rsv: 4, fin: false },
        { opcode: 1, rsv },
      ]);
      assert.equal(calls[0]?.[0], "fail");
    }
  });

  it("counts in the progress of the current message", () => {
    const decoder = new WebSocketDecoder("server", LIMITS, true);
    const visitor = new Unpacker();
    decoder.receive(peerFrame({ key: KEY, opcode: 1, rsv: 4, payload: "abc", fin: false }), 0, visitor);
    assert.deepEqual(decoder.partial, { received: 9, expected: undefined });
    decoder.receive(peerFrame({ key: KEY, opcode: 0, payload: "abc" }).subarray(0, 7), 0, visitor);
    assert.deepEqual(decoder.partial, { received: 16, expected: 18 });
  });
});
