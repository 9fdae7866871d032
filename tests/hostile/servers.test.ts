/** Servers that misbehave during the opening: each ends `connect` in time with a typed error, and no descriptor is left. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ConnectOptions, connect, isConnectionError } from "../../src/index.ts";
import { peerFrame } from "../kit/frames.ts";
import { openSockets } from "../kit/kernel-sockets.ts";
import { type RawPeer, rawServer, switchingTo } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };

type Changes = Parameters<typeof switchingTo>[1];
type Answer = (peer: RawPeer, request: string) => void;

/** Answers with a head, and with the bytes after it. */
const says =
  (text: string): Answer =>
  (peer) =>
    peer.write(text);
/** Answers with a 101 that is changed. */
const switches =
  (changes: Changes): Answer =>
  (peer, request) =>
    peer.write(switchingTo(request, changes));
/** Answers, and ends the connection. */
const andGoes =
  (answer: Answer): Answer =>
  (peer, request) => {
    answer(peer, request);
    peer.socket.end();
  };

/** Sends it repeatedly, as fast as it is accepted. */
function repeats(first: string, again: string): Answer {
  return (peer) => {
    const chunk = again.repeat(Math.ceil(16_384 / again.length));
    const more = (): void => {
      if (!peer.socket.destroyed) peer.socket.write(chunk, "latin1", more);
    };
    peer.socket.write(first, "latin1", more);
  };
}

/** Sends it byte by byte, and then `again` byte by byte, without end. */
function trickles(first: string, again: string): Answer {
  return (peer) => {
    let at = 0;
    const timer = setInterval(() => {
      peer.socket.write(
        at < first.length ? first.charAt(at) : again.charAt((at - first.length) % again.length),
        "latin1",
      );
      at += 1;
    }, 5);
    peer.socket.once("close", () => clearInterval(timer));
  };
}

const refusal = (status: number, fields = "", body = ""): string =>
  `HTTP/1.1 ${status} Refused\r\n${fields}\r\n${body}`;

