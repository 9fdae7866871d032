/** Behind nginx, HAProxy and Caddy: connections pass and stay open, both sides see the end, and a refusal opens no tunnel. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { attach, type Connection, connect, type Server, type UpgradeRequest } from "../../src/index.ts";
import { needed } from "../kit/foreign-programs.ts";
import { answerOf, RawPeer, upgradeRequest } from "../kit/raw-peer.ts";
import { CADDY, HAPROXY, NGINX, type ProxyKind, ReverseProxy } from "./proxies.ts";

/** Seconds without traffic after which the proxy closes a connection. */
const PATIENCE = 3;

/** A site behind a proxy: pages, one of which is private, and WebSockets. */
class Site implements AsyncDisposable {
  readonly asked: string[] = [];
  readonly proxy: ReverseProxy;
  readonly server: Server;
  readonly port: number;
  readonly #http: HttpServer;

  private constructor(http: HttpServer, server: Server, proxy: ReverseProxy) {
    this.#http = http;
    this.server = server;
    this.proxy = proxy;
    this.port = (http.address() as AddressInfo).port;
    http.on("request", ({ url = "" }, response) => {
      this.asked.push(url);
      response.end(`this is ${url}`);
    });
  }

  static async behind(kind: ProxyKind, t: TestContext): Promise<Site | undefined> {
    const place = needed(t, kind);
    if (place === undefined) return undefined;
    const http = createServer().listen(0, "127.0.0.1");
    await once(http, "listening");
    const options = { path: "/live", heartbeat: { interval: 500 } };
    const server = attach(http, options, async (connection) => {
      for await (const message of connection) await connection.send(message);
    });
    const proxy = await ReverseProxy.start(kind, place, (http.address() as AddressInfo).port, PATIENCE);
    return new Site(http, server, proxy);
  }

  /** A client without a heartbeat. */
  connect(): Promise<Connection<undefined>> {
    return connect(`ws+unix://${this.proxy.path}:/live`, { heartbeat: { interval: Infinity }, idleTimeout: Infinity });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.close({ drain: 0 });
    this.#http.close();
    this.#http.closeAllConnections();
    await this.proxy[Symbol.asyncDispose]();
  }
}

