/** The `reason` of a ProtocolError: each one, caused by a real peer on a real socket. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { PROTOCOL_ERROR_REASONS } from "../../src/base/protocol-reasons.ts";
import {
  type ConnectionOptions,
  connect,
  type Framing,
  json,
  listen,
  ProtocolError,
  type ProtocolErrorReason,
} from "../../src/index.ts";
import { deferred } from "../kit/deferred.ts";
import { KEY, type PeerFrame, peerFrame } from "../kit/frames.ts";
import { portOf, RawPeer, rawServer, switchingTo, upgraded, upgradeRequest } from "../kit/raw-peer.ts";

/** Received bytes that cause a reason, and the options of the side that receives them. */
interface Cause {
  /** `fin`: the peer sends its FIN behind the bytes. */
  readonly bytes: Uint8Array;
  readonly fin?: boolean;
  readonly options?: ConnectionOptions;
  readonly framing?: Framing;
  /** Extensions that the raw client offers. */
  readonly extensions?: string;
  /** The raw peer is the server. */
  readonly toClient?: boolean;
}

const frame = (given: PeerFrame, cause: Partial<Cause> = {}): Cause => ({
  bytes: peerFrame({ key: KEY, ...given }),
  ...cause,
});
const frames = (...given: PeerFrame[]): Cause => ({
  bytes: Buffer.concat(given.map((each) => peerFrame({ key: KEY, ...each }))),
});
const begun: PeerFrame = { opcode: 1, payload: "begun", fin: false };
const deflate: Partial<Cause> = { extensions: "permessage-deflate" };

/** The types of its values play no part here. */
const anyJson = json<never, unknown>();

const CAUSES: Readonly<Record<ProtocolErrorReason, Readonly<Record<string, Cause>>>> = {
  "reserved-bits": {
    "without an extension": frame({ opcode: 1, rsv: 4 }),
    "RSV2 with compression": frame({ opcode: 1, rsv: 2 }, deflate),
    "RSV1 on a Ping with compression": frame({ opcode: 9, rsv: 4 }, deflate),
  },
  "invalid-opcode": { "opcode 3": frame({ opcode: 3 }), "opcode 11": frame({ opcode: 11 }) },
  "unmasked-frame": { "to a server": { bytes: peerFrame({ opcode: 1, payload: "a" }) } },
  "masked-frame": { "to a client": frame({ opcode: 1, payload: "a" }, { toClient: true }) },
  "invalid-length": {
    "in more bytes than needed": frame({ opcode: 2, form: 8 }),
    "with the sign bit": { bytes: Uint8Array.of(0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, ...KEY) },
  },
  "uncountable-length": {
    "a prefix above 2^53": {
      bytes: new Uint8Array(8).fill(0xff),
      framing: { lengthPrefix: 8 },
      options: { streaming: true },
    },
  },
  "fragmented-control-frame": { "a Ping": frame({ opcode: 9, fin: false }) },
  "control-frame-too-large": { "126 bytes": frame({ opcode: 9, payload: new Uint8Array(126) }) },
  "unexpected-continuation": { "of nothing": frame({ opcode: 0 }) },
  "missing-continuation": { "a text inside a text": frames(begun, { opcode: 1 }) },
  "invalid-close-payload": { "1 byte": frame({ opcode: 8, payload: Uint8Array.of(3) }) },
  "invalid-close-code": { "1005": frame({ opcode: 8, payload: Uint8Array.of(3, 0xed) }) },
  "invalid-utf8": {
    "in a text": frame({ opcode: 1, payload: Uint8Array.of(0xff) }),
    "in a text that is read in pieces": frame(
      { opcode: 1, payload: Uint8Array.of(0xff) },
      { options: { streaming: true } },
    ),
    "in the reason of a Close frame": frame({ opcode: 8, payload: Uint8Array.of(3, 0xe8, 0xff) }),
    "in a framed text": { bytes: Uint8Array.of(0xff, 10), framing: "lines" },
  },
  "invalid-compressed-data": { "a bad block": frame({ opcode: 1, rsv: 4, payload: Uint8Array.of(7) }, deflate) },
  "message-type": {
    "a text": frame({ opcode: 1, payload: "a" }, { options: { messageType: "binary" } }),
    any: frame({ opcode: 1, payload: "a" }, { options: { messageType: "none" } }),
  },
  undecodable: { "no JSON": frame({ opcode: 1, payload: "{" }, { options: { codec: anyJson } }) },
  "invalid-framing": {
    "a varint of more bytes than needed": { bytes: Uint8Array.of(0x80, 0), framing: { lengthPrefix: "varint" } },
    "a decoder that throws": {
      bytes: Uint8Array.of(1),
      framing: {
        encode: (message) => (typeof message === "string" ? Buffer.from(message) : message),
        decode: () => {
          throw new Error("no");
        },
      },
    },
  },
  "unexpected-eof": {
    "inside a frame": { bytes: peerFrame({ opcode: 1, payload: "cut", key: KEY }).subarray(0, 7), fin: true },
    "inside a line": { bytes: Buffer.from("cut"), framing: "lines", fin: true },
  },
};

/** The error of a server on which a raw client causes it. */
async function errorOfServer({ bytes, fin = false, options, framing, extensions }: Cause): Promise<unknown> {
  const caught = deferred<unknown>();
  const closing = (_: unknown, error: unknown): void => caught.resolve(error);
  const tcp = framing !== undefined;
  await using server = await listen(tcp ? "tcp://127.0.0.1:0" : "ws://127.0.0.1:0", {
    ...options,
    ...(tcp && { framing }),
    ...(extensions !== undefined && { compression: true }),
    closing,
  });
  const request = upgradeRequest("/", { "Sec-WebSocket-Extensions": extensions });
  await using peer = tcp ? await RawPeer.to(portOf(server)) : await upgraded(portOf(server), request);
  peer.write(bytes);
  if (fin) peer.socket.end();
  return await caught.promise;
}

/** The error of a client to which a raw server causes it. */
async function errorOfClient({ bytes, options }: Cause): Promise<unknown> {
  await using server = await rawServer(async (peer) => {
    await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
    peer.write(switchingTo(peer.text));
    peer.write(bytes);
    await peer.until(({ ended }) => ended);
    peer.socket.end();
  });
  const client = await connect(`ws://127.0.0.1:${server.port}`, options);
  return (await client.closed).cause;
}

describe("the reason of a ProtocolError", () => {
  it("has a test for each member of the set", () => {
    assert.deepEqual(Object.keys(CAUSES).sort(), Object.keys(PROTOCOL_ERROR_REASONS).sort());
  });

  for (const [reason, causes] of Object.entries(CAUSES)) {
    for (const [what, cause] of Object.entries(causes)) {
      it(`is ${reason}: ${what}`, async () => {
        const error = await (cause.toClient ? errorOfClient(cause) : errorOfServer(cause));
        assert.ok(error instanceof ProtocolError, String(error));
        assert.equal(error.reason, reason);
        assert.equal(error.by, "peer");
        const code = PROTOCOL_ERROR_REASONS[error.reason];
        assert.equal(error.closeCode, code === "none" ? 1006 : code);
      });
    }
  }
});
