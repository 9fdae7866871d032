/** How a server judges a request. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Accepted, judgeRequest, type Refused, type RequestFacts } from "../../../src/engine/handshake/request.ts";
import { runs } from "../../kit/random.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const FIELDS: Readonly<Record<string, string>> = {
  Host: "server.example.com",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Key": KEY,
  "Sec-WebSocket-Version": "13",
};

type Changes = Partial<Omit<RequestFacts, "rawHeaders">> & {
  /** Fields that are changed (to one line or several), added, or removed (undefined). */
  readonly fields?: Readonly<Record<string, string | readonly string[] | undefined>>;
};

/** The request of RFC 6455 section 1.3, changed. */
function request({ fields, ...changes }: Changes = {}): RequestFacts {
  const rawHeaders = Object.entries({ ...FIELDS, ...fields }).flatMap(([name, value = []]) =>
    (typeof value === "string" ? [value] : value).flatMap((line) => [name, line]),
  );
  return { method: "GET", httpVersion: "1.1", target: "/chat", rawHeaders, ...changes };
}

function accepted(changes?: Changes): Accepted {
  const judgement = judgeRequest(request(changes));
  assert.equal(judgement.accepted, true, judgement.accepted ? "" : judgement.problem);
  return judgement as Accepted;
}

function refused(status: number, changes: Changes): Refused {
  const judgement = judgeRequest(request(changes));
  assert.equal(judgement.accepted, false, JSON.stringify(changes));
  const refusal = judgement as Refused;
  assert.equal(refusal.status, status, refusal.problem);
  assert.match(refusal.problem, /^\S.*[^.]$/);
  assert.match(refusal.clause, /^RFC \d+ \d/);
  // WebSocket smuggling: a proxy must not forward bytes after a refusal.
  assert.match(refusal.headers["Connection"] ?? "", /(^|, )close$/);
  return refusal;
}

/** 426 with the fields that RFC 9110 section 15.5.22 and RFC 6455 section 4.4 require. */
function upgradeRequired(changes: Changes): void {
  const { headers } = refused(426, changes);
  assert.deepEqual(headers, { Upgrade: "websocket", Connection: "Upgrade, close", "Sec-WebSocket-Version": "13" });
}

describe("a request", () => {
  it("is accepted as in RFC 6455 section 1.3", () => {
    const fields = { Origin: "http://example.com", "Sec-WebSocket-Protocol": "chat, superchat" };
    assert.deepEqual(accepted({ fields }), {
      accepted: true,
      path: "/chat",
      query: "",
      host: "server.example.com",
      origin: "http://example.com",
      protocols: ["chat", "superchat"],
      extensions: [],
      key: KEY,
      expectsContinue: false,
    });
  });

  it("needs no more than the five fields", () => {
    const judgement = accepted();
    assert.equal(judgement.origin, undefined);
    assert.deepEqual(judgement.protocols, []);
    assert.deepEqual(judgement.extensions, []);
  });

  it("has no more than 1,000 fields, or the answer is 431: node:http hides fields after 2,000", () => {
    const extra = (count: number): Changes => ({ fields: { X: new Array<string>(count - 5).fill("1") } });
    accepted(extra(1_000));
    assert.deepEqual(refused(431, extra(1_001)).headers, { Connection: "close" });
  });

  it("is judged without an exception, for any fields", () => {
    const name = fc.constantFrom(
      ...Object.keys(FIELDS),
      "Sec-WebSocket-Protocol",
      "Sec-WebSocket-Extensions",
      "Origin",
    );
    const value = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.constantFrom(...Object.values(FIELDS)));
    fc.assert(
      fc.property(fc.string(), fc.array(fc.tuple(name, value)), (target, fields) => {
        judgeRequest({ ...request(), target });
        judgeRequest({ ...request(), rawHeaders: fields.flat() });
        judgeRequest({ ...request(), rawHeaders: [...request().rawHeaders, ...fields.flat()] });
      }),
      runs(300),
    );
  });

  it("is refused when a field is malformed", () => {
    refused(400, { fields: { "X Y": "a" } });
    refused(400, { fields: { "X:": "a" } });
    refused(400, { fields: { X: "a\r\nY: b" } });
    refused(400, { fields: { X: "a\0" } });
  });

  it("is accepted with bytes above 0x7f in fields without a meaning for the handshake", () => {
    accepted({ fields: { Cookie: "\x80é\xff" } });
  });
});

