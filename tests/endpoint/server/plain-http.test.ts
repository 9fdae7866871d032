/** Tests of plain HTTP requests on the address of a WebSocket server: fetch and request, their time limits, and the close. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, get, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { describe, it } from "node:test";
import { type Connection, type ConnectionEvent, connect, type ErrorContext, listen } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { deferred } from "../../kit/deferred.ts";
import { answerOf, portOf, RawPeer, refused, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const httpOf = ({ url }: { readonly url: string }): string => url.replace(/^ws/, "http");
const GET = (path: string, more = ""): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

/** Resolves when the server has ended the connection. */
async function over(peer: RawPeer): Promise<void> {
  while (!peer.gone && !peer.ended) await peer.change();
}

/** Resolves when `count` more answers have arrived on a connection that stays open. */
async function answers(peer: RawPeer, count: number): Promise<string> {
  await peer.until(({ text }) => text.split("HTTP/1.1 ").length > count && /\r\n\r\n(?:.*\n)?$/.test(text));
  return peer.take().toString();
}

describe("plain HTTP requests", LIMIT, () => {
  it("reach fetch with their method, URL, fields and body, and get its response", async () => {
    await using server = await listen("ws://127.0.0.1:0", {
      routes: { "/echo": echo },
      fetch: async (request, { remoteAddress, remotePort, secure, raw }) => {
        assert.deepEqual([remoteAddress, secure, raw.method], ["127.0.0.1", false, request.method]);
        assert.equal(remotePort, raw.socket.remotePort);
        const { pathname, search } = new URL(request.url);
        const body = request.body === null ? "none" : await request.text();
        const headers = new Headers({ "X-Seen": request.headers.get("x-color") ?? "" });
        headers.append("Set-Cookie", "a=1; Path=/");
        headers.append("Set-Cookie", "b=2");
        return new Response(`${request.method} ${pathname}${search} ${body}`, { status: 201, headers });
      },
    });
    const url = httpOf(server);
    const got = await fetch(`${url}/page?x=1`, { headers: { "X-Color": "blue" } });
    assert.deepEqual([got.status, got.headers.get("x-seen")], [201, "blue"]);
    assert.deepEqual(got.headers.getSetCookie(), ["a=1; Path=/", "b=2"]);
    assert.equal(got.headers.get("content-length"), "18");
    assert.equal(await got.text(), "GET /page?x=1 none");
    const large = "x".repeat(300_000);
    const posted = await fetch(`${url}/`, { method: "POST", body: large });
    assert.equal(await posted.text(), `POST / ${large}`);
    const head = await fetch(url, { method: "HEAD" });
    assert.deepEqual([head.status, await head.text()], [201, ""]);
    await using connection = await connect(`${server.url}/echo`);
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
  });

  it("reach request, the listener of node:http, as Express and Koa have one", async () => {
    await using server = await listen("ws://127.0.0.1:0", {
      routes: { "/echo": echo },
      request: async (request, response) => {
        let body = "";
        for await (const chunk of request) body += chunk;
        response.end(`${request.method} ${request.url} ${body}`);
      },
    });
    const answer = await fetch(`${httpOf(server)}/a`, { method: "PUT", body: "text" });
    assert.equal(await answer.text(), "PUT /a text");
  });

  it("work over TLS, also for several requests on one connection", async () => {
    await using server = await listen("wss://127.0.0.1:0", {
      tls: LOCALHOST,
      routes: { "/echo": echo },
      fetch: (request, { secure }) => new Response(`${request.url} ${secure}`),
    });
    const port = portOf(server);
    const { Agent: SecureAgent } = await import("node:https");
    const agent = new SecureAgent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (const path of ["/a", "/b"]) {
      const options = { port, path, agent, ca: LOCALHOST.cert, host: "localhost", family: 4 };
      const response = await new Promise<IncomingMessage>((resolve) => void httpsRequest(options, resolve).end());
      ports.add(response.socket.localPort);
      assert.equal(await textOf(response), `https://localhost:${port}${path} true`);
    }
    assert.equal(ports.size, 1);
    agent.destroy();
    await using connection = await connect(`${server.url}/echo`, { tls: { ca: LOCALHOST.cert } });
    await connection.send("hello");
    assert.equal(await connection.receive(), "hello");
  });

  it("can be followed by an upgrade on the same connection", async () => {
    await using server = await listen("ws://127.0.0.1:0", {
      routes: { "/echo": echo },
      fetch: () => new Response("page"),
    });
    await using peer = await RawPeer.to(portOf(server));
    peer.write(GET("/"));
    await peer.until(({ text }) => text.endsWith("page"));
    peer.take();
    peer.write(upgradeRequest("/echo"));
    assert.equal((await peer.head()).status, 101);
  });

  it("are answered in their order, and an upgrade behind an unanswered one ends the connection", async () => {
    const gate = deferred();
    const events: ConnectionEvent[] = [];
    await using server = await listen("ws://127.0.0.1:0", {
      observe: (event) => void events.push(event),
      routes: { "/echo": echo },
      fetch: async (request) => {
        if (request.url.endsWith("/slow")) await gate.promise;
        return new Response(new URL(request.url).pathname);
      },
    });
    await using peer = await RawPeer.to(portOf(server));
    peer.write(GET("/slow") + GET("/fast"));
    await using smuggler = await RawPeer.to(portOf(server));
    smuggler.write(GET("/slow") + upgradeRequest("/echo"));
    await over(smuggler);
    assert.equal(smuggler.text, "");
    gate.resolve();
    await peer.until(({ text }) => text.endsWith("/fast"));
    assert.ok(peer.text.indexOf("/slow") < peer.text.indexOf("/fast"));
    const [event] = events;
    assert.deepEqual(event?.type === "refused" && [event.reason, event.status], ["request", undefined]);
  });

  it("without fetch and request get 426 on the path of a WebSocket, and 404 elsewhere", async () => {
    await using server = await listen("ws://127.0.0.1:0", { routes: { "/rooms/:room": echo } });
    for (const [path, status] of [
      ["/rooms/a", 426],
      ["/", 404],
      ["/rooms", 404],
    ] as const) {
      assert.equal((await fetch(httpOf(server) + path)).status, status, path);
    }
    assert.equal((await refused(portOf(server), upgradeRequest("/"))).status, 404);
  });

  it("that lost their Upgrade field on the way are reported, and the application answers", async () => {
    const events: ConnectionEvent[] = [];
    await using server = await listen("ws://127.0.0.1:0", {
      observe: (event) => void events.push(event),
      routes: { "/echo": echo },
      fetch: () => new Response("page"),
    });
    await using peer = await RawPeer.to(portOf(server));
    peer.write(upgradeRequest("/echo", { Upgrade: undefined, Connection: undefined }));
    await peer.until(({ text }) => text.endsWith("page"));
    const [event] = events;
    assert.deepEqual(event?.type === "refused" && [event.reason, event.status], ["upgrade", undefined]);
  });

  it("with two Host fields, with none, or with an invalid one get 400", async () => {
    for (const key of ["fetch", "request"]) {
      const handler =
        key === "fetch" ? () => new Response() : (_: unknown, response: { end: () => void }) => response.end();
      await using server = await listen("ws://127.0.0.1:0", { [key]: handler, routes: {} });
      const requests = [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        ...(key === "fetch" ? ["GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"] : []),
      ];
      for (const request of requests) assert.equal((await refused(portOf(server), request)).status, 400, request);
    }
  });

  it("get 500 if the application fails, and onError gets the error with its place", async () => {
    const errors: [string, ErrorContext["place"], string | undefined][] = [];
    const onError = (error: unknown, { place, path }: ErrorContext): void =>
      void errors.push([(error as Error).message, place, path]);
    await using one = await listen("ws://127.0.0.1:0", {
      onError,
      fetch: (request) => {
        const { pathname } = new URL(request.url);
        if (pathname === "/throw") throw new Error("fetch threw");
        if (pathname === "/status") return Response.error();
        if (pathname === "/nothing") return undefined as never;
        return Promise.reject(new Error("fetch rejected"));
      },
    });
    for (const path of ["/throw", "/reject", "/nothing", "/status"]) {
      assert.equal((await fetch(httpOf(one) + path)).status, 500);
    }
    await using two = await listen("ws://127.0.0.1:0", {
      onError,
      request: (request) => {
        if (request.url === "/throw") throw new Error("request threw");
        return Promise.reject(new Error("request rejected"));
      },
    });
    for (const path of ["/throw", "/reject"]) assert.equal((await fetch(httpOf(two) + path)).status, 500);
    assert.deepEqual(errors, [
      ["fetch threw", "request", "/throw"],
      ["fetch rejected", "request", "/reject"],
      ["Cannot answer with undefined: expected a Response", "request", "/nothing"],
      ["Cannot answer with status 0: expected 200 to 599", "request", "/status"],
      ["request threw", "request", "/throw"],
      ["request rejected", "request", "/reject"],
    ]);
  });

  it("that stream are sent as their chunks come, and end in the middle if their source fails", async () => {
    const errors: unknown[] = [];
    const chunks = deferred<ReadableStreamDefaultController<Uint8Array>>();
    await using server = await listen("ws://127.0.0.1:0", {
      onError: (error) => void errors.push(error),
      fetch: () => new Response(new ReadableStream({ start: (controller) => chunks.resolve(controller) })),
    });
    const controller = chunks.promise;
    const response = fetch(httpOf(server));
    (await controller).enqueue(Buffer.from("one"));
    const reader = (await response).body?.getReader();
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "one");
    (await controller).enqueue(Buffer.from("two"));
    assert.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), "two");
    const failure = new Error("the source failed");
    (await controller).error(failure);
    await assert.rejects(async () => await reader?.read());
    assert.deepEqual(errors, [failure]);
  });

  it("abort the signal of the Request and cancel the body if the client leaves", async () => {
    const [asked, aborted, cancelled] = [deferred(), deferred(), deferred()];
    await using server = await listen("ws://127.0.0.1:0", {
      fetch: async (request) => {
        request.signal.addEventListener("abort", () => aborted.resolve());
        asked.resolve();
        if (request.url.endsWith("/wait")) await aborted.promise;
        return new Response(
          new ReadableStream({
            pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
            cancel: () => cancelled.resolve(),
          }),
        );
      },
    });
    {
      await using peer = await RawPeer.to(portOf(server));
      peer.write(GET("/wait"));
      await asked.promise;
    }
    await aborted.promise;
    await using reader = await RawPeer.to(portOf(server));
    reader.write(GET("/"));
    await reader.until(({ received }) => received > 200_000);
    reader.socket.destroy();
    await cancelled.promise;
  });

  it("whose body the application does not read do not block the next request", async () => {
    await using server = await listen("ws://127.0.0.1:0", { fetch: () => new Response("no\n", { status: 413 }) });
    await using peer = await RawPeer.to(portOf(server));
    const body = "x".repeat(400_000);
    peer.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}${GET("/")}`);
    assert.equal((await answers(peer, 2)).match(/HTTP\/1.1 413/g)?.length, 2);
  });

  for (const [what, sent] of [
    ["no byte", ""],
    ["half of a head", "GET / HTTP/1.1\r\nHost: a\r\n"],
    ["half of a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"],
    ["a second head that does not end", `${GET("/")}GET / HTTP/1.1\r\n`],
  ] as const) {
    for (const scheme of ["ws", "wss"] as const) {
      if (scheme === "wss" && sent !== "") continue;
      it(`disconnect a client that sends ${what} on ${scheme}, within openTimeout`, async () => {
        const clock = new ManualClock();
        const seen = deferred();
        await using server = await listen(`${scheme}://127.0.0.1:0`, {
          ...{ clock, openTimeout: 1_000, tls: scheme === "wss" ? LOCALHOST : undefined },
          request: async (request, response) => {
            seen.resolve();
            for await (const _ of request);
            response.end("done");
          },
        });
        await using peer = await RawPeer.to(portOf(server));
        peer.write(sent);
        if (what.includes("body") || what.includes("second")) await seen.promise;
        if (what.includes("second")) await peer.until(({ text }) => text.endsWith("done"));
        while (!peer.gone && !peer.ended) {
          await clock.advance(250);
          await new Promise((resolve) => setImmediate(resolve));
        }
        // The end reaches the client at its own time.
        assert.ok(Number(clock.now()) <= 5_000, `${clock.now()} ms`);
      });
    }
  }

  it("disconnect a client that sends its body too slowly, but not one that sends it steadily", async () => {
    const clock = new ManualClock();
    const seen: IncomingMessage[] = [];
    const ended: string[] = [];
    await using server = await listen("ws://127.0.0.1:0", {
      ...{ clock, openTimeout: 1_000 },
      request: (request, response) => {
        seen.push(request);
        const name = String(request.headers["x-name"]);
        request.resume().on("end", () => response.end("done"));
        response.on("close", () => ended.push(name));
      },
    });
    const head = (name: string): string =>
      `POST / HTTP/1.1\r\nHost: a\r\nX-Name: ${name}\r\nContent-Length: 4000\r\n\r\n`;
    await using slow = await RawPeer.to(portOf(server));
    await using steady = await RawPeer.to(portOf(server));
    slow.write(head("slow"));
    steady.write(head("steady"));
    while (seen.length < 2) await new Promise((resolve) => setImmediate(resolve));
    for (let step = 1; step <= 10; step += 1) {
      const before = seen.map(({ socket }) => socket.bytesRead);
      slow.write("x");
      steady.write("x".repeat(400));
      // The kernel delivers at its own time.
      while (seen.some(({ socket }, index) => !socket.destroyed && socket.bytesRead === before[index]))
        await new Promise((resolve) => setImmediate(resolve));
      await clock.advance(250);
    }
    await steady.until(({ text }) => text.endsWith("done"));
    await over(slow);
    assert.deepEqual(ended.sort(), ["slow", "steady"]);
    assert.equal(slow.text, "");
  });

  it("disconnect a client that does not read its answer, but wait for an application that works", async () => {
    const clock = new ManualClock();
    const [work, working] = [deferred(), deferred()];
    const left = deferred();
    await using server = await listen("ws://127.0.0.1:0", {
      ...{ clock, openTimeout: 1_000 },
      fetch: async (request) => {
        if (request.url.endsWith("/work")) {
          working.resolve();
          await work.promise;
          return new Response("done");
        }
        request.signal.addEventListener("abort", () => left.resolve());
        return new Response(new Uint8Array(20_000_000));
      },
    });
    await using worker = await RawPeer.to(portOf(server));
    worker.write(GET("/work"));
    await working.promise;
    await clock.advance(60_000);
    work.resolve();
    await worker.until(({ text }) => text.endsWith("done"));
    await using peer = await RawPeer.to(portOf(server));
    peer.write(GET("/large"));
    await peer.until(({ received }) => received > 0);
    peer.socket.pause();
    let gone = false;
    void left.promise.then(() => {
      gone = true;
    });
    while (!gone) await clock.advance(250);
  });

  it("in progress may finish while the server closes; idle connections are closed at once", async () => {
    const [asked, answer] = [deferred(), deferred()];
    const server = await listen("ws://127.0.0.1:0", {
      fetch: async (request) => {
        if (request.url.endsWith("/slow")) {
          asked.resolve();
          await answer.promise;
        }
        return new Response("done");
      },
    });
    await using idle = await RawPeer.to(portOf(server));
    idle.write(GET("/"));
    await idle.until(({ text }) => text.endsWith("done"));
    await using slow = await RawPeer.to(portOf(server));
    slow.write(GET("/slow"));
    await asked.promise;
    const closed = server.close();
    await over(idle);
    answer.resolve();
    await slow.until(({ text }) => text.endsWith("done"));
    assert.equal(answerOf(slow.text).headers["connection"], "close");
    assert.deepEqual(await closed, { clean: 0, cut: 0 });
    await over(slow);
  });

  it("that never end are cut when drain is over", async () => {
    const clock = new ManualClock();
    const asked = deferred();
    const server = await listen("ws://127.0.0.1:0", {
      clock,
      fetch: () => {
        asked.resolve();
        return new Promise<never>(() => undefined);
      },
    });
    await using peer = await RawPeer.to(portOf(server));
    peer.write(GET("/"));
    await asked.promise;
    let closed = false;
    const closing = server.close({ drain: 1_000 }).then(() => {
      closed = true;
    });
    await clock.advance(900);
    assert.ok(!closed && !peer.gone);
    await clock.advance(100);
    await closing;
    await over(peer);
  });

  it("are kept open for the next one by Node's own client", async () => {
    await using server = await listen("ws://127.0.0.1:0", { fetch: () => new Response("page") });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    for (let count = 0; count < 3; count += 1) {
      const [response] = (await once(get(httpOf(server), { agent }), "response")) as [IncomingMessage];
      ports.add(response.socket.localPort);
      assert.equal(await textOf(response), "page");
    }
    assert.equal(ports.size, 1);
    agent.destroy();
  });

  it("need one handler: fetch or request, and a function", async () => {
    const both = { fetch: () => new Response(), request: () => undefined };
    await assert.rejects(listen("ws://127.0.0.1:0", both), { name: "TypeError", message: /both fetch and request/ });
    for (const key of ["fetch", "request"]) {
      const options = { [key]: "page" };
      await assert.rejects(listen("ws://127.0.0.1:0", options), { name: "TypeError", message: /expected a function/ });
      const refusal = { name: "TypeError", message: new RegExp(`Cannot use ${key}`) };
      await assert.rejects(listen("tcp://127.0.0.1:0", { [key]: () => undefined } as never, echo), refusal);
    }
  });

  it("with methods that a Request cannot have get 501", async () => {
    await using server = await listen("ws://127.0.0.1:0", { fetch: () => new Response("page") });
    const sent = httpRequest(httpOf(server), { method: "TRACE" }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    assert.equal(response.statusCode, 501);
    response.resume();
  });
});

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return text;
}
