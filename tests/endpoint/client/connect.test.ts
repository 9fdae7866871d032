/** Tests of the client's side of an upgrade: its request, and the responses that it accepts. */

import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { describe, it } from "node:test";
import {
  type ConnectionEvent,
  connect,
  type ExtraHeaders,
  HandshakeError,
  listen,
  type Message,
} from "../../../src/index.ts";
import { peerFrame } from "../../kit/frames.ts";
import { openSockets, socketsDownTo } from "../../kit/kernel-sockets.ts";
import { type RawPeer, type RawServer, rawServer, switchingTo } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const hello = peerFrame({ opcode: 1, payload: "hello" });

type Changes = Parameters<typeof switchingTo>[1];

/** A server that sends the result of `answer`, calls `then`, and ends the connection at the first frame. */
function answering(
  answer: (request: string) => string | Uint8Array,
  then: (peer: RawPeer) => void = () => undefined,
): Promise<RawServer> {
  return rawServer(async (peer) => {
    const { body } = await peer.head();
    assert.equal(body, "", "nothing may be sent before the answer");
    peer.write(answer(peer.text));
    peer.socket.once("data", () => peer.socket.end());
    then(peer);
  });
}

const agreeing = (changes: Changes = {}): Promise<RawServer> => answering((request) => switchingTo(request, changes));
const urlOf = ({ port }: RawServer, path = ""): string => `ws://127.0.0.1:${port}${path}`;