// Concurrent, since the tests mostly wait.
describe("a proxy that we did not write", { timeout: 120_000, concurrency: true }, () => {
  for (const kind of [NGINX, HAPROXY, CADDY]) {
    it(`${kind.name}: a connection carries messages of all sizes and types, and either side can close it cleanly`, async (t) => {
      await using site = await Site.behind(kind, t);
      if (site === undefined) return;
      const one = await site.connect();
      for (const message of ["", "é€😀", Uint8Array.of(0, 255), new Uint8Array(1_000_000).fill(7)]) {
        await one.send(message);
        assert.deepEqual(await one.receive(), message);
      }
      assert.ok((await one.ping()) >= 0);
      await one.close(4_000, "enough");
      const { code, wasClean } = await one.closed;
      assert.deepEqual([code, wasClean], [4_000, true]);

      const other = await site.connect();
      await Promise.all([site.server.close({ code: 1012, reason: "back soon" }), other.closed]);
      const info = await other.closed;
      assert.deepEqual([info.code, info.reason, info.wasClean, info.by], [1012, "back soon", true, "peer"]);
    });

    it(`${kind.name}: the request has the addresses of X-Forwarded-For, with the one that the proxy added`, async (t) => {
      const place = needed(t, kind);
      if (place === undefined) return;
      const http = createServer().listen(0, "127.0.0.1");
      await once(http, "listening");
      const forwarded: (string | undefined)[] = [];
      const open = (_connection: Connection, { headers }: UpgradeRequest): void =>
        void forwarded.push(headers["x-forwarded-for"]);
      const server = attach(http, { open });
      await using proxy = await ReverseProxy.start(kind, place, (http.address() as AddressInfo).port, PATIENCE);
      const options = { headers: { "X-Forwarded-For": "203.0.113.7" } };
      const one = await connect(`ws+unix://${proxy.path}:/`, options);
      await one.close();
      assert.deepEqual(forwarded, ["203.0.113.7, unix:"]);
      await server.close();
      http.close();
      http.closeAllConnections();
    });

    if (kind.impatient)
      it(`${kind.name}: a silent connection stays open beyond the proxy's timeout of ${PATIENCE} s, because of our heartbeat`, async (t) => {
        await using site = await Site.behind(kind, t);
        if (site === undefined) return;
        // A connection without a heartbeat through the same proxy shows that the proxy's timeout works.
        const quiet = createServer().listen(0, "127.0.0.1");
        await once(quiet, "listening");
        const server = attach(quiet, { heartbeat: false, idleTimeout: Infinity, open: () => undefined });
        const port = (quiet.address() as AddressInfo).port;
        await using proxy = await ReverseProxy.start(kind, needed(t, kind) as string, port, PATIENCE);
        const cut = await connect(`ws+unix://${proxy.path}:/`, { heartbeat: { interval: Infinity } });
        let pings = 0;
        const held = await connect(`ws+unix://${site.proxy.path}:/live`, {
          ...{ heartbeat: { interval: Infinity }, idleTimeout: Infinity },
          ping: () => {
            pings += 1;
          },
        });
        const { code, by, wasClean } = await cut.closed;
        assert.deepEqual([code, by, wasClean], [1006, "peer", false]);
        // One and a half times the timeout after which the other connection was closed.
        while (pings < 9) await new Promise((resolve) => setTimeout(resolve, 50));
        await held.send("still here");
        assert.equal(await held.receive(), "still here");
        await held.close();
        await server.close();
        quiet.close();
        quiet.closeAllConnections();
      });

    it(`${kind.name}: both sides see the end when the proxy is killed`, async (t) => {
      await using site = await Site.behind(kind, t);
      if (site === undefined) return;
      const client = await site.connect();
      await client.ping();
      const [served] = site.server.connections;
      site.proxy.kill();
      for (const { closed } of [client, served as Connection]) {
        const { code, by, wasClean } = await closed;
        assert.deepEqual([code, by, wasClean], [1006, "peer", false]);
      }
    });

    for (const [what, request, status] of [
      ["with 426, for its version", upgradeRequest("/live", { "Sec-WebSocket-Version": "1337" }), 426],
      ["with 403, for its origin", upgradeRequest("/live", { Origin: "http://evil.example" }), 403],
      ["with 400, for its key", upgradeRequest("/live", { "Sec-WebSocket-Key": "short" }), 400],
      ["with 404, for its path", upgradeRequest("/elsewhere"), 404],
    ] as const) {
      it(`${kind.name}: a refused upgrade ${what} opens no tunnel to the private page`, async (t) => {
        await using site = await Site.behind(kind, t);
        if (site === undefined) return;
        const secret = "GET /private HTTP/1.1\r\nHost: localhost\r\n\r\n";
        // Sent together with the request, and again after the answer, as if there were a tunnel.
        for (const first of [secret, ""]) {
          await using peer = await RawPeer.to(site.proxy.path);
          peer.write(request + first);
          assert.equal((await peer.head()).status, status);
          peer.write(secret + secret);
          // The proxy answers these requests itself, or closes the connection, possibly with a reset.
          const judged = peer.until(({ text }) => text.split("HTTP/1.1 ").length > 2);
          await Promise.race([judged.catch(() => undefined), peer.closed]);
          assert.ok(!peer.text.includes("this is"), peer.text);
        }
        await using inside = await RawPeer.to(site.port);
        inside.write(secret);
        await inside.until(({ text }) => text.includes("this is /private"));
        assert.deepEqual(site.asked, ["/private"], "who is inside has asked, and nobody else");
        assert.equal(answerOf(inside.text).status, 200);
      });
    }
  }
});
