/** Servers that misbehave after a client has connected: each connection ends in time with a typed error, and no descriptor is left. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deflateRawSync } from "node:zlib";
import { type CloseInfo, type Connection, type ConnectOptions, connect, isConnectionError } from "../../src/index.ts";
import { peerFrame } from "../kit/frames.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { type RawPeer, rawServer, switchingTo } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };

const text = (payload: string): Uint8Array => peerFrame({ opcode: 1, payload });
const begun = peerFrame({ opcode: 1, payload: "begun", fin: false });
/** A compressed message. */
const packed = (bytes: Uint8Array, opcode: number = 2): Uint8Array =>
  peerFrame({ opcode, rsv: 4, payload: Buffer.concat([deflateRawSync(bytes), Buffer.of(0)]) });
const close = peerFrame({ opcode: 8, payload: Buffer.of(0x03, 0xe8) });

/** Sends it repeatedly, as fast as it is accepted. */
function floods(unit: Uint8Array): (peer: RawPeer) => void {
  const chunk = Buffer.concat(new Array<Uint8Array>(Math.ceil(16_384 / unit.length)).fill(unit));
  return (peer) => {
    const more = (): void => {
      if (!peer.socket.destroyed) peer.socket.write(chunk, more);
    };
    more();
  };
}

/** Sends it byte by byte, without end. */
function trickles(first: Uint8Array, again: number): (peer: RawPeer) => void {
  return (peer) => {
    peer.write(first);
    const timer = setInterval(() => peer.write(Uint8Array.of(again)), 5);
    peer.socket.once("close", () => clearInterval(timer));
  };
}

/** Runs `then` when a Close frame of the client was received, which has 8 bytes with an empty reason. */
function onceClosed(then: (peer: RawPeer) => void): (peer: RawPeer) => Promise<void> {
  return async (peer) => {
    await peer.until(({ bytes }) => bytes.includes(0x88, bytes.indexOf("\r\n\r\n")));
    then(peer);
  };
}

interface Misdeed {
  readonly does: (peer: RawPeer) => void | Promise<void>;
  readonly options?: ConnectOptions;
  /** True if the server agreed to compression. */
  readonly compresses?: boolean;
  /** What the client does meanwhile. By default it waits for the end. */
  readonly meanwhile?: (connection: Connection) => void;
  readonly ends: Readonly<Record<string, unknown>>;
  /** The facts of the error; undefined if the end is clean. */
  readonly cause?: Readonly<Record<string, unknown>>;
}

const SHORT = { closeTimeout: 100, lingerTimeout: 100 };
// If the server answers the Close, nothing is timed, because its answer may be late on a busy machine.
const PATIENT = { closeTimeout: 3_000 };
const aborted = { code: 1006, wasClean: false };
const closes = (connection: Connection): void => void connection.close(1001, "enough");

