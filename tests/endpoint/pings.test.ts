/** Pings and Pongs of the application, on real sockets: payloads of its own, unsolicited Pongs, and `autoPong: false`. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { type Connection, type ConnectionOptions, connect, listen, ReconnectingConnection } from "../../src/index.ts";
import { pair } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { type Frame, framesIn, KEY, peerFrame } from "../kit/frames.ts";
import { portOf, type RawPeer, upgraded } from "../kit/raw-peer.ts";

interface Opened extends AsyncDisposable {
  readonly connection: Connection;
  readonly peer: RawPeer;
  /** The frames that the peer has received, when there are `count` of them. */
  frames(count: number): Promise<readonly Frame[]>;
}

/** A connection of a server, whose client is a raw peer. */
async function opened(options: ConnectionOptions = {}): Promise<Opened> {
  const found = deferred<Connection>();
  const server = await listen("ws://127.0.0.1:0", { ...options, open: (connection) => found.resolve(connection) });
  const peer = await upgraded(portOf(server));
  const behindHead = (): Buffer => peer.bytes.subarray(peer.bytes.indexOf("\r\n\r\n") + 4);
  return {
    connection: await found.promise,
    peer,
    frames: async (count) => {
      await peer.until(() => framesIn(behindHead()).length >= count);
      return framesIn(behindHead());
    },
    [Symbol.asyncDispose]: async () => {
      await peer[Symbol.asyncDispose]();
      await server.close();
    },
  };
}

const texts = (frames: readonly Frame[]): unknown[] =>
  frames.map(({ opcode, payload }) => [opcode, payload.toString("latin1")]);
const fromClient = (opcode: number, payload: string | Uint8Array = ""): Uint8Array =>
  peerFrame({ opcode, payload, key: KEY });

describe("a Ping with a payload of the application", () => {
  it("is sent with it, and answered by the Pong with the same payload only", async () => {
    await using scene = await opened();
    const { connection, peer } = scene;
    const first = connection.ping({ payload: "one" });
    const second = connection.ping({ payload: Uint8Array.of(0, 255) });
    assert.deepEqual(texts(await scene.frames(2)), [
      [9, "one"],
      [9, "\u0000\u00ff"],
    ]);
    peer.write(Buffer.concat([fromClient(10, "two"), fromClient(10, Uint8Array.of(0, 254)), fromClient(10, "one")]));
    assert.ok((await first) >= 0);
    const state = await Promise.race([second, Promise.resolve("pending")]);
    assert.equal(state, "pending");
    peer.write(fromClient(10, Uint8Array.of(0, 255)));
    assert.ok((await second) >= 0);
  });

  it("may have an empty one, 125 bytes, and bytes that change after the call", async () => {
    await using scene = await opened();
    const { connection, peer } = scene;
    const bytes = Buffer.alloc(125, "x");
    const pings = [connection.ping({ payload: "" }), connection.ping({ payload: bytes })];
    bytes.fill("y");
    assert.deepEqual(texts(await scene.frames(2)), [
      [9, ""],
      [9, "x".repeat(125)],
    ]);
    // An idle connection skips empty Pongs that nothing waits for.
    peer.write(fromClient(10));
    await pings[0];
    peer.write(fromClient(10, "x".repeat(125)));
    await pings[1];
  });

  it("is a RangeError above 125 bytes, counted in UTF-8, and nothing is sent", async () => {
    await using scene = await opened();
    const { connection } = scene;
    for (const payload of [new Uint8Array(126), "x".repeat(126), "é".repeat(63)]) {
      await assert.rejects(connection.ping({ payload }), RangeError);
      assert.throws(() => connection.pong(payload), RangeError);
    }
    connection.pong("last");
    assert.deepEqual(texts(await scene.frames(1)), [[10, "last"]]);
  });

  it("is answered by ws, which reports the payload", async () => {
    const asked: string[] = [];
    const theirs = new WebSocketServer({ port: 0 });
    await once(theirs, "listening");
    theirs.on("connection", (socket) => socket.on("ping", (data) => asked.push(data.toString())));
    const ours = await connect(`ws://127.0.0.1:${(theirs.address() as { port: number }).port}`);
    assert.ok((await ours.ping({ payload: "to ws" })) >= 0);
    assert.deepEqual(asked, ["to ws"]);
    await ours.close();
    theirs.close();
  });
});

