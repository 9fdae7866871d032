/** `prepareFrame`: a frame that another program has encoded is sent as it is, if it is a whole data frame of a server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { WebSocket } from "ws";
import { connect, Group, listen, prepareFrame } from "../../../src/index.ts";
import { settled, wired } from "../../../src/testing/index.ts";
import { deferred } from "../../kit/deferred.ts";
import { framesIn, KEY, type PeerFrame, peerFrame } from "../../kit/frames.ts";
import { portOf, upgraded } from "../../kit/raw-peer.ts";

describe("a prepared frame", () => {
  for (const [what, frame] of [
    ["a text", { opcode: 1, payload: "grüße" }],
    ["an empty text", { opcode: 1 }],
    ["bytes", { opcode: 2, payload: Uint8Array.of(0, 255) }],
    ["126 bytes", { opcode: 2, payload: new Uint8Array(126).fill(1) }],
    ["70,000 bytes", { opcode: 2, payload: new Uint8Array(70_000).fill(2) }],
  ] as const satisfies readonly (readonly [string, PeerFrame])[]) {
    it(`is written by a server byte for byte, although its memory is used again: ${what}`, async () => {
      const bytes = Buffer.from(peerFrame(frame));
      const prepared = prepareFrame(bytes);
      const expected = Buffer.from(bytes);
      bytes.fill(0xee);
      await using server = await listen("ws://127.0.0.1:0", { open: (connection) => void connection.send(prepared) });
      await using peer = await upgraded(portOf(server));
      await peer.until(() => peer.bytes.length - peer.bytes.indexOf("\r\n\r\n") - 4 >= expected.length);
      assert.deepEqual(peer.bytes.subarray(peer.bytes.indexOf("\r\n\r\n") + 4), expected);
    });
  }

  it("has its message, which clients mask and framed TCP frames", async () => {
    const prepared = prepareFrame(peerFrame({ opcode: 1, payload: "hello" }));
    assert.equal(prepared.message, "hello");
    const client = wired({ role: "client" });
    await client.connection.send(prepared);
    const [frame] = framesIn(client.peer.received);
    assert.deepEqual([frame?.masked, frame?.payload.toString()], [true, "hello"]);
    const tcp = wired({ kind: "tcp", framing: "lines" });
    await tcp.connection.send(prepared);
    assert.equal(Buffer.from(tcp.peer.received).toString(), "hello\n");
  });

  it("is written as it is with compression, too, and before and behind compressed messages", async () => {
    const text = "compressible ".repeat(100);
    const found = deferred<void>();
    await using server = await listen("ws://127.0.0.1:0", {
      compression: { serverContextTakeover: true },
      open: async (connection) => {
        assert.match(connection.extensions, /permessage-deflate/);
        await connection.send(text);
        await connection.send(prepareFrame(peerFrame({ opcode: 1, payload: text })));
        await connection.send(text);
        found.resolve();
      },
    });
    const theirs = new WebSocket(server.url);
    const heard: string[] = [];
    theirs.on("message", (data) => heard.push(data.toString()));
    await found.promise;
    while (heard.length < 3) await once(theirs, "message");
    assert.deepEqual(heard, [text, text, text]);
    theirs.close();
    await once(theirs, "close");
  });

  it("reaches each member of a group", async () => {
    const group = new Group();
    await using server = await listen("ws://127.0.0.1:0", { open: (connection) => group.join(connection) });
    await using one = await connect(server.url);
    await using two = await connect(server.url);
    while (group.size < 2) await settled();
    group.send(prepareFrame(peerFrame({ opcode: 2, payload: Uint8Array.of(7) })));
    assert.deepEqual([await one.receive(), await two.receive()], [Uint8Array.of(7), Uint8Array.of(7)]);
  });

  for (const [what, frame, message] of [
    ["a masked one", peerFrame({ opcode: 1, payload: "x", key: KEY }), /masked/],
    ["a fragment", peerFrame({ opcode: 1, payload: "x", fin: false }), /one whole message/],
    [
      "two fragments",
      Buffer.concat([peerFrame({ opcode: 1, fin: false }), peerFrame({ opcode: 0, payload: "x" })]),
      /one whole message|fragments/,
    ],
    ["a continuation", peerFrame({ opcode: 0, payload: "x" }), /continu/],
    ["a Ping", peerFrame({ opcode: 9, payload: "x" }), /one whole message/],
    ["a Close frame", peerFrame({ opcode: 8 }), /one whole message/],
    ["opcode 3", peerFrame({ opcode: 3 }), /opcode 3/],
    ["RSV1", peerFrame({ opcode: 1, rsv: 4, payload: "x" }), /reserved bits/],
    ["text that is not UTF-8", peerFrame({ opcode: 1, payload: Uint8Array.of(0xff) }), /UTF-8/],
    ["a length in a longer form", peerFrame({ opcode: 2, payload: "x", form: 2 }), /fewest bytes/],
    ["no bytes", new Uint8Array(), /one whole message/],
    ["a part", peerFrame({ opcode: 2, payload: "xyz" }).subarray(0, 4), /one whole message/],
    [
      "two frames",
      Buffer.concat([peerFrame({ opcode: 2, payload: "x" }), peerFrame({ opcode: 2, payload: "y" })]),
      /one whole message/,
    ],
    ["a string", "text", /expected bytes/],
    ["nothing", undefined, /undefined/],
  ] as const) {
    it(`is a TypeError from ${what}`, () => {
      assert.throws(() => prepareFrame(frame as never), { name: "TypeError", message });
    });
  }
});