describe("a refusal", () => {
  const cases: readonly (readonly [clause: string, changes: Changes])[] = [
    ["RFC 6455 4.2.1", { method: "POST" }],
    ["RFC 9110 5.5", { fields: { X: "\0" } }],
    ["RFC 9110 7.8", { httpVersion: "1.0" }],
    ["RFC 9112 3.2", { fields: { Host: undefined } }],
    ["RFC 9112 3.2", { fields: { Host: "a b" } }],
    ["RFC 9112 3.2", { target: "*" }],
    ["RFC 9110 7.6.1", { fields: { Connection: "Upgrade;" } }],
    ["RFC 9110 7.8", { fields: { Upgrade: "websocket;" } }],
    ["RFC 6455 4.2.1", { fields: { Connection: "close" } }],
    ["RFC 6455 4.2.1", { fields: { Upgrade: "h2c" } }],
    ["RFC 6455 4.2.2", { fields: { "Sec-WebSocket-Version": "8" } }],
    ["RFC 6455 4.2.1", { fields: { "Sec-WebSocket-Key": "x" } }],
    ["RFC 9110 7.8", { fields: { "Content-Length": "5" } }],
    ["RFC 6455 4.3", { fields: { "Sec-WebSocket-Protocol": "" } }],
    ["RFC 6455 4.1", { fields: { "Sec-WebSocket-Protocol": "a, a" } }],
    ["RFC 6455 9.1", { fields: { "Sec-WebSocket-Extensions": ";" } }],
  ];
  for (const [clause, changes] of cases) {
    it(`names ${clause} for ${JSON.stringify(changes)}`, () => {
      const judgement = judgeRequest(request(changes));
      assert.equal(judgement.accepted ? undefined : judgement.clause, clause);
    });
  }
});

describe("the method", () => {
  it("is GET, or the answer is 405 with Allow", () => {
    for (const method of ["POST", "HEAD", "OPTIONS", "CONNECT", "get", "", "GETT"]) {
      assert.deepEqual(refused(405, { method }).headers, { Allow: "GET", Connection: "close" });
    }
  });
});

describe("HTTP before 1.1", () => {
  it("has no Upgrade: the field is ignored, and the answer is that of a plain request", () => {
    for (const httpVersion of ["1.0", "0.9", "", "1", "1.1.1", "abc", "11"]) upgradeRequired({ httpVersion });
    assert.deepEqual(
      { ...refused(426, { httpVersion: "1.0" }), reason: "", problem: "", clause: "" },
      { ...refused(426, { fields: { Upgrade: undefined } }), reason: "", problem: "", clause: "" },
    );
  });

  it("is not a later version", () => {
    for (const httpVersion of ["1.1", "1.2", "2.0"]) accepted({ httpVersion });
  });
});

describe("the Host field", () => {
  it("is present, once and valid", () => {
    refused(400, { fields: { Host: undefined } });
    refused(400, { fields: { Host: ["a", "b"] } });
    refused(400, { fields: { Host: ["a", "a"] } });
    for (const Host of ["", "a b", "a,b c", "user@a", "a/b", "a:port", "http://a", "é"])
      refused(400, { fields: { Host } });
  });

  it("is passed on as received", () => {
    for (const Host of ["Example.ORG:80", "[::1]:9000", "127.0.0.1"])
      assert.equal(accepted({ fields: { Host } }).host, Host);
  });
});

describe("the request-target", () => {
  const parts = (target: string): readonly string[] => {
    const { path, query, host } = accepted({ target });
    return [path, query, host];
  };
  const HOST = "server.example.com";

  it("is split at the first question mark, and otherwise unchanged", () => {
    assert.deepEqual(parts("/"), ["/", "", HOST]);
    assert.deepEqual(parts("/a/b?c=d&e?f"), ["/a/b", "c=d&e?f", HOST]);
    assert.deepEqual(parts("/?"), ["/", "", HOST]);
    assert.deepEqual(parts("/a/../%2e%00//b"), ["/a/../%2e%00//b", "", HOST]);
    assert.deepEqual(parts("//evil.org/a"), ["//evil.org/a", "", HOST]);
    assert.deepEqual(parts("/__proto__?constructor"), ["/__proto__", "constructor", HOST]);
  });

  it("in absolute form replaces the Host field", () => {
    assert.deepEqual(parts("http://other.example:81/chat?x"), ["/chat", "x", "other.example:81"]);
    assert.deepEqual(parts("HTTPS://Other/"), ["/", "", "Other"]);
    assert.deepEqual(parts("ws://other"), ["/", "", "other"]);
    assert.deepEqual(parts("wss://other?x=/y"), ["/", "x=/y", "other"]);
    assert.deepEqual(parts("http://[::1]/a"), ["/a", "", "[::1]"]);
  });

  it("in absolute form still needs the Host field, as every request", () => {
    refused(400, { target: "http://other/", fields: { Host: undefined } });
    refused(400, { target: "http://other/", fields: { Host: ["a", "b"] } });
  });

  it("has no other form", () => {
    for (const target of [
      "",
      "*",
      "chat",
      "server.example.com:80",
      "ftp://a/",
      "http:/a",
      "http://",
      "http:///a",
      "http://?a",
      "http://user@a/",
      "http://a:b/",
      "xhttp://a/",
      "/a#b",
      "http://a/#b",
      "/a b",
      "/é",
      "/\x7f",
      "/\0",
      "/a\r\nX: y",
      "\\a",
    ]) {
      refused(400, { target });
    }
  });
});

