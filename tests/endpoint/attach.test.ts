/** Tests of WebSocket beside an HTTP server that somebody else owns. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer, type ServerOptions } from "node:http";
import { createServer as createSecure } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { attach, type Connection, connect, HandshakeError } from "../../src/index.js";
import { LOCALHOST } from "../fixtures/certificates.js";
import { RawPeer, refused, upgraded, upgradeRequest } from "../raw-peers.js";

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

/** A server as an application owns one, which answers every request with its path. */
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

/** What a client hears first. */
async function heard(url: string): Promise<unknown> {
  await using connection = await connect(`ws://${url}`);
  return await connection.receive();
}

describe("an attachment", LIMIT, () => {
  it("serves its path beside the pages", async () => {
    await using site = await owned();
    await using live = attach(site.http, { path: "/live" }, saying("hello"));
    assert.equal(live.url, "/live");
    assert.equal(await heard(`${site.url}/live`), "hello");
    assert.equal(await heard(`${site.url}/live?from=1`), "hello");
    assert.equal(await page(`${site.url}/live`), "page /live");
    assert.equal(await page(`${site.url}/`), "page /");
  });

  it("serves every path when it names none", async () => {
    await using site = await owned();
    await using _live = attach(site.http, {}, saying("hello"));
    for (const path of ["", "/", "/a/b?c"]) assert.equal(await heard(`${site.url}${path}`), "hello");
  });

  it("serves an https server", async () => {
    await using site = await owned({}, createSecure(LOCALHOST));
    await using live = attach(site.http, { path: "/live" }, echo);
    await using connection = await connect(`wss://${site.url}/live`, { tls: { ca: LOCALHOST.cert } });
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
    const [served] = live.connections;
    assert.ok(served?.secure);
    assert.equal(served.url, `wss://${site.url}/live`);
  });

  it("may be made before the server listens", async () => {
    const http = createServer();
    await using _live = attach(http, {}, saying("hello"));
    await using site = await owned({}, http);
    assert.equal(await heard(site.url), "hello");
  });

  it("answers 404 to an upgrade that nobody takes", async () => {
    await using site = await owned();
    await using _live = attach(site.http, { path: "/live" }, echo);
    for (const path of ["/", "/live/", "/Live", "/other"]) {
      const { status, headers } = await refused(site.port, upgradeRequest(path));
      assert.equal(status, 404);
      assert.equal(headers["connection"], "close");
    }
  });

  it("leaves the upgrades of other paths to who else listens for them, before or behind it", async () => {
    for (const first of [true, false]) {
      await using site = await owned();
      const other = (request: { url?: string }, socket: Duplex): void => {
        if (request.url === "/other") socket.end("HTTP/1.1 418 I'm a teapot\r\n\r\n");
      };
      if (first) site.http.on("upgrade", other);
      await using _live = attach(site.http, { path: "/live" }, saying("hello"));
      if (!first) site.http.on("upgrade", other);
      assert.equal((await refused(site.port, upgradeRequest("/other"))).status, 418);
      assert.equal(await heard(`${site.url}/live`), "hello");
      // Nor are the requests that nobody takes answered in the other's place: perhaps it is not done with them.
      await using silent = await RawPeer.to(site.port);
      const upgrade = once(site.http, "upgrade");
      silent.write(upgradeRequest("/third"));
      const [, socket] = (await upgrade) as [unknown, Duplex];
      assert.equal(await heard(`${site.url}/live`), "hello");
      assert.equal(silent.text, "");
      socket.destroy();
    }
  });

  it("has a path of its own beside another, whose options are another's", async () => {
    await using site = await owned();
    await using _one = attach(site.http, { path: "/one", maxConnections: 1 }, echo);
    const two = ({ data }: Connection<string>): void => assert.equal(data, "data");
    await using _two = attach(site.http, { path: "/two", authorize: () => "data" }, two);
    await using _rest = attach(site.http, {}, saying("rest"));
    await using _first = await connect(`ws://${site.url}/one`);
    assert.equal((await refused(site.port, upgradeRequest("/one"))).status, 503);
    await using second = await connect(`ws://${site.url}/two`);
    assert.equal((await second.closed).code, 1000);
    assert.equal(await heard(`${site.url}/three`), "rest");
  });

  it("is refused a path that is taken, and one that is none", async () => {
    await using site = await owned();
    await using _live = attach(site.http, { path: "/live" }, echo);
    assert.throws(() => attach(site.http, { path: "/live" }, echo), { name: "TypeError", message: /taken already/ });
    assert.throws(() => attach(site.http, { path: "live" }, echo), { name: "TypeError", message: /begins with \// });
    assert.throws(() => attach(site.http, { path: "" }, echo), TypeError);
    await using _every = attach(site.http, {}, echo);
    assert.throws(() => attach(site.http, {}, echo), { name: "TypeError", message: /taken already/ });
  });

  it("is refused options that it has no use for", async () => {
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

describe("detaching", LIMIT, () => {
  it("closes the connections with 1001, and leaves the server as it was", async () => {
    await using site = await owned();
    const live = attach(site.http, { path: "/live" }, echo);
    await using connection = await connect(`ws://${site.url}/live`);
    await live.close();
    assert.equal((await connection.closed).code, 1001);
    assert.equal(site.http.listenerCount("upgrade"), 0);
    assert.ok(site.http.listening);
    assert.equal(await page(`${site.url}/live`), "page /live");
    // Without a listener, node:http takes an upgrade for the request that it is without the field.
    const { status, body } = await refused(site.port, upgradeRequest("/live", { Connection: "Upgrade, close" }));
    assert.equal(status, 200);
    assert.match(body, /page \/live/);
  });

  it("of one leaves the other", async () => {
    await using site = await owned();
    const one = attach(site.http, { path: "/one" }, saying("one"));
    await using _two = attach(site.http, { path: "/two" }, saying("two"));
    await one.close();
    await one.close();
    assert.equal((await refused(site.port, upgradeRequest("/one"))).status, 404);
    assert.equal(await heard(`${site.url}/two`), "two");
    await using again = attach(site.http, { path: "/one" }, saying("one again"));
    assert.equal(await heard(`${site.url}${again.url}`), "one again");
  });

  it("refuses who is still being decided", async () => {
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
    it(`do not survive into the connection (S0-12): ${what}`, async () => {
      await using site = await owned({ connectionsCheckingInterval: 20 });
      limit(site.http);
      // Also across a decision that takes longer than they allow.
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

  /** Resolves when a client that never finishes its request was cut: then the limit has passed for all before it. */
  async function cut(port: number): Promise<void> {
    await using silent = await RawPeer.to(port);
    silent.write("GET / HTTP/1.1\r\n");
    await silent.until(({ ended }) => ended);
  }
});

describe("a frame with the request", LIMIT, () => {
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
