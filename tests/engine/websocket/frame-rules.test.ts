import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DecoderLimits, Violation } from "../../../src/engine/protocol.ts";
import { HeaderParser } from "../../../src/engine/websocket/frame.ts";
import { frameViolation } from "../../../src/engine/websocket/frame-rules.ts";
import { KEY, type PeerFrame, peerFrame } from "../../kit/frames.ts";

const LIMITS: DecoderLimits = { maxMessageSize: 1000, maxFragments: 4, streaming: false };

interface Situation {
  readonly role?: "server" | "client";
  readonly inside?: boolean;
  readonly size?: number;
  readonly fragments?: number;
  readonly limits?: DecoderLimits;
  readonly deflate?: boolean;
}

function judged(frame: PeerFrame, situation: Situation = {}): Violation | undefined {
  const { role = "server", inside = false, size = 0, fragments = 1, limits = LIMITS, deflate = false } = situation;
  const header = new HeaderParser();
  header.push(peerFrame(role === "server" ? { key: KEY, ...frame } : frame), 0);
  return frameViolation(header, role === "server", inside, size, fragments, limits, deflate);
}

/** The code and the clause of a violation. */
function wrong(frame: PeerFrame, situation?: Situation): string {
  const violation = judged(frame, situation);
  return violation === undefined ? "nothing" : `${violation.closeCode} ${violation.clause}`;
}

describe("a frame's header", () => {
  it("may have each defined opcode, in its place", () => {
    for (const opcode of [1, 2, 8, 9, 10]) assert.equal(wrong({ opcode }), "nothing");
    for (const opcode of [0, 8, 9, 10]) assert.equal(wrong({ opcode }, { inside: true }), "nothing");
  });

  it("may not have one of the ten reserved ones", () => {
    for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
      assert.equal(wrong({ opcode }), "1002 RFC 6455 5.2");
      assert.match(judged({ opcode })?.problem ?? "", new RegExp(`\\b${opcode}\\b`));
    }
  });

  it("may set no reserved bit", () => {
    for (let rsv = 1; rsv < 8; rsv++) {
      for (const opcode of [1, 9]) assert.equal(wrong({ opcode, rsv }), "1002 RFC 6455 5.2");
    }
  });

  it("is masked to a server", () => {
    const header = new HeaderParser();
    header.push(peerFrame({ opcode: 1 }), 0);
    assert.equal(frameViolation(header, true, false, 0, 1, LIMITS, false)?.clause, "RFC 6455 5.1");
  });

  it("is not masked to a client", () => {
    assert.equal(wrong({ opcode: 1 }, { role: "client" }), "nothing");
    assert.equal(wrong({ opcode: 1, key: KEY }, { role: "client" }), "1002 RFC 6455 5.1");
  });

  it("has the shortest form of its length", () => {
    assert.equal(wrong({ opcode: 2, announced: 126n, form: 2 }), "nothing");
    assert.equal(wrong({ opcode: 2, announced: 125n, form: 2 }), "1002 RFC 6455 5.2");
    assert.equal(wrong({ opcode: 2, announced: 65535n, form: 8 }), "1002 RFC 6455 5.2");
    assert.equal(wrong({ opcode: 9, announced: 5n, form: 2 }), "1002 RFC 6455 5.2");
  });

  it("has no length whose most significant bit is set, even where any size is allowed", () => {
    const limits = { ...LIMITS, maxMessageSize: Infinity };
    assert.equal(wrong({ opcode: 2, announced: 2n ** 63n }, { limits }), "1002 RFC 6455 5.2");
    assert.equal(wrong({ opcode: 2, announced: 2n ** 63n - 1n }, { limits }), "nothing");
  });
});

