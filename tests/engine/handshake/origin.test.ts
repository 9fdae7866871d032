/** Tests of authorities and origins. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { authorityOf, originAllowed } from "../../../src/engine/handshake/origin.ts";

describe("an authority", () => {
  const good: readonly (readonly [host: string, scheme: string, authority: string])[] = [
    ["example.org", "http", "example.org"],
    ["EXAMPLE.org", "http", "example.org"],
    ["example.org:80", "http", "example.org"],
    ["example.org:80", "ws", "example.org"],
    ["example.org:443", "https", "example.org"],
    ["example.org:443", "wss", "example.org"],
    ["example.org:443", "http", "example.org:443"],
    ["example.org:", "http", "example.org"],
    ["my_host-1:9000", "http", "my_host-1:9000"],
    ["127.0.0.1:9000", "http", "127.0.0.1:9000"],
    ["[::1]:9000", "http", "[::1]:9000"],
    ["[0:0:0:0:0:0:0:1]", "http", "[::1]"],
  ];
  for (const [host, scheme, authority] of good) {
    it(`${host} is ${authority} for ${scheme}`, () => {
      assert.equal(authorityOf(host, scheme), authority);
    });
  }

  it("has no other form", () => {
    for (const host of [
      "",
      " ",
      "a b",
      "a/b",
      "/",
      "a?b",
      "a#b",
      "a\\b",
      "user@a",
      "user:pass@a",
      "@",
      "a:b",
      "a:1:2",
      "a:-1",
      "a:65536",
      ":80",
      ":",
      "[::1",
      "::1",
      "[]",
      "[::g]",
      "a<b",
      "a%zz",
      "exämple.org",
      "a\r\nX: y",
      "a\t",
      "a\0",
      "\u3002",
      "http://a",
    ]) {
      assert.equal(authorityOf(host, "http"), undefined, JSON.stringify(host));
    }
  });
});

describe("the length of an authority", () => {
  it("is at most that of a DNS name and a port", () => {
    const name = `${"a".repeat(62)}.`.repeat(4).concat("abc");
    assert.equal(name.length, 255);
    assert.equal(authorityOf(`${name}:65535`, "http"), `${name}:65535`);
    assert.equal(authorityOf(`a${name}:65535`, "http"), undefined);
    assert.equal(authorityOf(`${name}${"a".repeat(7)}`, "http"), undefined);
  });
});

describe("the same-host policy", () => {
  const allowed = (origin: string | undefined, host: string): boolean => originAllowed(origin, host, "same-host");

  it("accepts a request without an origin, which no browser sends", () => {
    assert.equal(allowed(undefined, "example.org"), true);
  });

  it("accepts the same host and port, in any case, with the default port written or not", () => {
    for (const [origin, host] of [
      ["http://example.org", "example.org"],
      ["http://example.org", "EXAMPLE.ORG"],
      ["HTTP://Example.org", "example.org"],
      ["https://example.org", "example.org"],
      ["https://example.org", "example.org:443"],
      ["https://example.org:443", "example.org"],
      ["http://example.org", "example.org:80"],
      ["http://example.org:80", "example.org:80"],
      ["ws://example.org", "example.org:80"],
      ["wss://example.org", "example.org:443"],
      ["http://localhost:9000", "localhost:9000"],
      ["http://127.0.0.1:9000", "127.0.0.1:9000"],
      ["http://[::1]:9000", "[::1]:9000"],
    ] as const) {
      assert.equal(allowed(origin, host), true, `${origin} to ${host}`);
    }
  });

  it("refuses another host or port", () => {
    for (const [origin, host] of [
      ["http://evil.org", "example.org"],
      ["http://example.org.evil.org", "example.org"],
      ["http://evilexample.org", "example.org"],
      ["http://www.example.org", "example.org"],
      ["http://example.org:8080", "example.org"],
      ["http://example.org", "example.org:8080"],
      ["https://example.org", "example.org:80"],
      ["http://example.org", "example.org:443"],
      ["http://example.org:443", "example.org"],
      ["http://localhost:9000", "127.0.0.1:9000"],
    ] as const) {
      assert.equal(allowed(origin, host), false, `${origin} to ${host}`);
    }
  });

  it("refuses an origin that is null or malformed, and throws nothing", () => {
    for (const origin of [
      "",
      "null",
      "NULL",
      "example.org",
      "//example.org",
      "://example.org",
      "http:",
      "http:/example.org",
      "http://",
      "http:///",
      "http://example.org/",
      "http://example.org/path",
      "http://example.org?",
      "http://example.org#",
      "http://user@example.org",
      "http://evil.org\\@example.org",
      "http://example.org, http://evil.org",
      "http://example.org http://evil.org",
      " http://example.org",
      "http://example.org\n",
      "http://exam\tple.org",
      "http://example.org:port",
      "http://example.org:99999",
      "http://[example.org",
      "file://",
      "file://example.org",
      "ftp://example.org",
      "javascript://example.org",
      "chrome-extension://example.org",
      "constructor://example.org",
      "http://éxample.org",
    ]) {
      assert.equal(allowed(origin, "example.org"), false, JSON.stringify(origin));
    }
  });

  it("refuses every origin when the host is malformed", () => {
    for (const host of ["", "a b", "user@example.org", "example.org/", "[", "%"]) {
      assert.equal(allowed("http://example.org", host), false, JSON.stringify(host));
      assert.equal(allowed("null", host), false, JSON.stringify(host));
    }
  });

  it("throws for no input", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (origin, host) => {
        assert.equal(allowed(origin, host), false);
        assert.equal(typeof allowed(`http://${origin}`, host), "boolean");
        assert.equal(originAllowed(origin, host, [host, `http://${host}`]), origin === host);
      }),
    );
  });

  it("ends with a megabyte of input", () => {
    for (const text of ["a", ".", ":", "%", "[", "://", "http://"]) {
      assert.equal(allowed(text.repeat(1 << 20), "example.org"), false);
      assert.equal(allowed(`http://${text.repeat(1 << 20)}`, "example.org"), false);
    }
  });
});

describe("a list of origins", () => {
  const POLICY = ["https://example.org", "http://Localhost:80", "chrome-extension://abc", "not an origin"];
  const allowed = (origin: string | undefined): boolean => originAllowed(origin, "example.com", POLICY);

  it("accepts its elements, and requests without an origin", () => {
    for (const origin of [
      undefined,
      "https://example.org",
      "https://EXAMPLE.org:443",
      "http://localhost",
      "chrome-extension://abc",
    ]) {
      assert.equal(allowed(origin), true, String(origin));
    }
  });

  it("refuses all others, also the same host", () => {
    for (const origin of [
      "http://example.org",
      "https://example.org:8443",
      "https://www.example.org",
      "https://localhost",
      "http://example.com",
      "chrome-extension://abcd",
      "null",
      "",
    ]) {
      assert.equal(allowed(origin), false, origin);
    }
  });

  it("accepts null if null is an element", () => {
    assert.equal(originAllowed("null", "example.com", ["null"]), true);
  });

  it("accepts no browser if it is empty", () => {
    assert.equal(originAllowed("http://example.com", "example.com", []), false);
  });
});

describe("other policies", () => {
  it("any accepts everything", () => {
    for (const origin of [undefined, "null", "http://evil.org", "%"]) {
      assert.equal(originAllowed(origin, "example.org", "any"), true);
    }
  });

  it("a function gets the origin, missing or not, and the host", () => {
    const asked: unknown[] = [];
    const policy = (origin: string | undefined, host: string): boolean => {
      asked.push([origin, host]);
      return origin === "null";
    };
    assert.equal(originAllowed("null", "a", policy), true);
    assert.equal(originAllowed(undefined, "b", policy), false);
    assert.deepEqual(asked, [
      ["null", "a"],
      [undefined, "b"],
    ]);
  });

  it("a function that returns a promise, or anything but true, accepts nothing", () => {
    for (const answer of [Promise.resolve(true), 1, "true", {}, undefined]) {
      assert.equal(
        originAllowed("http://a", "a", () => answer as boolean),
        false,
      );
    }
  });
});
