/** The npm package `ws` as a client of this library, and as a server for it, and exchanges that only it supports. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer as createSecure } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { WebSocket, WebSocketServer } from "ws";
import { type Connection, connect, HandshakeError, type ListenOptions, listen } from "../../src/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { assertHandshake } from "../kit/close-info.ts";
import { compressed } from "./compressed.ts";
import { exchanges } from "./exchanges.ts";
import { WS } from "./peers.ts";

const LIMIT = { timeout: 240_000 };
const LARGE = 16 * 2 ** 20;
const ROOMY = { maxMessageSize: LARGE, maxQueuedBytes: 2 * LARGE };
const CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const asText = (data: unknown): string =>
  typeof data === "string" ? data : Buffer.from(data as Uint8Array).toString();

/** A connection of this library and one of ws, joined. `ours` closes nothing by itself. */
interface Joined extends AsyncDisposable {
  readonly ours: Connection;
  readonly theirs: WebSocket;
}

type Join = (options?: ListenOptions) => Promise<Joined>;

/** ws is the client. */
const toOurServer: Join = async (options = {}) => {
  let tell: (connection: Connection) => void;
  const accepted = new Promise<Connection>((resolve) => {
    tell = resolve;
  });
  const server = await listen("ws://127.0.0.1:0", options, async (connection) => {
    tell(connection);
    await connection.closed;
  });
  const theirs = new WebSocket(server.url);
  await once(theirs, "open");
  const ours = await accepted;
  return {
    ours,
    theirs,
    [Symbol.asyncDispose]: async () => {
      theirs.terminate();
      await server.close();
    },
  };
};

/** ws is the server. */
const toTheirServer: Join = async (options = {}) => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", maxPayload: 2 * LARGE });
  await once(server, "listening");
  const accepted = once(server, "connection") as Promise<[WebSocket]>;
  const { port } = server.address() as AddressInfo;
  const ours = (await connect(`ws://127.0.0.1:${port}`, options as object)) as Connection;
  const [theirs] = await accepted;
  return {
    ours,
    theirs,
    [Symbol.asyncDispose]: async () => {
      ours.terminate();
      theirs.terminate();
      server.close();
      await once(server, "close");
    },
  };
};

/** The next message that ws receives. */
async function heardBy(theirs: WebSocket): Promise<{ readonly data: Buffer; readonly binary: boolean }> {
  const [data, binary] = (await once(theirs, "message")) as [Buffer, boolean];
  return { data, binary };
}

for (const role of ["client", "server"] as const) {
  exchanges(WS, role);
  compressed(WS, role);
}

