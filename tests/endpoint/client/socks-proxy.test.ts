/** Connections through a SOCKS5 proxy of this test: what it gets, and what its answers lead to. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, listen, proxyFromEnvironment, socksProxy, TimeoutError } from "../../../src/index.ts";
import { failure } from "../../kit/handshake-failure.ts";
import { openSockets, socketsDownTo } from "../../kit/kernel-sockets.ts";
import { type RawPeer, rawServer } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const OK = "\u0005\u0000\u0000\u0001\u0000\u0000\u0000\u0000\u0000\u0000";
const latin = (text: string): Buffer => Buffer.from(text, "latin1");

/** A proxy that answers the greeting and the request with these texts, and writes what follows. */
function proxied(...answers: readonly string[]): ReturnType<typeof rawServer> {
  return rawServer(async (peer: RawPeer) => {
    for (const answer of answers) {
      const before = peer.bytes.length;
      await peer.until(({ bytes }) => bytes.length > 0 && bytes.length >= before);
      peer.take();
      peer.write(latin(answer));
    }
  });
}

describe("a SOCKS5 proxy", LIMIT, () => {
  it("loses no bytes of the server that follow its answer", async () => {
    await using proxy = await proxied("\u0005\u0000", `${OK}first\nsecond\n`);
    const dial = socksProxy(`socks5://127.0.0.1:${proxy.port}`);
    await using connection = await connect("tcp://a.example:9", { dial, framing: "lines" });
    assert.deepEqual([await connection.receive(), await connection.receive()], ["first", "second"]);
  });

  it("refuses in words, in phase proxy, and leaves nothing open", async () => {
    const before = openSockets();
    const refusals: [answers: readonly string[], said: RegExp][] = [
      [["\u0005\u00ff"], /the SOCKS proxy did not connect: it requires credentials/],
      [["\u0005\u0000", "\u0005\u0005"], /the server refused the connection \(reply 5\)/],
      [["HTTP/1.1 400 Bad Request\r\n\r\n"], /it does not speak SOCKS5/],
      [["\u0005\u0000", "\u0005\u0000\u0000\u0009"], /unknown kind 9/],
    ];
    for (const [answers, said] of refusals) {
      await using proxy = await proxied(...answers);
      const dial = socksProxy(`socks5://127.0.0.1:${proxy.port}`);
      const error = await failure(connect("ws://a.example", { dial }));
      assert.equal(error.phase, "proxy");
      assert.match(error.message, said);
    }
    await socketsDownTo(before);
  });

  it("may close at any place of its answers, which is a failure and no wait", async () => {
    const all = `\u0005\u0000${OK}`;
    for (let end = 0; end < all.length; end += 1) {
      await using proxy = await rawServer(async (peer: RawPeer) => {
        await peer.until(({ bytes }) => bytes.length > 0);
        peer.write(latin(all.slice(0, Math.min(end, 2))));
        if (end > 2) {
          await peer.until(({ bytes }) => bytes.length > 3);
          peer.write(latin(all.slice(2, end)));
        }
        peer.socket.end();
      });
      const dial = socksProxy(`socks5://127.0.0.1:${proxy.port}`);
      const error = await failure(connect("tcp://a.example:9", { dial, framing: "lines" }));
      assert.match(error.message, /it closed the connection during the handshake/, String(end));
    }
  });

  it("has openTimeout for all of it, also if its answers come byte by byte and never end", async () => {
    const before = openSockets();
    await using proxy = await rawServer(async (peer: RawPeer) => {
      await peer.until(({ bytes }) => bytes.length > 0);
      peer.write(latin("\u0005"));
    });
    const dial = socksProxy(`socks5://127.0.0.1:${proxy.port}`);
    const attempt = connect("ws://a.example", { dial, openTimeout: 50 });
    await assert.rejects(attempt, (error) => error instanceof TimeoutError && error.operation === "connect:proxy");
    await proxy[Symbol.asyncDispose]();
    await socketsDownTo(before);
  });

  it("is not asked for what it cannot reach", async () => {
    const dial = socksProxy("socks5://127.0.0.1:1");
    for (const [url, said] of [
      ["ws+unix:///run/app.sock", /Cannot reach a unix socket/],
      [`ws://${"a".repeat(256)}`, /a name of 256 bytes/],
    ] as const) {
      assert.match((await failure(connect(url, { dial }))).message, said);
    }
  });

  it("is chosen by the environment, too", async () => {
    await using proxy = await proxied("\u0005\u00ff");
    const dial = proxyFromEnvironment({ ALL_PROXY: `SOCKS5h://127.0.0.1:${proxy.port}` });
    for (const url of ["ws://a.example", "tcp://a.example:9"])
      assert.match((await failure(connect(url, { dial }))).message, /the SOCKS proxy did not connect/);
    await using server = await listen("ws://127.0.0.1:0", { message: () => undefined });
    await using _direct = await connect(server.url, { dial });
  });

  it("has a socks5: URL; the error does not show a password", () => {
    const long = "x".repeat(256);
    for (const url of [
      ...[
        "",
        "proxy:1080",
        "http://proxy",
        "socks4://proxy",
        "socks5://",
        "socks5://a:secret@proxy/path",
        "socks5://proxy?a",
      ],
      ...[
        "socks5://a:%secret@proxy",
        "socks5://secret@proxy",
        "socks5://:secret@proxy",
        `socks5://a:secret${long}@proxy`,
      ],
      ...[5, null],
    ]) {
      assert.throws(
        () => socksProxy(url as string),
        (error: Error) =>
          error.name === "TypeError" && /^Cannot use proxy/.test(error.message) && !/secret/.test(error.message),
        String(url),
      );
    }
  });
});