describe("a control frame", () => {
  it("holds 125 bytes and not 126", () => {
    for (const opcode of [8, 9, 10]) {
      assert.equal(wrong({ opcode, announced: 125n }), "nothing");
      assert.equal(wrong({ opcode, announced: 126n }), "1002 RFC 6455 5.5");
    }
    assert.match(judged({ opcode: 9, announced: 126n })?.problem ?? "", /\b126\b.*\b125\b/);
  });

  it("is not fragmented", () => {
    for (const opcode of [8, 9, 10]) assert.equal(wrong({ opcode, fin: false }), "1002 RFC 6455 5.5");
  });

  it("does not count for the message around it", () => {
    assert.equal(wrong({ opcode: 9, announced: 125n }, { inside: true, size: 1000, fragments: 5 }), "nothing");
  });
});

describe("a data frame", () => {
  it("continues a message that was begun", () => {
    assert.equal(wrong({ opcode: 0 }), "1002 RFC 6455 5.4");
    assert.equal(wrong({ opcode: 0, fin: false }), "1002 RFC 6455 5.4");
  });

  it("begins no message inside another one", () => {
    for (const opcode of [1, 2]) assert.equal(wrong({ opcode }, { inside: true }), "1002 RFC 6455 5.4");
  });

  it("may fill the message to its limit and not beyond, counted over all fragments", () => {
    assert.equal(wrong({ opcode: 2, announced: 1000n }), "nothing");
    assert.equal(wrong({ opcode: 0, announced: 400n }, { inside: true, size: 600 }), "nothing");
    const { closeCode, limit, problem } = judged({ opcode: 0, announced: 401n }, { inside: true, size: 600 }) ?? {};
    assert.equal(closeCode, 1009);
    assert.deepEqual(limit, { name: "maxMessageSize", maximum: 1000, actual: 1001 });
    assert.match(problem ?? "", /\b1001\b.*\b1000\b/);
  });

  it("is above the limit with any length, and no sum wraps around", () => {
    for (const announced of [2n ** 31n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n]) {
      const limit = judged({ opcode: 0, announced }, { inside: true, size: 999 })?.limit;
      assert.equal(limit?.name, "maxMessageSize");
      assert.ok((limit?.actual ?? 0) >= 2 ** 31);
    }
  });

  it("may have any size with streaming", () => {
    assert.equal(wrong({ opcode: 2, announced: 2n ** 62n }, { limits: { ...LIMITS, streaming: true } }), "nothing");
  });

  it("is one of at most maxFragments", () => {
    assert.equal(wrong({ opcode: 0 }, { inside: true, fragments: 4 }), "nothing");
    const violation = judged({ opcode: 0 }, { inside: true, fragments: 5 });
    assert.equal(violation?.closeCode, 1009);
    assert.deepEqual(violation?.limit, { name: "maxFragments", maximum: 4, actual: 5 });
  });

  it("may be one of any number with streaming", () => {
    const limits = { ...LIMITS, streaming: true };
    assert.equal(wrong({ opcode: 0 }, { inside: true, fragments: 5, limits }), "nothing");
  });
});

describe("a frame's header with permessage-deflate", () => {
  it("may have RSV1 where a message begins", () => {
    for (const opcode of [1, 2]) {
      assert.equal(wrong({ opcode, rsv: 4 }, { deflate: true }), "nothing");
      assert.equal(wrong({ opcode }, { deflate: true }), "nothing");
    }
  });

  it("may have it in no other place (RFC 7692 6.1)", () => {
    assert.equal(wrong({ opcode: 0, rsv: 4 }, { deflate: true, inside: true }), "1002 RFC 7692 6.1");
    for (const opcode of [8, 9, 10]) assert.equal(wrong({ opcode, rsv: 4 }, { deflate: true }), "1002 RFC 7692 6.1");
  });

  it("may have no other reserved bit", () => {
    for (const rsv of [1, 2, 3, 5, 6, 7]) {
      assert.equal(wrong({ opcode: 1, rsv }, { deflate: true }), "1002 RFC 6455 5.2");
    }
  });
});