for (const [side, join] of [
  ["client", toOurServer],
  ["server", toTheirServer],
] as const) {
  describe(`ws as ${side}, in one process`, LIMIT, () => {
    it("exchanges messages of 16 MiB where they are allowed", async () => {
      await using pair = await join(ROOMY);
      const { ours, theirs } = pair;
      const bytes = Buffer.alloc(LARGE, "holdfast");
      theirs.send(bytes);
      assert.ok(bytes.equals((await ours.receive()) as Uint8Array));
      const [{ data }] = await Promise.all([heardBy(theirs), ours.send(bytes)]);
      assert.ok(bytes.equals(data));
    });

    it("is closed with 1009 when it sends more than is allowed", async () => {
      await using pair = await join({ maxMessageSize: 1_000 });
      const { ours, theirs } = pair;
      theirs.send("x".repeat(1_001));
      const [code] = await once(theirs, "close");
      assert.equal(code, 1009);
      const info = await ours.closed;
      assert.deepEqual([info.code, info.by], [1009, "local"]);
    });

    it("keeps the order of thousands of messages, both ways at once", async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      const count = 5_000;
      const expected = Array.from({ length: count }, (_, index) => String(index));
      const heard: string[] = [];
      const all = new Promise<void>((resolve) => {
        theirs.on("message", (data) => {
          if (heard.push(asText(data)) === count) resolve();
        });
      });
      const received: string[] = [];
      for (const word of expected) theirs.send(word);
      const sending = (async () => {
        for (const word of expected) await ours.send(word);
      })();
      while (received.length < count) received.push(asText(await ours.receive()));
      await Promise.all([sending, all]);
      assert.deepEqual(received, expected);
      assert.deepEqual(heard, expected);
    });

    it("answers our pings and has its own answered, payload and all", async () => {
      const payloads: string[] = [];
      const note = (what: string) => (_: unknown, payload: Uint8Array) =>
        void payloads.push(`${what} ${asText(payload)}`);
      await using pair = await join({ ping: note("ping"), pong: note("pong") });
      const { ours, theirs } = pair;
      const pinged = once(theirs, "ping");
      assert.ok((await ours.ping()) >= 0);
      await pinged;
      const ponged = once(theirs, "pong") as Promise<[Buffer]>;
      theirs.ping("are you there?");
      assert.equal(asText((await ponged)[0]), "are you there?");
      theirs.pong("unasked");
      await ours.ping();
      assert.ok(payloads.includes("ping are you there?"));
      assert.ok(payloads.includes("pong unasked"));
    });

    it("sends fragments, with control frames between them", async () => {
      await using pair = await join();
      const { ours, theirs } = pair;
      theirs.send("é𝄞 and ", { fin: false });
      theirs.ping();
      theirs.send(Buffer.from("é").subarray(0, 1), { fin: false, binary: false });
      theirs.send(Buffer.from("é").subarray(1), { fin: true });
      assert.equal(await ours.receive(), "é𝄞 and é");
    });

    for (const code of CODES) {
      it(`is told and tells code ${code} and the reason`, async () => {
        const reason = `é${code}`;
        {
          await using pair = await join();
          const { ours, theirs } = pair;
          const closed = once(theirs, "close") as Promise<[number, Buffer]>;
          const info = await ours.close(code, reason);
          assertHandshake(info, { code, reason, by: "local" });
          const [told, why] = await closed;
          assert.deepEqual([told, asText(why)], [code, reason]);
        }
        await using pair = await join();
        const { ours, theirs } = pair;
        theirs.close(code, reason);
        const info = await ours.closed;
        assertHandshake(info, { code, reason, by: "peer" });
        if (theirs.readyState !== WebSocket.CLOSED) await once(theirs, "close");
      });
    }

    it("that terminates is an end without a close, and so are we to it", async () => {
      {
        await using pair = await join();
        const waiting = assert.rejects(pair.ours.receive(), { name: /^(Closed|Transport)Error$/ });
        pair.theirs.terminate();
        const { code, wasClean, by } = await pair.ours.closed;
        assert.deepEqual([code, wasClean, by], [1006, false, "peer"]);
        await waiting;
      }
      await using pair = await join();
      const closed = once(pair.theirs, "close");
      pair.theirs.on("error", () => undefined);
      pair.ours.terminate();
      assert.equal((await closed)[0], 1006);
    });
  });
}

