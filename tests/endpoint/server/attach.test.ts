/** Tests of WebSocket on an HTTP server that the application owns. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server as HttpServer, type ServerOptions } from "node:http";
import { connect as connectHttp2, createSecureServer } from "node:http2";
import { createServer as createSecure } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { attach, type Connection, connect, HandshakeError, listen, type UpgradeRequest } from "../../../src/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { KEY, peerFrame } from "../../kit/frames.ts";
import { RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const saying =
  (word: string) =>
  async (connection: Connection): Promise<void> => {
    await connection.send(word);
  };

interface Owned extends AsyncDisposable {
  readonly http: HttpServer;
  readonly port: number;
  readonly url: string;
}

/** A server of an application, which answers every request with its path. */
async function owned(options: ServerOptions = {}, http = createServer(options)): Promise<Owned> {
  http.on("request", (request, response) => response.end(`page ${request.url}`));
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  return {
    http,
    port,
    url: `127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      http.close();
      http.closeAllConnections();
      await once(http, "close");
    },
  };
}

async function page(url: string): Promise<string> {
  return await (await fetch(`http://${url}`, { headers: { Connection: "close" } })).text();
}

/** The first message that a client receives. */
async function firstMessageFrom(url: string): Promise<unknown> {
  await using connection = await connect(`ws://${url}`);
  return await connection.receive();
}

describe("an attachment", LIMIT, () => {
  it("serves its path beside the pages of the HTTP server", async () => {
    await using site = await owned();
    await using live = attach(site.http, { path: "/live" }, saying("hello"));
    assert.equal(live.url, `ws://${site.url}/live`);
    assert.equal(await firstMessageFrom(`${site.url}/live`), "hello");
    assert.equal(await firstMessageFrom(`${site.url}/live?from=1`), "hello");
    assert.equal(await page(`${site.url}/live`), "page /live");
    assert.equal(await page(`${site.url}/`), "page /");
  });

  it("serves every path without the option path", async () => {
    await using site = await owned();
    await using _live = attach(site.http, {}, saying("hello"));
    for (const path of ["", "/", "/a/b?c"]) assert.equal(await firstMessageFrom(`${site.url}${path}`), "hello");
  });

  it("serves an https server", async () => {
    await using site = await owned({}, createSecure(LOCALHOST));
    await using live = attach(site.http, { path: "/live" }, echo);
    await using connection = await connect(`wss://${site.url}/live`, { tls: { ca: LOCALHOST.cert } });
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
    const [served] = live.connections;
    assert.ok(served?.secure);
    assert.equal(live.url, served.url);
    assert.equal(served.url, `wss://${site.url}/live`);
  });

  it("serves the requests of HTTP/1.1 of a node:http2 server, beside those of HTTP/2", async () => {
    const http = createSecureServer({ ...LOCALHOST, allowHTTP1: true });
    await using server = attach(http, { path: "/echo" }, echo);
    http.on("request", (request, response) => response.end(`page ${request.url}`));
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const { port } = http.address() as AddressInfo;
    await using connection = await connect(`wss://localhost:${port}/echo`, { tls: { ca: LOCALHOST.cert } });
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
    assert.equal(server.url, `wss://127.0.0.1:${port}/echo`);
    const session = connectHttp2(`https://localhost:${port}`, { ca: LOCALHOST.cert });
    const page = session.request({ ":path": "/page" }).setEncoding("utf8");
    assert.deepEqual(await page.toArray(), ["page /page"]);
    session.close();
    await connection.close();
    http.close();
  });

  it("finds its path however the client encodes it, as listen does", async () => {
    const paths = { "/café": ["/café", "/caf%C3%A9", "/caf%c3%a9", "/%63af%C3%A9"], "/a b": ["/a b", "/a%20b"] };
    for (const [path, targets] of Object.entries(paths)) {
      for (const written of [path, encodeURI(path)]) {
        await using site = await owned();
        await using _server = attach(site.http, { path: written }, saying(path));
        await using listening = await listen(`ws://127.0.0.1:0${written}`, saying(path));
        for (const target of targets) {
          for (const base of [`ws://127.0.0.1:${site.port}`, listening.url.replace(/(:\d+).*/, "$1")]) {
            await using connection = await connect(`${base}${target}`);
            assert.equal(await connection.receive(), path);
          }
        }
        for (const target of ["/caf%C3%A8", "/cafe", "/a%2520b"])
          await assert.rejects(connect(`ws://127.0.0.1:${site.port}${target}`), { status: 404 });
        await assert.rejects(connect(`ws://127.0.0.1:${site.port}/%E9`), { status: 400 });
      }
    }
    await using site = await owned();
    await using _server = attach(site.http, { path: "/a%2Fb" }, echo);
    await assert.rejects(connect(`ws://127.0.0.1:${site.port}/a/b`), { status: 404 });
    assert.throws(() => attach(site.http, { path: "/%61%2fb" }, echo), /it conflicts with \/a%2Fb/);
  });

  it("serves the paths of a pattern, with their parameters, the most specific pattern first", async () => {
    await using site = await owned();
    const room = (connection: Connection, { params }: UpgradeRequest): Promise<void> =>
      connection.send(`room ${params["room"]}`);
    await using _rooms = attach(site.http, { path: "/rooms/:room" }, room);
    await using _lobby = attach(site.http, { path: "/rooms/lobby" }, saying("lobby"));
    assert.equal(await firstMessageFrom(`${site.url}/rooms/a%20b`), "room a b");
    assert.equal(await firstMessageFrom(`${site.url}/rooms/lobby`), "lobby");
    await assert.rejects(connect(`ws://${site.url}/rooms/a/b`), { status: 404 });
    assert.throws(() => attach(site.http, { path: "/rooms/:other" }, echo), /it conflicts with \/rooms\/:room/);
    assert.throws(() => attach(site.http, { path: "/:a/lobby" }, echo), TypeError);
  });

  it("may be created before the server listens", async () => {
    const http = createServer();
    await using live = attach(http, {}, saying("hello"));
    assert.equal(live.url, "");
    await using site = await owned({}, http);
    assert.equal(live.url, `ws://${site.url}`);
    assert.equal(await firstMessageFrom(site.url), "hello");
  });

  it("has a URL that a client can use if the server listens at every address, or at a socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
    try {
      for (const where of process.platform === "win32" ? [0] : [0, join(folder, "s")]) {
        const http = createServer();
        await once(http.listen(where), "listening");
        await using live = attach(http, { path: "/live" }, saying("hello"));
        await using connection = await connect(live.url);
        assert.equal(await connection.receive(), "hello");
        http.close();
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("answers 404 to an upgrade that no attachment and no listener takes", async () => {
    await using site = await owned();
    await using _live = attach(site.http, { path: "/live" }, echo);
    for (const path of ["/", "/live/", "/Live", "/other"]) {
      const { status, headers } = await refused(site.port, upgradeRequest(path));
      assert.equal(status, 404);
      assert.equal(headers["connection"], "close");
    }
  });

  it("leaves upgrades for other paths to other listeners, registered before or after it", async () => {
    for (const first of [true, false]) {
      await using site = await owned();
      const other = (request: { url?: string }, socket: Duplex): void => {
        if (request.url === "/other") socket.end("HTTP/1.1 418 I'm a teapot\r\n\r\n");
      };
      if (first) site.http.on("upgrade", other);
      await using _live = attach(site.http, { path: "/live" }, saying("hello"));
      if (!first) site.http.on("upgrade", other);
      assert.equal((await refused(site.port, upgradeRequest("/other"))).status, 418);
      assert.equal(await firstMessageFrom(`${site.url}/live`), "hello");
      // A request that no attachment takes is not answered at once: another listener may still answer it.
      await using silent = await RawPeer.to(site.port);
      const upgrade = once(site.http, "upgrade");
      silent.write(upgradeRequest("/third"));
      const [, socket] = (await upgrade) as [unknown, Duplex];
      assert.equal(await firstMessageFrom(`${site.url}/live`), "hello");
      assert.equal(silent.text, "");
      socket.destroy();
    }
  });

  it("has its own path and options beside another attachment", async () => {
    await using site = await owned();
    await using _one = attach(site.http, { path: "/one", maxConnections: 1 }, echo);
    const two = ({ data }: Connection<string>): void => assert.equal(data, "data");
    await using _two = attach(site.http, { path: "/two", authorize: () => "data" }, two);
    await using _rest = attach(site.http, {}, saying("rest"));
    await using _first = await connect(`ws://${site.url}/one`);
    assert.equal((await refused(site.port, upgradeRequest("/one"))).status, 503);
    await using second = await connect(`ws://${site.url}/two`);
    assert.equal((await second.closed).code, 1000);
    assert.equal(await firstMessageFrom(`${site.url}/three`), "rest");
  });

  it("is refused with a path that is already attached or invalid", async () => {
    await using site = await owned();
    await using _live = attach(site.http, { path: "/live" }, echo);
    assert.throws(() => attach(site.http, { path: "/live" }, echo), { name: "TypeError", message: /already attached/ });
    assert.throws(() => attach(site.http, { path: "live" }, echo), { name: "TypeError", message: /begins with \// });
    assert.throws(() => attach(site.http, { path: "" }, echo), TypeError);
    await using _every = attach(site.http, {}, echo);
    assert.throws(() => attach(site.http, {}, echo), { name: "TypeError", message: /already attached/ });
  });

  it("is refused with options that it does not use", async () => {
    await using site = await owned();
    for (const option of ["framing", "tls", "keepAlive", "backlog", "pathh"]) {
      assert.throws(() => attach(site.http, { [option]: "lines" }, echo), {
        name: "TypeError",
        message: new RegExp(`Cannot use option ${option}`),
      });
    }
    assert.equal(site.http.listenerCount("upgrade"), 0);
  });
});

describe("closing an attachment", LIMIT, () => {
  it("closes its connections with 1001, and does not affect the HTTP server", async () => {
    await using site = await owned();
    const live = attach(site.http, { path: "/live" }, echo);
    await using connection = await connect(`ws://${site.url}/live`);
    await live.close();
    assert.equal((await connection.closed).code, 1001);
    assert.equal(site.http.listenerCount("upgrade"), 0);
    assert.ok(site.http.listening);
    assert.equal(await page(`${site.url}/live`), "page /live");
    // Without an `upgrade` listener, node:http handles an upgrade as a normal request.
    const { status, body } = await refused(site.port, upgradeRequest("/live", { Connection: "Upgrade, close" }));
    assert.equal(status, 200);
    assert.match(body, /page \/live/);
  });

  it("with opening accepts requests that are under way, and then closes their connections", async () => {
    await using site = await owned();
    const live = attach(site.http, { path: "/live" }, echo);
    await using late = await RawPeer.to(site.port);
    late.write("GET /live HTTP/1.1\r\n");
    // The server has accepted that socket when it has answered a later one.
    await page(`${site.url}/`);
    const closed = live.close({ opening: 60_000 });
    late.write(upgradeRequest("/live").replace("GET /live HTTP/1.1\r\n", ""));
    await late.until(({ text }) => text.includes("101 ") && text.includes("\x88\x02\x03\xe9"));
    late.write(peerFrame({ opcode: 8, payload: Buffer.of(3, 233), key: KEY }));
    late.socket.end();
    await closed;
    assert.equal(site.http.listenerCount("upgrade"), 0);
  });

  it("does not affect another attachment", async () => {
    await using site = await owned();
    const one = attach(site.http, { path: "/one" }, saying("one"));
    await using _two = attach(site.http, { path: "/two" }, saying("two"));
    await one.close();
    await one.close();
    assert.equal((await refused(site.port, upgradeRequest("/one"))).status, 404);
    assert.equal(await firstMessageFrom(`${site.url}/two`), "two");
    await using again = attach(site.http, { path: "/one" }, saying("one again"));
    assert.equal(await firstMessageFrom(again.url.slice("ws://".length)), "one again");
  });

  it("refuses requests without a decision", async () => {
    await using site = await owned();
    let asked: () => void = () => undefined;
    const asking = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const authorize = (): Promise<undefined> => {
      asked();
      return new Promise(() => undefined);
    };
    const live = attach(site.http, { path: "/live", authorize }, () => assert.fail("nothing was to be served"));
    const client = connect(`ws://${site.url}/live`);
    await Promise.all([
      asking.then(() => live.close()),
      assert.rejects(client, (error: unknown) => error instanceof HandshakeError && error.status === 503),
    ]);
  });
});

describe("the limits of an HTTP server", LIMIT, () => {
  const limits: Record<string, (http: HttpServer) => void> = {
    "headersTimeout and requestTimeout": (http) => {
      http.headersTimeout = 200;
      http.requestTimeout = 200;
    },
    timeout: (http) => {
      http.timeout = 200;
    },
  };
  for (const [what, limit] of Object.entries(limits)) {
    it(`do not apply to the connection (S0-12): ${what}`, async () => {
      await using site = await owned({ connectionsCheckingInterval: 20 });
      limit(site.http);
      // Also during a call of authorize that takes longer than these limits.
      let control: Promise<void> | undefined;
      const authorize = async (): Promise<undefined> => {
        control = control ?? cut(site.port);
        await control;
      };
      await using live = attach(site.http, { path: "/live", authorize }, echo);
      await using client = await connect(`ws://${site.url}/live`);
      await cut(site.port);
      await client.send("still here");
      assert.equal(await client.receive(), "still here");
      const [served] = live.connections;
      await served?.send("and so are we");
      assert.equal(await client.receive(), "and so are we");
    });
  }

  /** Resolves when a client that never completes its request was closed: then the limit has expired for all earlier ones. */
  async function cut(port: number): Promise<void> {
    await using silent = await RawPeer.to(port);
    silent.write("GET / HTTP/1.1\r\n");
    await silent.until(({ ended }) => ended);
  }
});

describe("a frame in the segment of the request", LIMIT, () => {
  it("is not lost by an attachment", async () => {
    await using site = await owned();
    await using _live = attach(site.http, {}, echo);
    await using peer = await upgraded(
      site.port,
      Buffer.concat([Buffer.from(upgradeRequest()), Buffer.of(0x81, 0x81, 1, 2, 3, 4, 0x41 ^ 1)]),
    );
    await peer.until(({ text }) => text.endsWith("\x81\x01A"));
  });
});
