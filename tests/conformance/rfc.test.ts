/** The opening handshake by the rows of the RFC's table, on both sides, and rules of frames that only one side has. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createServer as createTls, type TLSSocket } from "node:tls";
import { type CloseInfo, type Connection, connect, HandshakeError, listen, reconnect } from "../../src/index.ts";
import { ManualClock, settled } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { assertHandshake } from "../kit/close-info.ts";
import { FrameReader, KEY } from "../kit/frames.ts";
import { portOf, RawPeer, rawServer, refused, switchingTo, upgraded } from "../kit/raw-peer.ts";
import { close, encode, ping, text } from "./frame.ts";
import { ACCEPTANCES, asking, type Changes, REFUSALS } from "./sections/requests.ts";

const LIMIT = { timeout: 240_000 };
const ANY_PORT = "ws://127.0.0.1:0";

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

describe("the request that a server refuses, closing behind its answer", LIMIT, () => {
  for (const [row, clause, what, request, status, fields = {}] of REFUSALS) {
    it(`row ${row}, RFC ${clause}: ${what} (${status})`, async () => {
      await using server = await listen(ANY_PORT, () => assert.fail("nothing was to be served"));
      const answer = await refused(portOf(server), request);
      assert.equal(answer.status, status);
      assert.match(answer.headers["connection"] ?? "", /(^|, )close$/);
      for (const [name, value] of Object.entries(fields)) assert.match(answer.headers[name] ?? "", value);
      // Nothing that follows the head was echoed.
      assert.ok(!answer.body.includes("smuggled"));
      assert.equal(server.connections.size, 0);
    });
  }
});

describe("the request that a server accepts", LIMIT, () => {
  for (const [row, clause, what, request, url] of ACCEPTANCES) {
    it(`row ${row}, RFC ${clause}: ${what}`, async () => {
      await using server = await listen(ANY_PORT, echo);
      await using peer = await upgraded(portOf(server), request);
      const [connection] = server.connections;
      if (url !== undefined) assert.equal(connection?.url, url);
      peer.write(encode(text("here"), KEY));
      await peer.until((so) => so.text.endsWith("\x81\x04here"));
    });
  }

  it("row 9, RFC 9110 5.6.3: has a tab behind Upgrade, except on Node 20, which does not see it and refuses", async () => {
    await using server = await listen(ANY_PORT, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(asking({ Connection: "Upgrade\t" }));
    assert.equal((await peer.head()).status, process.version.startsWith("v20.") ? 400 : 101);
  });

  it("row 7, RFC 9110 7.8: gets 100 before 101 if it expects to", async () => {
    await using server = await listen(ANY_PORT, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(asking({ Expect: "100-Continue" }));
    await peer.until(({ text }) => text.split("\r\n\r\n").length === 3);
    assert.match(peer.text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 101 /);
  });

  for (const [what, changes, protocol] of [
    ["nothing", {}, undefined],
    ["a subprotocol that is not spoken", { "Sec-WebSocket-Protocol": "v9" }, undefined],
    ["two that are", { "Sec-WebSocket-Protocol": ["v1", "v2"] }, "v2"],
    ["extensions that are not known", { "Sec-WebSocket-Extensions": "x-a; b=c, x-d" }, undefined],
  ] as const) {
    it(`row 11, RFC 6455 4.2.2: is answered with each field once, and no more than it asked for: ${what}`, async () => {
      await using server = await listen(ANY_PORT, { subprotocols: ["v2", "v1"] }, echo);
      await using peer = await upgraded(portOf(server), asking(changes));
      const [head = ""] = peer.text.split("\r\n\r\n");
      assert.deepEqual(head.split("\r\n"), [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
      ]);
    });
  }
});

/** The response of a raw server, and the request that it received. */
async function answered(answer: (request: string) => string, options = {}): Promise<[unknown, string]> {
  let request = "";
  await using server = await rawServer(async (peer) => {
    await peer.head();
    request = peer.text;
    peer.write(Buffer.from(answer(request), "latin1"));
  });
  try {
    const connection = await connect(`ws://127.0.0.1:${server.port}/path?query`, options);
    connection.terminate();
    await connection.closed;
    return [connection, request];
  } catch (error) {
    return [error, request];
  }
}

