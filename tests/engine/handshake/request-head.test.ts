/** The parser of an upgrade request's head. It leaves every head that is in doubt to node:http. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { readRequestHead } from "../../../src/engine/handshake/request-head.ts";

const HEAD = "GET /chat?room=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const FACTS = {
  method: "GET",
  httpVersion: "1.1",
  target: "/chat?room=1",
  rawHeaders: ["Host", "a.example", "Upgrade", "websocket", "Connection", "Upgrade"],
};

/** The head with one more line. */
const withLine = (line: string): string => HEAD.replace("\r\n\r\n", `\r\n${line}\r\n\r\n`);

const valueIn = (line: string): string | undefined => readRequestHead(withLine(line))?.facts.rawHeaders.at(-1);

describe("the head of a request", () => {
  it("is read with its target and its fields, in order and with their case", () => {
    assert.deepEqual(readRequestHead(HEAD), { facts: FACTS, length: HEAD.length });
  });

  it("ends with the empty line: the bytes after it are not read", () => {
    assert.deepEqual(readRequestHead(`${HEAD}\x81\x80\r\n\r\n`), { facts: FACTS, length: HEAD.length });
  });

  it("may have no field", () => {
    const facts = { method: "GET", httpVersion: "1.1", target: "/", rawHeaders: [] };
    assert.deepEqual(readRequestHead("GET / HTTP/1.1\r\n\r\n"), { facts, length: 18 });
  });

  it("is left to node:http until it is complete, wherever the network cuts", () => {
    for (let end = 0; end < HEAD.length; end += 1) assert.equal(readRequestHead(HEAD.slice(0, end)), undefined);
  });

  it("loses the white space around a value, and none inside", () => {
    assert.equal(valueIn("X: \t a \t b\t "), "a \t b");
    assert.equal(valueIn("X:a"), "a");
    assert.equal(valueIn("X:"), "");
    assert.equal(valueIn("X: \t "), "");
  });

  it("keeps the colons of a value", () => {
    assert.deepEqual(readRequestHead(withLine("Origin: http://a:80"))?.facts.rawHeaders.slice(-2), [
      "Origin",
      "http://a:80",
    ]);
  });

  for (const line of [
    "POST / HTTP/1.1",
    "get / HTTP/1.1",
    "GET  / HTTP/1.1",
    "GET / HTTP/1.1 ",
    "GET /",
    "GET / HTTP/1.0",
    "GET / HTTP/2.0",
    "GET / http/1.1",
    "GET * HTTP/1.1",
    "GET http://a.example/ HTTP/1.1",
    "GET /#part HTTP/1.1",
    "GET /caf\xe9 HTTP/1.1",
    "GET /a\tb HTTP/1.1",
    "GET /\x7f HTTP/1.1",
    "\r\nGET / HTTP/1.1",
  ]) {
    it(`is left to node:http with ${JSON.stringify(line)} as its first line`, () => {
      assert.equal(readRequestHead(HEAD.replace(/^[^\r]*/, line)), undefined);
    });
  }

  for (const line of [
    "no colon",
    "Content-Length: 0",
    "content-length: 5",
    "Transfer-Encoding: chunked",
    "EXPECT: 100-continue",
    "Connection: Upgrade\t",
    "Connection: keep-alive,\tUpgrade",
    "connection: Upgrade,",
    "Connection:",
    "Connection: Upgrade  , keep-alive",
  ]) {
    it(`is left to node:http with a field that Node's parser may read differently: ${JSON.stringify(line)}`, () => {
      assert.equal(readRequestHead(withLine(line)), undefined);
    });
  }

  for (const line of [
    "Content-Lengths: 0",
    "X-Forwarded-Hosts: a",
    "Accept: */*",
    "Cookies: a=b",
    "Keep-Alive: 5",
    "Connection: keep-alive, Upgrade",
    "Connection: keep-alive,Upgrade ",
  ]) {
    it(`is read with a field without side effects: ${JSON.stringify(line)}`, () => {
      assert.equal(valueIn(line), line.slice(line.indexOf(":") + 1).trim());
    });
  }

  it("is read in lines that end with CRLF, and in no others", () => {
    assert.equal(readRequestHead(HEAD.replaceAll("\r\n", "\n")), undefined);
    assert.equal(readRequestHead(HEAD.replace("\r\nHost", "\nHost")), undefined);
    // Left to `judgeRequest`, which calls such a name or value malformed.
    assert.equal(
      readRequestHead(HEAD.replace("\r\nUpgrade", "\nUpgrade"))?.facts.rawHeaders[1],
      "a.example\nUpgrade: websocket",
    );
  });

  it("throws for no input, and returns the same for the same", () => {
    const piece = fc.constantFrom("GET / HTTP/1.1", "\r\n", "\n", ":", " ", "Host: a", "Connection: Upgrade", "\0");
    fc.assert(
      fc.property(fc.array(fc.oneof(piece, fc.string({ unit: "binary", maxLength: 4 }))), (pieces) => {
        const text = Buffer.from(pieces.join("")).toString("latin1");
        const head = readRequestHead(text);
        assert.deepEqual(readRequestHead(text), head);
        if (head !== undefined) assert.equal(text.slice(0, head.length).indexOf("\r\n\r\n"), head.length - 4);
      }),
    );
  });
});
