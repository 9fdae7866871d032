import assert from "node:assert/strict";
import type { Writable } from "node:stream";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as ws from "ws";
import type { Part } from "../../../src/engine/protocol.ts";
import { WebSocketEncoder } from "../../../src/engine/websocket/encoder.ts";
import { bytesOf, hex, joined, KEY, peerFrame } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";

// ws exports it, and its types lack it.
const { Receiver } = ws as unknown as { Receiver: new (options: { isServer: boolean }) => Writable };

const none = (): number => {
  throw new Error("a server has no use for keys");
};

/** A source of masking keys that counts them: 0x01010101, 0x02020202, ... */
function keys() {
  const source = { drawn: 0, next: () => ++source.drawn * 0x01010101 };
  return source;
}

/** A frame as a connection writes it: its payload is masked in pieces of `step`. */
function encoded(
  encoder: WebSocketEncoder,
  payload: Uint8Array,
  text: boolean,
  part: Part,
  step = Infinity,
): Uint8Array {
  const target = new Uint8Array(3 + encoder.overhead + payload.length);
  const start = encoder.before(target, 3, payload.length, text, part);
  const end = start + payload.length;
  target.set(payload, start);
  for (let at = start; at < end; at += step) encoder.mask(target, at, Math.min(end, at + step));
  assert.equal(encoder.after(target, end), end);
  return target.slice(3, end);
}

describe("a server's encoder", () => {
  it("writes each part with its opcode and FIN, and no mask", () => {
    const encoder = new WebSocketEncoder("server", none);
    const payload = bytesOf("payload");
    const opcodes = { whole: 0, first: 0, middle: 0, last: 0 } as const;
    for (const text of [true, false]) {
      const type = text ? 1 : 2;
      for (const part of Object.keys(opcodes) as Part[]) {
        const opcode = part === "whole" || part === "first" ? type : 0;
        const fin = part === "whole" || part === "last";
        assert.deepEqual(encoded(encoder, payload, text, part), peerFrame({ opcode, fin, payload }), `${text} ${part}`);
      }
    }
  });

  it("makes frames for many connections, with a header of at most 10 bytes", () => {
    const encoder = new WebSocketEncoder("server", none);
    assert.equal(encoder.shareable, true);
    assert.equal(encoder.streams, true);
    assert.equal(encoder.overhead, 10);
    assert.equal(encoded(encoder, new Uint8Array(65536), false, "whole").length, 65546);
  });

  it("writes control frames", () => {
    const encoder = new WebSocketEncoder("server", none);
    assert.deepEqual(encoder.control(9, bytesOf("Hello")), hex("89 05 48 65 6c 6c 6f"));
    assert.deepEqual(encoder.control(8, new Uint8Array()), hex("88 00"));
  });
});

describe("a client's encoder", () => {
  it("masks as in the example of RFC 6455 5.7", () => {
    const encoder = new WebSocketEncoder("client", () => 0x37fa213d);
    const expected = hex("81 85 37 fa 21 3d 7f 9f 4d 51 58");
    assert.deepEqual(encoded(encoder, bytesOf("Hello"), true, "whole"), expected);
    assert.deepEqual(encoder.control(10, bytesOf("Hello")), hex("8a 85 37 fa 21 3d 7f 9f 4d 51 58"));
  });

  it("uses a fresh key for each frame", () => {
    const source = keys();
    const encoder = new WebSocketEncoder("client", source.next);
    const frames = [
      encoded(encoder, bytesOf("a"), true, "first"),
      encoded(encoder, bytesOf("b"), true, "middle"),
      encoder.control(9, bytesOf("c")),
      encoded(encoder, bytesOf("d"), true, "last"),
      encoded(encoder, new Uint8Array(), false, "whole"),
    ];
    assert.deepEqual(
      frames,
      [
        { opcode: 1, fin: false, payload: "a" },
        { opcode: 0, fin: false, payload: "b" },
        { opcode: 9, payload: "c" },
        { opcode: 0, payload: "d" },
        { opcode: 2 },
      ].map((frame, index) => peerFrame({ ...frame, key: new Array<number>(4).fill(index + 1) })),
    );
    assert.equal(source.drawn, 5);
  });

  it("makes frames for one connection only, with a header of at most 14 bytes", () => {
    const encoder = new WebSocketEncoder("client", () => 1);
    assert.equal(encoder.shareable, false);
    assert.equal(encoder.streams, true);
    assert.equal(encoder.overhead, 14);
    assert.equal(encoded(encoder, new Uint8Array(65536), false, "whole").length, 65550);
  });

  it("masks a payload that comes in pieces of any size", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.integer({ min: 1, max: 150 }), (payload, step) => {
        const encoder = new WebSocketEncoder("client", () => 0x37fa213d);
        encoded(encoder, bytesOf("one before"), false, "whole", 3);
        const expected = peerFrame({ opcode: 2, payload, key: KEY });
        assert.deepEqual(encoded(encoder, payload, false, "whole", step), expected);
      }),
      runs(200),
    );
  });

  it("keeps the state of the current frame when it makes a control frame", () => {
    const encoder = new WebSocketEncoder("client", keys().next);
    const target = new Uint8Array(encoder.overhead + 6);
    const start = encoder.before(target, 0, 6, true, "whole");
    target.set(bytesOf("abcdef"), start);
    encoder.mask(target, start, start + 3);
    encoder.control(9, bytesOf("ping"));
    encoder.mask(target, start + 3, start + 6);
    assert.deepEqual(target.subarray(0, start + 6), peerFrame({ opcode: 1, payload: "abcdef", key: [1, 1, 1, 1] }));
  });
});

describe("an encoder", () => {
  it("sends payloads unchanged", () => {
    const encoder = new WebSocketEncoder("server", none);
    const bytes = new Uint8Array(2);
    assert.equal(encoder.payload(bytes), bytes);
    assert.equal(encoder.payload("text\n"), "text\n");
  });

  it("is decoded by another implementation", async () => {
    for (const role of ["server", "client"] as const) {
      const encoder = new WebSocketEncoder(role, () => 0x89abcdef);
      const receiver = new Receiver({ isServer: role === "client" });
      const heard: unknown[] = [];
      receiver.on("message", (data: Buffer, binary: boolean) => heard.push([data.toString("latin1"), binary]));
      receiver.on("ping", (data: Buffer) => heard.push(["ping", data.toString()]));
      receiver.on("conclude", (code: number, reason: Buffer) => heard.push([code, reason.toString()]));
      const long = "x".repeat(70_000);
      const bytes = joined(
        encoded(encoder, bytesOf("hello"), true, "whole"),
        encoded(encoder, bytesOf("frag"), false, "first", 3),
        encoder.control(9, bytesOf("now?")),
        encoded(encoder, bytesOf("men"), false, "middle"),
        encoded(encoder, bytesOf("ted"), false, "last"),
        encoded(encoder, bytesOf(long), true, "whole", 999),
        encoder.control(8, hex("03 e8 62 79 65")),
      );
      await new Promise<void>((resolve, reject) => {
        receiver.on("error", reject);
        receiver.on("conclude", () => resolve());
        receiver.write(bytes);
      });
      assert.deepEqual(heard, [
        ["hello", false],
        ["ping", "now?"],
        ["fragmented", true],
        [long, false],
        [1000, "bye"],
      ]);
    }
  });
});
