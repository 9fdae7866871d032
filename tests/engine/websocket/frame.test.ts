import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import * as frame from "../../../src/engine/websocket/frame.ts";
import {
  HeaderParser,
  headerSize,
  MIN_MASKED_HEADER,
  readWord,
  shortMessageEnd,
  writeHeader,
} from "../../../src/engine/websocket/frame.ts";
import { hex, KEY, peerFrame } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const written = (length: number, maskKey?: number): Uint8Array => {
  const target = new Uint8Array(20).fill(0xee);
  const end = writeHeader(target, 1, true, false, frame.BINARY, length, maskKey);
  assert.ok(target.subarray(end).every((byte) => byte === 0xee) && target[0] === 0xee, "wrote outside of the header");
  return target.slice(1, end);
};

describe("opcodes", () => {
  it("are those of RFC 6455 5.2", () => {
    const { CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG } = frame;
    assert.deepEqual([CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG], [0, 1, 2, 8, 9, 10]);
  });
});

describe("isEmptyPong", () => {
  // Every first and second byte, followed by as many bytes as a frame of each role can have.
  const pairs = Array.from({ length: 0x10000 }, (_, pair) => [pair >> 8, pair & 0xff]);
  for (const masked of [true, false]) {
    it(`distinguishes ${masked ? "a masked" : "an unmasked"} one from everything else at the start of a chunk`, () => {
      const pong = peerFrame({ opcode: frame.PONG, ...(masked && { key: KEY }) });
      for (const length of [0, 1, 2, 3, 5, 6, 7]) {
        for (const pair of pairs) {
          const chunk = Uint8Array.from([...pair, ...KEY, 0x8a]).subarray(0, length);
          assert.equal(frame.isEmptyPong(chunk, masked), Buffer.compare(chunk, pong) === 0, hexOf(chunk));
        }
      }
    });
  }
});

describe("writeHeader", () => {
  it("writes lengths in their shortest form", () => {
    assert.deepEqual(written(0), hex("82 00"));
    assert.deepEqual(written(125), hex("82 7d"));
    assert.deepEqual(written(126), hex("82 7e 00 7e"));
    assert.deepEqual(written(65535), hex("82 7e ff ff"));
    assert.deepEqual(written(65536), hex("82 7f 00 00 00 00 00 01 00 00"));
  });

  it("writes lengths of more than 32 bits, up to the largest exact number", () => {
    assert.deepEqual(written(2 ** 31), hex("82 7f 00 00 00 00 80 00 00 00"));
    assert.deepEqual(written(2 ** 32 + 5), hex("82 7f 00 00 00 01 00 00 00 05"));
    assert.deepEqual(written(Number.MAX_SAFE_INTEGER), hex("82 7f 00 1f ff ff ff ff ff ff"));
  });

  it("writes the masking key with its most significant byte first", () => {
    assert.deepEqual(written(5, 0x37fa213d), hex("82 85 37 fa 21 3d"));
    assert.deepEqual(written(126, 0xfedcba98 | 0), hex("82 fe 00 7e fe dc ba 98"));
    assert.deepEqual(written(65536, 0), hex("82 ff 00 00 00 00 00 01 00 00 00 00 00 00"));
  });

  it("writes FIN, RSV1 and the opcode", () => {
    const first = (fin: boolean, rsv1: boolean, opcode: number): number | undefined => {
      const target = new Uint8Array(2);
      writeHeader(target, 0, fin, rsv1, opcode, 0, undefined);
      return target[0];
    };
    assert.equal(first(false, false, 0), 0x00);
    assert.equal(first(false, true, 1), 0x41);
    assert.equal(first(true, false, 10), 0x8a);
    assert.equal(first(true, true, 2), 0xc2);
  });

  it("writes as many bytes as headerSize returns", () => {
    for (const length of [0, 125, 126, 65535, 65536, 2 ** 40]) {
      assert.equal(written(length).length, headerSize(length, false));
      assert.equal(written(length, 1).length, headerSize(length, true));
    }
  });
});

/** The header at the start of these bytes, parsed in pieces of `step`. */
function parsed(bytes: Uint8Array, step: number, parser: HeaderParser = new HeaderParser()): HeaderParser {
  for (let from = 0; !parser.complete; ) {
    assert.ok(from < bytes.length, "asks for more than the header");
    const end = Math.min(bytes.length, from + step);
    const behind = parser.push(bytes.subarray(0, end), from);
    assert.ok(behind === end || parser.complete, "leaves bytes of the header");
    from = behind;
  }
  return parser;
}

describe("shortMessageEnd", () => {
  it("finds the end of a complete masked message in one frame, at any index", () => {
    for (const opcode of [frame.TEXT, frame.BINARY]) {
      for (const size of [0, 1, 124, 125]) {
        const message = peerFrame({ opcode, payload: "x".repeat(size), key: KEY });
        assert.equal(message.length, MIN_MASKED_HEADER + size);
        assert.equal(shortMessageEnd(message, 0), message.length);
        assert.equal(shortMessageEnd(Uint8Array.from([9, 9, 9, ...message, 9]), 3), 3 + message.length);
      }
    }
  });

  it("finds none in anything else", () => {
    const others = [
      ...[0, 3, 8, 9, 10, 15].map((opcode) => peerFrame({ opcode, payload: "x", key: KEY })),
      peerFrame({ opcode: 1, fin: false, payload: "x", key: KEY }),
      ...[1, 2, 4].map((rsv) => peerFrame({ opcode: 1, rsv, payload: "x", key: KEY })),
      peerFrame({ opcode: 1, payload: "x".repeat(10) }),
      peerFrame({ opcode: 1, payload: "x".repeat(126), key: KEY }),
      peerFrame({ opcode: 1, payload: "x", key: KEY, form: 2 }),
      peerFrame({ opcode: 1, payload: "x", key: KEY, form: 8 }),
    ];
    for (const bytes of others) assert.equal(shortMessageEnd(bytes, 0), -1);
  });

  it("finds none in an incomplete frame", () => {
    const message = peerFrame({ opcode: 2, payload: "four", key: KEY });
    for (let length = 0; length < message.length; length += 1) {
      assert.equal(shortMessageEnd(message.subarray(0, length), 0), -1);
    }
  });
});

