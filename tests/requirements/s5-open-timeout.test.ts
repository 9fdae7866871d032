/** S5-11: `openTimeout` applies to every form of a server, and not to the other traffic of an HTTP server. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { describe, it } from "node:test";
import { connect as connectTls } from "node:tls";
import { attach } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { deferred } from "../kit/deferred.ts";
import { RawPeer, upgradeRequest } from "../kit/raw-peer.ts";
import { Openings, WAYS, type Way } from "./refusals.ts";

const LIMIT = { timeout: 30_000 };
const BOUND = 3_000;
const REQUEST = upgradeRequest("/live");

/** Resolves when the server has accepted the connection and read what was sent before. */
async function reached(way: Way): Promise<void> {
  await using peer = await way.peer();
  peer.write(REQUEST);
  await peer.head();
}

/** Waits for the server's FIN or reset. */
async function cut(peer: RawPeer): Promise<void> {
  await peer.until(({ ended }) => ended).catch(() => peer.closed);
}

for (const [name, open] of Object.entries(WAYS)) {
  const secure = name.includes("wss") || name.includes("https");
  const owned = name.startsWith("attach");

  describe(`a slow client: ${name}`, LIMIT, () => {
    const halves: Readonly<Record<string, string>> = {
      nothing: "",
      "half an upgrade request": REQUEST.slice(0, -10),
      "half the head of a page's request": "GET / HTTP/1.1\r\nHost: localhost\r\n",
    };
    for (const [what, half] of Object.entries(halves)) {
      it(`S5-11: is cut at openTimeout, and not before: ${what}`, async () => {
        const clock = new ManualClock();
        await using way = await open({ clock, openTimeout: BOUND });
        await using peer = await way.peer();
        peer.write(half);
        await reached(way);
        await clock.advance(BOUND - 1);
        assert.equal(peer.ended, false);
        assert.equal(way.openings.refused.length, 0);
        await clock.advance(1);
        await cut(peer);
        const [event] = way.openings.refused;
        assert.equal(event?.reason, half === "" ? "silence" : "incomplete");
      });
    }

    it("S5-11: is cut at openTimeout although a byte arrives every half second", async () => {
      const clock = new ManualClock();
      await using way = await open({ clock, openTimeout: BOUND });
      await using peer = await way.peer();
      peer.write("GET /live HTTP/1.1\r\nX: ");
      await reached(way);
      for (let passed = 0; passed < BOUND; passed += 500) {
        assert.equal(peer.ended, false);
        peer.write("x");
        await reached(way);
        await clock.advance(500);
      }
      await cut(peer);
    });

    if (!secure) return;

    it("S5-11: is cut at openTimeout in the middle of TLS", async () => {
      const clock = new ManualClock();
      await using way = await open({ clock, openTimeout: BOUND });
      await using silent = await way.knock();
      await using half = await way.knock();
      // The header of a TLS record, without its content.
      half.write(Uint8Array.of(0x16, 3, 1, 1, 0));
      await reached(way);
      await clock.advance(BOUND);
      await Promise.all([cut(silent), cut(half)]);
      assert.deepEqual(way.openings.refused.map(({ reason }) => reason).sort(), ["silence", "tls"]);
    });

    it("S5-11: has openTimeout for TLS and request together", async () => {
      const clock = new ManualClock();
      await using way = await open({ clock, openTimeout: BOUND });
      await using peer = await way.knock();
      await reached(way);
      await clock.advance(BOUND - 1_000);
      const shielded = await shield(peer.socket);
      await reached(way);
      await clock.advance(999);
      assert.equal(way.openings.refused.length, 0);
      await clock.advance(1);
      await cut(shielded);
      assert.equal(way.openings.refused[0]?.reason, "silence");
    });
  });

  if (!owned) continue;

  describe(`the HTTP server of an application: ${name}`, LIMIT, () => {
    it("S5-11: may have long uploads and slow answers, whatever openTimeout is", async () => {
      const clock = new ManualClock();
      const answering = deferred();
      let body = 0;
      const pages = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
        for await (const chunk of request) body += chunk.length;
        await answering.promise;
        response.setHeader("Connection", "close").end(`${body} bytes`);
      };
      await using way = await open({ clock, openTimeout: BOUND }, (request, response) => void pages(request, response));
      await using peer = await way.peer();
      peer.write("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
      for (let count = 0; count < 10; count += 1) {
        await reached(way);
        await clock.advance(2 * BOUND);
        peer.write("x");
      }
      while (body < 10) await new Promise(setImmediate);
      await clock.advance(10 * BOUND);
      answering.resolve();
      await peer.until(({ ended }) => ended);
      assert.match(peer.text, /10 bytes/);
      assert.equal(way.openings.refused.length, 0);
    });

    it("S5-11: may have uploads that continue after their answer, and consecutive requests", async () => {
      const clock = new ManualClock();
      const pages = (_: IncomingMessage, response: ServerResponse): void => void response.end("early");
      await using way = await open({ clock, openTimeout: BOUND }, pages);
      await using peer = await way.peer();
      peer.write("PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n");
      await peer.until(({ text }) => text.endsWith("early\r\n0\r\n\r\n") || text.endsWith("early"));
      for (let count = 0; count < 10; count += 1) {
        await reached(way);
        await clock.advance(2 * BOUND);
        peer.write("x");
      }
      peer.write("GET /second HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
      await peer.until(({ ended }) => ended);
      assert.equal(peer.text.split("early").length, 3);
    });

    it("S5-11: keeps a socket between two requests for keepAliveTimeout, and cuts one with half a head", async () => {
      const clock = new ManualClock();
      const pages = (_: IncomingMessage, response: ServerResponse): void => void response.end("page");
      await using way = await open({ clock, openTimeout: BOUND }, pages);
      await using peer = await way.peer();
      peer.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
      await peer.until(({ text }) => text.endsWith("page"));
      for (let count = 0; count < 5; count += 1) {
        await reached(way);
        await clock.advance(BOUND);
      }
      assert.equal(peer.ended, false);
      peer.write("GET / HT");
      await reached(way);
      await clock.advance(2 * BOUND);
      await cut(peer);
      assert.deepEqual(
        way.openings.refused.map(({ reason }) => reason),
        ["incomplete"],
      );
    });
  });
}

describe("a server with its own listeners", LIMIT, () => {
  it("S5-11: may answer CONNECT and Expect at any time", async () => {
    const clock = new ManualClock();
    const http = createServer();
    const openings = new Openings();
    const options = { path: "/live", clock, openTimeout: BOUND, observe: openings.observe, open: () => undefined };
    const answers: (() => void)[] = [];
    const expecting = (_: IncomingMessage, response: ServerResponse): void => {
      answers.push(() => response.setHeader("Connection", "close").end("expected"));
    };
    http.on("connect", (_, socket: Socket) => answers.push(() => socket.end("HTTP/1.1 200 OK\r\n\r\n")));
    await using _live = attach(http, options);
    http.on("checkContinue", expecting).on("checkExpectation", expecting);
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    const { port } = http.address() as { readonly port: number };
    const tunnel = await RawPeer.to(port);
    const careful = await RawPeer.to(port);
    const odd = await RawPeer.to(port);
    tunnel.write("CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\n\r\n");
    careful.write("PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
    odd.write("PUT / HTTP/1.1\r\nHost: localhost\r\nExpect: more\r\nContent-Length: 1\r\n\r\n");
    while (answers.length < 3) await new Promise(setImmediate);
    await clock.advance(10 * BOUND);
    for (const answer of answers) answer();
    for (const peer of [tunnel, careful, odd]) {
      await peer.until(({ ended }) => ended);
      assert.match(peer.text, /^HTTP\/1\.1 200 /);
      peer.socket.end();
    }
    assert.equal(openings.refused.length, 0);
    http.removeAllListeners("connect").removeListener("checkContinue", expecting);
    http.removeListener("checkExpectation", expecting);
    assert.equal(http.listenerCount("connect") + http.listenerCount("checkContinue"), 0, "ours go with theirs");
    http.close();
  });

  it("S5-11: is as before when the last attachment has closed", async () => {
    const http = createServer();
    const before = http.eventNames().map((name) => [name, http.listenerCount(name)]);
    const [one, two] = [
      attach(http, { path: "/a", open: () => undefined }),
      attach(http, { path: "/b", open: () => undefined }),
    ];
    await Promise.all([one.close(), two.close()]);
    assert.deepEqual(
      http.eventNames().map((name) => [name, http.listenerCount(name)]),
      before,
    );
  });

  it("S5-11: limits nothing of an open WebSocket", async () => {
    for (const open of Object.values(WAYS)) {
      const clock = new ManualClock();
      await using way = await open({
        clock,
        openTimeout: BOUND,
        heartbeat: { interval: Infinity },
        idleTimeout: Infinity,
      });
      await using peer = await way.peer();
      peer.write(REQUEST);
      await peer.head();
      await clock.advance(10 * BOUND);
      assert.equal(way.server.connections.size, 1);
      assert.equal(peer.ended, false);
    }
  });
});

/** Speaks TLS on a socket. */
async function shield(socket: Socket): Promise<RawPeer> {
  socket.removeAllListeners("data");
  const shielded = connectTls({ socket, ca: LOCALHOST.cert, host: "127.0.0.1" });
  const peer = new RawPeer(shielded);
  await once(shielded, "secureConnect");
  return peer;
}
