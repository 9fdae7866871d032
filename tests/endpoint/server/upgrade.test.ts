/** Tests of a server's responses to upgrade requests, on real sockets. */

import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { describe, it } from "node:test";
import type { AcceptedEvent, Connection, ConnectionEvent, RefusedEvent, UpgradeRequest } from "../../../src/index.ts";
import { connect, HandshakeError, listen, TimeoutError } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { KEY, peerFrame } from "../../kit/frames.ts";
import { portOf, RawPeer, refused, UPGRADE_KEY, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const ANY_PORT = "ws://127.0.0.1:0";
const text = (payload: string): Uint8Array => peerFrame({ opcode: 1, payload, key: KEY });
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

describe("a request that does not become a connection", LIMIT, () => {
  const body = "0123456789";
  const answered: Record<string, { request: string; status: number; fields?: Record<string, string> }> = {
    "a key that is not 16 octets": { request: upgradeRequest("/", { "Sec-WebSocket-Key": "c2hvcnQ=" }), status: 400 },
    "no key": { request: upgradeRequest("/", { "Sec-WebSocket-Key": undefined }), status: 400 },
    "two keys": { request: upgradeRequest("/", { "Sec-WebSocket-Key": [UPGRADE_KEY, UPGRADE_KEY] }), status: 400 },
    "no Host": { request: upgradeRequest("/", { Host: undefined }), status: 400 },
    "two Hosts": { request: upgradeRequest("/", { Host: ["localhost", "localhost"] }), status: 400 },
    "an invalid Host": { request: upgradeRequest("/", { Host: "local host" }), status: 400 },
    "a body of announced length": {
      request: `${upgradeRequest("/", { "Content-Length": "10" })}${body}`,
      status: 400,
    },
    "a body in chunks": {
      request: `${upgradeRequest("/", { "Transfer-Encoding": "chunked" })}a\r\n${body}\r\n0\r\n\r\n`,
      status: 400,
    },
    "a subprotocol offered twice": { request: upgradeRequest("/", { "Sec-WebSocket-Protocol": "a, a" }), status: 400 },
    "a malformed extension": { request: upgradeRequest("/", { "Sec-WebSocket-Extensions": "a;;=" }), status: 400 },
    "a field name with a space": { request: upgradeRequest("/", { "X Y": "1" }), status: 400 },
    "not HTTP": { request: "hello\r\n\r\n", status: 400 },
    "a foreign origin": { request: upgradeRequest("/", { Origin: "http://evil.example" }), status: 403 },
    "an origin on another port": { request: upgradeRequest("/", { Origin: "http://localhost:8080" }), status: 403 },
    "the origin null": { request: upgradeRequest("/", { Origin: "null" }), status: 403 },
    "another path": { request: upgradeRequest("/other"), status: 404 },
    "the path and more": { request: upgradeRequest("/served/more"), status: 404 },
    "another method": {
      request: upgradeRequest("/served", { "Content-Length": "0" }, { method: "POST" }),
      status: 405,
      fields: { allow: "GET" },
    },
    "no Upgrade": {
      request: upgradeRequest("/served", { Upgrade: undefined, Connection: undefined }),
      status: 426,
      fields: { upgrade: "websocket", "sec-websocket-version": "13" },
    },
    "another protocol": {
      request: upgradeRequest("/served", { Upgrade: "h2c" }),
      status: 426,
      fields: { upgrade: "websocket", "sec-websocket-version": "13" },
    },
    "another version": {
      request: upgradeRequest("/served", { "Sec-WebSocket-Version": "8" }),
      status: 426,
      fields: { upgrade: "websocket", "sec-websocket-version": "13" },
    },
    "an HTTP version without Upgrade": {
      request: upgradeRequest("/served", {}, { version: "1.0" }),
      status: 426,
      fields: { upgrade: "websocket", "sec-websocket-version": "13" },
    },
    "20 KB of header fields": { request: upgradeRequest("/served", { "X-Long": "x".repeat(20_480) }), status: 431 },
  };
  for (const [what, { request, status, fields = {} }] of Object.entries(answered)) {
    it(`is answered with ${status} and closed: ${what}`, async () => {
      await using server = await listen("ws://127.0.0.1:0/served", () => assert.fail("nothing was to be served"));
      const answer = await refused(portOf(server), request.replace(/^GET \/ /, "GET /served "));
      assert.equal(answer.status, status);
      assert.match(answer.headers["connection"] ?? "", /(^|, )close$/);
      assert.deepEqual({ ...answer.headers, ...fields }, answer.headers);
      const { "content-length": length, "transfer-encoding": coding } = answer.headers;
      // Responses of Node itself end with the close of the socket.
      if (length !== undefined) assert.equal(length, String(answer.body.length));
      assert.ok(coding === undefined || coding === "chunked", coding);
      assert.equal(server.connections.size, 0);
    });
  }

  it("is answered also while its body is being sent", async () => {
    await using server = await listen(ANY_PORT, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(`${upgradeRequest("/", { "Content-Length": String(2 ** 22) })}${"x".repeat(2 ** 22)}`);
    assert.equal((await peer.head()).status, 400);
    await peer.until(({ ended }) => ended);
  });

  it("is not answered if the network has cut it, because an answer would tell the client never to retry", async () => {
    await using server = await listen(ANY_PORT, echo);
    const whole = upgradeRequest();
    for (const length of [1, 20, whole.length - 1]) {
      await using peer = await RawPeer.to(portOf(server));
      peer.write(whole.slice(0, length));
      peer.socket.end();
      await peer.closed;
      assert.equal(peer.text, "");
    }
  });

  it("with 2,500 header fields before the relevant ones neither crashes the server nor is accepted", async () => {
    await using server = await listen(ANY_PORT, echo);
    const many = Array.from({ length: 2_500 }, (_, index) => `a${index}: 1\r\n`).join("");
    const { status } = await refused(portOf(server), upgradeRequest().replace("\r\n", `\r\n${many}`));
    assert.ok(status === 431 || status === 400, String(status));
    await using good = await upgraded(portOf(server));
    assert.ok(!good.ended);
  });

  it("does not delay the close of the server if its client does not close", async () => {
    const warned: string[] = [];
    const warn = ({ message }: Error): void => void warned.push(message);
    process.on("warning", warn);
    await using server = await listen(ANY_PORT, { closeTimeout: Infinity }, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest("/", { "Sec-WebSocket-Key": undefined }));
    await peer.until(({ ended }) => ended);
    // From here on the socket is half open: the server must close it.
    await server.close();
    process.off("warning", warn);
    assert.deepEqual(warned, []);
  });
});

describe("an upgrade", LIMIT, () => {
  it("accepts an absolute target, a query, an origin of the same host, and fields in any letter case", async () => {
    const urls: string[] = [];
    const open = ({ url }: Connection): void => void urls.push(url);
    await using server = await listen("ws://127.0.0.1:0/served", { open }, echo);
    for (const request of [
      upgradeRequest("http://example.org/served"),
      upgradeRequest("/served?from=1"),
      upgradeRequest("/served", { Origin: "http://localhost" }),
      upgradeRequest("/served", { Upgrade: "WebSocket", Connection: "keep-alive, UPGRADE" }),
    ]) {
      await using peer = await upgraded(portOf(server), request);
      assert.ok(!peer.ended);
    }
    assert.deepEqual(urls, [
      "ws://example.org/served",
      "ws://localhost/served?from=1",
      "ws://localhost/served",
      "ws://localhost/served",
    ]);
  });

  it("sends 100 before 101 to a client that waits for it", async () => {
    await using server = await listen(ANY_PORT, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest("/", { Expect: "100-continue" }));
    await peer.until(({ text }) => text.split("\r\n\r\n").length === 3);
    assert.match(peer.text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 101 /);
  });

  it("does not lose frames in the segment of the request", async () => {
    await using server = await listen(ANY_PORT, echo);
    await using peer = await RawPeer.to(portOf(server));
    const request = Buffer.from(upgradeRequest());
    peer.write(Buffer.concat([request, text("one"), text("two"), text("three").subarray(0, 4)]));
    await peer.until((so) => so.text.endsWith("\x81\x03one\x81\x03two"));
    peer.write(text("three").subarray(4));
    await peer.until((so) => so.text.endsWith("\x81\x05three"));
  });

  it("does not lose frames that arrive during authorize, and does not read past them", async () => {
    const asked = signalled<UpgradeRequest>();
    const answer = signalled<undefined>();
    await using server = await listen(ANY_PORT, { authorize: (request) => asked.tell(request) ?? answer.told }, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(Buffer.concat([Buffer.from(upgradeRequest()), text("one")]));
    await asked.told;
    peer.write(text("two"));
    answer.tell(undefined);
    await peer.until((so) => so.text.endsWith("\x81\x03one\x81\x03two"));
  });

  it("selects the server's preferred subprotocol among those of both sides", async () => {
    await using server = await listen(ANY_PORT, { subprotocols: ["v3", "v2", "v1"] }, echo);
    await using both = await connect(server.url, { subprotocols: ["v1", "v2", "v4"] });
    assert.equal(both.protocol, "v2");
    const [served] = server.connections;
    assert.equal(served?.protocol, "v2");
    await using none = await connect(server.url, { subprotocols: ["v4"] });
    assert.equal(none.protocol, "");
    await using silent = await upgraded(portOf(server));
    assert.doesNotMatch(silent.text, /^Sec-WebSocket-Protocol/im);
  });

  it("adds the server's own fields, one line for each value", async () => {
    const headers = { "Set-Cookie": ["a=1", "b=2"], "X-Served-By": "one" };
    await using server = await listen(ANY_PORT, { headers }, echo);
    await using peer = await upgraded(portOf(server));
    assert.match(peer.text, /\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Served-By: one\r\n/);
  });

  for (const [what, headers] of Object.entries({
    "a line break": { "X-A": "a\r\nX-B: b" },
    "a lone line feed": { "X-A": ["fine", "a\nb"] },
    "a NUL": { "X-A": "\0" },
    "a name that is not a token": { "X A": "a" },
    "a field that the handshake sets": { "Sec-WebSocket-Accept": "a" },
  })) {
    it(`is refused at the call that creates the server if its fields are invalid: ${what}`, async () => {
      await assert.rejects(listen(ANY_PORT, { headers }, echo), { name: "TypeError", message: /Cannot send header/ });
    });
  }

  it("is reported to observe, accepted or refused", async () => {
    const accepted: AcceptedEvent[] = [];
    const refusals: RefusedEvent[] = [];
    const observe = (event: ConnectionEvent): void => {
      if (event.type === "accepted") accepted.push(event);
      if (event.type === "refused") refusals.push(event);
    };
    await using server = await listen(ANY_PORT, { observe, subprotocols: ["v1"] }, echo);
    await using _peer = await upgraded(portOf(server), upgradeRequest("/", { "Sec-WebSocket-Protocol": "v1" }));
    await refused(portOf(server), upgradeRequest("/", { Origin: "http://evil.example" }));
    await refused(portOf(server), upgradeRequest("/", { "Sec-WebSocket-Key": "no" }));
    assert.deepEqual(
      refusals.map(({ direction, reason, status }) => [direction, reason, status]),
      [
        ["in", "origin", 403],
        ["in", "request", 400],
      ],
    );
    assert.match(refusals[0]?.detail ?? "", /evil/);
    assert.match(refusals[1]?.detail ?? "", /RFC 6455 4\.2\.1/);
    const [opened] = accepted as [AcceptedEvent];
    assert.deepEqual([accepted.length, opened.direction, opened.subprotocol], [1, "in", "v1"]);
    assert.equal(opened.requestHeaders["sec-websocket-protocol"], "v1");
    assert.equal(opened.responseHeaders["sec-websocket-protocol"], "v1");
  });
});

describe("origin", LIMIT, () => {
  it("may be any, a list, or a function", async () => {
    const policies = [
      ["any", "http://evil.example", 101],
      [["https://app.example"], "https://app.example", 101],
      [["https://app.example"], "http://app.example", 403],
      [(origin: string | undefined, host: string) => origin === undefined && host === "localhost", undefined, 101],
      [() => false, undefined, 403],
    ] as const;
    for (const [origin, sent, status] of policies) {
      await using server = await listen(ANY_PORT, { origin }, echo);
      await using peer = await RawPeer.to(portOf(server));
      peer.write(upgradeRequest("/", { Origin: sent }));
      assert.equal((await peer.head()).status, status);
    }
  });

  it("is checked before authorize is called", async () => {
    await using server = await listen(ANY_PORT, { authorize: () => assert.fail("was asked") }, echo);
    assert.equal((await refused(portOf(server), upgradeRequest("/", { Origin: "http://evil.example" }))).status, 403);
  });

  it("with a function that throws is answered with 500 and reported", async () => {
    const fault = new Error("as it should");
    const told: unknown[] = [];
    const origin = (): boolean => {
      throw fault;
    };
    await using server = await listen(ANY_PORT, { origin, onError: (error) => told.push(error) }, echo);
    assert.equal((await refused(portOf(server), upgradeRequest())).status, 500);
    assert.deepEqual(told, [fault]);
  });
});

describe("authorize", LIMIT, () => {
  it("gets the request, and its result becomes the data of the connection", async () => {
    const requests: UpgradeRequest[] = [];
    const served = signalled<unknown>();
    const authorize = async (request: UpgradeRequest): Promise<{ name: string }> => {
      requests.push(request);
      return { name: request.headers["authorization"] ?? "" };
    };
    await using server = await listen("ws://127.0.0.1:0/", { authorize }, (connection) => served.tell(connection.data));
    const origin = "http://localhost";
    const fields = { Authorization: "ann", Origin: origin, "Sec-WebSocket-Protocol": "b, a", Cookie: ["x=1", "y=2"] };
    await using _peer = await upgraded(portOf(server), upgradeRequest("/a/%41?b=c?d", fields));
    assert.deepEqual(await served.told, { name: "ann" });
    const [{ signal, headers, remoteAddress, remotePort = 0, ...request }] = requests.map(valuesOf) as [UpgradeRequest];
    assert.deepEqual(request, {
      ...{ path: "/a/%41", query: "b=c?d", host: "localhost", origin, protocols: ["b", "a"], secure: false },
      ...{ params: {}, tls: undefined, raw: undefined },
    });
    assert.equal(headers["cookie"], "x=1; y=2");
    assert.ok(remotePort > 0);
    assert.equal(headers["sec-websocket-key"], UPGRADE_KEY);
    assert.equal(remoteAddress, "127.0.0.1");
    assert.equal(signal.aborted, false);
  });

  it("accepts with values other than a Response, including undefined and null", async () => {
    for (const data of [undefined, true, null, 0, ""]) {
      const served = signalled<unknown>();
      await using server = await listen<unknown>(ANY_PORT, { authorize: () => data }, ({ data }) => served.tell(data));
      await using _peer = await upgraded(portOf(server));
      assert.equal(await served.told, data);
    }
  });

  it("refuses with the status, fields and body of a Response", async () => {
    const authorize = (): Response =>
      new Response("pay first\n", {
        status: 402,
        headers: [
          ["X-Price", "5"],
          ["Set-Cookie", "a=1"],
          ["Set-Cookie", "b=2"],
        ],
      });
    await using server = await listen(ANY_PORT, { authorize }, echo);
    const { status, headers, body } = await refused(portOf(server), upgradeRequest());
    assert.equal(status, 402);
    assert.equal(body, "pay first\n");
    assert.equal(headers["x-price"], "5");
    assert.equal(headers["set-cookie"], "a=1, b=2");
    assert.match(headers["content-type"] ?? "", /^text\/plain/);
    assert.equal(headers["content-length"], "10");
    assert.equal(headers["connection"], "close");
  });

  const responses: Record<string, { response: () => Response; status: number; body: string }> = {
    "without a body": { response: () => new Response(null, { status: 401 }), status: 401, body: "" },
    "with bytes that are not text": {
      response: () => new Response(Uint8Array.of(0xff, 0x00, 0xfe), { status: 404 }),
      status: 404,
      body: "\xff\x00\xfe",
    },
    "with other fields for its length and the socket": {
      response: () =>
        new Response("no", {
          status: 403,
          headers: { "Content-Length": "5", Connection: "keep-alive", "Transfer-Encoding": "chunked" },
        }),
      status: 403,
      body: "no",
    },
    "that redirects": { response: () => Response.redirect("http://other.example/", 307), status: 307, body: "" },
  };
  for (const [what, { response, status, body }] of Object.entries(responses)) {
    it(`refuses with a Response ${what}`, async () => {
      await using server = await listen(ANY_PORT, { authorize: response }, echo);
      const answer = await refused(portOf(server), upgradeRequest());
      assert.equal(answer.status, status);
      assert.equal(answer.body, body);
      assert.equal(answer.headers["content-length"], String(body.length));
      assert.equal(answer.headers["connection"], "close");
      assert.equal(answer.headers["transfer-encoding"], undefined);
    });
  }

  it("refuses on the same socket: a client gets status and fields", async () => {
    const authorize = (): Response => new Response("no", { status: 401, headers: { "WWW-Authenticate": "Bearer" } });
    await using server = await listen(ANY_PORT, { authorize }, echo);
    await assert.rejects(connect(server.url), (error: unknown) => {
      assert.ok(error instanceof HandshakeError);
      assert.equal(error.status, 401);
      assert.equal(error.headers["www-authenticate"], "Bearer");
      return true;
    });
  });

  const faults: Record<string, () => unknown> = {
    throws: () => {
      throw new Error("as it should");
    },
    rejects: () => Promise.reject(new Error("as it should")),
    "rejects without a reason": () => Promise.reject(),
    "returns a response with status 200": () => new Response("fine"),
    "returns a response whose body was read": async () => {
      const response = new Response("no", { status: 401 });
      await response.text();
      return response;
    },
  };
  for (const [what, authorize] of Object.entries(faults)) {
    it(`is answered with 500, reported to onError, and frees its place if it ${what}`, async () => {
      const told: unknown[] = [];
      const options = { authorize, maxConnections: 1, onError: (error: unknown) => told.push(error) };
      await using server = await listen<unknown>(ANY_PORT, options, echo);
      for (const attempt of [1, 2]) {
        const answer = await refused(portOf(server), upgradeRequest());
        assert.equal(answer.status, 500);
        assert.doesNotMatch(answer.body, /as it should/);
        assert.equal(told.length, attempt);
      }
    });
  }

  it("is limited by openTimeout, which aborts its signal and frees its place", async () => {
    const clock = new ManualClock();
    const asked = signalled<UpgradeRequest>();
    let slow = true;
    const authorize = (request: UpgradeRequest): Promise<undefined> | undefined => {
      if (!slow) return undefined;
      asked.tell(request);
      return new Promise(() => undefined);
    };
    await using server = await listen(ANY_PORT, { authorize, clock, openTimeout: 5_000, maxConnections: 1 }, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest());
    const { signal } = await asked.told;
    await clock.advance(4_999);
    assert.equal(signal.aborted, false);
    assert.equal(peer.text, "");
    await clock.advance(1);
    assert.ok(signal.reason instanceof TimeoutError);
    assert.equal(signal.reason.operation, "accept");
    assert.equal(signal.reason.limit, "openTimeout");
    await peer.until(({ ended }) => ended);
    assert.equal((await peer.head()).status, 503);
    slow = false;
    await using next = await upgraded(portOf(server));
    assert.ok(!next.ended);
  });

  it("is limited by openTimeout also if the body of the refusal does not end", async () => {
    const clock = new ManualClock();
    const pulled = signalled<undefined>();
    const body = (): ReadableStream => new ReadableStream({ pull: () => pulled.tell(undefined) });
    const authorize = (): Response => new Response(body(), { status: 401 });
    await using server = await listen(ANY_PORT, { authorize, clock, openTimeout: 5_000 }, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest());
    await pulled.told;
    await clock.advance(5_000);
    await peer.until(({ ended }) => ended);
    assert.equal((await peer.head()).status, 503);
  });

  it("has no effect if it settles after its time", async () => {
    const clock = new ManualClock();
    const asked = signalled<undefined>();
    let late: (data: undefined) => void = () => undefined;
    let later: (error: Error) => void = () => undefined;
    const authorize = (request: UpgradeRequest): Promise<undefined> => {
      asked.tell(undefined);
      return new Promise((resolve, reject) => {
        if (request.path === "/resolves") late = resolve;
        else later = reject;
      });
    };
    const told: unknown[] = [];
    const options = { authorize, clock, openTimeout: 5_000, onError: (error: unknown) => told.push(error) };
    await using server = await listen(ANY_PORT, options, () => assert.fail("nothing was to be served"));
    for (const target of ["/resolves", "/rejects"]) {
      await using peer = await RawPeer.to(portOf(server));
      peer.write(upgradeRequest(target));
      await asked.told;
      await clock.advance(5_000);
      await peer.until(({ ended }) => ended);
      late(undefined);
      later(new Error("too late to matter"));
      await clock.advance(0);
      assert.equal((await peer.head()).status, 503);
    }
    assert.deepEqual(told, []);
  });

  for (const [how, leave] of Object.entries({
    "a FIN": (peer: RawPeer) => peer.socket.end(),
    "a reset": (peer: RawPeer) => peer.socket.resetAndDestroy(),
  })) {
    it(`aborts its signal, and frees its place, when the client leaves by ${how}`, async () => {
      const asked = signalled<UpgradeRequest>();
      let slow = true;
      const authorize = (request: UpgradeRequest): Promise<undefined> | undefined => {
        if (!slow) return undefined;
        asked.tell(request);
        return new Promise(() => undefined);
      };
      const told: unknown[] = [];
      const options = { authorize, maxConnections: 1, onError: (error: unknown) => told.push(error) };
      await using server = await listen(ANY_PORT, options, echo);
      await using peer = await RawPeer.to(portOf(server));
      peer.write(upgradeRequest());
      const { signal } = await asked.told;
      leave(peer);
      if (!signal.aborted) await once(signal, "abort");
      await peer.closed;
      slow = false;
      await using next = await upgraded(portOf(server));
      assert.ok(!next.ended);
      assert.deepEqual(told, []);
    });
  }

  it("leaves no listener for its signal", async () => {
    const asked = signalled<UpgradeRequest>();
    await using server = await listen(ANY_PORT, { authorize: (request) => asked.tell(request) }, echo);
    await using _peer = await upgraded(portOf(server));
    const { signal } = await asked.told;
    assert.equal(signal.aborted, false);
    assert.ok(getEventListeners(signal, "abort").length <= 1);
  });
});

describe("maxConnections", LIMIT, () => {
  it("answers 503 with Retry-After, and accepts the next request when a connection has ended", async () => {
    await using server = await listen(ANY_PORT, { maxConnections: 2 }, echo);
    await using first = await upgraded(portOf(server));
    await using _second = await upgraded(portOf(server));
    const { status, headers } = await refused(portOf(server), upgradeRequest());
    assert.equal(status, 503);
    assert.match(headers["retry-after"] ?? "", /^\d+$/);
    const [oldest] = server.connections;
    first.socket.destroy();
    await oldest?.closed;
    await using third = await upgraded(portOf(server));
    assert.ok(!third.ended);
  });

  it("includes requests without a decision", async () => {
    const asked = signalled<undefined>();
    const answer = signalled<undefined>();
    const authorize = (): Promise<undefined> => asked.tell(undefined) ?? answer.told;
    await using server = await listen(ANY_PORT, { authorize, maxConnections: 1 }, echo);
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest());
    await asked.told;
    assert.equal((await refused(portOf(server), upgradeRequest())).status, 503);
    answer.tell(undefined);
    assert.equal((await peer.head()).status, 101);
  });

  it("excludes refused requests", async () => {
    await using server = await listen(ANY_PORT, { maxConnections: 1 }, echo);
    for (const request of [upgradeRequest("/", { Host: undefined }), upgradeRequest("/", { Origin: "http://a.b" })]) {
      await refused(portOf(server), request);
    }
    await using peer = await upgraded(portOf(server));
    assert.ok(!peer.ended);
  });

  it("closes a further TCP connection at once", async () => {
    await using server = await listen("tcp://127.0.0.1:0", { maxConnections: 1, framing: "lines" }, echo);
    await using first = await RawPeer.to(portOf(server));
    first.write("hello\n");
    await first.until((so) => so.text === "hello\n");
    await using second = await RawPeer.to(portOf(server));
    await second.until(({ ended }) => ended).catch(() => undefined);
    assert.equal(second.text, "");
    assert.equal(server.connections.size, 1);
  });

  for (const wrong of [0, -1, 1.5, Number.NaN, "10" as unknown as number]) {
    it(`is refused with ${JSON.stringify(wrong)}`, async () => {
      await assert.rejects(listen(ANY_PORT, { maxConnections: wrong }, echo), {
        name: typeof wrong === "number" ? "RangeError" : "TypeError",
        message: /maxConnections/,
      });
    });
  }
});

interface Signalled<T> {
  readonly told: Promise<T>;
  readonly tell: (value: T) => undefined;
}

/** A promise and its resolve function. */
function signalled<T>(): Signalled<T> {
  let resolve: (value: T) => void;
  const told = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { told, tell: (value) => void resolve(value) };
}

/** The properties of a request, as a plain object. */
function valuesOf(request: UpgradeRequest): UpgradeRequest {
  const { path, params, query, host, origin, protocols, headers, remoteAddress, remotePort } = request;
  const { secure, tls, raw, signal } = request;
  return { path, params, query, host, origin, protocols, headers, remoteAddress, remotePort, secure, tls, raw, signal };
}