describe("row 14, RFC 6455 4.1: a client", LIMIT, () => {
  it("asks with what it must, and says nothing before the answer", async () => {
    const [connection, request] = await answered((asked) => switchingTo(asked));
    assert.ok(!(connection instanceof Error));
    assert.match(
      request,
      /^GET \/path\?query HTTP\/1\.1\r\nHost: 127\.0\.0\.1:\d+\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: [A-Za-z0-9+/]{22}==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate; [^\r]*\r\n\r\n$/,
    );
  });

  it("has a fresh key of 16 octets for each connection", async () => {
    const keys = new Set<string>();
    for (let round = 0; round < 20; round += 1) {
      const [, request] = await answered((asked) => switchingTo(asked));
      const key = /^Sec-WebSocket-Key: (.*)\r$/m.exec(request)?.[1] ?? "";
      assert.equal(Buffer.from(key, "base64").length, 16);
      keys.add(key);
    }
    assert.equal(keys.size, 20);
  });

  const with101 =
    (changes: Changes) =>
    (request: string): string =>
      switchingTo(request, changes);
  const wrong: Readonly<Record<string, (request: string) => string>> = {
    "that is not 101": (request) => switchingTo(request).replace(/^.*\r\n/, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
    "that sends it elsewhere": () => "HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "without Upgrade": with101({ Upgrade: undefined }),
    "with another Upgrade": with101({ Upgrade: "h2c" }),
    "with two in Upgrade": with101({ Upgrade: "websocket, h2c" }),
    "without Connection": with101({ Connection: undefined }),
    "with another Connection": with101({ Connection: "close" }),
    "without Accept": with101({ "Sec-WebSocket-Accept": undefined }),
    "with the Accept of another key": with101({ "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }),
    "with the right Accept in small letters": (request) =>
      switchingTo(request).replace(/Accept: .*/, (accept) => accept.toLowerCase()),
    "with a subprotocol that it did not ask for": with101({ "Sec-WebSocket-Protocol": "v2" }),
    "with a subprotocol in other letters": with101({ "Sec-WebSocket-Protocol": "V1" }),
    "with the subprotocol twice": with101({ "Sec-WebSocket-Protocol": ["v1", "v1"] }),
    "with an extension that it did not ask for": with101({ "Sec-WebSocket-Extensions": "x-unasked" }),
    "with an extension that cannot be read": with101({ "Sec-WebSocket-Extensions": ";" }),
  };
  for (const [what, answer] of Object.entries(wrong)) {
    it(`does not take an answer ${what}`, async () => {
      const [error] = await answered(answer, { subprotocols: ["v1"] });
      assert.ok(error instanceof HandshakeError, String(error));
      assert.equal(error.phase, "upgrade");
    });
  }

  it("takes an answer whose fields are in any case, and no subprotocol although it asked", async () => {
    const changes = { Upgrade: "WebSocket", Connection: "keep-alive, upgrade" };
    const [connection] = await answered(with101(changes), { subprotocols: ["v1"] });
    assert.equal((connection as Connection).protocol, "");
  });

  it("names the host to TLS", async () => {
    const names: unknown[] = [];
    const tls = createTls({ ...LOCALHOST }, (socket: TLSSocket & { readonly servername?: unknown }) => {
      names.push(socket.servername);
      socket.on("error", () => undefined).once("data", (request) => socket.write(switchingTo(String(request))));
    });
    await new Promise<void>((resolve) => tls.listen(0, resolve));
    const { port } = tls.address() as { port: number };
    const connection = await connect(`wss://localhost:${port}`, { tls: { ca: LOCALHOST.cert } });
    connection.terminate();
    await connection.closed;
    await new Promise((resolve) => tls.close(resolve));
    assert.deepEqual(names, ["localhost"]);
  });
});

describe("row 13, RFC 6455 4.1", LIMIT, () => {
  it("a client has one connection at most that opens to an address", async () => {
    const held: RawPeer[] = [];
    await using server = await rawServer(async (peer) => {
      await peer.head();
      held.push(peer);
    });
    const clock = new ManualClock();
    const ended = [1, 2].map((name) =>
      connect(`ws://127.0.0.1:${server.port}/${name}`, { clock }).then(
        (connection) => connection.closed,
        () => undefined,
      ),
    );
    try {
      while (held.length === 0) await settled();
      await settled();
      assert.equal(server.peers.length, 1);
      const [one] = held;
      one?.write(switchingTo(one.text));
      while (held.length < 2) await settled();
    } finally {
      for (const { socket } of server.peers) socket.destroy();
      await Promise.all(ended);
    }
  });
});

describe("row 15, RFC 6455 7.2.3", () => {
  it("a client that reconnects waits at random first and then longer", async () => {
    const clock = new ManualClock();
    const gone = await listen(ANY_PORT, { open: () => undefined });
    await gone.close();
    const pauses: number[] = [];
    const ended = reconnect(gone.url, () => undefined, {
      ...{ clock, random: () => 0.5, maxAttempts: 8 },
      state: (state) => {
        if (state.name !== "waiting") return;
        pauses.push(state.until.getTime() - clock.wallTime());
        void clock.advance(pauses.at(-1) ?? 0);
      },
    });
    await assert.rejects(ended, { code: "LIMIT" });
    assert.deepEqual(pauses, [250, 500, 1_000, 2_000, 4_000, 8_000, 10_000]);
  });
});

describe("row 21, RFC 6455 5.5.1 and 7.1.1", LIMIT, () => {
  it("a server that has closed says no more, and closes TCP as soon as Close comes back", async () => {
    await using server = await listen(ANY_PORT, { clock: new ManualClock() }, echo);
    await using peer = await upgraded(portOf(server));
    const [connection] = server.connections;
    const closing = connection?.close(4000, "enough");
    await assert.rejects(async () => connection?.send("more"), { code: "CLOSED" });
    assert.equal(connection?.trySend("more"), "refused");
    const goodbye = encode(close(4000, "enough"), undefined).toString("latin1");
    await peer.until((so) => so.text.endsWith(goodbye));
    peer.write(encode(text("unanswered"), KEY));
    await settled();
    assert.equal(peer.ended, false);
    peer.write(encode(close(4000), KEY));
    await peer.until(({ ended }) => ended);
    assert.ok(peer.text.endsWith(goodbye));
    peer.socket.end();
    assert.equal(await peer.closed, undefined);
    assertHandshake((await closing) as CloseInfo, { code: 4000, reason: "enough", by: "local" });
  });

  it("a client that has closed says no more, and leaves it to the server to close TCP", async () => {
    const frames = new FrameReader();
    await using server = await rawServer(async (peer) => {
      await peer.head();
      peer.write(switchingTo(peer.text));
    });
    const connection = await connect(`ws://127.0.0.1:${server.port}`, { clock: new ManualClock() });
    const [peer] = server.peers;
    assert.ok(peer);
    const closing = connection.close(4000, "enough");
    await assert.rejects(connection.send("more"), { code: "CLOSED" });
    await peer.until(({ text }) => text.length > text.indexOf("\r\n\r\n") + 4);
    peer.write(Buffer.concat([encode(text("unanswered"), undefined), encode(close(4000), undefined)]));
    await settled();
    assert.equal(peer.ended, false);
    peer.socket.end();
    await peer.until(({ ended }) => ended);
    assert.deepEqual(
      frames.push(peer.bytes.subarray(peer.bytes.indexOf("\r\n\r\n") + 4)).map(({ opcode }) => opcode),
      [8],
    );
    assert.equal((await closing).wasClean, true);
  });
});

describe("row 23, RFC 6455 7.4.1", LIMIT, () => {
  it("no code that must not be on the wire, nor a reason that is too long, can be given to close", async () => {
    await using server = await listen(ANY_PORT, { clock: new ManualClock() }, echo);
    await using peer = await upgraded(portOf(server));
    const [connection] = server.connections;
    for (const code of [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, 65_536, 1000.5, Number.NaN]) {
      await assert.rejects(connection?.close(code) as Promise<unknown>, /Cannot close with code/, String(code));
    }
    await assert.rejects(connection?.close(1000, "é".repeat(62)) as Promise<unknown>, RangeError);
    assert.equal(connection?.state, "OPEN");
    void connection?.close(4999, "é".repeat(61));
    await peer.until(({ text }) => text.endsWith(encode(close(4999, "é".repeat(61)), undefined).toString("latin1")));
  });
});

/** Opcode and key of each small masked frame behind an upgrade request. */
function keysIn(sent: Buffer): { readonly opcode: number; readonly key: number }[] {
  const keys: { opcode: number; key: number }[] = [];
  for (let at = sent.indexOf("\r\n\r\n") + 4; at + 6 <= sent.length; at += 6 + (sent.readUInt8(at + 1) & 127)) {
    assert.ok(sent.readUInt8(at + 1) >= 128, "each frame is masked");
    keys.push({ opcode: sent.readUInt8(at) & 15, key: sent.readUInt32BE(at + 2) });
  }
  return keys;
}

describe("row 24, RFC 6455 5.3 and 10.3", LIMIT, () => {
  it("a client masks each frame, control frames too, with a fresh key that cannot be foretold", async () => {
    const PINGS = 16;
    const TEXTS = 1_000;
    await using server = await rawServer(async (peer) => {
      await peer.head();
      peer.write(switchingTo(peer.text));
      for (let round = 0; round < PINGS; round += 1) peer.write(encode(ping("same"), undefined));
    });
    const connection = await connect(`ws://127.0.0.1:${server.port}`, { clock: new ManualClock() });
    for (let round = 0; round < TEXTS; round += 1) await connection.send("same");
    void connection.close();
    const [peer] = server.peers;
    await peer?.until(({ bytes }) => keysIn(bytes).some(({ opcode }) => opcode === 8));
    const keys = keysIn(peer?.bytes ?? Buffer.alloc(0)).map(({ key }) => key);
    assert.equal(keys.length, PINGS + TEXTS + 1);
    // Two keys are equal by chance once in ten thousand runs.
    assert.ok(new Set(keys).size >= keys.length - 1);
    // Each bit is set in half of them. Six standard deviations occur by chance once in ten million runs.
    for (let bit = 0; bit < 32; bit += 1) {
      const set = keys.filter((key) => (key >>> bit) % 2 === 1).length;
      assert.ok(Math.abs(set - keys.length / 2) < 100, `bit ${bit} is set in ${set} of ${keys.length} keys`);
    }
  });
});
