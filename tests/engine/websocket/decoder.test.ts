import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DecoderLimits, Violation } from "../../../src/engine/protocol.ts";
import { WebSocketDecoder } from "../../../src/engine/websocket/decoder.ts";
import { bytesOf, hex, joined, KEY, type PeerFrame, peerFrame } from "../../kit/frames.ts";
import { Recorder } from "../../kit/recording-visitor.ts";

const LIMITS: DecoderLimits = { maxMessageSize: 1 << 20, maxFragments: 1024, streaming: false };
const STREAMING: DecoderLimits = { ...LIMITS, streaming: true };

const client = (frame: PeerFrame): Uint8Array => peerFrame({ key: KEY, ...frame });

/** What a server decodes from these bytes in one chunk. */
function heard(bytes: Uint8Array, limits: DecoderLimits = LIMITS): Recorder {
  const visitor = new Recorder();
  assert.equal(new WebSocketDecoder("server", limits).receive(bytes, 0, visitor), bytes.length);
  return visitor;
}

const violation = (bytes: Uint8Array, limits?: DecoderLimits): Violation => heard(bytes, limits).violation;

describe("a WebSocket decoder", () => {
  it("reads the examples of RFC 6455 5.7", () => {
    assert.deepEqual(heard(hex("81 85 37 fa 21 3d 7f 9f 4d 51 58")).calls, [["message", "Hello"]]);
    const visitor = new Recorder();
    const decoder = new WebSocketDecoder("client", LIMITS);
    decoder.receive(hex("81 05 48 65 6c 6c 6f 01 03 48 65 6c 80 02 6c 6f 89 05 48 65 6c 6c 6f"), 0, visitor);
    decoder.receive(joined(hex("82 7e 01 00"), new Uint8Array(256)), 0, visitor);
    decoder.receive(joined(hex("82 7f 00 00 00 00 00 01 00 00"), new Uint8Array(65536)), 0, visitor);
    assert.deepEqual(visitor.calls, [
      ["message", "Hello"],
      ["message", "Hello"],
      ["ping", bytesOf("Hello")],
      ["message", new Uint8Array(256)],
      ["message", new Uint8Array(65536)],
    ]);
  });

  it("handles control frames inside a fragmented message", () => {
    const visitor = heard(
      joined(
        client({ opcode: 1, fin: false, payload: "one " }),
        client({ opcode: 9, payload: "ping" }),
        client({ opcode: 0, fin: false, payload: "" }),
        client({ opcode: 10, payload: "" }),
        client({ opcode: 0, payload: "message" }),
      ),
    );
    assert.deepEqual(visitor.calls, [
      ["ping", bytesOf("ping")],
      ["pong", new Uint8Array()],
      ["message", "one message"],
    ]);
  });

  it("reads a chunk from the given index", () => {
    const visitor = new Recorder();
    const decoder = new WebSocketDecoder("server", LIMITS);
    const chunk = joined(hex("ff ff ff"), client({ opcode: 2, payload: "x".repeat(200) }));
    assert.equal(decoder.receive(chunk, 3, visitor), chunk.length);
    assert.deepEqual(visitor.calls, [["message", bytesOf("x".repeat(200))]]);
    assert.equal(decoder.receive(chunk, chunk.length, visitor), chunk.length);
    assert.equal(visitor.calls.length, 1);
  });

  it("delivers payloads as Uint8Arrays of their own, also from a Buffer", () => {
    const payload = new Uint8Array(100).fill(7);
    const stream = joined(
      client({ opcode: 2, payload }),
      client({ opcode: 9, payload: "ping" }),
      client({ opcode: 2, fin: false, payload }),
      client({ opcode: 0, payload }),
    );
    const chunk = Buffer.concat([Buffer.alloc(1), stream]).subarray(1);
    const visitor = heard(chunk);
    chunk.fill(0xee);
    assert.deepEqual(visitor.calls, [
      ["message", payload],
      ["ping", bytesOf("ping")],
      ["message", joined(payload, payload)],
    ]);
    for (const call of visitor.calls) {
      const bytes = call[1] as Uint8Array;
      assert.equal(bytes.constructor, Uint8Array);
      assert.equal(bytes.buffer.byteLength, bytes.length, "keeps more alive than itself");
    }
  });

  it("does not change an unmasked chunk", () => {
    const chunk = joined(peerFrame({ opcode: 2, payload: "x".repeat(300) }), peerFrame({ opcode: 1, payload: "y" }));
    const before = chunk.slice();
    new WebSocketDecoder("client", LIMITS).receive(chunk, 0, new Recorder());
    assert.deepEqual(chunk, before);
  });
});

