/** `messageType: "bytes"`: texts arrive as bytes that are valid UTF-8, in each way of receiving, and no string is made. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WebSocket } from "ws";
import { type Connection, connect, type Framing, isText, listen, type Message } from "../../src/index.ts";
import { pair, wired } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { KEY, type PeerFrame, peerFrame } from "../kit/frames.ts";
import { portOf, upgraded } from "../kit/raw-peer.ts";

const BYTES = { messageType: "bytes" } as const;
const GREETING = "grüße 🙂";

/** What a received message is, for a comparison. */
const shown = (message: Message): unknown => [
  typeof message === "string" ? "string" : message instanceof Uint8Array ? "bytes" : "other",
  isText(message),
  Buffer.from(message as Uint8Array).toString(),
];
const TEXT = ["bytes", true, GREETING];
const BINARY = ["bytes", false, GREETING];

const send = async (connection: Connection): Promise<void> => {
  await connection.send(GREETING);
  await connection.send(Buffer.from(GREETING));
};
const frame = (given: PeerFrame): Uint8Array => peerFrame({ key: KEY, ...given });

/** Each way of receiving two messages. */
const WAYS: Readonly<Record<string, (connection: Connection) => Promise<unknown[]>>> = {
  receive: async (connection) => [shown(await connection.receive()), shown(await connection.receive())],
  "for await": async (connection) => {
    const heard: unknown[] = [];
    for await (const message of connection) if (heard.push(shown(message)) === 2) break;
    return heard;
  },
  readable: async (connection) => {
    const reader = connection.readable.getReader();
    const read = async (): Promise<unknown> => shown((await reader.read()).value as Message);
    return [await read(), await read()];
  },
  reader: async (connection) => {
    const heard: unknown[] = [];
    for (let count = 0; count < 2; count += 1) {
      const reader = await connection.reader();
      const message = await reader.collect(1_000);
      assert.equal(reader.type, isText(message) ? "text" : "binary");
      heard.push(shown(message));
    }
    return heard;
  },
};

describe('messageType "bytes"', () => {
  for (const [way, take] of Object.entries(WAYS)) {
    for (const streaming of [false, true]) {
      it(`gives a text as bytes to ${way}${streaming ? ", with streaming" : ""}`, async () => {
        const { client, server } = pair({ server: { ...BYTES, streaming } });
        const taken = take(server);
        await send(client);
        assert.deepEqual(await taken, [TEXT, BINARY]);
      });
    }
  }

  it("gives it to the message hook, compressed or not, from clients that are ws and ours", async () => {
    for (const compression of [false, { threshold: 0 }]) {
      const heard: unknown[] = [];
      let wanted = deferred();
      await using server = await listen("ws://127.0.0.1:0", {
        ...BYTES,
        compression,
        message: (_, message) => {
          if (heard.push(shown(message)) % 2 === 0) wanted.resolve();
        },
      });
      await using ours = await connect(server.url, { compression: compression !== false });
      await send(ours);
      await wanted.promise;
      wanted = deferred();
      const theirs = new WebSocket(server.url, { perMessageDeflate: compression !== false });
      theirs.on("open", () => {
        theirs.send(GREETING);
        theirs.send(Buffer.from(GREETING));
      });
      await wanted.promise;
      theirs.terminate();
      assert.deepEqual(heard, [TEXT, BINARY, TEXT, BINARY]);
    }
  });

  for (const [framing, wire] of [
    ["lines", `${GREETING}\n`],
    [{ lengthPrefix: 1, text: true }, `\u000c${GREETING}`],
    [
      {
        encode: (message: Message | Uint8Array) => Buffer.from(message as string),
        decode: (pending: Uint8Array) => ({ message: Buffer.from(pending).toString(), size: pending.length }),
      },
      GREETING,
    ],
  ] as const) {
    it(`gives it on TCP, too: ${typeof framing === "string" ? framing : Object.keys(framing)}`, async () => {
      const { connection, peer } = wired({ kind: "tcp", framing: framing as Framing, connection: BYTES });
      peer.write(Buffer.from(wire));
      assert.deepEqual(shown(await connection.receive()), TEXT);
    });
  }

  it("gives it to a client, too", async () => {
    await using server = await listen("ws://127.0.0.1:0", { open: send });
    await using client = await connect(server.url, BYTES);
    assert.deepEqual([shown(await client.receive()), shown(await client.receive())], [TEXT, BINARY]);
  });

  it("makes no string, and copies the bytes out of the chunk", async (t) => {
    const heard: Message[] = [];
    const both = deferred();
    await using server = await listen("ws://127.0.0.1:0", {
      ...BYTES,
      message: (_, message) => {
        if (heard.push(message) === 3) both.resolve();
      },
    });
    await using peer = await upgraded(portOf(server));
    const decode = t.mock.method(TextDecoder.prototype, "decode");
    peer.write(
      Buffer.concat([
        frame({ opcode: 1, payload: GREETING }),
        frame({ opcode: 1, payload: "x".repeat(70_000) }),
        frame({ opcode: 1, payload: "in fra", fin: false }),
        frame({ opcode: 0, payload: "gments" }),
      ]),
    );
    await both.promise;
    assert.equal(decode.mock.callCount(), 0);
    decode.mock.restore();
    assert.deepEqual(
      heard.map((message) => Buffer.from(message as Uint8Array).toString()),
      [GREETING, "x".repeat(70_000), "in fragments"],
    );
    assert.ok(heard.every(isText));
    for (const message of heard) assert.equal((message as Uint8Array).buffer.byteLength, message.length);
  });

  for (const [what, ...wire] of [
    ["at once", frame({ opcode: 1, payload: Uint8Array.of(0x61, 0xff) })],
    ["inside a character", frame({ opcode: 1, payload: Uint8Array.of(0x61, 0xf0, 0x9f) })],
    [
      "in fragments",
      frame({ opcode: 1, payload: Uint8Array.of(0xf0, 0x9f), fin: false }),
      frame({ opcode: 0, payload: Uint8Array.of(0x61) }),
    ],
    ["in two chunks", frame({ opcode: 1, payload: Uint8Array.of(0xc3) }).subarray(0, 6), Uint8Array.of(0xc3)],
  ] as const) {
    it(`ends the connection with 1007 for a text that is not UTF-8: ${what}`, async () => {
      const { connection, peer } = wired({ connection: BYTES });
      for (const bytes of wire) peer.write(bytes);
      await assert.rejects(connection.receive(), { code: "PROTOCOL", reason: "invalid-utf8", closeCode: 1007 });
    });
  }

  it("gives bytes whose parts and copies are only bytes, and which are sent as a binary message", async () => {
    const { client, server } = pair({ server: BYTES });
    await client.send("abc");
    const message = await server.receive();
    assert.ok(typeof message !== "string");
    for (const part of [message.slice(), message.subarray(1), message.map((byte) => byte), structuredClone(message)])
      assert.equal(isText(part), false);
    await server.send(message);
    assert.deepEqual(await client.receive(), Uint8Array.of(97, 98, 99));
  });

  it("is told by isText, which is true for strings and false for all else", () => {
    assert.equal(isText("x"), true);
    for (const other of [new Uint8Array(), Buffer.from("x"), {}, null, undefined, 5, Object("x")])
      assert.equal(isText(other), false);
  });
});
