/** Tests that the error of a refused upgrade has the beginning of the response's body, however the body is sent. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import { type AddressInfo, connect as dial } from "node:net";
import { describe, it } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { connect, HandshakeError, listen, TransportError } from "../../../src/index.ts";
import { ManualClock, settled } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { failure } from "../../kit/handshake-failure.ts";
import { openSockets, socketsDownTo } from "../../kit/kernel-sockets.ts";
import { type RawPeer, type RawServer, rawServer } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };

/** Answers each request with `answer`. */
function answering(answer: string | Uint8Array, then: (peer: RawPeer) => void = () => undefined): Promise<RawServer> {
  return rawServer(async (peer) => {
    await peer.head();
    peer.write(answer);
    then(peer);
  });
}

/** Waits until the other side has closed or reset the connection. */
async function left(peer: RawPeer | undefined): Promise<void> {
  while (peer?.gone === false && !peer.ended) await peer.change();
}

const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

describe("the body of a refusal", LIMIT, () => {
  const whole: Record<string, { answer: string | Buffer; body: string; ends?: boolean }> = {
    "with a length": { answer: "HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno access", body: "no access" },
    "in chunks": {
      answer: `HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("too ")}${chunk("many")}0\r\n\r\n`,
      body: "too many",
    },
    "up to the FIN": { answer: "HTTP/1.1 502 No\r\n\r\nbad gateway", body: "bad gateway", ends: true },
    "of no bytes": { answer: "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", body: "" },
    "that a status has not": { answer: "HTTP/1.1 204 No\r\n\r\n", body: "" },
    "of 1,024 bytes": {
      answer: `HTTP/1.1 500 No\r\nContent-Length: 1024\r\n\r\n${"x".repeat(1_024)}`,
      body: "x".repeat(1_024),
    },
    "with invalid UTF-8": {
      answer: Buffer.from("HTTP/1.1 400 No\r\nContent-Length: 5\r\n\r\na\xffb\xe2\x82", "latin1"),
      body: "a\uFFFDb\uFFFD",
    },
    "with other characters": {
      answer: Buffer.from("HTTP/1.1 400 No\r\nContent-Length: 9\r\n\r\nnein: ß€"),
      body: "nein: ß\uFFFD",
    },
  };
  for (const [what, { answer, body, ends = false }] of Object.entries(whole)) {
    it(`is in the error: ${what}`, async () => {
      const before = openSockets();
      await using server = await answering(answer, ({ socket }) => void (ends && socket.end()));
      const error = await failure(connect(`ws://127.0.0.1:${server.port}`));
      assert.equal(error.body, body);
      assert.equal(error.bodyTruncated, false);
      assert.match(error.message, /^Cannot connect: the server answered \d{3} \(in phase upgrade\)$/);
      await server[Symbol.asyncDispose]();
      await socketsDownTo(before);
    });
  }

  it("is in the error when it arrives one byte at a time, long after the head", async () => {
    await using server = await rawServer(async (peer) => {
      await peer.head();
      const answer = `HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("not ")}${chunk("today")}0\r\n\r\n`;
      for (const byte of Buffer.from(answer)) {
        peer.write(Uint8Array.of(byte));
        await settled();
      }
    });
    const { body, bodyTruncated } = await failure(connect(`ws://127.0.0.1:${server.port}`));
    assert.deepEqual([body, bodyTruncated], ["not today", false]);
  });

  const endless: Record<string, string> = {
    "a longer one with a length": `HTTP/1.1 403 No\r\nContent-Length: 1000000\r\n\r\n${"é".repeat(40_000)}`,
    "one without an end": `HTTP/1.1 200 OK\r\n\r\n${"é".repeat(40_000)}`,
    "chunks without an end": `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk("é".repeat(40_000))}`,
  };
  for (const [what, answer] of Object.entries(endless)) {
    it(`is cut after 1,024 bytes, and the socket is closed: ${what}`, async () => {
      const before = openSockets();
      await using server = await answering(Buffer.from(answer));
      const error = await failure(connect(`ws://127.0.0.1:${server.port}`));
      assert.equal(error.body, "é".repeat(512));
      assert.equal(error.bodyTruncated, true);
      await left(server.peers[0]);
      await server[Symbol.asyncDispose]();
      await socketsDownTo(before);
    });
  }

  it("is cut where the connection ends before it", async () => {
    for (const end of [({ socket }: RawPeer) => socket.end(), ({ socket }: RawPeer) => socket.resetAndDestroy()]) {
      await using server = await rawServer(async (peer) => {
        await peer.head();
        peer.socket.write("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno", () => setImmediate(end, peer));
      });
      const error = await failure(connect(`ws://127.0.0.1:${server.port}`));
      if (error.status === undefined) continue; // The reset overtook the response.
      assert.deepEqual([error.status, error.bodyTruncated], [403, true]);
      assert.match(error.body, /^(no)?$/);
    }
  });

  it("ends at openTimeout with the bytes until then, and the socket is closed", async () => {
    const before = openSockets();
    const clock = new ManualClock();
    await using server = await answering("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno");
    const attempt = failure(connect(`ws://127.0.0.1:${server.port}`, { clock, openTimeout: 5_000 }));
    while (server.peers[0]?.text.includes("\r\n\r\n") !== true) await settled();
    for (let turn = 0; turn < 20; turn += 1) await settled();
    await clock.advance(5_000);
    const error = await attempt;
    assert.deepEqual([error.status, error.body, error.bodyTruncated], [403, "no", true]);
    await left(server.peers[0]);
    await server[Symbol.asyncDispose]();
    await socketsDownTo(before);
  });

  it("does not delay the next WebSocket to the same address, nor an abort", async () => {
    const clock = new ManualClock();
    await using server = await answering("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno");
    const url = `ws://127.0.0.1:${server.port}`;
    const first = new AbortController();
    const attempts = [first, new AbortController()].map(({ signal }) => connect(url, { clock, signal }));
    const outcomes = attempts.map((attempt) => attempt.catch((error: unknown) => error));
    while (server.peers[1]?.text.includes("\r\n\r\n") !== true) await settled();
    first.abort("enough");
    assert.equal(await outcomes[0], "enough");
    await clock.advance(10_000);
    assert.ok((await outcomes[1]) instanceof HandshakeError);
  });

  it("comes from node:http as from a server of this library", async () => {
    const refuse = createServer((_, response: ServerResponse) => response.writeHead(403).end("use /live"));
    refuse.on("upgrade", (_request, socket) => socket.end("HTTP/1.1 404 No\r\nConnection: close\r\n\r\nno such room"));
    refuse.listen(0, "127.0.0.1");
    await once(refuse, "listening");
    const { port } = refuse.address() as AddressInfo;
    assert.equal((await failure(connect(`ws://127.0.0.1:${port}`))).body, "no such room");
    refuse.close();
    const authorize = (): Response => Response.json({ error: "token expired" }, { status: 401 });
    await using server = await listen("ws://127.0.0.1:0", { authorize, message() {} });
    assert.equal((await failure(connect(server.url))).body, '{"error":"token expired"}');
  });
});