describe("a Close frame", () => {
  it("delivers its code and reason, and nothing after it is decoded", () => {
    const chunk = joined(
      client({ opcode: 1, fin: false, payload: "half" }),
      client({ opcode: 8, payload: joined(hex("0f a0"), bytesOf("bye")) }),
      client({ opcode: 0, payload: "the rest" }),
      client({ opcode: 3 }),
    );
    const visitor = new Recorder();
    const decoder = new WebSocketDecoder("server", LIMITS);
    assert.equal(decoder.receive(chunk, 0, visitor), chunk.length);
    assert.equal(decoder.receive(chunk, 0, visitor), chunk.length);
    assert.deepEqual(visitor.calls, [["close", 4000, "bye"]]);
    assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
  });

  it("without a code is 1005", () => {
    assert.deepEqual(heard(client({ opcode: 8 })).calls, [["close", 1005, ""]]);
  });

  it("that is invalid is a violation", () => {
    assert.equal(violation(client({ opcode: 8, payload: hex("03") })).clause, "RFC 6455 5.5.1");
    assert.equal(violation(client({ opcode: 8, payload: hex("03 ed") })).clause, "RFC 6455 7.4");
    assert.equal(violation(client({ opcode: 8, payload: hex("03 e8 ff") })).closeCode, 1007);
  });
});

describe("a violation", () => {
  it("is reported once, and nothing after it is decoded", () => {
    const chunk = joined(
      client({ opcode: 9, payload: "before" }),
      client({ opcode: 3, payload: "wrong" }),
      client({ opcode: 9, payload: "behind" }),
    );
    const visitor = new Recorder();
    const decoder = new WebSocketDecoder("server", LIMITS);
    assert.equal(decoder.receive(chunk, 0, visitor), chunk.length);
    assert.equal(decoder.receive(client({ opcode: 1 }), 0, visitor), client({ opcode: 1 }).length);
    assert.deepEqual(
      visitor.calls.map(([name]) => name),
      ["ping", "fail"],
    );
    assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
  });

  it("is found for each rule of a header", () => {
    const cases: readonly (readonly [clause: string, ...frames: Uint8Array[]])[] = [
      ["RFC 6455 5.1", peerFrame({ opcode: 1 })],
      ["RFC 6455 5.2", client({ opcode: 1, rsv: 4 })],
      ["RFC 6455 5.2", client({ opcode: 11 })],
      ["RFC 6455 5.2", client({ opcode: 1, form: 2 })],
      ["RFC 6455 5.2", client({ opcode: 2, announced: 2n ** 63n })],
      ["RFC 6455 5.5", client({ opcode: 9, fin: false })],
      ["RFC 6455 5.5", client({ opcode: 8, payload: new Uint8Array(126) })],
      ["RFC 6455 5.4", client({ opcode: 0 })],
      ["RFC 6455 5.4", client({ opcode: 1, fin: false }), client({ opcode: 1 })],
      ["RFC 6455 5.4", client({ opcode: 1 }), client({ opcode: 0 })],
      ["RFC 6455 5.4", client({ opcode: 1, fin: false }), client({ opcode: 0 }), client({ opcode: 0 })],
    ];
    for (const [clause, ...frames] of cases) {
      const last = heard(joined(...frames)).calls.at(-1);
      assert.equal(last?.[0], "fail", clause);
      assert.equal(last?.[0] === "fail" && last[1].clause, clause);
    }
    const visitor = new Recorder();
    new WebSocketDecoder("client", LIMITS).receive(client({ opcode: 1 }), 0, visitor);
    assert.equal(visitor.violation.clause, "RFC 6455 5.1");
  });

  it("is found as soon as the length is complete, before the masking key", () => {
    for (const frame of [client({ opcode: 2, announced: 2n ** 40n }), client({ opcode: 7 })]) {
      const size = frame.length - 4;
      const visitor = new Recorder();
      const decoder = new WebSocketDecoder("server", LIMITS);
      for (let at = 0; at < size; at++) {
        assert.equal(visitor.calls.length, 0);
        decoder.receive(frame.subarray(at, at + 1), 0, visitor);
      }
      assert.equal(visitor.calls.length, 1);
    }
  });
});