describe("Connection and Upgrade", () => {
  it("contain the required tokens among others, in any case", () => {
    accepted({ fields: { Connection: "keep-alive, upgrade" } });
    accepted({ fields: { Connection: ["keep-alive", "UPGRADE"] } });
    accepted({ fields: { Upgrade: "WebSocket" } });
    accepted({ fields: { Upgrade: "h2c/1, websocket" } });
    accepted({ fields: { Upgrade: ["h2c", "websocket"] } });
    accepted({ fields: { Connection: ",Upgrade ,,", Upgrade: ", websocket" } });
  });

  it("are answered with 426 if they do not", () => {
    for (const Connection of [undefined, "", "keep-alive", "upgraded", "close"])
      upgradeRequired({ fields: { Connection } });
    for (const Upgrade of [undefined, "", "h2c", "websockets", "websocket/13"])
      upgradeRequired({ fields: { Upgrade } });
  });

  it("are answered with 400 if they are no valid lists", () => {
    for (const Connection of ["Upgrade websocket", "Upgrade;", '"Upgrade"', "Upgrade, é"]) {
      refused(400, { fields: { Connection } });
    }
    for (const Upgrade of ["websocket h2c", "websocket;", "/websocket", "websocket, é"])
      refused(400, { fields: { Upgrade } });
  });
});

describe("Sec-WebSocket-Version", () => {
  it("is 13, once, or the answer is 426 with that version", () => {
    for (const version of [undefined, "", "12", "14", "8", "013", "13.0", "+13", "13,13", "13, 8", "thirteen"]) {
      upgradeRequired({ fields: { "Sec-WebSocket-Version": version } });
    }
    upgradeRequired({ fields: { "Sec-WebSocket-Version": ["13", "13"] } });
    upgradeRequired({ fields: { "Sec-WebSocket-Version": ["13", "8"] } });
    upgradeRequired({ fields: { "Sec-WebSocket-Version": ["8", "13"] } });
  });
});

describe("Sec-WebSocket-Key", () => {
  it("is passed on as received", () => {
    for (const key of ["AAAAAAAAAAAAAAAAAAAAAA==", "+/+/+/+/+/+/+/+/+/+/+g==", "dGhlIHNhbXBsZSBub25jZR=="]) {
      assert.equal(accepted({ fields: { "Sec-WebSocket-Key": key } }).key, key);
    }
  });

  it("is 16 bytes in base64, once", () => {
    for (const key of [
      undefined,
      "",
      "dGhlIHNhbXBsZSBub25jZQ",
      "dGhlIHNhbXBsZSBub25jZQ=",
      "dGhlIHNhbXBsZSBub25jZQ===",
      "dGhlIHNhbXBsZSBub25j",
      "dGhlIHNhbXBsZSBub25jZWE=",
      "dGhlIHNhbXBsZSBub25jZWVl",
      "dGhlIHNhbXBsZSBub25j-_==",
      "dGhlIHNhbXBsZSBub25jZ===",
      "dGhlIHNhbXBsZSBub25jZQ== ",
      "dGhl IHNhbXBsZSBub25jZ==",
      `${KEY}, ${KEY}`,
    ]) {
      refused(400, { fields: { "Sec-WebSocket-Key": key } });
    }
    refused(400, { fields: { "Sec-WebSocket-Key": [KEY, KEY] } });
    refused(400, { fields: { "Sec-WebSocket-Key": [KEY, "x"] } });
    refused(400, { fields: { "Sec-WebSocket-Key": ["x", KEY] } });
  });
});

