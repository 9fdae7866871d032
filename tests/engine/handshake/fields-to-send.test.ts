/** What each side writes in the opening handshake. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  type AnswerOptions,
  acceptKey,
  type RequestOptions,
  requestHeaders,
  responseHeaders,
  selectProtocol,
} from "../../../src/engine/handshake/fields-to-send.ts";
import { judgeRequest } from "../../../src/engine/handshake/request.ts";
import { judgeResponse } from "../../../src/engine/handshake/response.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const sha1Base64 = (text: string): string => createHash("sha1").update(text).digest("base64");
const deflate = { name: "permessage-deflate", params: new Map([["client_max_window_bits", true as const]]) };
/** Characters that could begin another field, or that HTTP does not allow. */
const INJECTIONS = ["a\r\nX: y", "a\r", "a\n", "\0", "a\x7f", "\u0100", "\u2028", "嘊"];

const ask = (changes: Partial<RequestOptions> = {}) =>
  requestHeaders({
    host: "example.org",
    key: KEY,
    origin: undefined,
    protocols: [],
    extensions: [],
    headers: {},
    ...changes,
  });

const offered = {
  key: KEY,
  protocols: ["chat", "superchat"],
  extensions: [{ ...deflate, repeated: false }],
};
const answer = (changes: Partial<AnswerOptions> = {}) =>
  responseHeaders(offered, { protocol: undefined, extensions: [], headers: {}, ...changes }, sha1Base64);

describe("the answer to a key", () => {
  it("is the one of RFC 6455 section 1.3", () => {
    assert.equal(acceptKey(KEY, sha1Base64), ACCEPT);
  });
});

describe("the request's fields", () => {
  it("are the five required ones by default", () => {
    assert.deepEqual(ask(), [
      ["Host", "example.org"],
      ["Upgrade", "websocket"],
      ["Connection", "Upgrade"],
      ["Sec-WebSocket-Key", KEY],
      ["Sec-WebSocket-Version", "13"],
    ]);
  });

  it("are followed by the origin, the offers and the application's fields", () => {
    const fields = ask({
      origin: "http://example.com",
      protocols: ["chat", "superchat"],
      extensions: [deflate, { name: "foo", params: new Map() }],
      headers: { Authorization: "Basic é", "X-Two": ["1", "2"], "X-None": [] },
    });
    assert.deepEqual(fields.slice(5), [
      ["Origin", "http://example.com"],
      ["Sec-WebSocket-Protocol", "chat, superchat"],
      ["Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits, foo"],
      ["Authorization", "Basic é"],
      ["X-Two", "1"],
      ["X-Two", "2"],
    ]);
  });

  it("contain no host, origin, subprotocol, extension or header that would change the meaning", () => {
    for (const text of INJECTIONS) {
      assert.throws(() => ask({ host: text }), TypeError, JSON.stringify(text));
      assert.throws(() => ask({ origin: text }), TypeError, JSON.stringify(text));
      assert.throws(() => ask({ protocols: [text] }), TypeError, JSON.stringify(text));
      assert.throws(() => ask({ extensions: [{ name: text, params: new Map() }] }), TypeError, JSON.stringify(text));
      assert.throws(() => ask({ headers: { X: text } }), TypeError, JSON.stringify(text));
      assert.throws(() => ask({ headers: { X: ["fine", text] } }), TypeError, JSON.stringify(text));
      assert.throws(() => ask({ headers: { [text]: "a" } }), TypeError, JSON.stringify(text));
    }
    for (const host of ["", "a/b", "user@a", "a b"]) assert.throws(() => ask({ host }), TypeError);
    for (const name of ["", "X Y", "X:", "é"]) assert.throws(() => ask({ headers: { [name]: "a" } }), TypeError);
  });

  it("contain no value that is not a string", () => {
    for (const value of [1, null, {}, [1], [undefined]]) {
      assert.throws(() => ask({ headers: { X: value as string } }), TypeError, JSON.stringify(value));
    }
    assert.deepEqual(ask({ headers: { X: undefined } }), ask({}));
    assert.throws(() => ask({ origin: 1 as unknown as string }), TypeError);
  });

  it("offer no subprotocol that is empty, invalid or repeated", () => {
    for (const protocols of [[""], ["a b"], ["a,b"], ["a", ""], ["a", "b", "a"], ["é"]]) {
      assert.throws(() => ask({ protocols }), TypeError, protocols.join());
    }
    assert.equal(ask({ protocols: ["a", "A"] }).at(-1)?.[1], "a, A");
  });

  it("cannot be replaced by a field of the application", () => {
    for (const name of [
      "Host",
      "upgrade",
      "CONNECTION",
      "Origin",
      "Expect",
      "Content-Length",
      "Transfer-Encoding",
      "Sec-WebSocket-Key",
      "sec-websocket-version",
      "Sec-WebSocket-Protocol",
      "Sec-WebSocket-Extensions",
      "SEC-WEBSOCKET-ACCEPT",
      "Sec-WebSocket-Anything",
    ]) {
      assert.throws(() => ask({ headers: { [name]: "a" } }), TypeError, name);
      assert.throws(() => answer({ headers: { [name]: "a" } }), TypeError, name);
    }
  });
});

