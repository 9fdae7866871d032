/** Tests of connections through an HTTP proxy: the request, the answers, and which servers the environment exempts. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, connect as connectTo, type Socket } from "node:net";
import { describe, it } from "node:test";
import {
  type ConnectOptions,
  connect,
  type DialAttempt,
  httpProxy,
  listen,
  proxyFromEnvironment,
  reconnect,
  type Server,
  TimeoutError,
  TransportError,
} from "../../../src/index.ts";
import { ManualClock, settled } from "../../../src/testing/index.ts";
import { ELSEWHERE, LOCALHOST } from "../../fixtures/certificates.ts";
import { failure } from "../../kit/handshake-failure.ts";
import { openSockets, socketsDownTo } from "../../kit/kernel-sockets.ts";
import { portOf, type RawPeer, rawServer } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };

/** A proxy of node:http, which joins every name to this machine. */
async function tunnels(secure = false): Promise<AsyncDisposable & { url: string; requests: IncomingMessage[] }> {
  const requests: IncomingMessage[] = [];
  const server = secure ? createHttpsServer(LOCALHOST) : createServer();
  const open = new Set<Socket>();
  server.on("connect", (request: IncomingMessage, socket: Socket, head: Buffer) => {
    requests.push(request);
    const onward = connectTo({ port: Number(/:(\d+)$/.exec(request.url ?? "")?.[1]), host: "127.0.0.1" });
    for (const one of [socket, onward]) open.add(one.on("error", () => undefined));
    socket.on("close", () => onward.destroy());
    onward.on("close", () => socket.destroy()).write(head);
    onward.once("connect", () => {
      socket.write("HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n");
      socket.pipe(onward).pipe(socket);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `${secure ? "https" : "http"}://localhost:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

const SCHEMES = ["ws", "wss", "tcp", "tls"] as const;

function served(scheme: string): Promise<Server> {
  return listen(`${scheme as "ws"}://127.0.0.1:0`, {
    ...(scheme.startsWith("t") && { framing: "lines" }),
    ...(["wss", "tls"].includes(scheme) && { tls: LOCALHOST }),
    message: (connection, message) => void connection.trySend(message),
  });
}

const trusting = (scheme: string): ConnectOptions<undefined> => ({
  ...(scheme.startsWith("t") && { framing: "lines" }),
  tls: { ca: LOCALHOST.cert },
});

describe("an HTTP proxy", LIMIT, () => {
  for (const scheme of SCHEMES) {
    for (const secure of [false, true]) {
      it(`carries ${scheme}: ${secure ? "over TLS to the proxy" : "over TCP"}`, async () => {
        const before = openSockets();
        await using server = await served(scheme);
        await using proxy = await tunnels(secure);
        const dial = httpProxy(proxy.url, { tls: { ca: LOCALHOST.cert } });
        const url = `${scheme}://localhost:${portOf(server)}`;
        const connection = await connect(url, { ...trusting(scheme), dial });
        await connection.send("hello");
        assert.equal(String(await connection.receive()), "hello");
        assert.equal(connection.secure, ["wss", "tls"].includes(scheme) || secure);
        await connection.close();
        await connection.closed;
        assert.deepEqual(
          proxy.requests.map(({ method, url: target, headers }) => [method, target, headers]),
          [["CONNECT", `localhost:${portOf(server)}`, { host: `localhost:${portOf(server)}` }]],
        );
        await server.close();
        await proxy[Symbol.asyncDispose]();
        await socketsDownTo(before);
      });
    }
  }

  it("gets the credentials of its URL, and the given fields, but nothing of the request of the WebSocket", async () => {
    await using server = await served("ws");
    await using proxy = await tunnels();
    const url = proxy.url.replace("//", "//us%65r:p%C3%A4ss%3Aword@");
    const dial = httpProxy(url, { headers: { "X-Tenant": "7" } });
    const headers = { Authorization: "Bearer secret", Cookie: "a=b" };
    await using _connection = await connect(`ws://localhost:${portOf(server)}`, { dial, headers });
    const [request] = proxy.requests;
    assert.equal(request?.headers["proxy-authorization"], `Basic ${Buffer.from("user:päss:word").toString("base64")}`);
    assert.equal(request.headers["x-tenant"], "7");
    assert.equal(request.rawHeaders.length, 6);
  });

  it("names the server as in an authority, with brackets for IPv6", async () => {
    await using proxy = await rawServer(() => undefined);
    const controller = new AbortController();
    const dial = httpProxy(`http://127.0.0.1:${proxy.port}`);
    const attempt = connect("wss://[fd00::1]/live", { dial, signal: controller.signal }).catch(() => undefined);
    while (proxy.peers[0]?.text.includes("\r\n\r\n") !== true) await settled();
    assert.equal(proxy.peers[0]?.text, "CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n\r\n");
    controller.abort();
    await attempt;
  });

  it("loses no bytes that follow its answer, however they are cut", async () => {
    for (const cut of [1, 5, 20]) {
      await using proxy = await rawServer(async (peer) => {
        await peer.head();
        for (const bytes of Buffer.from("HTTP/1.1 200 OK\r\n\r\nfirst\nsecond\n")
          .toString()
          .match(new RegExp(`[^]{1,${cut}}`, "g")) ?? []) {
          peer.write(bytes);
          if (cut < 20) await settled();
        }
      });
      const dial = httpProxy(`http://127.0.0.1:${proxy.port}`);
      await using connection = await connect("tcp://a.example:1", { dial, framing: "lines" });
      assert.equal(String(await connection.receive()), "first");
      assert.equal(String(await connection.receive()), "second");
      // A close would wait for the end of the peer, which stays open.
      connection.terminate();
    }
  });

  it("is used again for each attempt of reconnect", async () => {
    await using server = await served("ws");
    await using proxy = await tunnels();
    const options = { dial: httpProxy(proxy.url), initialPause: 1 };
    let sessions = 0;
    await reconnect(
      `ws://localhost:${portOf(server)}`,
      (connection) => {
        sessions += 1;
        if (sessions < 3) connection.terminate();
        return sessions < 3 ? connection.closed.then(() => undefined) : "enough";
      },
      options,
    );
    assert.equal(proxy.requests.length, 3);
  });

  const refusals: Record<
    string,
    { answer: string; status: number; body?: string; truncated?: boolean; message?: RegExp }
  > = {
    credentials: {
      answer: "HTTP/1.1 407 No\r\nProxy-Authenticate: Basic\r\nContent-Length: 5\r\n\r\nlogin",
      ...{
        status: 407,
        body: "login",
        message: /the proxy answered 407; it requires credentials in its URL, or others/,
      },
    },
    "the port": { answer: "HTTP/1.0 403 Filtered\r\n\r\n", status: 403, body: "" },
    "an unreachable server": {
      answer: "HTTP/1.1 502 No\r\nContent-Length: 4\r\n\r\nnonono",
      status: 502,
      body: "nono",
    },
    "with a long page": {
      answer: `HTTP/1.1 503 No\r\nContent-Length: 5000\r\n\r\n${"x".repeat(5_000)}`,
      ...{ status: 503, body: "x".repeat(1_024), truncated: true },
    },
    "with chunks": {
      answer: "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
      ...{ status: 503, body: "", truncated: true },
    },
    "by a redirect": { answer: "HTTP/1.1 302 No\r\nLocation: http://login/\r\nContent-Length: 0\r\n\r\n", status: 302 },
  };
  for (const [what, { answer, status, body = "", truncated = false, message }] of Object.entries(refusals)) {
    it(`may refuse: ${what}`, async () => {
      const before = openSockets();
      await using proxy = await rawServer(async (peer) => {
        await peer.head();
        peer.write(answer);
        if (!/Content-Length|chunked/.test(answer)) peer.socket.end();
      });
      const error = await failure(connect("wss://a.example", { dial: httpProxy(`http://127.0.0.1:${proxy.port}`) }));
      assert.equal(error.phase, "proxy");
      assert.equal(error.status, status);
      assert.deepEqual([error.body, error.bodyTruncated], [body, truncated]);
      assert.match(
        error.message,
        message ?? new RegExp(`^Cannot connect: the proxy answered ${status} \\(in phase proxy\\)$`),
      );
      if (status === 407) assert.equal(error.headers["proxy-authenticate"], "Basic");
      await proxy[Symbol.asyncDispose]();
      await socketsDownTo(before);
    });
  }

  const broken: Record<string, { answer: (peer: RawPeer) => void; scheme?: string; message: RegExp }> = {
    "that is a server of another protocol": {
      answer: (peer) => peer.write("SSH-2.0-OpenSSH_9.2\r\n"),
      message: /the proxy's answer is not valid HTTP\/1\.1/,
    },
    "that closes without an answer": {
      answer: ({ socket }) => socket.end(),
      message: /the proxy closed the connection without a complete answer; if it expects TLS, use https:/,
    },
    "that resets": {
      answer: ({ socket }) => socket.resetAndDestroy(),
      message: /the proxy reset the connection without a complete answer/,
    },
    "that does not speak TLS": {
      answer: (peer) => peer.write("HTTP/1.1 400 No\r\n\r\n"),
      ...{ scheme: "https", message: /the proxy does not speak TLS here/ },
    },
  };
  for (const [what, { answer, scheme = "http", message }] of Object.entries(broken)) {
    it(`${what} is an error in phase proxy`, async () => {
      const before = openSockets();
      await using proxy = await rawServer(async (peer) => {
        await peer.until(({ bytes }) => bytes.length > 0);
        answer(peer);
      });
      const error = await failure(
        connect("ws://a.example", { dial: httpProxy(`${scheme}://127.0.0.1:${proxy.port}`) }),
      );
      assert.match(error.message, message);
      assert.equal(error.phase, "proxy");
      assert.equal(error.status, undefined);
      assert.ok(error.cause instanceof TransportError);
      await proxy[Symbol.asyncDispose]();
      await socketsDownTo(before);
    });
  }

  it("with an untrusted certificate is an error in phase proxy", async () => {
    await using proxy = await tunnels(true);
    for (const ca of [undefined, ELSEWHERE.cert]) {
      const error = await failure(connect("ws://a.example", { dial: httpProxy(proxy.url, { tls: { ca } }) }));
      assert.match(error.message, /the certificate of the proxy is self-signed/);
      assert.equal((error.cause as TransportError).errno, "DEPTH_ZERO_SELF_SIGNED_CERT");
    }
  });

  it("that is not there, or does not exist, is an error in phase proxy", async () => {
    assert.match(
      (await failure(connect("ws://a.example", { dial: httpProxy("http://127.0.0.1:1") }))).message,
      /REFUSED/,
    );
    const error = await failure(connect("ws://127.0.0.1:1", { dial: httpProxy("http://nobody.invalid:1") }));
    assert.match(error.message, /nobody\.invalid/);
    assert.equal(error.phase, "proxy");
  });

  const stalls: Record<string, string> = {
    "that does not answer": "",
    "that answers in part": "HTTP/1.1 200 OK\r\nVia",
  };
  for (const [what, answer] of Object.entries(stalls)) {
    it(`${what} ends at openTimeout, and when the signal aborts`, async () => {
      for (const end of ["openTimeout", "signal"]) {
        const before = openSockets();
        const clock = new ManualClock();
        const controller = new AbortController();
        await using proxy = await rawServer(async (peer) => {
          await peer.head();
          peer.write(answer);
        });
        const options = { dial: httpProxy(`http://127.0.0.1:${proxy.port}`), clock, signal: controller.signal };
        const attempt = connect("wss://a.example", options).catch((error: unknown) => error);
        while (proxy.peers[0]?.text.includes("\r\n\r\n") !== true) await settled();
        if (end === "signal") controller.abort("enough");
        else await clock.advance(10_000);
        const error = await attempt;
        if (end === "signal") assert.equal(error, "enough");
        else {
          assert.ok(error instanceof TimeoutError, String(error));
          assert.equal(error.operation, "connect:proxy");
        }
        await proxy[Symbol.asyncDispose]();
        await socketsDownTo(before);
      }
    });
  }

  it("that refuses without the end of its page is a refusal at openTimeout", async () => {
    const before = openSockets();
    const clock = new ManualClock();
    await using proxy = await rawServer(async (peer) => {
      await peer.head();
      peer.write("HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\nno");
    });
    const options = { dial: httpProxy(`http://127.0.0.1:${proxy.port}`), clock };
    const attempt = failure(connect("wss://a.example", options));
    while (proxy.peers[0]?.text.includes("\r\n\r\n") !== true) await settled();
    for (let turn = 0; turn < 20; turn += 1) await settled();
    await clock.advance(10_000);
    const { status, body, bodyTruncated } = await attempt;
    assert.deepEqual([status, body, bodyTruncated], [403, "no", true]);
    await proxy[Symbol.asyncDispose]();
    await socketsDownTo(before);
  });

  it("is not for unix sockets", async () => {
    const error = await failure(connect("ws+unix:///run/app.sock", { dial: httpProxy("http://127.0.0.1:1") }));
    assert.match(error.message, /Cannot reach a unix socket through a proxy/);
  });

  it("has an http: or https: URL; the error does not show a password", () => {
    const wrong = [
      "",
      "proxy:3128",
      "socks5://proxy",
      "ws://proxy",
      "http://a:secret@proxy/path",
      "http://secret@",
      5,
      null,
    ];
    for (const url of [...wrong, "http://a:%secret@proxy", "http://proxy?a"]) {
      assert.throws(
        () => httpProxy(url as string),
        (error: Error) =>
          error.name === "TypeError" && /^Cannot use proxy/.test(error.message) && !/secret/.test(error.message),
      );
    }
    assert.throws(() => httpProxy("http://proxy", { headers: { Host: "a" } }), TypeError);
    assert.throws(() => httpProxy("http://proxy", { timeout: 5 } as object), TypeError);
    assert.throws(() => httpProxy("http://proxy", { tls: 5 as unknown as object }), TypeError);
    httpProxy(new URL("http://proxy"), { headers: undefined, tls: undefined });
  });
});

/** The proxy at which a connection to `url` would begin: `host:port`; "direct" for none. */
async function chosen(environment: Record<string, string>, url: string): Promise<string> {
  const { protocol, hostname, port } = new URL(url.replace(/^(tcp|tls):/, "http:"));
  const kind = /^t/.test(url) ? "tcp" : "websocket";
  const secure = /^(wss|tls):/.test(url);
  const destination = {
    ...({ kind, secure, socketPath: undefined, host: hostname.replace(/^\[|\]$/g, "") } as const),
    port: port === "" ? (secure || protocol === "wss:" ? 443 : 80) : Number(port),
  };
  let place = "direct";
  const open: DialAttempt["open"] = async ({ host, port: at }) => {
    place = `${host}:${at}`;
    throw new Error("not opened");
  };
  const attempt = { open, timeout: Infinity, signal: new AbortController().signal };
  try {
    await proxyFromEnvironment(environment)(destination, attempt);
  } catch (error) {
    if (place === "direct") throw error;
  }
  return place;
}

describe("the proxy of the environment", LIMIT, () => {
  const ALL = { HTTP_PROXY: "http://plain:1", HTTPS_PROXY: "http://secure:2", ALL_PROXY: "http://all:3" };
  const choices: [environment: Record<string, string>, url: string, place: string][] = [
    [{}, "ws://a.example", "direct"],
    [ALL, "ws://a.example", "plain:1"],
    [ALL, "wss://a.example", "secure:2"],
    [ALL, "tcp://a.example:9", "all:3"],
    [ALL, "tls://a.example:9", "all:3"],
    [{ HTTP_PROXY: "http://plain:1" }, "wss://a.example", "direct"],
    [{ HTTP_PROXY: "http://plain:1" }, "tcp://a.example:9", "direct"],
    [{ ALL_PROXY: "http://all:3" }, "ws://a.example", "all:3"],
    [{ ALL_PROXY: "http://all:3" }, "wss://a.example", "all:3"],
    [{ http_proxy: "lower:4" }, "ws://a.example", "lower:4"],
    [{ http_proxy: "lower", HTTP_PROXY: "http://plain:1" }, "ws://a.example", "lower:80"],
    [{ https_proxy: "https://lower" }, "wss://a.example", "lower:443"],
    [{ HTTP_PROXY: "", ALL_PROXY: "" }, "ws://a.example", "direct"],
    [{ ...ALL, REQUEST_METHOD: "GET" }, "ws://a.example", "all:3"],
    [{ HTTP_PROXY: "http://plain:1", REQUEST_METHOD: "GET" }, "ws://a.example", "direct"],
    [{ http_proxy: "http://plain:1", REQUEST_METHOD: "GET" }, "ws://a.example", "plain:1"],
    [{ ...ALL, ALL_PROXY: "socks5://socks:1080" }, "ws://a.example", "plain:1"],
    [ALL, "ws://localhost", "direct"],
    [ALL, "ws://app.localhost", "direct"],
    [ALL, "ws://127.9.9.9:80", "direct"],
    [ALL, "ws://[::1]", "direct"],
    [ALL, "ws://[::ffff:127.0.0.1]", "direct"],
  ];
  for (const [environment, url, place] of choices) {
    it(`of ${JSON.stringify(environment)} for ${url}: ${place}`, async () => {
      assert.equal(await chosen(environment, url), place);
    });
  }

  const exceptions: [list: string, direct: readonly string[], proxied: readonly string[]][] = [
    ["*", ["a.example", "10.0.0.1", "[fd00::1]"], []],
    ["a.example,*", ["b.example"], []],
    ["a.example", ["a.example", "A.EXAMPLE", "a.example.", "b.a.example", "a.example:81"], ["ba.example", "example"]],
    ["A.Example", ["a.example"], ["b.example"]],
    [".a.example", ["b.a.example", "c.b.a.example"], ["a.example", "ba.example"]],
    ["*.a.example", ["b.a.example"], ["a.example"]],
    ["a.example:81", ["a.example:81", "b.a.example:81"], ["a.example", "a.example:82"]],
    ["a.example:80", ["a.example"], ["a.example:81"]],
    ["10.0.0.1", ["10.0.0.1", "10.0.0.1:81"], ["10.0.0.11", "10.0.0.2"]],
    ["10.0.0.1:81", ["10.0.0.1:81"], ["10.0.0.1"]],
    ["0.1", [], ["10.0.0.1"]],
    ["10.0.0.0/8", ["10.0.0.1", "10.255.255.255"], ["11.0.0.1", "a.10.example"]],
    ["192.168.1.128/25", ["192.168.1.200"], ["192.168.1.100"]],
    ["fd00::/8", ["[fd00::1]", "[fdff::1]"], ["[fe00::1]", "10.0.0.1"]],
    ["fd00::1", ["[fd00::1]", "[fd00:0:0::1]:81"], ["[fd00::2]"]],
    ["[fd00::1]", ["[fd00::1]"], ["[fd00::2]"]],
    ["[fd00::1]:81", ["[fd00::1]:81"], ["[fd00::1]"]],
    [" a.example , b.example\tc.example ,, ", ["a.example", "b.example", "c.example"], ["d.example"]],
    ["10.0.0.0/99,10.0.0.0/x,10.0.0.0/,/8,:80,.", [], ["10.0.0.1", "a.example"]],
    ["", [], ["a.example"]],
  ];
  for (const [list, direct, proxied] of exceptions) {
    it(`is not used for the servers of NO_PROXY ${JSON.stringify(list)}`, async () => {
      const environment = { HTTP_PROXY: "http://proxy:1", NO_PROXY: list };
      for (const host of direct) assert.equal(await chosen(environment, `ws://${host}`), "direct", host);
      for (const host of proxied) assert.equal(await chosen(environment, `ws://${host}`), "proxy:1", host);
    });
  }

  it("is an error only where it is needed, and the error does not show a password", async () => {
    const dial = proxyFromEnvironment({ ALL_PROXY: "socks4://a:secret@proxy", HTTP_PROXY: "http://a:%secret@proxy" });
    for (const [url, name] of [
      ["tcp://a.example:9", "ALL_PROXY"],
      ["ws://a.example", "HTTP_PROXY"],
    ]) {
      const error = await failure(connect(url ?? "", { dial }));
      assert.match(error.message, new RegExp(`Cannot use ${name}: expected a URL`));
      assert.doesNotMatch(error.message, /secret/);
    }
    await using server = await served("ws");
    await using _connection = await connect(server.url, { dial });
  });

  it("is read from process.env by default, and a connection that needs none is opened directly", async () => {
    await using server = await served("ws");
    await using proxy = await tunnels();
    const { HTTP_PROXY: was } = process.env;
    process.env["HTTP_PROXY"] = proxy.url;
    const dial = proxyFromEnvironment();
    if (was === undefined) delete process.env["HTTP_PROXY"];
    else process.env["HTTP_PROXY"] = was;
    for (const [host, count] of [
      ["localhost", 0],
      ["a.example", 1],
    ] as const) {
      await using connection = await connect(`ws://${host}:${portOf(server)}`, { dial });
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      assert.equal(proxy.requests.length, count);
    }
  });

  it("is not used for unix sockets", async () => {
    const error = await failure(connect("ws+unix:///nowhere.sock", { dial: proxyFromEnvironment(ALL) }));
    assert.equal((error.cause as TransportError).errno, "ENOENT");
    assert.equal(error.phase, "tcp");
  });
});