describe("a body", () => {
  it("is refused, because its bytes would be read as frames", () => {
    for (const length of ["1", "10", "-1", "+0", "0x0", "", " ", "0, 5", "5, 0", "abc", "0.0"]) {
      refused(400, { fields: { "Content-Length": length } });
    }
    refused(400, { fields: { "Content-Length": ["0", "5"] } });
    for (const coding of ["chunked", "identity", "gzip, chunked", ""])
      refused(400, { fields: { "Transfer-Encoding": coding } });
    refused(400, { fields: { "Content-Length": "0", "Transfer-Encoding": "chunked" } });
  });

  it("of no bytes is allowed", () => {
    accepted({ fields: { "Content-Length": "0" } });
    accepted({ fields: { "Content-Length": "000" } });
  });
});

describe("Expect", () => {
  it("says whether 100 must be sent before 101", () => {
    assert.equal(accepted({ fields: { Expect: "100-continue" } }).expectsContinue, true);
    assert.equal(accepted({ fields: { Expect: "100-Continue" } }).expectsContinue, true);
    assert.equal(accepted({ fields: { Expect: "something" } }).expectsContinue, false);
  });
});

describe("Sec-WebSocket-Protocol", () => {
  const protocols = (value: string | readonly string[]): readonly string[] =>
    accepted({ fields: { "Sec-WebSocket-Protocol": value } }).protocols;

  it("lists subprotocols in one line or several", () => {
    assert.deepEqual(protocols("chat"), ["chat"]);
    assert.deepEqual(protocols("b, a ,c"), ["b", "a", "c"]);
    assert.deepEqual(protocols(["b", "a, c"]), ["b", "a", "c"]);
    assert.deepEqual(protocols("Chat, chat"), ["Chat", "chat"]);
    assert.deepEqual(protocols("constructor, __proto__"), ["constructor", "__proto__"]);
  });

  it("is refused if it is empty or no list of tokens", () => {
    for (const value of ["", ",", " ", "a b", "a;b", '"a"', "a/b", "é", "\x80", "a, b c"]) {
      refused(400, { fields: { "Sec-WebSocket-Protocol": value } });
    }
  });

  it("is refused if it names one twice", () => {
    refused(400, { fields: { "Sec-WebSocket-Protocol": "a, b, a" } });
    refused(400, { fields: { "Sec-WebSocket-Protocol": ["a", "a"] } });
  });
});

describe("Sec-WebSocket-Extensions", () => {
  it("lists offers in one line or several", () => {
    const { extensions } = accepted({
      fields: { "Sec-WebSocket-Extensions": ["permessage-deflate; a; b=1", "permessage-deflate, foo;a;a"] },
    });
    assert.deepEqual(
      extensions.map(({ name, params, repeated }) => [name, Object.fromEntries(params), repeated]),
      [
        ["permessage-deflate", { a: true, b: "1" }, false],
        ["permessage-deflate", {}, false],
        ["foo", { a: true }, true],
      ],
    );
  });

  it("is refused if any part of it is malformed", () => {
    for (const value of ["", ",", "permessage-deflate;", "foo;a=", 'permessage-deflate, foo;a="', "é"]) {
      refused(400, { fields: { "Sec-WebSocket-Extensions": value } });
    }
  });
});

describe("the Origin field", () => {
  it("is passed on as received: a policy judges it", () => {
    for (const Origin of ["null", "http://evil.org", "%", ""])
      assert.equal(accepted({ fields: { Origin } }).origin, Origin);
    assert.equal(accepted({ fields: { Origin: ["http://a", "http://b"] } }).origin, "http://a, http://b");
  });
});

describe("a very long field", () => {
  it("is parsed in one pass, and ends", () => {
    const long = (text: string): string => text.repeat(1 << 16);
    for (const name of ["Connection", "Upgrade", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]) {
      for (const text of [" ", ",", ";", '"', "a", "a ", "a,", 'a;"', "\\", "="]) {
        const { accepted } = judgeRequest(request({ fields: { [name]: `${long(text)}é` } }));
        assert.equal(accepted, false);
      }
    }
    for (const name of ["Host", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Content-Length"]) {
      for (const text of ["0", "a", "=", ".", ":"]) {
        assert.equal(judgeRequest(request({ fields: { [name]: `${long(text)}//` } })).accepted, false);
      }
    }
    for (const target of ["/", "?", "http://", ":"])
      assert.equal(judgeRequest(request({ target: `${long(target)}#` })).accepted, false);
  });

  it("is parsed as well in 900 lines", () => {
    const rawHeaders = [...request().rawHeaders];
    for (let index = 0; index < 900; index += 1) rawHeaders.push(index % 2 === 0 ? "X" : `${index}`, "y");
    const judgement = judgeRequest({ ...request(), rawHeaders });
    assert.equal(judgement.accepted, true);
  });
});