const MISDEEDS: Readonly<Record<string, Misdeed>> = {
  // Servers that do not close.
  "never answers a Close": {
    ...{ does: () => undefined, meanwhile: closes },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "closeTimeout", operation: "close" },
  },
  "answers a Close and never closes the socket": {
    ...{ does: onceClosed((peer) => peer.write(close)), meanwhile: closes, options: PATIENT },
    ends: { code: 1001, by: "local", wasClean: true },
  },
  "closes and never closes the socket": {
    does: (peer) => peer.write(close),
    ends: { code: 1000, by: "peer", wasClean: true },
  },
  "answers a Close with data without end": {
    ...{ does: onceClosed(floods(text("more"))), meanwhile: closes },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "closeTimeout" },
  },
  "closes and sends data without end": {
    does: (peer) => {
      peer.write(close);
      floods(text("more"))(peer);
    },
    ends: { code: 1000, by: "peer", wasClean: true },
  },
  "closes twice": {
    does: (peer) => {
      peer.write(close);
      peer.write(close);
    },
    ends: { code: 1000, by: "peer", wasClean: true },
  },
  "answers a Close with a broken frame": {
    ...{ does: onceClosed((peer) => peer.write(Buffer.of(0xff, 0x00))), meanwhile: closes, options: PATIENT },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "ProtocolError" },
  },
  // Servers that end the connection.
  "goes without a Close": {
    does: (peer) => void peer.socket.end(),
    ends: { ...aborted, by: "peer" },
    cause: { name: "ClosedError", closeCode: 1006 },
  },
  "goes inside a frame": {
    does: (peer) => void peer.socket.end(text("half of it").subarray(0, 5)),
    ends: { ...aborted, by: "peer" },
    cause: { name: "ProtocolError", clause: "unexpected-eof" },
  },
  "goes inside a header": {
    does: (peer) => void peer.socket.end(Buffer.of(0x81)),
    ends: { ...aborted, by: "peer" },
    cause: { name: "ProtocolError", clause: "unexpected-eof" },
  },
  "goes between fragments": {
    does: (peer) => void peer.socket.end(begun),
    ends: { ...aborted, by: "peer" },
    cause: { name: "ProtocolError", clause: "unexpected-eof" },
  },
  resets: {
    does: (peer) => void peer.socket.resetAndDestroy(),
    ends: { ...aborted, by: "peer" },
    cause: { name: "TransportError", errno: "ECONNRESET" },
  },
  "answers a Close with a reset": {
    ...{ does: onceClosed((peer) => void peer.socket.resetAndDestroy()), meanwhile: closes, options: PATIENT },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "TransportError", errno: "ECONNRESET" },
  },
  // Servers that stop sending.
  "falls silent": {
    ...{ does: () => undefined, options: { heartbeat: { interval: 100, timeout: 100 } } },
    ends: aborted,
    cause: { name: "TimeoutError", limit: "heartbeat.timeout" },
  },
  "falls silent inside a message": {
    ...{ does: (peer) => peer.write(begun), options: { messageTimeout: 100 } },
    ends: { code: 1008, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "messageTimeout" },
  },
  "sends a message of which a byte comes now and then": {
    does: trickles(peerFrame({ opcode: 2, announced: 1_000_000n }), 0x78),
    options: { messageTimeout: 100 },
    ends: { code: 1008, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "messageTimeout" },
  },
  "says nothing but pongs": {
    does: (peer) => {
      const timer = setInterval(() => peer.write(peerFrame({ opcode: 10 })), 5);
      peer.socket.once("close", () => clearInterval(timer));
    },
    options: { lifetime: 100 },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "lifetime" },
  },
  "does not read": {
    does: (peer) => void peer.socket.pause(),
    options: { writeTimeout: 200 },
    meanwhile: (connection) => {
      const send = (): Promise<void> => connection.send(new Uint8Array(65_536)).then(send);
      send().catch(() => undefined);
    },
    ends: aborted,
    cause: { name: "TimeoutError", limit: "writeTimeout", operation: "write:data" },
  },
  "does not read, and is asked to close": {
    does: (peer) => void peer.socket.pause(),
    meanwhile: (connection) => {
      for (let count = 0; count < 16; count += 1) connection.trySend(new Uint8Array(1_000_000));
      void connection.drain().catch(() => undefined);
      // More than the kernel buffers, and less than the send queue: the rest keeps the Close from being sent.
      closes(connection);
    },
    options: { maxQueuedBytes: 2 ** 26 },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "closeTimeout" },
  },
  // Servers that send too much.
  "sends fragments without end": {
    does: (peer) => {
      peer.write(begun);
      floods(peerFrame({ opcode: 0, payload: "x", fin: false }))(peer);
    },
    ends: { code: 1009, by: "local", wasClean: false },
    cause: { name: "LimitError", limit: "maxFragments" },
  },
  "sends empty fragments without end": {
    does: (peer) => {
      peer.write(begun);
      floods(peerFrame({ opcode: 0, fin: false }))(peer);
    },
    ends: { code: 1009, by: "local", wasClean: false },
    cause: { name: "LimitError", limit: "maxFragments" },
  },
  "sends large fragments without end": {
    does: (peer) => {
      peer.write(begun);
      floods(peerFrame({ opcode: 0, payload: new Uint8Array(4_000), fin: false }))(peer);
    },
    ends: { code: 1009, by: "local", wasClean: false },
    cause: { name: "LimitError", limit: "maxMessageSize" },
  },
  "sends messages without end that nobody takes": {
    ...{ does: floods(text("take me")), options: { pauseTimeout: 100 } },
    ends: { code: 1008, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "pauseTimeout" },
  },
  "sends pings without end": {
    ...{ does: floods(peerFrame({ opcode: 9, payload: "x" })), options: { lifetime: 100 } },
    ends: { code: 1001, by: "local", wasClean: false },
    cause: { name: "TimeoutError", limit: "lifetime" },
  },
  "sends a bomb": {
    ...{ compresses: true, does: (peer) => peer.write(packed(Buffer.alloc(2 ** 25))) },
    ends: { code: 1009, by: "local", wasClean: false },
    cause: { name: "LimitError" },
  },
  "sends a bomb in fragments of one byte": {
    compresses: true,
    does: (peer) => {
      const bomb = deflateRawSync(Buffer.alloc(2 ** 25));
      peer.write(peerFrame({ opcode: 2, rsv: 4, fin: false }));
      for (const byte of bomb) peer.write(peerFrame({ opcode: 0, payload: Buffer.of(byte), fin: false }));
      peer.write(peerFrame({ opcode: 0 }));
    },
    ends: { code: 1009, by: "local", wasClean: false },
    cause: { name: "LimitError" },
  },
  "sends what is compressed to a text that is not UTF-8": {
    ...{ compresses: true, does: (peer) => peer.write(packed(Buffer.of(0x61, 0xff), 1)) },
    ends: { code: 1007, by: "local", wasClean: false },
    cause: { name: "ProtocolError" },
  },
  "says that it has compressed what it has not": {
    ...{ compresses: true, does: (peer) => peer.write(peerFrame({ opcode: 1, rsv: 4, payload: "not at all" })) },
    ends: { code: 1007, by: "local", wasClean: false },
    cause: { name: "ProtocolError" },
  },
  "compresses although that was not agreed on": {
    does: (peer) => peer.write(packed(Buffer.from("unasked"))),
    ends: { code: 1002, by: "local", wasClean: false },
    cause: { name: "ProtocolError" },
  },
  // Servers that answer twice.
  "answers the request twice": {
    does: (peer) => peer.write(switchingTo(peer.text)),
    ends: { code: 1002, by: "local", wasClean: false },
    cause: { name: "ProtocolError" },
  },
};