describe("maxMessageSize", () => {
  const limits = { ...LIMITS, maxMessageSize: 10 };

  it("is reached by a message of as many bytes, and exceeded by one more", () => {
    assert.deepEqual(heard(client({ opcode: 1, payload: "0123456789" }), limits).calls, [["message", "0123456789"]]);
    const { closeCode, limit } = violation(client({ opcode: 1, payload: "0123456789a" }), limits);
    assert.equal(closeCode, 1009);
    assert.deepEqual(limit, { name: "maxMessageSize", maximum: 10, actual: 11 });
  });

  it("counts all fragments of a message, and begins again for each message", () => {
    const message = [
      client({ opcode: 2, fin: false, payload: "01234" }),
      client({ opcode: 0, fin: false, payload: "5678" }),
      client({ opcode: 9, payload: "not counted" }),
    ];
    const end = client({ opcode: 0, payload: "9" });
    assert.equal(
      heard(joined(...message, end, ...message, end), limits).calls.filter(([name]) => name === "message").length,
      2,
    );
    const visitor = heard(joined(...message, client({ opcode: 0, payload: "9a" })), limits);
    const last = visitor.calls.at(-1);
    assert.deepEqual(last?.[0] === "fail" && last[1].limit, { name: "maxMessageSize", maximum: 10, actual: 11 });
  });

  it("is applied to every announced length, before any payload", () => {
    for (const announced of [2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n]) {
      assert.equal(violation(client({ opcode: 2, announced })).closeCode, 1009, String(announced));
      const inside = heard(joined(client({ opcode: 2, fin: false, payload: "x" }), client({ opcode: 0, announced })));
      assert.equal(inside.violation.limit?.name, "maxMessageSize");
    }
  });

  it("does not apply to a streamed message", () => {
    const visitor = heard(client({ opcode: 2, announced: 2n ** 60n, payload: "x".repeat(50) }), {
      ...limits,
      streaming: true,
    });
    assert.deepEqual(visitor.calls, [["piece", "binary", bytesOf("x".repeat(50)), false]]);
  });
});

describe("maxFragments", () => {
  it("is reached by a message of as many frames, and exceeded by one more, empty ones too", () => {
    const limits = { ...LIMITS, maxFragments: 3 };
    const first = client({ opcode: 2, fin: false });
    const more = client({ opcode: 0, fin: false });
    const last = client({ opcode: 0 });
    const ping = client({ opcode: 9 });
    const whole = joined(first, ping, more, ping, last);
    const names = heard(joined(whole, whole), limits).calls.map(([name]) => name);
    assert.deepEqual(names, ["ping", "ping", "message", "ping", "ping", "message"]);
    const { closeCode, limit } = violation(joined(first, more, more, last), limits);
    assert.equal(closeCode, 1009);
    assert.deepEqual(limit, { name: "maxFragments", maximum: 3, actual: 4 });
  });
});

describe("a text", () => {
  it("fails at the first invalid byte of an incomplete frame", () => {
    // Autobahn 6.4.3: the invalid byte is in the middle of the frame.
    const text = hex("ce ba e1 bd b9 cf 83 ce bc ce b5 f4 90 80 80 65 64 69 74 65 64");
    const frame = client({ opcode: 1, payload: text });
    const visitor = new Recorder();
    const decoder = new WebSocketDecoder("server", LIMITS);
    for (let at = 0; at < frame.length && visitor.calls.length === 0; at++) {
      decoder.receive(frame.slice(at, at + 1), 0, visitor);
      assert.equal(visitor.calls.length, at === 6 + 12 ? 1 : 0, `byte ${at}`);
    }
    assert.equal(visitor.violation.closeCode, 1007);
    assert.equal(visitor.violation.clause, "RFC 6455 8.1");
  });

  it("fails in the invalid fragment, before its end", () => {
    const visitor = heard(
      joined(client({ opcode: 1, fin: false, payload: "good" }), client({ opcode: 0, fin: false, payload: hex("ff") })),
    );
    assert.equal(visitor.violation.closeCode, 1007);
  });

  it("fails if it ends inside a character, and not if a fragment does", () => {
    const half = client({ opcode: 1, fin: false, payload: hex("61 e2 82") });
    assert.deepEqual(heard(joined(half, client({ opcode: 0, payload: hex("ac") }))).calls, [["message", "a€"]]);
    assert.equal(violation(joined(half, client({ opcode: 0 }))).closeCode, 1007);
    assert.equal(violation(client({ opcode: 1, payload: hex("61 e2 82") })).closeCode, 1007);
  });

  it("that failed is the end of decoding", () => {
    const good = client({ opcode: 1, payload: "good" });
    for (const bad of [
      client({ opcode: 1, payload: hex("ff") }),
      joined(client({ opcode: 1, fin: false, payload: hex("ff") }), client({ opcode: 0 })),
    ]) {
      for (const limits of [LIMITS, STREAMING]) assert.equal(violation(joined(bad, good), limits).closeCode, 1007);
    }
  });
});