describe("ws and the opening handshake", LIMIT, () => {
  it("agree on a subprotocol, either way", async () => {
    await using server = await listen("ws://127.0.0.1:0", { subprotocols: ["b", "a"] }, echo);
    const client = new WebSocket(server.url, ["a", "b"]);
    await once(client, "open");
    assert.equal(client.protocol, "b");
    client.close();
    await once(client, "close");

    const theirs = new WebSocketServer({ port: 0, host: "127.0.0.1", handleProtocols: () => "a" });
    await once(theirs, "listening");
    const ours = await connect(`ws://127.0.0.1:${(theirs.address() as AddressInfo).port}`, {
      subprotocols: ["b", "a"],
    });
    assert.equal(ours.protocol, "a");
    await ours.close();
    theirs.close();
    await once(theirs, "close");
  });

  it("get by without the compression that ws offers, and that its server would like", async () => {
    await using server = await listen("ws://127.0.0.1:0", echo);
    const client = new WebSocket(server.url, { perMessageDeflate: true });
    await once(client, "open");
    assert.equal(client.extensions, "");
    client.send("hello");
    assert.equal(asText((await heardBy(client)).data), "hello");
    client.close();
    await once(client, "close");

    const theirs = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: true });
    theirs.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
    await once(theirs, "listening");
    const ours = await connect(`ws://127.0.0.1:${(theirs.address() as AddressInfo).port}`);
    await ours.send(Buffer.from("hello"));
    assert.equal(asText(await ours.receive()), "hello");
    await ours.close();
    theirs.close();
    await once(theirs, "close");
  });

  it("carry fields both ways, and refusals", async () => {
    await using server = await listen<string | undefined>("ws://127.0.0.1:0", {
      open: () => undefined,
      headers: { "X-Served-By": "ours" },
      authorize: ({ headers }) => headers["authorization"] ?? new Response("who are you?", { status: 401 }),
    });
    const client = new WebSocket(server.url, { headers: { Authorization: "ann" } });
    const [[{ headers }]] = (await Promise.all([once(client, "upgrade"), once(client, "open")])) as [
      [{ headers: Record<string, string> }],
      unknown,
    ];
    assert.equal(headers["x-served-by"], "ours");
    assert.deepEqual(
      [...server.connections].map(({ data }) => data),
      ["ann"],
    );
    const stranger = new WebSocket(server.url);
    stranger.on("error", () => undefined);
    const [, answer] = (await once(stranger, "unexpected-response")) as [
      unknown,
      { statusCode: number; resume(): void },
    ];
    assert.equal(answer.statusCode, 401);
    answer.resume();
    client.terminate();
    stranger.terminate();

    const theirs = new WebSocketServer({
      port: 0,
      host: "127.0.0.1",
      verifyClient: ({ req }, answer) =>
        answer(req.headers.authorization === "ann", 403, "no", { "X-Why": "a stranger" }),
    });
    await once(theirs, "listening");
    const url = `ws://127.0.0.1:${(theirs.address() as AddressInfo).port}`;
    await assert.rejects(connect(url), (error: unknown) => {
      assert.ok(error instanceof HandshakeError);
      assert.deepEqual([error.status, error.headers["x-why"]], [403, "a stranger"]);
      return true;
    });
    const known = await connect(url, { headers: { Authorization: "ann" } });
    await known.close();
    theirs.close();
    await once(theirs, "close");
  });

  it("refuse a foreign origin", async () => {
    await using server = await listen("ws://127.0.0.1:0", echo);
    const client = new WebSocket(server.url, { origin: "http://evil.example" });
    const [error] = (await once(client, "error")) as [Error];
    assert.match(error.message, /403/);
  });

  it("work over TLS, either way", async () => {
    await using server = await listen("wss://localhost:0", { tls: LOCALHOST }, echo);
    const client = new WebSocket(server.url, { ca: LOCALHOST.cert });
    await once(client, "open");
    client.send("hello");
    assert.equal(asText((await heardBy(client)).data), "hello");
    client.close();
    await once(client, "close");

    const http = createSecure(LOCALHOST);
    const theirs = new WebSocketServer({ server: http });
    theirs.on("connection", (socket) => socket.on("message", (data) => socket.send(data)));
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const url = `wss://localhost:${(http.address() as AddressInfo).port}/`;
    const ours = await connect(url, { tls: { ca: LOCALHOST.cert } });
    await ours.send("hello");
    assert.equal(asText(await ours.receive()), "hello");
    await ours.close();
    theirs.close();
    http.close();
    await once(http, "close");
  });

  it("work over a unix socket", { skip: process.platform === "win32" && "Windows has no unix sockets" }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      await using _server = await listen(`ws+unix://${join(folder, "s")}:/echo`, echo);
      const client = new WebSocket(`ws+unix://${join(folder, "s")}:/echo`);
      await once(client, "open");
      client.send("hello");
      assert.equal(asText((await heardBy(client)).data), "hello");
      client.close();
      await once(client, "close");
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