async function refusal(attempt: Promise<unknown>): Promise<HandshakeError> {
  const error = await attempt.then(
    () => assert.fail("it was to fail"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof HandshakeError, String(error));
  return error;
}

describe("the upgrade request of a client", LIMIT, () => {
  it("has the fields of RFC 6455 4.1 and no other", async () => {
    await using server = await agreeing();
    await using _connection = await connect(urlOf(server, "/a%20b?c=d&e"));
    const lines = (server.peers[0] as RawPeer).text.split("\r\n");
    assert.match(lines[4] ?? "", /^Sec-WebSocket-Key: [A-Za-z0-9+/]{22}==$/);
    assert.deepEqual(lines, [
      "GET /a%20b?c=d&e HTTP/1.1",
      `Host: 127.0.0.1:${server.port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      lines[4],
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, permessage-deflate; client_no_context_takeover; client_max_window_bits",
      "",
      "",
    ]);
  });

  it("offers no compression if the option is false, and several offers in order if the option has them", async () => {
    await using server = await agreeing();
    const offers = async (compression: NonNullable<Parameters<typeof connect>[1]>["compression"]): Promise<string> => {
      await using _connection = await connect(urlOf(server), { compression: compression as boolean });
      return /Extensions: (.*)\r/.exec((server.peers.at(-1) as RawPeer).text)?.[1] ?? "none";
    };
    assert.equal(await offers(false), "none");
    assert.equal(
      await offers(true),
      "permessage-deflate; client_max_window_bits, permessage-deflate; client_no_context_takeover; client_max_window_bits",
    );
    assert.equal(await offers({ fallbacks: [] }), "permessage-deflate; client_max_window_bits");
    const strict = {
      serverContextTakeover: false,
      clientContextTakeover: false,
      serverWindowBits: 10,
      clientWindowBits: 9,
    };
    const mild = { serverContextTakeover: false };
    assert.equal(
      await offers({ ...strict, fallbacks: [mild, {}] }),
      [
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits",
        "permessage-deflate; client_max_window_bits",
      ].join(", "),
    );
  });

  it("has a new key each time", async () => {
    await using server = await agreeing();
    for (let time = 0; time < 3; time += 1) {
      await using _connection = await connect(urlOf(server));
    }
    const keys = server.peers.map(({ text }) => /Key: (.*)\r/.exec(text)?.[1] ?? "");
    assert.equal(new Set(keys).size, 3);
    for (const key of keys) assert.equal(Buffer.from(key, "base64").length, 16);
  });

  it("names the host, with brackets for IPv6", async () => {
    await using server = await agreeing();
    await using _connection = await connect(`ws://localhost:${server.port}`);
    assert.match((server.peers[0] as RawPeer).text, new RegExp(`\r\nHost: localhost:${server.port}\r\n`));
  });

  it("offers subprotocols, and has the origin and the fields of the options", async () => {
    await using server = await agreeing({ "Sec-WebSocket-Protocol": "b" });
    await using connection = await connect(urlOf(server), {
      subprotocols: ["a", "b"],
      origin: "https://app.example",
      headers: { Authorization: "Bearer x", "X-List": ["1", "2"], Cookie: "a=b; c=é" },
    });
    assert.equal(connection.protocol, "b");
    assert.match(
      (server.peers[0] as RawPeer).text,
      /\r\nOrigin: https:\/\/app\.example\r\nSec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Extensions: .*\r\nAuthorization: Bearer x\r\nX-List: 1\r\nX-List: 2\r\nCookie: a=b; c=é\r\n/,
    );
  });

  const misuses: Record<string, object> = {
    "a field with a line break": { headers: { "X-A": "a\r\nX-B: b" } },
    "a field with a line feed": { headers: { "X-A": "a\nb" } },
    "a field with a carriage return": { headers: { "X-A": ["fine", "a\rb"] } },
    "a field with a NUL": { headers: { "X-A": "\0" } },
    "a field that is not text": { headers: { "X-A": 5 } },
    "a field name that is not a token": { headers: { "X-A: b\r\nX-B": "a" } },
    "a field that the handshake sets": { headers: { host: "other.example" } },
    "another field that the handshake sets": { headers: { "sec-websocket-key": "a" } },
    "an origin with a line break": { origin: "http://a\r\nX-B: b" },
    "a subprotocol with a line break": { subprotocols: ["a\r\nX-B: b"] },
    "a subprotocol that is not a token": { subprotocols: ["a b"] },
    "a subprotocol twice": { subprotocols: ["a", "a"] },
    "an empty subprotocol": { subprotocols: [""] },
    "an unknown option": { openTimeot: 5 },
    "an option of servers": { maxConnections: 5 },
  };
  for (const [what, options] of Object.entries(misuses)) {
    it(`is not sent with ${what}: connect rejects with a TypeError before it opens a socket`, async () => {
      await using server = await rawServer(() => assert.fail("no connection was expected"));
      await assert.rejects(connect(urlOf(server), options), TypeError);
    });
  }

  it("is not sent on TCP, so its options are refused there", async () => {
    const options: Record<string, object> = {
      headers: { headers: { Authorization: "x" } },
      origin: { origin: "http://a.example" },
      subprotocols: { subprotocols: ["a"] },
    };
    for (const [name, option] of Object.entries(options)) {
      const message = new RegExp(`Cannot use ${name}`);
      await assert.rejects(connect("tcp://127.0.0.1:9", option), { name: "TypeError", message });
    }
  });

  it("cannot contain line breaks: those of an address are escaped or removed", async () => {
    await using server = await agreeing();
    await using _connection = await connect(urlOf(server, "/a\r\nX-B: b?\r\nX-C: c"));
    assert.match((server.peers[0] as RawPeer).text, /^GET \/aX-B:%20b\?X-C:%20c HTTP\/1\.1\r\nHost/);
  });
});

describe("a response that accepts the upgrade", LIMIT, () => {
  it("opens the connection, with its data", async () => {
    await using server = await agreeing({ Server: "raw", "Set-Cookie": ["a=1", "b=2"] });
    const data = { name: "ann" };
    const url = urlOf(server, "/a?b");
    await using connection = await connect(url, { data });
    assert.equal(connection.data, data);
    assert.equal(connection.url, url);
    assert.equal(connection.protocol, "");
    assert.equal(connection.state, "OPEN");
    assert.equal(connection.kind, "websocket");
    assert.deepEqual([connection.remoteAddress, connection.remotePort], ["127.0.0.1", server.port]);
    assert.equal(connection.secure, false);
  });

  const forms: Record<string, (request: string) => string> = {
    "in other letter case": (request) =>
      switchingTo(request, { Upgrade: "WebSocket", Connection: "keep-alive, upgrade" }),
    "after interim responses": (request) =>
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n${switchingTo(request)}`,
    "with a Content-Length, which has no meaning": (request) => switchingTo(request, { "Content-Length": "0" }),
  };
  for (const [how, answer] of Object.entries(forms)) {
    it(`may arrive ${how}`, async () => {
      await using server = await answering(answer, (peer) => peer.write(hello));
      await using connection = await connect(urlOf(server));
      assert.equal(await connection.receive(), "hello");
    });
  }

  it("may have frames in the same segment, which are not lost", async () => {
    const bye = peerFrame({ opcode: 8, payload: Uint8Array.of(0x0f, 0xa0, 0x62, 0x79, 0x65) });
    const frames = [hello, peerFrame({ opcode: 2, payload: new Uint8Array(70_000) }), hello, bye];
    await using server = await answering((request) => Buffer.concat([Buffer.from(switchingTo(request)), ...frames]));
    await using connection = await connect(urlOf(server));
    const received: Message[] = [];
    const read = async (): Promise<void> => {
      for await (const message of connection) received.push(message);
    };
    await assert.rejects(read(), { code: "CLOSED", closeCode: 4000 });
    assert.deepEqual(received, ["hello", Buffer.alloc(70_000), "hello"].map(asBytes));
    assert.equal((await connection.closed).code, 4000);
  });

  it("may have half a frame in the same segment", async () => {
    await using server = await answering(
      (request) => Buffer.concat([Buffer.from(switchingTo(request)), hello.subarray(0, 3)]),
      (peer) => peer.write(hello.subarray(3)),
    );
    await using connection = await connect(urlOf(server));
    assert.equal(await connection.receive(), "hello");
  });

  it("may arrive one byte at a time", async () => {
    await using server = await rawServer(async (peer) => {
      await peer.head();
      peer.socket.once("data", () => peer.socket.end());
      for (const byte of Buffer.concat([Buffer.from(switchingTo(peer.text)), hello])) {
        peer.write(Uint8Array.of(byte));
        await new Promise(setImmediate);
      }
    });
    await using connection = await connect(urlOf(server));
    assert.equal(await connection.receive(), "hello");
  });
});

function asBytes(data: string | Uint8Array): string | Uint8Array {
  return typeof data === "string" ? data : new Uint8Array(data);
}

describe("a response that does not accept the upgrade", LIMIT, () => {
  const wrong: Record<string, { changes: Changes; problem: RegExp; offered?: readonly string[] }> = {
    "without the accept": { changes: { "Sec-WebSocket-Accept": undefined }, problem: /Sec-WebSocket-Accept/ },
    "with a wrong accept": {
      changes: { "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" },
      problem: /Sec-WebSocket-Accept/,
    },
    "with two accepts": { changes: { "Sec-WebSocket-Accept": ["a", "b"] }, problem: /Sec-WebSocket-Accept/ },
    "with another protocol": { changes: { Upgrade: "h2c" }, problem: /Upgrade is not websocket/ },
    "without Upgrade": { changes: { Upgrade: undefined }, problem: /Upgrade is not websocket/ },
    "without Connection": { changes: { Connection: undefined }, problem: /Connection does not name Upgrade/ },
    "with a Connection that closes": { changes: { Connection: "close" }, problem: /Connection does not name Upgrade/ },
    "with a subprotocol that was not offered": {
      changes: { "Sec-WebSocket-Protocol": "c" },
      offered: ["a", "b"],
      problem: /subprotocol that was not offered/,
    },
    "with a subprotocol where none was offered": {
      changes: { "Sec-WebSocket-Protocol": "a" },
      problem: /subprotocol that was not offered/,
    },
    "with two subprotocols": {
      changes: { "Sec-WebSocket-Protocol": ["a", "b"] },
      offered: ["a", "b"],
      problem: /is repeated/,
    },
    "with a list of subprotocols": {
      changes: { "Sec-WebSocket-Protocol": "a, b" },
      offered: ["a", "b"],
      problem: /not offered/,
    },
    "with an extension that was not offered": {
      changes: { "Sec-WebSocket-Extensions": "x-webkit-deflate-frame" },
      problem: /extension that was not offered/,
    },
    "with a malformed extension": { changes: { "Sec-WebSocket-Extensions": ";;" }, problem: /malformed/ },
  };
  for (const [what, { changes, problem, offered = [] }] of Object.entries(wrong)) {
    it(`fails the connection and closes the socket: ${what}`, async () => {
      await using server = await agreeing(changes);
      const error = await refusal(connect(urlOf(server), { subprotocols: offered }));
      assert.equal(error.phase, "upgrade");
      assert.equal(error.status, 101);
      assert.match(error.message, problem);
      const [peer] = server.peers;
      await peer?.until(({ ended }) => ended);
    });
  }

  const statuses: Record<number, Record<string, string>> = {
    200: { "Content-Type": "text/html" },
    301: { Location: "ws://other.example/" },
    307: { Location: "/elsewhere" },
    401: { "WWW-Authenticate": "Basic" },
    403: {},
    404: {},
    426: { Upgrade: "websocket", "Sec-WebSocket-Version": "8" },
    503: { "Retry-After": "5" },
    599: {},
  };
  for (const [status, fields] of Object.entries(statuses)) {
    it(`gives its status and fields to the error: ${status}`, async () => {
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      await using server = await answering(
        () => `HTTP/1.1 ${status} Whatever\r\n${lines.join("")}Content-Length: 4\r\n\r\nbody`,
      );
      const error = await refusal(connect(urlOf(server)));
      assert.equal(error.phase, "upgrade");
      assert.equal(error.status, Number(status));
      for (const [name, value] of Object.entries(fields)) assert.equal(error.headers[name.toLowerCase()], value);
      assert.match(error.message, new RegExp(status));
      const [peer] = server.peers;
      await peer?.until(({ ended }) => ended);
      // A redirect is not followed: the caller decides which server gets the credentials of the request.
      assert.equal(server.peers.length, 1);
    });
  }

  const ended = {
    "101 without fields": "101 Upgrade",
    "with a length": "200 OK\r\nContent-Length: 4",
    "up to the FIN": "403 No",
  };
  for (const [what, head] of Object.entries(ended)) {
    it(`holds no descriptor when connect rejects, if the server has closed: ${what}`, async () => {
      await using server = await rawServer(async (peer) => {
        await peer.head();
        peer.socket.end(`HTTP/1.1 ${head}\r\n\r\nbody`);
      });
      const before = openSockets();
      for (let count = 0; count < 20; count += 1) {
        await refusal(connect(urlOf(server)));
        for (const { socket } of server.peers) socket.destroy();
        assert.equal(openSockets(), before);
      }
    });
  }

  it("may have any field name, and a list of cookies", async () => {
    await using server = await answering(
      () => "HTTP/1.1 403 No\r\nSet-Cookie: a=1\r\n__proto__: x\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n",
    );
    const { headers, setCookie } = await refusal(connect(urlOf(server)));
    assert.deepEqual({ ...headers }, { ["__proto__"]: "x", "content-length": "0" });
    assert.deepEqual(setCookie, ["a=1", "b=2"]);
  });

  const none: Record<string, (peer: RawPeer) => void> = {
    "not HTTP": (peer) => peer.write("SSH-2.0-OpenSSH_9.2\r\n"),
    "an invalid field": (peer) => peer.write("HTTP/1.1 101 x\r\nUpgrade : websocket\r\n\r\n"),
    "20 KB of fields": (peer) => peer.write(`HTTP/1.1 101 x\r\nX: ${"x".repeat(20_480)}\r\n\r\n`),
    "a FIN at once": (peer) => peer.socket.end(),
    "a FIN in the middle of the head": (peer) => peer.socket.end("HTTP/1.1 101 Swi"),
    "a reset": (peer) => peer.socket.resetAndDestroy(),
  };
  for (const [what, answer] of Object.entries(none)) {
    it(`is invalid HTTP or incomplete: ${what}`, async () => {
      await using server = await rawServer(async (peer) => {
        await peer.head();
        answer(peer);
      });
      const before = openSockets();
      const error = await refusal(connect(urlOf(server)));
      assert.equal(error.phase, "upgrade");
      assert.equal(error.status, undefined);
      assert.ok(error.cause instanceof Error);
      assert.match(error.message, /^Cannot connect: .+ \(in phase upgrade\)$/);
      for (const { socket } of server.peers) socket.destroy();
      await socketsDownTo(before);
    });
  }

  it("is reported to observe", async () => {
    const events: ConnectionEvent[] = [];
    await using server = await agreeing({ "Sec-WebSocket-Accept": "x" });
    await refusal(connect(urlOf(server), { observe: (event) => events.push(event), headers: { "X-A": "a" } }));
    const event = events.find(({ type }) => type === "refused");
    assert.equal(events.filter(({ type }) => type !== "phase").length, 1);
    assert.ok(event?.type === "refused");
    assert.deepEqual([event.direction, event.reason, event.status], ["out", "answer", 101]);
    assert.match(event.detail, /Sec-WebSocket-Accept/);
    assert.equal(event.requestHeaders?.["x-a"], "a");
    assert.equal(event.responseHeaders?.["sec-websocket-accept"], "x");
  });
});

describe("the phases of an attempt", LIMIT, () => {
  const observed = (): { readonly phases: string[]; readonly observe: (event: ConnectionEvent) => void } => {
    const phases: string[] = [];
    return { phases, observe: (event) => void phases.push(event.type === "phase" ? event.phase : event.type) };
  };

  it("are reported to observe, before the opening", async () => {
    const { phases, observe } = observed();
    await using server = await agreeing();
    await using _connection = await connect(urlOf(server).replace("127.0.0.1", "localhost"), { family: 4, observe });
    assert.deepEqual(phases, ["dns", "queue", "tcp", "upgrade", "accepted", "open"]);
  });

  it("are only those that the address needs", async () => {
    const { phases, observe } = observed();
    await using server = await rawServer(() => undefined);
    await using connection = await connect(`tcp://127.0.0.1:${server.port}`, { observe });
    assert.deepEqual(phases, ["tcp", "open"]);
    connection.terminate();
  });

  it("end with the one that failed", async () => {
    const { phases, observe } = observed();
    await using server = await rawServer((peer) => void peer.socket.destroy());
    await refusal(connect(`tls://127.0.0.1:${server.port}`, { observe }));
    assert.deepEqual(phases, ["tcp", "tls"]);
  });
});

describe("an AbortSignal", LIMIT, () => {
  it("does not affect the connection once it is open", async () => {
    await using server = await agreeing();
    const controller = new AbortController();
    await using connection = await connect(urlOf(server), { signal: controller.signal });
    assert.equal(getEventListeners(controller.signal, "abort").length, 0);
    controller.abort();
    await new Promise(setImmediate);
    assert.equal(connection.state, "OPEN");
  });

  it("that is already aborted prevents the connection", async () => {
    await using server = await rawServer(() => assert.fail("no connection was expected"));
    for (const reason of [new Error("enough"), "enough", 0]) {
      const attempt = connect(urlOf(server), { signal: AbortSignal.abort(reason) });
      assert.equal(
        await attempt.then(
          () => undefined,
          (given: unknown) => given,
        ),
        reason,
      );
    }
  });

  it("has no listener after the attempt has failed", async () => {
    const { signal } = new AbortController();
    await using server = await answering(() => "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n");
    await refusal(connect(urlOf(server), { signal }));
    assert.equal(getEventListeners(signal, "abort").length, 0);
  });
});

describe("a client", LIMIT, () => {
  it("is closed in order when its scope is left", async () => {
    const infos: Promise<unknown>[] = [];
    const headers: ExtraHeaders = {};
    await using server = await listen("ws://127.0.0.1:0", { headers, open: ({ closed }) => void infos.push(closed) });
    {
      await using _connection = await connect(server.url);
    }
    assert.deepEqual(await infos[0], { code: 1000, reason: "", by: "peer", wasClean: true, cause: undefined });
  });

  it("survives a server that resets directly after its response", async () => {
    await using server = await answering(switchingTo, ({ socket }) => socket.write("", () => socket.resetAndDestroy()));
    const outcome = await connect(urlOf(server)).catch((error: unknown) => error);
    if (outcome instanceof Error) assert.ok(outcome instanceof HandshakeError);
    else assert.equal((await (outcome as Awaited<ReturnType<typeof connect>>).closed).code, 1006);
  });

  it("can receive from the moment when it is open", async () => {
    let release: () => void = () => undefined;
    await using server = await answering(switchingTo, (peer) => {
      release = () => peer.write(hello);
    });
    await using connection = await connect(urlOf(server));
    const waiting = connection.receive();
    release();
    assert.equal(await waiting, "hello");
    const [peer] = server.peers;
    peer?.socket.destroy();
    await once(connection.signal, "abort");
  });
});