describe("the response's fields", () => {
  it("are the three required ones if nothing was negotiated", () => {
    assert.deepEqual(answer(), [
      ["Upgrade", "websocket"],
      ["Connection", "Upgrade"],
      ["Sec-WebSocket-Accept", ACCEPT],
    ]);
  });

  it("are followed by the negotiated ones and the application's fields", () => {
    const extensions = [{ name: "permessage-deflate", params: new Map([["server_max_window_bits", "10"]]) }];
    const headers = { "Set-Cookie": ["a=1", "b=2"], Server: "x" };
    assert.deepEqual(answer({ protocol: "superchat", extensions, headers }).slice(3), [
      ["Sec-WebSocket-Protocol", "superchat"],
      ["Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=10"],
      ["Set-Cookie", "a=1"],
      ["Set-Cookie", "b=2"],
      ["Server", "x"],
    ]);
  });

  it("name no subprotocol and no extension that was not offered", () => {
    for (const protocol of ["other", "Chat", "", "chat, superchat", "chat\r\nX: y"]) {
      assert.throws(() => answer({ protocol }), TypeError, protocol);
    }
    for (const name of ["foo", "Permessage-Deflate", "", "constructor"]) {
      assert.throws(() => answer({ extensions: [{ name, params: new Map() }] }), TypeError, name);
    }
    assert.throws(() => answer({ extensions: [deflate, { name: "foo", params: new Map() }] }), TypeError);
  });

  it("contain no value or parameter that would change the meaning", () => {
    for (const text of INJECTIONS) {
      assert.throws(() => answer({ headers: { X: text } }), TypeError);
      assert.throws(() => answer({ headers: { [text]: "a" } }), TypeError);
      assert.throws(() => answer({ extensions: [{ name: deflate.name, params: new Map([["a", text]]) }] }), TypeError);
    }
  });
});

describe("choosing a subprotocol", () => {
  it("chooses the first of the server's that the client offers", () => {
    assert.equal(selectProtocol(["a", "b", "c"], ["x", "c", "a"]), "c");
    assert.equal(selectProtocol(["a"], ["a"]), "a");
  });

  it("chooses none if there is no common one", () => {
    assert.equal(selectProtocol(["a"], ["A", "b"]), undefined);
    assert.equal(selectProtocol([], ["a"]), undefined);
    assert.equal(selectProtocol(["a"], []), undefined);
  });
});

describe("the two sides", () => {
  const TCHARS = "!#$%&'*+-.^_`|~019AZaz";
  const token = fc.string({ unit: fc.constantFrom(...TCHARS), minLength: 1, maxLength: 8 });
  const text = fc.string({ unit: fc.constantFrom(...'ab é\t\xff,;="\\'), maxLength: 8 });
  const extension = fc.record({
    name: token,
    params: fc.array(fc.tuple(token, fc.oneof(token, fc.constant(true as const)))).map((pairs) => new Map(pairs)),
  });
  const headers = fc
    .dictionary(token, fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })))
    .map((entries) => Object.fromEntries(Object.entries(entries).map(([name, value]) => [`x-${name}`, value])));

  it("accept each other with any valid offers and fields", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(token, { maxLength: 4 }),
        fc.array(extension, { maxLength: 3 }),
        headers,
        headers,
        fc.nat(4),
        (protocols, extensions, asking, answering, choice) => {
          const rawHeaders = requestHeaders({
            host: "example.org:9000",
            key: KEY,
            origin: "http://example.org:9000",
            protocols,
            extensions,
            headers: asking,
          }).flat();
          const request = judgeRequest({ method: "GET", httpVersion: "1.1", target: "/a", rawHeaders });
          assert.ok(request.accepted, JSON.stringify(request));
          assert.deepEqual(request.protocols, protocols);
          assert.deepEqual(
            request.extensions,
            extensions.map((one) => ({ ...one, repeated: false })),
          );
          const protocol = protocols[choice];
          const chosen = request.extensions.slice(0, 1);
          const answered = responseHeaders(request, { protocol, extensions: chosen, headers: answering }, sha1Base64);
          const agreement = judgeResponse({
            status: 101,
            rawHeaders: answered.flat(),
            accept: acceptKey(KEY, sha1Base64),
            protocols,
            extensions,
          });
          assert.deepEqual(agreement, { agreed: true, protocol: protocol ?? "", extensions: chosen });
        },
      ),
    );
  });
});
