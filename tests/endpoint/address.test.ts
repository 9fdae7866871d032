/** Tests of addresses: the meaning of each form, and the errors of invalid ones. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { formatAddress, parseAddress } from "../../src/endpoint/address.ts";

const at = (host: string, port: number, path = "/") => ({ host, port, path, socketPath: undefined });
const on = (socketPath: string, path = "/") => ({ host: "localhost", port: 0, path, socketPath });
const WS = { protocol: "websocket", secure: false } as const;
const WSS = { protocol: "websocket", secure: true } as const;
const TCP = { protocol: "tcp", secure: false } as const;
const TLS = { protocol: "tcp", secure: true } as const;

describe("an address", () => {
  const meanings: Record<string, ReturnType<typeof parseAddress>> = {
    "ws://example.org": { ...WS, ...at("example.org", 80) },
    "ws://example.org/": { ...WS, ...at("example.org", 80) },
    "ws://example.org:80": { ...WS, ...at("example.org", 80) },
    "wss://example.org": { ...WSS, ...at("example.org", 443) },
    "wss://example.org:9000/feed?from=1&to=2": { ...WSS, ...at("example.org", 9000, "/feed?from=1&to=2") },
    "ws://example.org?x": { ...WS, ...at("example.org", 80, "/?x") },
    "ws://example.org/a b": { ...WS, ...at("example.org", 80, "/a%20b") },
    "ws://example.org/a\r\nb": { ...WS, ...at("example.org", 80, "/ab") },
    "ws://EXAMPLE.org/Path": { ...WS, ...at("example.org", 80, "/Path") },
    "WS://example.org": { ...WS, ...at("example.org", 80) },
    "ws://bücher.example": { ...WS, ...at("xn--bcher-kva.example", 80) },
    "ws://127.0.0.1:0": { ...WS, ...at("127.0.0.1", 0) },
    "ws://[::1]:9000/a": { ...WS, ...at("::1", 9000, "/a") },
    "ws://:9000/a": { ...WS, ...at("", 9000, "/a") },
    "ws://:0": { ...WS, ...at("", 0) },
    "ws://every.interface:9000": { ...WS, ...at("every.interface", 9000) },
    "tcp://127.0.0.1:9001": { ...TCP, ...at("127.0.0.1", 9001) },
    "tcp://127.0.0.1:80": { ...TCP, ...at("127.0.0.1", 80) },
    "tcp://[fe80::1]:0": { ...TCP, ...at("fe80::1", 0) },
    "tcp://:9001": { ...TCP, ...at("", 9001) },
    "tls://example.org:9001/": { ...TLS, ...at("example.org", 9001) },
    "ws+unix:///run/app.sock": { ...WS, ...on("/run/app.sock") },
    "ws+unix:/run/app.sock": { ...WS, ...on("/run/app.sock") },
    "ws+unix://app.sock:/feed?from=1": { ...WS, ...on("app.sock", "/feed?from=1") },
    "ws+unix:///run/app.sock:/a:b?at=12:00": { ...WS, ...on("/run/app.sock", "/a:b?at=12:00") },
    "ws+unix:///run/app.sock:/a b\r\nc": { ...WS, ...on("/run/app.sock", "/a%20bc") },
    "ws+unix:///run/app.sock://two": { ...WS, ...on("/run/app.sock", "//two") },
    "ws+unix:///run/my%20app.sock:/a%20b": { ...WS, ...on("/run/my app.sock", "/a%20b") },
    "ws+unix:///run/my app.sock": { ...WS, ...on("/run/my app.sock") },
    "tcp+unix:///run/%C3%A9t%c3%a9.sock": { ...TCP, ...on("/run/été.sock") },
    "tcp+unix:///run/100%25%3A%3F%23.sock": { ...TCP, ...on("/run/100%:?#.sock") },
    "wss+unix:///run/app.sock": { ...WSS, ...on("/run/app.sock") },
    "tcp+unix:///run/app.sock": { ...TCP, ...on("/run/app.sock") },
    "tls+unix:///run/app.sock": { ...TLS, ...on("/run/app.sock") },
  };
  for (const [url, meaning] of Object.entries(meanings)) {
    it(`is parsed: ${JSON.stringify(url)}`, () => assert.deepEqual(parseAddress(url), meaning));
  }

  it("may be a URL object", () => {
    assert.deepEqual(parseAddress(new URL("ws://[::1]/a?b")), { ...WS, ...at("::1", 80, "/a?b") });
    assert.deepEqual(parseAddress(new URL("ws+unix:///run/app.sock:/a")), { ...WS, ...on("/run/app.sock", "/a") });
    assert.deepEqual(parseAddress(new URL("ws+unix:///run/my äpp.sock")), { ...WS, ...on("/run/my äpp.sock") });
  });

  const wrong: Record<string, RegExp> = {
    "": /expected ws:, wss:, tcp: or tls:/,
    "http://example.org": /expected ws:, wss:, tcp: or tls:/,
    "example.org:80": /expected ws:, wss:, tcp: or tls:/,
    "ws+unix:///run/100%.sock": /a % in the path of a socket is written %25/,
    "unix:///run/app.sock": /expected ws:, wss:, tcp: or tls:/,
    "udp+unix:///run/app.sock": /expected ws:, wss:, tcp: or tls:/,
    " ws://example.org": /expected ws:, wss:, tcp: or tls:/,
    "ws://": /expected a URL such as ws:\/\//,
    "ws://example.org:65536": /expected a URL such as ws:\/\//,
    "ws://example.org:-1": /expected a URL such as ws:\/\//,
    "ws://exa mple.org": /expected a URL such as ws:\/\//,
    "ws://[::1": /expected a URL such as ws:\/\//,
    "tcp://": /expected/,
    "tcp://example.org": /expected a port/,
    "tls://example.org": /expected a port/,
    "tcp:example.org:9001": /has no path/,
    "tcp://example.org:9001/path": /has no path/,
    "tcp://example.org:9001?query": /has no path/,
    "ws://example.org/#part": /fragment means nothing/,
    "ws+unix:///run/app.sock:/#part": /fragment means nothing/,
    "ws+unix://": /expected the path of a socket/,
    "ws+unix://:/path": /expected the path of a socket/,
    "ws+unix:///run/app.sock:path": /expected the path of a socket/,
    "tcp+unix:///run/app.sock:/path": /expected the path of a socket/,
  };
  for (const [url, expected] of Object.entries(wrong)) {
    it(`is refused, and the error says what is expected: ${JSON.stringify(url)}`, () => {
      assert.throws(
        () => parseAddress(url),
        (error: unknown) => {
          assert.ok(error instanceof TypeError);
          assert.ok(error.message.startsWith(`Cannot use address ${JSON.stringify(url)}: `), error.message);
          assert.match(error.message, expected);
          return true;
        },
      );
    });
  }

  const secretive: Readonly<Record<string, RegExp>> = {
    "ws://ann:secret@example.org": /"ws:\/\/\*\*\*@example\.org": credentials belong in an Authorization header/,
    "ws://secret@example.org": /credentials belong in an Authorization header/,
    "ws:ann:secret@example.org": /credentials belong in an Authorization header/,
    "wss:\\\\ann:secret@example.org": /credentials belong in an Authorization header/,
    "ws://ann:se/cr?secret@example.org": /expected a URL/,
    "ws://ann:secret@example.org:65536": /expected a URL/,
    "tcp://ann:secret@example.org:9001": /credentials belong/,
    "http://ann:secret@example.org": /"http:\/\/\*\*\*@example\.org": expected ws:, wss:/,
    " ws://ann:secret@example.org": /expected ws:, wss:/,
    "ann:secret@example.org": /expected ws:, wss:/,
    "//ann:secret@example.org": /expected ws:, wss:/,
  };
  for (const [url, expected] of Object.entries(secretive)) {
    it(`is refused, and the error does not contain its credentials: ${JSON.stringify(url)}`, () => {
      assert.throws(
        () => parseAddress(url),
        (error: unknown) => {
          assert.ok(error instanceof TypeError);
          assert.match(error.message, expected);
          assert.doesNotMatch(String(error.stack), /secret/);
          return true;
        },
      );
    });
  }

  it("is refused if it is not text", () => {
    for (const wrong of [undefined, null, 9000, {}, []]) {
      assert.throws(() => parseAddress(wrong as unknown as string), TypeError);
    }
  });
});

describe("a formatted address", () => {
  const same = [
    "ws://127.0.0.1:9000",
    "wss://example.org:9000/feed?x=1",
    "tcp://[::1]:9001",
    "tls://example.org:9001",
    "ws+unix:///run/app.sock",
    "wss+unix:///run/app.sock:/feed?x=1",
    "tcp+unix://app.sock",
  ];
  for (const url of same)
    it(`equals the parsed address: ${url}`, () => assert.equal(formatAddress(parseAddress(url)), url));

  it("contains the bound port", () => {
    assert.equal(formatAddress(parseAddress("ws://[::1]:0/a"), 9000), "ws://[::1]:9000/a");
  });
});