/** The behaviour of a server, and the facts of the expected error. */
const REFUSALS: Readonly<Record<string, readonly [answer: Answer, facts: Readonly<Record<string, unknown>>]>> = {
  // Servers that send nothing, or not enough.
  silence: [() => undefined, { name: "TimeoutError" }],
  "half a head": [says("HTTP/1.1 101 Switching Pro"), { name: "TimeoutError" }],
  "a head without its end": [
    (peer, request) => peer.write(switchingTo(request).slice(0, -2)),
    { name: "TimeoutError" },
  ],
  "a head that comes a byte at a time": [trickles(refusal(101, "X: "), "x"), { name: "TimeoutError" }],
  "100 Continue for ever": [repeats("", "HTTP/1.1 100 Continue\r\n\r\n"), { name: "TimeoutError" }],
  "103 Early Hints for ever": [repeats("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), { name: "TimeoutError" }],
  "empty lines for ever": [trickles("", "\r\n"), { name: "TimeoutError" }],
  "a FIN": [andGoes(() => undefined), { name: "HandshakeError" }],
  "half a head and a FIN": [andGoes(says("HTTP/1.1 101 Swit")), { name: "HandshakeError" }],
  "a reset": [(peer) => void peer.socket.resetAndDestroy(), { name: "HandshakeError" }],
  // Servers that send too much.
  "a field without end": [repeats("HTTP/1.1 101 Switching Protocols\r\nX: ", "x"), { name: "HandshakeError" }],
  "fields without end": [repeats("HTTP/1.1 101 Switching Protocols\r\n", "X: 1\r\n"), { name: "HandshakeError" }],
  "a reason without end": [repeats("HTTP/1.1 101 ", "x"), { name: "HandshakeError" }],
  "a body without end": [repeats(refusal(200), "x"), { name: "HandshakeError", status: 200 }],
  "chunks without end": [
    repeats(refusal(200, "Transfer-Encoding: chunked\r\n"), "1\r\nx\r\n"),
    { name: "HandshakeError", status: 200 },
  ],
  // Servers of another protocol.
  "another protocol": [says("SSH-2.0-OpenSSH_9.9\r\n"), { name: "HandshakeError" }],
  TLS: [says("\x15\x03\x03\x00\x02\x02\x28"), { name: "HandshakeError" }],
  zeros: [says("\0".repeat(1_000)), { name: "HandshakeError" }],
  "HTTP/2": [says("\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64"), { name: "HandshakeError" }],
  "a frame before its answer": [
    (peer, request) => peer.write(`\x81\x02hi${switchingTo(request)}`),
    { name: "HandshakeError" },
  ],
  "a bare carriage return in a field": [switches({ "X-Name": "1\rX-More: 2" }), { name: "HandshakeError" }],
  "a NUL in a field": [switches({ "X-Name": "\0" }), { name: "HandshakeError" }],
  "a field without a colon": [
    (peer, request) => peer.write(switchingTo(request).replace("\r\n\r\n", "\r\nX\r\n\r\n")),
    { name: "HandshakeError" },
  ],
  // Servers that switch to something else: RFC 6455 section 4.1.
  "a wrong accept": [
    switches({ "Sec-WebSocket-Accept": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" }),
    { name: "HandshakeError", status: 101 },
  ],
  "no accept": [switches({ "Sec-WebSocket-Accept": undefined }), { name: "HandshakeError", status: 101 }],
  "an empty accept": [switches({ "Sec-WebSocket-Accept": "" }), { name: "HandshakeError", status: 101 }],
  "two accepts": [
    (peer, request) => peer.write(switchingTo(request).replace(/(Sec-WebSocket-Accept: .*\r\n)/, "$1$1")),
    { name: "HandshakeError", status: 101 },
  ],
  "an accept in another case": [
    (peer, request) => peer.write(switchingTo(request).replace(/(?<=Accept: ).*/, (key) => key.toLowerCase())),
    { name: "HandshakeError", status: 101 },
  ],
  "no Upgrade": [switches({ Upgrade: undefined }), { name: "HandshakeError", status: 101 }],
  "another Upgrade": [switches({ Upgrade: "h2c" }), { name: "HandshakeError", status: 101 }],
  "two Upgrades": [switches({ Upgrade: "websocket, h2c" }), { name: "HandshakeError", status: 101 }],
  "no Connection": [switches({ Connection: undefined }), { name: "HandshakeError", status: 101 }],
  "another Connection": [switches({ Connection: "close" }), { name: "HandshakeError", status: 101 }],
  "a subprotocol that was not offered": [
    switches({ "Sec-WebSocket-Protocol": "other" }),
    { name: "HandshakeError", status: 101 },
  ],
  "a subprotocol in another case": [
    switches({ "Sec-WebSocket-Protocol": "OFFERED" }),
    { name: "HandshakeError", status: 101 },
  ],
  "two subprotocols": [
    switches({ "Sec-WebSocket-Protocol": ["offered", "offered"] }),
    { name: "HandshakeError", status: 101 },
  ],
  "a list of subprotocols": [
    switches({ "Sec-WebSocket-Protocol": "offered, too" }),
    { name: "HandshakeError", status: 101 },
  ],
  "an empty subprotocol": [switches({ "Sec-WebSocket-Protocol": "" }), { name: "HandshakeError", status: 101 }],
  "an extension that was not offered": [
    switches({ "Sec-WebSocket-Extensions": "x-webkit-deflate-frame" }),
    { name: "HandshakeError", status: 101 },
  ],
  "an extension with bad window bits": [
    switches({ "Sec-WebSocket-Extensions": "permessage-deflate; server_max_window_bits=99" }),
    { name: "HandshakeError", status: 101 },
  ],
  "a malformed extension": [
    switches({ "Sec-WebSocket-Extensions": 'x; a="' }),
    { name: "HandshakeError", status: 101 },
  ],
  "two extensions": [switches({ "Sec-WebSocket-Extensions": ["a", "b"] }), { name: "HandshakeError", status: 101 }],
  "15 KB of extensions": [
    switches({ "Sec-WebSocket-Extensions": "a;".repeat(7_500) }),
    { name: "HandshakeError", status: 101 },
  ],
  // Servers that refuse.
  ...Object.fromEntries(
    [200, 204, 301, 302, 307, 308, 400, 401, 403, 404, 407, 426, 429, 500, 503, 599].map((status) => [
      `status ${status}`,
      [says(refusal(status, "Content-Length: 0\r\n")), { name: "HandshakeError", status }] as const,
    ]),
  ),
  "a body that does not come": [
    says(refusal(403, "Content-Length: 1000000\r\n", "x")),
    { name: "HandshakeError", status: 403 },
  ],
  "a length that is none": [says(refusal(403, "Content-Length: x\r\n")), { name: "HandshakeError" }],
  "status 999": [says(refusal(999)), { name: "HandshakeError" }],
  "status 99": [says(refusal(99)), { name: "HandshakeError" }],
};

/** Connects to a server that answers like that. Closes everything that was opened. */
async function provoked(
  answer: Answer,
  options: ConnectOptions,
  use: (outcome: Promise<unknown>, peers: readonly RawPeer[]) => Promise<void>,
): Promise<void> {
  const sockets = openSockets();
  const server = await rawServer(async (peer) => {
    await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
    answer(peer, peer.text);
  });
  try {
    await use(connect(`ws://127.0.0.1:${server.port}/path`, options), server.peers);
    // The sockets of the server have ended, so the client has closed all of its own.
    for (const { socket } of server.peers) socket.end();
    await Promise.all(server.peers.map(({ closed }) => closed));
  } finally {
    await server[Symbol.asyncDispose]();
  }
  assert.equal(openSockets(), sockets);
}

describe("a server that answers a client with", LIMIT, () => {
  for (const [what, [answer, facts]] of Object.entries(REFUSALS)) {
    it(`${what} rejects with a ${String(facts["name"])}`, async () => {
      // Short only where it must expire. Otherwise long enough to reach the request.
      const openTimeout = facts["name"] === "TimeoutError" ? 1_000 : 10_000;
      const options = { openTimeout, subprotocols: ["offered", "too"] };
      await provoked(answer, options, async (outcome, peers) => {
        await assert.rejects(outcome, (error) => {
          assert.ok(isConnectionError(error), String(error));
          const told = error as unknown as Readonly<Record<string, unknown>>;
          for (const [name, value] of Object.entries(facts)) assert.equal(told[name], value, String(error));
          if (error.code === "TIMEOUT") assert.equal(error.operation, "connect:upgrade");
          else assert.equal(told["phase"], "upgrade");
          return true;
        });
        // No answer makes a client repeat the request, or send it to another host.
        assert.equal(peers.length, 1);
        assert.equal(peers[0]?.text.split("GET ").length, 2);
      });
    });
  }

  it("a redirect to itself sends no second request", async () => {
    const to = (peer: RawPeer): string => `Location: ws://127.0.0.1:${peer.socket.localPort}/path\r\n`;
    await provoked(
      (peer) => peer.write(refusal(302, to(peer))),
      {},
      async (outcome, peers) => {
        await assert.rejects(outcome, { name: "HandshakeError", status: 302 });
        assert.equal(peers.length, 1);
      },
    );
  });

  for (const status of [301, 302, 303, 307, 308]) {
    it(`a redirect with ${status} to another host is not followed, and no credentials are sent there`, async () => {
      await using elsewhere = await rawServer(() => undefined);
      for (const scheme of ["ws", "http"]) {
        const fields = `Location: ${scheme}://localhost:${elsewhere.port}/\r\nContent-Length: 0\r\n`;
        const headers = { Authorization: "Bearer secret", Cookie: "session=1" };
        await provoked(says(refusal(status, fields)), { headers }, async (outcome) => {
          await assert.rejects(outcome, { name: "HandshakeError", status });
        });
      }
      assert.deepEqual(elsewhere.peers, []);
    });
  }

  it("nothing, because no process listens, is a HandshakeError in phase tcp", async () => {
    const server = await rawServer(() => undefined);
    await server[Symbol.asyncDispose]();
    await assert.rejects(connect(`ws://127.0.0.1:${server.port}`), {
      name: "HandshakeError",
      phase: "tcp",
      status: undefined,
    });
  });
});

/** Unusual heads that are valid. */
const ACCEPTANCES: Readonly<Record<string, Answer>> = {
  "at once": switches({}),
  "behind other answers": (peer, request) =>
    peer.write(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${switchingTo(request)}`),
  "with names and values in other cases": (peer, request) =>
    peer.write(
      switchingTo(request, { Upgrade: "WebSocket", Connection: "keep-alive, UPGRADE" })
        .replace("Sec-WebSocket-Accept", "sec-websocket-ACCEPT")
        .replace("Upgrade:", "uPGRADE:"),
    ),
  "with octets that are no ASCII": switches({ "X-Name": "\x80\xff", Server: "h\xe9" }),
  "with a length": switches({ "Content-Length": "5" }),
  "in chunks": switches({ "Transfer-Encoding": "chunked" }),
  "with an empty list of cookies": switches({ "Set-Cookie": ["", "a=1", "a=2"] }),
};

describe("a frame in the same segment as the response", LIMIT, () => {
  const frames = ["one", "two", "é€😀"].map((payload) => peerFrame({ opcode: 1, payload }));
  for (const [what, accept] of Object.entries(ACCEPTANCES)) {
    it(`is not lost when the client is accepted ${what}`, async () => {
      const answer: Answer = (peer, request) => {
        peer.socket.cork();
        accept(peer, request);
        for (const frame of frames) peer.write(frame);
        peer.write(peerFrame({ opcode: 8, payload: Buffer.of(0x03, 0xe8) }));
        peer.socket.uncork();
      };
      await received(answer, ["one", "two", "é€😀"]);
    });
  }

  it("is not lost when the rest of it arrives later, or is read later", async () => {
    const long = "long ".repeat(40_000);
    const answer: Answer = (peer, request) => {
      const bytes = Buffer.concat([Buffer.from(switchingTo(request)), peerFrame({ opcode: 1, payload: long })]);
      peer.write(bytes.subarray(0, 300));
      setImmediate(() => {
        peer.write(bytes.subarray(300));
        peer.write(peerFrame({ opcode: 8 }));
      });
    };
    await received(answer, [long]);
  });

  it("is not lost when a FIN follows it", async () => {
    const answer: Answer = (peer, request) => {
      peer.socket.cork();
      peer.write(switchingTo(request));
      peer.write(frames[0]!);
      peer.socket.uncork();
      peer.socket.end();
    };
    await provoked(answer, { openTimeout: 5_000 }, async (outcome) => {
      const connection = (await outcome) as Awaited<ReturnType<typeof connect>>;
      assert.equal(await connection.receive(), "one");
      await assert.rejects(connection.receive(), { name: "ClosedError", closeCode: 1006, by: "peer" });
      assert.equal((await connection.closed).wasClean, false);
    });
  });
});

/** Connects, and receives these messages and then the end. */
async function received(answer: Answer, messages: readonly string[]): Promise<void> {
  await provoked(answer, { openTimeout: 5_000, closeTimeout: 300 }, async (outcome) => {
    const connection = (await outcome) as Awaited<ReturnType<typeof connect>>;
    const told: unknown[] = [];
    for await (const message of connection) told.push(message);
    assert.deepEqual(told, messages);
    assert.equal((await connection.closed).wasClean, true);
  });
}
