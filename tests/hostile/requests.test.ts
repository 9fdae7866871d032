/** Requests that are no valid upgrade: each is answered with a status or cut, its socket is closed, and no byte after it is a frame. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { attach } from "../../src/index.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { answerOf, UPGRADE_KEY, upgradeRequest } from "../kit/raw-peer.ts";
import { AttackedServer } from "./attacked-server.ts";
import { Attacker } from "./attacker.ts";

const WS = "ws://127.0.0.1:0";

const message = Buffer.from(peerFrame({ opcode: 1, payload: "smuggled", key: KEY })).toString("latin1");
const fields = (text: string): string => upgradeRequest().replace("\r\n\r\n", `\r\n${text}\r\n\r\n`);
const plain = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const filler = (count: number): string => "a:\r\n".repeat(count);

/** The request, and the possible statuses. A frame follows each request, and must not be read as one. */
const REFUSED: Readonly<Record<string, readonly [request: string, ...statuses: number[]]>> = {
  // Not HTTP.
  "a TLS greeting": ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  "a greeting of HTTP/2": ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
  "a line of another protocol": ["EHLO example.org\r\n\r\n", 400],
  "NUL bytes": ["\0".repeat(100), 400],
  "a frame without a request": [message, 400],
  // Heads that two parsers may read in different ways: RFC 9112 sections 2.2, 5.1, 5.2, 6.1.
  "a space before the colon": [fields("X : 1"), 400],
  "a field without a colon": [fields("X"), 400],
  "a field without a name": [fields(": 1"), 400],
  "a bare carriage return in a field": [fields("X: 1\rY: 2"), 400],
  "a NUL in a field": [fields("X: 1\0"), 400],
  "a control character in a field": [fields("X: 1\x01"), 400],
  "a space in the target": [upgradeRequest("/ a b"), 400],
  "a control character in the target": [upgradeRequest("/\x01"), 400],
  "a fragment in the target": [upgradeRequest("/#a"), 400],
  "a relative target": [upgradeRequest("a"), 400],
  "the target *": [upgradeRequest("*"), 400],
  // Request smuggling: RFC 9110 section 7.8, RFC 9112 section 6.3.
  "a body": [`${fields("Content-Length: 10")}0123456789`, 400],
  "a body that is said to be in the frame": [fields(`Content-Length: ${message.length}`), 400],
  "a negative length": [fields("Content-Length: -1"), 400],
  "a length that is no number": [fields("Content-Length: 0x0"), 400],
  "a length that is too large": [fields("Content-Length: 99999999999999999999"), 400],
  "two lengths": [fields("Content-Length: 0\r\nContent-Length: 5"), 400],
  "a chunked body": [`${fields("Transfer-Encoding: chunked")}0\r\n\r\n`, 400],
  "a chunked body with a length": [`${fields("Transfer-Encoding: chunked\r\nContent-Length: 4")}0\r\n\r\n`, 400],
  "an unknown coding": [fields("Transfer-Encoding: identity"), 400],
  "a coding in disguise": [fields("Transfer-Encoding: xchunked"), 400],
  "a wrong version, as one that asks a proxy to open a tunnel": [
    upgradeRequest("/", { "Sec-WebSocket-Version": "1337" }),
    426,
  ],
  "an upgrade behind a plain request": [`${plain}${upgradeRequest()}`, 426],
  "an upgrade behind a plain request with a body": [
    `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc${upgradeRequest()}`,
    405,
  ],
  "an upgrade behind a refused one": [`${upgradeRequest("/", { "Sec-WebSocket-Key": "" })}${upgradeRequest()}`, 400],
  // Other methods: RFC 6455 section 4.2.1.
  "a HEAD": [upgradeRequest("/", {}, { method: "HEAD" }), 405],
  "an OPTIONS": [upgradeRequest("/", {}, { method: "OPTIONS" }), 405],
  "a DELETE": [upgradeRequest("/", {}, { method: "DELETE" }), 405],
  "a CONNECT": ["CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 405],
  "a CONNECT that is also an upgrade": [upgradeRequest("example.org:443", {}, { method: "CONNECT" }), 405],
  "a method that there is not": [upgradeRequest("/", {}, { method: "BREW" }), 400],
  // Duplicate or folded fields, too many fields, and fields that are too large.
  "two versions": [upgradeRequest("/", { "Sec-WebSocket-Version": ["13", "13"] }), 426],
  "a folded key": [upgradeRequest("/", { "Sec-WebSocket-Key": `\r\n ${UPGRADE_KEY}` }), 400],
  "two hosts in one field": [upgradeRequest("/", { Host: "localhost, example.org" }), 400],
  "a host with a path": [upgradeRequest("/", { Host: "localhost/a" }), 400],
  "a host with a user": [upgradeRequest("/", { Host: "user@localhost" }), 400],
  "an empty host": [upgradeRequest("/", { Host: "" }), 400],
  "a port that there is not": [upgradeRequest("/", { Host: "localhost:65536" }), 400],
  "2,500 fields before those that count": [upgradeRequest().replace("Host", `${filler(2_500)}Host`), 400, 431],
  "2,500 fields behind those that count": [fields(filler(2_500).trimEnd()), 400, 431],
  "a body behind 2,500 fields": [fields(`${filler(2_500)}Content-Length: 5`), 400, 431],
  "an origin behind 2,500 fields": [fields(`${filler(2_500)}Origin: http://evil.example`), 400, 403, 431],
  "a field of 20 KB": [fields(`X: ${"x".repeat(20_480)}`), 431],
  "a name of 20 KB": [fields(`${"x".repeat(20_480)}: 1`), 431],
  "a target of 20 KB": [upgradeRequest(`/${"x".repeat(20_480)}`), 431],
  "20 KB of fields": [fields("X: 1\r\n".repeat(3_400).trimEnd()), 431],
  "a megabyte in one field": [fields(`X: ${"x".repeat(2 ** 20)}`), 431],
  "20 KB of subprotocols": [upgradeRequest("/", { "Sec-WebSocket-Protocol": "a,".repeat(10_240) }), 431],
  "20 KB of spaces for subprotocols": [fields(`Sec-WebSocket-Protocol: a${" ".repeat(20_480)}b`), 431],
  "15 KB of commas for subprotocols": [upgradeRequest("/", { "Sec-WebSocket-Protocol": ",".repeat(15_000) }), 400],
  "15 KB of spaces in subprotocols": [fields(`Sec-WebSocket-Protocol: a${" ".repeat(15_000)}b`), 400],
  "15 KB of spaces in extensions": [fields(`Sec-WebSocket-Extensions: a${" ".repeat(15_000)}b`), 400],
  "15 KB of an open quote": [fields(`Sec-WebSocket-Extensions: a; b="${"\\a".repeat(7_500)}`), 400],
  "15 KB of empty parameters": [fields(`Sec-WebSocket-Extensions: a${";".repeat(15_000)}`), 400],
};

/** An HTTP server of an application. */
class Site implements AsyncDisposable {
  readonly http: HttpServer;

  private constructor(http: HttpServer) {
    this.http = http;
  }

  static async of(answer: RequestListener): Promise<Site> {
    const http = createServer(answer).listen(0, "127.0.0.1");
    await once(http, "listening");
    return new Site(http);
  }

  get port(): number {
    return (this.http.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.http.close();
    this.http.closeAllConnections();
    await once(this.http, "close");
  }
}

const ORIGINS: Readonly<Record<string, string>> = {
  "another host": "http://evil.example",
  "another host that begins alike": "http://localhost.evil.example",
  "another host that ends alike": "http://evillocalhost",
  "another port": "http://localhost:81",
  "another scheme's port": "https://localhost:80",
  null: "null",
  nothing: "",
  "no URL": "not an origin",
  "half a URL": "http://",
  "a wrong port": "http://localhost:port",
  "a bracket": "http://[",
  "a file": "file://localhost",
  "an extension": "chrome-extension://localhost",
  "a user": "http://localhost@evil.example",
  "a user of our name": "http://evil@localhost",
  "two origins": "http://localhost http://evil.example",
  "a list": "http://localhost, http://evil.example",
  "a percent sign": "http://%",
  "a broken escape": "http://localhost%",
  latin1: "http://localhost\xff",
  "10 KB": `http://${"a".repeat(10_000)}`,
};

describe("a request that is no valid upgrade", () => {
  let attacked: AttackedServer;
  before(async () => {
    attacked = await AttackedServer.start({ url: WS, does: "echo" });
    await attacked.begin();
  });
  after(() => attacked[Symbol.asyncDispose]());

  for (const [what, [request, ...statuses]] of Object.entries(REFUSED)) {
    it(`is answered with ${statuses.join(" or ")}: ${what}`, async () => {
      await using attacker = await Attacker.to(attacked.port);
      await attacker.flood(Buffer.from(request + message, "latin1"), 1);
      await attacker.until(() => attacker.ended);
      const said = attacker.bytes.toString("latin1");
      const { status, headers } = answerOf(said);
      assert.ok(statuses.includes(status), said);
      assert.match(headers["connection"] ?? "", /(^|, )close$/);
      assert.equal(said.split("HTTP/1.1 ").length, 2, "one answer");
      assert.ok(!said.includes("smuggled"), said);
      await attacker.cut();
    });
  }

  for (const [what, origin] of Object.entries(ORIGINS)) {
    it(`is answered with 403 if its origin is ${what}`, async () => {
      await using attacker = await Attacker.to(attacked.port);
      await attacker.flood(Buffer.from(upgradeRequest("/", { Origin: origin }) + message, "latin1"), 1);
      await attacker.until(() => attacker.ended);
      assert.equal(answerOf(attacker.bytes.toString("latin1")).status, 403);
    });
  }

  it("may have any byte in any field: it is answered, with one status or another", async () => {
    const octets = Array.from({ length: 128 }, (_, index) => String.fromCharCode(128 + index));
    const names = ["Host", "Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Origin"];
    const lists = ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Content-Length", "Transfer-Encoding"];
    for (const name of [...names, ...lists]) {
      for (const value of [octets.join(""), `a${octets[0]}`, `a; b=${octets[127]}`, `13${octets[64]}`]) {
        await using attacker = await Attacker.to(attacked.port);
        await attacker.flood(Buffer.from(upgradeRequest("/", { [name]: value }) + message, "latin1"), 1);
        await attacker.until(() => attacker.ended);
        const { status } = answerOf(attacker.bytes.toString("latin1"));
        assert.ok([400, 403, 426].includes(status), `${name}: ${value} is answered with ${status}`);
      }
    }
  });

  it("opened no connection in any of these cases, and the server still serves", async () => {
    const { handled } = await attacked.within(0);
    assert.equal(handled, 0);
    await using good = await Attacker.on(attacked.port);
    await good.flood(Buffer.from(message, "latin1"), 1);
    await good.until(() => good.frames.length === 1);
    assert.equal(good.frames[0]?.payload.toString(), "smuggled");
  });
});

describe("an upgrade behind a request that the application has not answered", () => {
  it("is cut: its frames and that answer would be mixed", async () => {
    const answers: ServerResponse[] = [];
    await using site = await Site.of((_, response) => void answers.push(response));
    attach(site.http, {}, () => assert.fail("nothing was to be served"));
    await using attacker = await Attacker.to(site.port);
    await attacker.flood(Buffer.from(plain + plain + upgradeRequest() + message, "latin1"), 1);
    await attacker.cut();
    assert.equal(answers.length, 2);
    for (const answer of answers) answer.end("late");
    assert.equal(attacker.received, 0);
  });

  it("is accepted when that answer was given, on the same socket", async () => {
    await using site = await Site.of((_, response) => void response.end("in time"));
    attach(site.http, {}, (connection) => connection.send("hello"));
    await using attacker = await Attacker.to(site.port);
    for (const request of [plain, plain]) {
      const { received } = attacker;
      await attacker.flood(Buffer.from(request), 1);
      await attacker.until(() => attacker.received > received && attacker.bytes.toString().endsWith("in time"));
    }
    await attacker.flood(Buffer.from(upgradeRequest()), 1);
    await attacker.until(() => attacker.bytes.includes("hello"));
    assert.match(attacker.bytes.toString("latin1"), /in time[\s\S]*in timeHTTP\/1\.1 101 [\s\S]*hello/);
  });
});