describe("a streamed message", () => {
  it("is delivered as it arrives, frame by frame and chunk by chunk, with control frames between", () => {
    const visitor = new Recorder();
    const decoder = new WebSocketDecoder("client", STREAMING);
    const first = peerFrame({ opcode: 1, fin: false, payload: "abcd" });
    decoder.receive(first.subarray(0, 4), 0, visitor);
    decoder.receive(first.subarray(4), 0, visitor);
    decoder.receive(peerFrame({ opcode: 9, payload: "now" }), 0, visitor);
    decoder.receive(peerFrame({ opcode: 0, fin: false }), 0, visitor);
    const last = peerFrame({ opcode: 0, payload: "ef" });
    decoder.receive(last.subarray(0, 3), 0, visitor);
    decoder.receive(last.subarray(3), 0, visitor);
    decoder.receive(peerFrame({ opcode: 2, payload: "whole" }), 0, visitor);
    assert.deepEqual(visitor.calls, [
      ["piece", "text", bytesOf("ab"), false],
      ["piece", "text", bytesOf("cd"), false],
      ["ping", bytesOf("now")],
      ["piece", "text", bytesOf("e"), false],
      ["piece", "text", bytesOf("f"), true],
      ["piece", "binary", bytesOf("whole"), true],
    ]);
  });
});

describe("a visitor that returns false", () => {
  it("stops the decoder directly after the frame, and the rest follows when it continues", () => {
    for (const frame of [
      { opcode: 1, payload: "text" },
      { opcode: 9, payload: "ping" },
      { opcode: 10, payload: "pong" },
    ]) {
      const one = client(frame);
      const visitor = new Recorder(() => false);
      const decoder = new WebSocketDecoder("server", LIMITS);
      const chunk = joined(one, one);
      assert.equal(decoder.receive(chunk, 0, visitor), one.length);
      assert.equal(visitor.calls.length, 1);
      assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
      assert.equal(decoder.receive(chunk, one.length, visitor), chunk.length);
      assert.deepEqual(visitor.calls[1], visitor.calls[0]);
    }
  });

  it("is not called again for the end of a message whose last bytes it already has", () => {
    const visitor = new Recorder(() => false);
    const decoder = new WebSocketDecoder("client", STREAMING);
    const chunk = joined(peerFrame({ opcode: 2, fin: false, payload: "ab" }), peerFrame({ opcode: 0, payload: "cd" }));
    assert.equal(decoder.receive(chunk, 0, visitor), 4);
    assert.equal(decoder.receive(chunk.subarray(0, 7), 4, visitor), 7);
    assert.equal(decoder.receive(chunk, 7, visitor), 8);
    assert.deepEqual(visitor.calls, [
      ["piece", "binary", bytesOf("ab"), false],
      ["piece", "binary", bytesOf("c"), false],
      ["piece", "binary", bytesOf("d"), true],
    ]);
  });
});

describe("the progress of the current message", () => {
  /** `partial` after each byte of these, passed one by one. */
  function progress(bytes: Uint8Array): string[] {
    const decoder = new WebSocketDecoder("server", LIMITS);
    const visitor = new Recorder();
    return Array.from(bytes, (byte) => {
      decoder.receive(Uint8Array.of(byte), 0, visitor);
      const { received, expected } = decoder.partial;
      return `${received}/${expected ?? "?"}`;
    });
  }

  it("is undefined at first", () => {
    assert.deepEqual(new WebSocketDecoder("server", LIMITS).partial, { received: 0, expected: undefined });
  });

  it("is counted in bytes on the wire, and has the total when the length is known", () => {
    assert.deepEqual(progress(client({ opcode: 1, payload: "ab" })), [
      "1/?",
      "2/8",
      "3/8",
      "4/8",
      "5/8",
      "6/8",
      "7/8",
      "0/?",
    ]);
    const medium = progress(client({ opcode: 2, payload: new Uint8Array(200) }));
    assert.deepEqual(medium.slice(0, 5), ["1/?", "2/?", "3/?", "4/208", "5/208"]);
    assert.deepEqual(medium.slice(-2), ["207/208", "0/?"]);
  });

  it("includes all its fragments, and a control frame only while that is incomplete", () => {
    const bytes = joined(
      client({ opcode: 1, fin: false, payload: "a" }),
      client({ opcode: 9, payload: "b" }),
      client({ opcode: 0, payload: "c" }),
    );
    assert.deepEqual(progress(bytes), [
      ...["1/?", "2/?", "3/?", "4/?", "5/?", "6/?", "7/?"],
      ...["8/?", "9/?", "10/?", "11/?", "12/?", "13/?", "7/?"],
      ...["8/?", "9/14", "10/14", "11/14", "12/14", "13/14", "0/?"],
    ]);
  });

  it("may be a control frame alone", () => {
    assert.deepEqual(progress(client({ opcode: 9, payload: "b" })), ["1/?", "2/7", "3/7", "4/7", "5/7", "6/7", "0/?"]);
  });

  it("begins again with each message", () => {
    const fragmented = joined(client({ opcode: 1, fin: false, payload: "a" }), client({ opcode: 0, payload: "c" }));
    assert.deepEqual(progress(joined(fragmented, fragmented)).slice(14), progress(fragmented));
  });
});