describe("readWord", () => {
  it("reads the most significant byte first", () => {
    assert.equal(readWord(hex("00 80 01 02 03"), 1), 0x80010203 | 0);
    assert.equal(readWord(hex("37 fa 21 3d"), 0), 0x37fa213d);
  });
});

describe("HeaderParser", () => {
  it("reads a header that is cut anywhere, and no byte after it", () => {
    fc.assert(
      fc.property(
        fc.record({
          opcode: fc.nat(15),
          fin: fc.boolean(),
          rsv: fc.nat(7),
          key: fc.option(fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)), { nil: undefined }),
          announced: fc.oneof(
            fc.constantFrom(0n, 125n, 126n, 127n, 65535n, 65536n, 2n ** 31n, 2n ** 32n, 2n ** 53n - 1n),
            fc.bigInt(0n, 2n ** 53n),
          ),
        }),
        fc.integer({ min: 1, max: 20 }),
        ({ key, ...facts }, step) => {
          const bytes = peerFrame({ ...facts, ...(key && { key }), payload: "payload" });
          const parser = parsed(bytes, step);
          assert.equal(parser.opcode, facts.opcode);
          assert.equal(parser.control, facts.opcode > 7);
          assert.equal(parser.fin, facts.fin);
          assert.equal(parser.rsv, facts.rsv);
          assert.equal(parser.masked, key !== undefined);
          assert.equal(BigInt(parser.length), facts.announced);
          assert.equal(parser.size, bytes.length - 7);
          assert.equal(parser.received, parser.size);
          assert.equal(parser.minimal, true);
          assert.equal(parser.negative, false);
          if (key)
            assert.equal(
              parser.key >>> 0,
              key.reduce((sum, octet) => sum * 256 + octet),
            );
        },
      ),
      runs(300),
    );
  });

  it("reads consecutive headers independently", () => {
    const parser = new HeaderParser();
    const frames = [
      peerFrame({ opcode: 9, rsv: 5, key: KEY, announced: 2n ** 63n + 7n }),
      peerFrame({ opcode: 1, fin: false }),
      peerFrame({ opcode: 0, announced: 300n }),
      peerFrame({ opcode: 10, key: KEY }),
    ];
    const read = frames.map((bytes) => {
      parsed(bytes, 1, parser);
      const { opcode, fin, rsv, masked, length, negative, size } = parser;
      parser.reset();
      return [opcode, fin, rsv, masked, length, negative, size];
    });
    assert.deepEqual(read, [
      [9, true, 5, true, 2 ** 63, true, 14],
      [1, false, 0, false, 0, false, 2],
      [0, true, 0, false, 300, false, 4],
      [10, true, 0, true, 0, false, 6],
    ]);
  });

  it("has the size before the masking key", () => {
    for (const [announced, sizedAt] of [
      [5n, 2],
      [300n, 4],
      [70_000n, 10],
    ] as const) {
      const bytes = peerFrame({ opcode: 2, key: KEY, announced });
      const parser = new HeaderParser();
      for (let at = 0; at < bytes.length; at++) {
        assert.equal(parser.sized, at >= sizedAt, `${announced} at ${at}`);
        assert.equal(parser.complete, false);
        parser.push(bytes.subarray(0, at + 1), at);
        assert.equal(parser.received, at + 1);
      }
      assert.equal(parser.complete, true);
      assert.equal(parser.length, Number(announced));
    }
  });

  it("reports a length that a shorter form could hold", () => {
    const minimal = (form: 0 | 2 | 8, announced: bigint) =>
      parsed(peerFrame({ opcode: 2, form, announced }), 20).minimal;
    assert.deepEqual([minimal(2, 0n), minimal(2, 125n), minimal(2, 126n)], [false, false, true]);
    assert.deepEqual(
      [minimal(8, 0n), minimal(8, 126n), minimal(8, 65535n), minimal(8, 65536n)],
      [false, false, false, true],
    );
  });

  it("reads every 64-bit length, and reports a most significant bit that is set", () => {
    for (const announced of [2n ** 31n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n + 1n, 2n ** 62n, 2n ** 63n - 1n]) {
      const parser = parsed(peerFrame({ opcode: 2, announced }), 3);
      assert.equal(parser.length, Number(announced));
      assert.equal(parser.negative, false, String(announced));
    }
    for (const announced of [2n ** 63n, 2n ** 63n + 1n, 2n ** 64n - 1n]) {
      const parser = parsed(peerFrame({ opcode: 2, announced }), 3);
      assert.equal(parser.negative, true, String(announced));
      assert.ok(parser.length > 2 ** 62);
    }
  });
});