/** Runs the misbehaviour, and returns how the client's connection ended. */
async function endOf({ does, options = {}, compresses = false, meanwhile }: Misdeed): Promise<CloseInfo> {
  await using server = await rawServer(async (peer) => {
    await peer.until(({ text: request }) => request.endsWith("\r\n\r\n"));
    peer.write(switchingTo(peer.text, compresses ? { "Sec-WebSocket-Extensions": "permessage-deflate" } : {}));
    await does(peer);
  });
  const connection = await connect(`ws://127.0.0.1:${server.port}`, { ...SHORT, ...options });
  meanwhile?.(connection as Connection);
  const info = await connection.closed;
  // Later calls get the same error.
  await assert.rejects(connection.send("late"), (error) => isConnectionError(error));
  assert.equal(connection.state, "CLOSED");
  return info;
}

describe("a server that", LIMIT, () => {
  for (const [what, misdeed] of Object.entries(MISDEEDS)) {
    it(`${what} ends its connection in time${misdeed.cause ? ` with a ${String(misdeed.cause["name"])}` : ""}`, async () => {
      const sockets = openSockets();
      const info = await endOf(misdeed);
      for (const [name, value] of Object.entries(misdeed.ends)) {
        assert.equal(info[name as keyof CloseInfo], value, `${name}: ${JSON.stringify(info)} ${String(info.cause)}`);
      }
      if (misdeed.cause === undefined) assert.equal(info.cause, undefined);
      else {
        assert.ok(isConnectionError(info.cause), String(info.cause));
        const told = info.cause as unknown as Readonly<Record<string, unknown>>;
        for (const [name, value] of Object.entries(misdeed.cause)) assert.equal(told[name], value, String(info.cause));
      }
      assert.equal(openSockets(), sockets);
    });
  }
});