describe("a Pong of the application", () => {
  it("is sent with its payload, and ws reports it", async () => {
    await using server = await listen("ws://127.0.0.1:0", {
      open: (connection) => {
        assert.equal(connection.pong(), true);
        assert.equal(connection.pong("unsolicited"), true);
      },
    });
    const theirs = new WebSocket(server.url);
    const heard: string[] = [];
    const both = deferred();
    theirs.on("pong", (data) => {
      if (heard.push(data.toString()) === 2) both.resolve();
    });
    await both.promise;
    assert.deepEqual(heard, ["", "unsolicited"]);
    theirs.close();
    await once(theirs, "close");
  });

  it("is not sent after the end, and misuse throws on TCP", async () => {
    await using scene = await opened();
    const { connection, peer } = scene;
    const closing = connection.close();
    peer.write(fromClient(8, Uint8Array.of(3, 0xe8)));
    peer.socket.end();
    await closing;
    assert.equal(connection.pong("late"), false);
    const { client } = pair({ kind: "tcp" });
    assert.throws(() => client.pong(), { name: "TypeError", message: /framed TCP/ });
  });

  it("in a loop leaves a bounded queue, whether or not the kernel accepts bytes", async () => {
    await using scene = await opened({ writeTimeout: Infinity });
    const { connection, peer } = scene;
    const payload = "p".repeat(125);
    for (let count = 0; count < 100_000; count += 1) connection.pong(payload);
    connection.pong("the last");
    await peer.until(() => peer.bytes.includes("the last"));
    assert.ok(peer.received < 400_000, `${peer.received} bytes were queued`);
  });
});

describe("autoPong: false", () => {
  it("leaves the answers to the ping hook, now or later, with the payload of the Ping", async () => {
    const later: Uint8Array[] = [];
    await using scene = await opened({
      autoPong: false,
      ping: (connection, payload) => {
        if (payload.length > 0) later.push(payload);
        else connection.pong("at once");
      },
    });
    const { connection, peer } = scene;
    peer.write(Buffer.concat([fromClient(9, "later"), fromClient(9)]));
    assert.deepEqual(texts(await scene.frames(1)), [[10, "at once"]]);
    for (const payload of later) connection.pong(payload);
    assert.deepEqual(texts(await scene.frames(2)).slice(1), [[10, "later"]]);
  });

  it("sends no Pong if the hook sends none", async () => {
    const asked = deferred();
    await using scene = await opened({ autoPong: false, ping: () => asked.resolve() });
    scene.peer.write(fromClient(9, "unanswered"));
    await asked.promise;
    await scene.connection.send("behind");
    assert.deepEqual(texts(await scene.frames(1)), [[1, "behind"]]);
  });

  it("also answers Pings behind a close() of this side, until its Close frame is written", async () => {
    const asked = deferred<boolean>();
    await using scene = await opened({
      autoPong: false,
      ping: (connection, payload) => asked.resolve(connection.pong(payload)),
    });
    const { connection, peer } = scene;
    void connection.close();
    peer.write(fromClient(9, "late"));
    assert.equal(await asked.promise, false, "the Close frame is written");
    assert.deepEqual(texts(await scene.frames(1)), [[8, "\u0003\u00e8"]]);
  });

  it("needs a ping hook, and a protocol that has Pings", async () => {
    const ping = (): void => undefined;
    const open = ping;
    for (const [url, options, message] of [
      ["ws://127.0.0.1:0", { open, autoPong: false }, /ping hook/],
      ["tcp://127.0.0.1:0", { open, autoPong: false, ping }, /framed TCP/],
      ["ws://127.0.0.1:0", { open, autoPong: 0 as never, ping }, /autoPong/],
    ] as const) {
      await assert.rejects(listen(url, options), { name: "TypeError", message });
    }
    const forOne = { autoPong: false } as object;
    assert.throws(() => new ReconnectingConnection("ws://127.0.0.1:9", forOne), { message: /single connection/ });
  });
});
