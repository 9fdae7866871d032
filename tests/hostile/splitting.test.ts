/** Line breaks and NUL where a header is written: refused before anything is opened, or escaped. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import { attach, connect, listen, type UpgradeOptions } from "../../src/index.ts";
import { answerOf, portOf, RawPeer, rawServer, upgradeRequest } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const BREAKS = ["\r\n", "\n", "\r", "\0", "\r\n\r\n", "\u2028", "\u0100", "\x7f", "\x0b"];
const injected = BREAKS.map((character) => `value${character}X-Injected: 1`);

/** Options that would write `text` into a head. */
const WRITTEN: Readonly<Record<string, (text: string) => Pick<UpgradeOptions, "headers" | "subprotocols">>> = {
  "a header's value": (text) => ({ headers: { "X-Name": text } }),
  "one of a header's values": (text) => ({ headers: { "X-Name": ["good", text] } }),
  "a header's name": (text) => ({ headers: { [text]: "value" } }),
  "a subprotocol": (text) => ({ subprotocols: ["good", text] }),
};

describe("a line break or a control character", LIMIT, () => {
  for (const [what, optionsOf] of Object.entries(WRITTEN)) {
    it(`in ${what} is a TypeError of connect before it connects`, async () => {
      await using server = await rawServer(() => undefined);
      for (const text of injected) {
        await assert.rejects(connect(`ws://127.0.0.1:${server.port}`, optionsOf(text)), TypeError);
      }
      assert.equal(server.peers.length, 0);
    });

    it(`in ${what} is a TypeError of listen and attach before any request`, async () => {
      const http = createServer();
      for (const text of injected) {
        await assert.rejects(
          listen("ws://127.0.0.1:0", optionsOf(text), () => undefined),
          TypeError,
        );
        assert.throws(() => attach(http, optionsOf(text), () => undefined), TypeError);
      }
      assert.equal(http.listenerCount("upgrade"), 0);
    });
  }

  it("in the origin is a TypeError of connect before it connects", async () => {
    await using server = await rawServer(() => undefined);
    for (const origin of injected) {
      await assert.rejects(connect(`ws://127.0.0.1:${server.port}`, { origin }), TypeError);
    }
    assert.equal(server.peers.length, 0);
  });

  it("in a header that the handshake writes itself is a TypeError, and so is any such header", async () => {
    const owned = ["Host", "UPGRADE", "connection", "Sec-WebSocket-Key", "sec-websocket-anything", "Content-Length"];
    for (const name of owned) {
      const headers = { [name]: "value" };
      await assert.rejects(connect("ws://127.0.0.1:9", { headers }), TypeError);
      await assert.rejects(
        listen("ws://127.0.0.1:0", { headers }, () => undefined),
        TypeError,
      );
    }
  });

  it("in an address is removed or escaped as in every URL, or is a TypeError: it adds no line to the request", async () => {
    await using server = await rawServer(async (peer) => {
      await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
      peer.socket.end();
    });
    const at = `127.0.0.1:${server.port}`;
    for (const character of BREAKS) {
      const text = `a${character}X-Injected: 1`;
      for (const url of [`ws://${at}/${text}`, `ws://${at}/?${text}`, `ws://${at}${text}/`, `ws://${text}@${at}/`]) {
        await assert.rejects(connect(url, { openTimeout: 5_000 }), /Cannot (connect|use address)/);
      }
    }
    assert.ok(server.peers.length > 0);
    for (const peer of server.peers) {
      const [line, ...fields] = peer.text.split("\r\n\r\n")[0]!.split("\r\n");
      assert.match(line!, /^GET \/[\x21-\x7e]* HTTP\/1\.1$/);
      assert.deepEqual(
        fields.map((field) => field.split(":")[0]),
        ["Host", "Upgrade", "Connection", ...["Key", "Version", "Extensions"].map((name) => `Sec-WebSocket-${name}`)],
      );
      assert.match(fields[0]!, new RegExp(`^Host: ${at}$`));
    }
  });

  it("in the path of a Unix socket's request is escaped, too, and in the path of the socket is no crash", async () => {
    for (const character of BREAKS) {
      await assert.rejects(connect(`ws+unix:///nowhere/a${character}b:/path`), /Cannot (connect|use address)/);
      await assert.rejects(connect(`ws+unix:///nowhere/socket:/a${character}b`), /Cannot (connect|use address)/);
      await assert.rejects(listen(`ws+unix:///nowhere/a${character}b`, () => undefined));
    }
  });
});

describe("the content of a client's request", LIMIT, () => {
  it("is not in the response, except the subprotocol that was chosen", async () => {
    await using server = await listen(
      "ws://127.0.0.1:0",
      { subprotocols: ["chat"] },
      async ({ closed }) => void (await closed),
    );
    const secrets = {
      "Sec-WebSocket-Protocol": "mirror, chat",
      "Sec-WebSocket-Extensions": "mirror; a=mirror",
      "X-Name": "mirror",
      Cookie: "mirror",
      "User-Agent": "mirror",
    };
    for (const [target, key] of [
      ["/mirror?mirror", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["/mirror\x01", "dGhlIHNhbXBsZSBub25jZQ=="],
      ["/mirror", "mirror"],
    ]) {
      await using peer = await RawPeer.to(portOf(server));
      peer.write(upgradeRequest(target, { ...secrets, "Sec-WebSocket-Key": key }));
      await peer.head();
      assert.ok(!peer.text.includes("mirror"), peer.text);
      const { status, headers } = answerOf(peer.text);
      assert.equal(headers["sec-websocket-protocol"], status === 101 ? "chat" : undefined);
    }
  });
});
