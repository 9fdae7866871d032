/** Invalid frames, in both directions: what is sent, and the close code that answers it. */

import { KEY, type PeerFrame, peerFrame } from "../kit/frames.ts";

/** The frames of one peer, and how the other one ends the connection. */
export interface Violation {
  /** Without masks: the sender adds those of its role. */
  readonly frames: readonly PeerFrame[];
  readonly code: number;
  /** A limit that was reached, if that ends it. */
  readonly limit?: string;
  /** Complete messages before the violation. */
  readonly before?: number;
}

const text = (...bytes: readonly number[]): Uint8Array => Uint8Array.from(bytes);
const close = (code: number, reason: string | Uint8Array = ""): PeerFrame => ({
  opcode: 8,
  payload: Buffer.concat([Buffer.of(code >> 8, code & 255), Buffer.from(reason)]),
});
const alone = (frame: PeerFrame, code: number): Violation => ({ frames: [frame], code });
const begun: PeerFrame = { opcode: 1, payload: "begun", fin: false };

function* rules(): Generator<[string, Violation]> {
  for (const rsv of [1, 2, 3, 4, 5, 6, 7]) yield [`reserved bits ${rsv}`, alone({ opcode: 1, rsv }, 1002)];
  yield ["reserved bits on a ping", alone({ opcode: 9, rsv: 4 }, 1002)];
  yield ["reserved bits on a continuation", { frames: [begun, { opcode: 0, rsv: 4 }], code: 1002 }];
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    yield [`opcode ${opcode}`, alone({ opcode, payload: "x" }, 1002)];
    yield [`opcode ${opcode} inside a message`, { frames: [begun, { opcode }], code: 1002 }];
  }
  yield ["a continuation of nothing", alone({ opcode: 0, payload: "x" }, 1002)];
  yield ["a continuation of nothing that goes on", alone({ opcode: 0, payload: "x", fin: false }, 1002)];
  yield [
    "a continuation of a message that has ended",
    { frames: [{ opcode: 1, payload: "whole" }, { opcode: 0 }], code: 1002, before: 1 },
  ];
  yield ["a text inside a message", { frames: [begun, { opcode: 1, payload: "x" }], code: 1002 }];
  yield ["a binary inside a message", { frames: [begun, { opcode: 2, payload: "x" }], code: 1002 }];
  for (const opcode of [8, 9, 10]) {
    yield [`a control frame ${opcode} in fragments`, alone({ opcode, fin: false }, 1002)];
    yield [`a control frame ${opcode} of 126 bytes`, alone({ opcode, payload: new Uint8Array(126) }, 1002)];
    yield [`a control frame ${opcode} of 70,000 bytes`, alone({ opcode, payload: new Uint8Array(70_000) }, 1002)];
    yield [`a control frame ${opcode} with a long form`, alone({ opcode, payload: "\u0003è", form: 2 }, 1002)];
  }
  yield ["125 bytes in the form for more", alone({ opcode: 2, payload: new Uint8Array(125), form: 2 }, 1002)];
  yield ["no bytes in the longest form", alone({ opcode: 2, form: 8 }, 1002)];
  yield ["65,535 bytes in the longest form", alone({ opcode: 2, payload: new Uint8Array(65_535), form: 8 }, 1002)];
}

function* closes(): Generator<[string, Violation]> {
  yield ["a close of one byte", alone({ opcode: 8, payload: text(3) }, 1002)];
  for (const code of [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]) {
    yield [`a close with code ${code}`, alone(close(code), 1002)];
  }
  yield ["a close with a reason that is not UTF-8", alone(close(1000, text(0xce, 0xba, 0xff)), 1007)];
  yield ["a close with a reason that ends in a character", alone(close(1000, text(0xf0, 0x9f)), 1007)];
  yield ["a close with a surrogate for a reason", alone(close(1000, text(0xed, 0xa0, 0x80)), 1007)];
}

function* texts(): Generator<[string, Violation]> {
  const wrong: Readonly<Record<string, Uint8Array>> = {
    "an overlong slash": text(0xc0, 0xaf),
    "an overlong NUL": text(0xe0, 0x80, 0x80),
    "a surrogate": text(0xed, 0xa0, 0x80),
    "a code point that is too large": text(0xf4, 0x90, 0x80, 0x80),
    "a lone continuation": text(0x80),
    "a byte that is never used": text(0xff),
    "a character without its end": text(0xe2, 0x82),
  };
  for (const [what, bytes] of Object.entries(wrong)) {
    const body = Buffer.concat([Buffer.from("κόσμε"), bytes]);
    yield [`${what} in a text`, alone({ opcode: 1, payload: body }, 1007)];
    const frames = Array.from(body, (byte, index) => ({
      ...{ opcode: index === 0 ? 1 : 0, payload: text(byte), fin: index === body.length - 1 },
    }));
    yield [`${what} in fragments of a byte`, { frames, code: 1007 }];
  }
  // Section 8.1: as soon as it is detected, and not when the message ends.
  yield ["a wrong byte in a text that goes on", { frames: [{ ...begun, payload: text(0xff) }], code: 1007 }];
  yield [
    "an invalid byte in an incomplete frame",
    { frames: [{ opcode: 1, payload: text(0x61, 0xf4, 0x90), announced: 1000n }], code: 1007 },
  ];
}

function* lengths(): Generator<[string, Violation]> {
  const counted: Readonly<Record<string, bigint>> = {
    "one byte over the limit": 2n ** 20n + 1n,
    "2^31": 2n ** 31n,
    "2^32": 2n ** 32n,
    "2^53 - 1": 2n ** 53n - 1n,
    "2^53": 2n ** 53n,
    "2^53 + 1": 2n ** 53n + 1n,
    "2^62": 2n ** 62n,
    "2^63 - 1": 2n ** 63n - 1n,
  };
  for (const [what, announced] of Object.entries(counted)) {
    for (const opcode of [1, 2]) {
      yield [
        `${what} bytes announced with opcode ${opcode}`,
        { ...alone({ opcode, announced }, 1009), limit: "maxMessageSize" },
      ];
    }
    // The sum of both must not wrap to a small or negative number.
    yield [
      `${what} bytes announced behind a fragment`,
      { frames: [begun, { opcode: 0, announced }], code: 1009, limit: "maxMessageSize" },
    ];
    yield [`a ping of ${what} bytes`, alone({ opcode: 9, announced }, 1002)];
  }
  for (const [what, announced] of Object.entries({ "2^63": 2n ** 63n, "2^64 - 1": 2n ** 64n - 1n })) {
    for (const opcode of [1, 2, 9]) {
      yield [`${what} bytes announced with opcode ${opcode}`, alone({ opcode, announced }, 1002)];
    }
  }
}

export const VIOLATIONS: ReadonlyMap<string, Violation> = new Map([...rules(), ...closes(), ...texts(), ...lengths()]);

/** The bytes of frames as a client (`masked`) or a server sends them. */
export function wireOf(frames: readonly PeerFrame[], masked: boolean): Buffer {
  return Buffer.concat(frames.map((frame) => peerFrame({ ...frame, ...(masked && { key: KEY }) })));
}
