/** S5-11: an upgrade request that no listener handles is answered, also with several listeners. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer, type IncomingMessage } from "node:http";
import { createServer as createSecure, Server as HttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { WebSocketServer } from "ws";
import { attach, connect } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { RawPeer, upgradeRequest } from "../kit/raw-peer.ts";
import { Openings } from "./refusals.ts";

const LIMIT = { timeout: 30_000 };
const BOUND = 3_000;

type Listener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** An HTTP server with an attachment on `/live`, and with `other` beside it. */
class Beside implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly openings = new Openings();
  readonly http: HttpServer;
  readonly #asked: Promise<unknown>;

  constructor(http: HttpServer, other: Listener, order: "before" | "behind") {
    this.http = http;
    this.#asked = once(http, "upgrade");
    if (order === "before") http.on("upgrade", other);
    const { observe } = this.openings;
    attach(http, { path: "/live", clock: this.clock, openTimeout: BOUND, observe, open: () => undefined });
    if (order === "behind") http.on("upgrade", other);
  }

  /** A peer that has requested an unserved path, when the listeners have seen the request. */
  async ask(): Promise<RawPeer> {
    this.http.listen(0, "127.0.0.1");
    await once(this.http, "listening");
    const { port } = this.http.address() as AddressInfo;
    const secure = this.http instanceof HttpsServer;
    const peer = secure
      ? new RawPeer(connectTls({ port, host: "127.0.0.1", ca: LOCALHOST.cert }))
      : await RawPeer.to(port);
    peer.write(upgradeRequest("/other"));
    await this.#asked;
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.http.close();
    this.http.closeAllConnections();
    await once(this.http, "close");
  }
}

const ignore: Listener = () => undefined;

describe("an upgrade request beside another listener", LIMIT, () => {
  for (const order of ["before", "behind"] as const) {
    for (const [scheme, create] of [
      ["http", () => createServer()],
      ["https", () => createSecure(LOCALHOST)],
    ] as const) {
      it(`S5-11: is answered 404 at openTimeout if neither handles it: ${scheme}, the other ${order} us`, async () => {
        await using beside = new Beside(create(), ignore, order);
        await using peer = await beside.ask();
        await beside.clock.advance(BOUND - 1);
        assert.equal(peer.text, "");
        assert.equal(beside.openings.refused.length, 0);
        await beside.clock.advance(1);
        assert.equal((await peer.head()).status, 404);
        await peer.until(({ ended }) => ended);
        const [event] = beside.openings.refused;
        assert.deepEqual([event?.reason, event?.status, event?.path], ["path", 404, "/other"]);
        peer.socket.end();
        await peer.closed;
      });
    }

    const uses: Readonly<Record<string, Listener>> = {
      "listens for errors, as it decides": (_, socket) => socket.on("error", () => undefined),
      "reads it": (_, socket) => socket.on("data", () => undefined),
      "reads it by readable": (_, socket) => socket.on("readable", () => undefined),
      "lets it flow": (_, socket) => socket.resume(),
      "pauses it": (_, socket) => socket.pause(),
      "writes to it": (_, socket) => socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    };
    for (const [what, use] of Object.entries(uses)) {
      it(`S5-11: is left alone if the other, ${order} us, ${what}`, async () => {
        const used: Duplex[] = [];
        const other: Listener = (request, socket, head) => {
          used.push(socket);
          use(request, socket, head);
        };
        await using beside = new Beside(createServer(), other, order);
        await using peer = await beside.ask();
        await beside.clock.advance(10 * BOUND);
        assert.equal(beside.openings.refused.length, 0);
        const [socket] = used as [Duplex];
        assert.equal(socket.destroyed, false);
        socket.end("the last");
        await peer.until(({ text }) => text.endsWith("the last"));
        assert.doesNotMatch(peer.text, /404/);
      });
    }
  }

  it("S5-11: frees the socket of a client that has ended meanwhile", async () => {
    const sockets: Duplex[] = [];
    await using beside = new Beside(createServer(), (_, socket) => void sockets.push(socket), "behind");
    const peer = await beside.ask();
    peer.socket.destroy();
    await peer.closed;
    const [socket] = sockets as [Duplex];
    // Not by `once`, which listens for errors, too, like a listener that keeps the socket.
    const freed = new Promise((resolve) => socket.on("close", resolve));
    await beside.clock.advance(BOUND);
    await freed;
  });

  it("S5-11: reaches a WebSocketServer of ws beside us, and ours continues", async () => {
    const clock = new ManualClock();
    const http = createServer();
    const theirs = new WebSocketServer({ noServer: true });
    http.on("upgrade", (request, socket, head) => {
      if (request.url === "/theirs") theirs.handleUpgrade(request, socket, head, (client) => client.send("theirs"));
    });
    await using _live = attach(http, { path: "/live", clock, openTimeout: BOUND, open: () => undefined });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const { port } = http.address() as AddressInfo;
    await using other = await connect(`ws://127.0.0.1:${port}/theirs`);
    await clock.advance(10 * BOUND);
    assert.equal(await other.receive(), "theirs");
    await other.close();
    http.close();
  });
});