describe("the message of a failed opening", LIMIT, () => {
  it("says that the server does not speak TLS, whatever it sends instead", async () => {
    for (const greeting of [
      "HTTP/1.1 400 No\r\n\r\n",
      "SSH-2.0-OpenSSH_9.2\r\n",
      "220 mail ESMTP\r\n",
      "\0".repeat(50),
    ]) {
      for (const scheme of ["wss", "tls"]) {
        await using server = await rawServer((peer) => peer.write(greeting));
        const error = await failure(connect(`${scheme}://127.0.0.1:${server.port}`));
        assert.equal(error.message, "Cannot connect: the server does not speak TLS here (in phase tls)");
        const { cause } = error;
        assert.ok(cause instanceof TransportError);
        assert.ok(cause.cause instanceof Error);
        assert.equal(cause.errno, (cause.cause as NodeJS.ErrnoException).code);
      }
    }
  });

  it("says that the server speaks TLS, if it answers a plain request with an alert", async () => {
    await using server = await rawServer(async (peer) => {
      await peer.head();
      peer.socket.end(Uint8Array.of(0x15, 3, 1, 0, 2, 2, 70));
    });
    const error = await failure(connect(`ws://127.0.0.1:${server.port}`));
    assert.equal(error.message, "Cannot connect: the server speaks TLS here; use wss: (in phase upgrade)");
  });

  it("names wss: if a server closes the connection of a plain request, as those of OpenSSL do", async () => {
    const server = createTlsServer(LOCALHOST).on("tlsClientError", () => undefined);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const error = await failure(connect(`ws://127.0.0.1:${port}`));
    assert.equal(
      error.message,
      "Cannot connect: the server closed the connection without a complete answer; if it expects TLS, use wss: (in phase upgrade)",
    );
    server.close();
  });

  it("says that the answer is not HTTP/1.1, or that the server ended without one", async () => {
    const answers: [(peer: RawPeer) => void, RegExp][] = [
      [
        (peer) => peer.write(Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0)),
        /the server's answer is not valid HTTP\/1\.1 \(/,
      ],
      [(peer) => peer.write(`HTTP/1.1 101 x\r\nX: ${"x".repeat(20_480)}\r\n\r\n`), /answer is too large/],
      [({ socket }) => socket.end(), /the server closed the connection without a complete answer/],
    ];
    for (const [answer, message] of answers) {
      await using server = await rawServer(async (peer) => {
        await peer.head();
        answer(peer);
      });
      assert.match((await failure(connect(`ws://127.0.0.1:${server.port}`))).message, message);
    }
  });

  it("of a server that ends during the TLS handshake says so", async () => {
    for (const end of ["end", "resetAndDestroy"] as const) {
      await using server = await rawServer(({ socket }) => void socket.once("data", () => socket[end]()));
      const error = await failure(connect(`wss://127.0.0.1:${server.port}`));
      assert.equal(
        error.message,
        "Cannot connect: the server ended the connection during the TLS handshake (in phase tls)",
      );
    }
  });

  it("says in the event of a server what a client sent instead of TLS", async () => {
    const details: string[] = [];
    const observe = (event: { readonly type: string; readonly detail?: string }): void => {
      if (event.type === "refused") details.push(event.detail ?? "");
    };
    await using server = await listen("wss://127.0.0.1:0", { tls: LOCALHOST, observe, message() {} });
    const { port } = new URL(server.url);
    for (const bytes of ["GET / HTTP/1.1\r\n\r\n", "SSH-2.0-x\r\n"]) {
      const socket = dial(Number(port), "127.0.0.1").on("error", () => undefined);
      socket.write(bytes);
      await once(socket, "close");
    }
    assert.deepEqual(details, Array(2).fill("the client does not speak TLS here"));
    await failure(connect(server.url, { tls: { ca: LOCALHOST.cert, minVersion: "TLSv1.1", maxVersion: "TLSv1.1" } }));
    while (details.length < 3) await settled();
    // The words of OpenSSL, which differ between its versions.
    assert.match(details[2] ?? "", /^TLS failed: (unsupported protocol|unexpected message)$/);
  });
});
