/** `accept` and `acceptSync` on HTTP servers of the application, beside other listeners, with clients that do what they like. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer, type IncomingMessage } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createSecure } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import { WebSocket, WebSocketServer } from "ws";
import {
  type AcceptOptions,
  accept,
  acceptSync,
  attach,
  type Connection,
  type ConnectionEvent,
  connect,
  Group,
  HandshakeError,
} from "../../../src/index.ts";
import { ManualClock, settled } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { deferred } from "../../kit/deferred.ts";
import { framesIn, KEY, peerFrame } from "../../kit/frames.ts";
import { type Answer, answerOf, RawPeer, refused, UPGRADE_KEY, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };

type Upgrade = [request: IncomingMessage, socket: Duplex, head: Buffer];

interface Site extends AsyncDisposable {
  readonly http: HttpServer;
  readonly port: number;
}

/** An HTTP server of an application, which answers pages, and calls `route` with each upgrade request. */
async function site(route?: (...upgrade: Upgrade) => void, http: HttpServer = createServer()): Promise<Site> {
  http.on("request", (request, response) => response.end(`page ${request.url}`));
  if (route !== undefined) http.on("upgrade", route);
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  const { port } = http.address() as AddressInfo;
  return {
    http,
    port,
    [Symbol.asyncDispose]: async () => {
      http.close();
      http.closeAllConnections?.();
      await once(http, "close");
    },
  };
}

async function echo(connection: Connection): Promise<void> {
  for await (const message of connection) await connection.send(message);
}

/** What a client gets back for "hello". */
async function echoed(url: string, options = {}): Promise<unknown> {
  await using client = await connect(url, options);
  await client.send("hello");
  return await client.receive();
}

/** What `accept` made of the first upgrade request that `act` causes. */
async function outcomeOf<UserData>(
  options: AcceptOptions<UserData>,
  act: (port: number, accepted: Promise<unknown>) => Promise<unknown>,
): Promise<{ readonly connection: Connection<UserData> | undefined; readonly error: unknown }> {
  const found = deferred<Promise<Connection<UserData>>>();
  const taken = found.promise.then((accepted) => accepted);
  await using served = await site((...upgrade) => found.resolve(accept(...upgrade, options)));
  const [, outcome] = await Promise.all([
    act(
      served.port,
      taken.catch(() => undefined),
    ),
    taken.then(
      (connection) => ({ connection, error: undefined }),
      (error: unknown) => ({ connection: undefined, error }),
    ),
  ]);
  outcome.connection?.terminate();
  await outcome.connection?.closed;
  return outcome;
}

describe("accept", LIMIT, () => {
  it("serves the paths of a router of the application, beside its pages and a server of ws", async () => {
    const options: AcceptOptions = { subprotocols: ["v1"], headers: { "X-From": "ours" } };
    const theirs = new WebSocketServer({ noServer: true });
    theirs.on("connection", (socket) => socket.on("message", (data) => socket.send(`ws ${data}`)));
    const connections: Connection[] = [];
    await using served = await site((request, socket, head) => {
      if (request.url === "/echo") {
        void accept(request, socket, head, options).then((connection) => {
          connections.push(connection);
          return echo(connection).then(() => connection.close());
        });
      } else if (request.url === "/ws") {
        theirs.handleUpgrade(request, socket, head, (found) => theirs.emit("connection", found, request));
      } else socket.destroy();
    });
    const { port } = served;
    assert.equal(await echoed(`ws://127.0.0.1:${port}/echo`), "hello");
    assert.equal(await echoed(`ws://127.0.0.1:${port}/ws`), "ws hello");
    assert.equal(await (await fetch(`http://127.0.0.1:${port}/x`)).text(), "page /x");
    const client = new WebSocket(`ws://127.0.0.1:${port}/echo`, ["v1"]);
    const [[answer]] = await Promise.all([once(client, "upgrade"), once(client, "open")]);
    assert.equal((answer as IncomingMessage).headers["x-from"], "ours");
    assert.equal(client.protocol, "v1");
    client.send("from ws");
    const [data] = (await once(client, "message")) as [Buffer];
    assert.equal(data.toString(), "from ws");
    client.close(1000);
    const [code] = (await once(client, "close")) as [number];
    assert.equal(code, 1000);
    for (const connection of connections) assert.equal((await connection.closed).wasClean, true);
    theirs.close();
  });

  it("works on node:https, and on node:http2 with allowHTTP1", async () => {
    const secure = createSecure(LOCALHOST);
    const both = createSecureServer({ ...LOCALHOST, allowHTTP1: true }) as unknown as HttpServer;
    for (const http of [secure, both]) {
      await using served = await site((...upgrade) => void accept(...upgrade).then(echo), http);
      const url = `wss://127.0.0.1:${served.port}`;
      assert.equal(await echoed(url, { tls: { ca: LOCALHOST.cert, servername: "localhost" } }), "hello");
    }
  });

  it("passes the request to authorize and to the open hook, and data to the connection", async () => {
    const paths: string[] = [];
    const { connection } = await outcomeOf(
      {
        authorize: async ({ query, raw }) => {
          assert.equal(raw?.headers.host, "localhost");
          await settled();
          return { user: query };
        },
        open: ({ data }, { path }) => void paths.push(`${path} of ${data.user}`),
      },
      async (port) => {
        await using peer = await upgraded(port, upgradeRequest("/chat?ann"));
        assert.equal(peer.ended, false);
      },
    );
    assert.deepEqual(connection?.data, { user: "ann" });
    assert.deepEqual(paths, ["/chat of ann"]);
  });

  it("delivers messages that were sent in one segment with the request", async () => {
    const { connection } = await outcomeOf({}, async (port, accepted) => {
      const early = peerFrame({ opcode: 1, payload: "early", key: KEY });
      await using peer = await RawPeer.to(port);
      peer.write(Buffer.concat([Buffer.from(upgradeRequest()), early]));
      const found = (await accepted) as Connection;
      assert.equal(await found.receive(), "early");
    });
    assert.ok(connection);
  });

  it("takes a head of another realm, as in a test framework", async () => {
    const early = peerFrame({ opcode: 1, payload: "early", key: KEY });
    await using served = await site((request, socket, head) => {
      assert.equal(head.length, 0);
      const foreign = runInNewContext("Uint8Array.from(bytes)", { bytes: [...early] }) as Uint8Array;
      accept(request, socket, foreign)
        .then(echo)
        .catch(() => undefined);
    });
    await using peer = await upgraded(served.port);
    await peer.until(({ text }) => text.includes("early"));
  });

  it("reads the values of an options object once", async () => {
    let reads = 0;
    const options: AcceptOptions = {
      get subprotocols(): readonly string[] {
        reads += 1;
        return ["a"];
      },
    };
    await using served = await site((...upgrade) => void accept(...upgrade, options).then(echo));
    const url = `ws://127.0.0.1:${served.port}`;
    assert.equal(await echoed(url), "hello");
    const before = reads;
    assert.equal(await echoed(url), "hello");
    assert.equal(reads, before);
  });

  it("gives connections that a group can have, and that the application closes", async () => {
    const group = new Group();
    await using served = await site((...upgrade) => {
      void accept(...upgrade).then((connection) => group.join(connection));
    });
    const clients = await Promise.all([1, 2].map(() => connect(`ws://127.0.0.1:${served.port}`)));
    while (group.size < 2) await settled();
    group.send("to all");
    assert.deepEqual(await Promise.all(clients.map((client) => client.receive())), ["to all", "to all"]);
    await Promise.all(Array.from(group, (member) => member.close(1001)));
    for (const client of clients) assert.equal((await client.closed).code, 1001);
  });
});

describe("a request that accept refuses", LIMIT, () => {
  const raw = (request: string) => (port: number) => refused(port, request);

  for (const [what, options, request, status, refusal] of [
    ["another origin", {}, upgradeRequest("/", { Origin: "http://evil.example" }), 403, "origin"],
    ["no key", {}, upgradeRequest("/", { "Sec-WebSocket-Key": undefined }), 400, "request"],
    ["an old version", {}, upgradeRequest("/", { "Sec-WebSocket-Version": "8" }), 426, "version"],
    ["a Response", { authorize: () => new Response("no", { status: 401 }) }, upgradeRequest(), 401, "authorize"],
    ["false", { authorize: () => false, onError: () => undefined }, upgradeRequest(), 500, "failed"],
  ] as const) {
    it(`is answered and reported, and the promise rejects: ${what}`, async () => {
      const events: ConnectionEvent[] = [];
      let answer: Answer | undefined;
      const observe = (event: ConnectionEvent): void => void events.push(event);
      const { error } = await outcomeOf({ ...options, observe }, async (port) => {
        answer = await raw(request)(port);
      });
      assert.equal(answer?.status, status);
      assert.ok(error instanceof HandshakeError);
      assert.deepEqual([error.status, error.refusal, error.phase], [status, refusal, "upgrade"]);
      assert.match(error.message, /^Cannot accept: /);
      const [event] = events;
      assert.ok(event?.type === "refused" && events.length === 1);
      assert.deepEqual([event.reason, event.status], [refusal, status]);
    });
  }

  for (const [what, request] of [
    ["no key", upgradeRequest("/", { "Sec-WebSocket-Key": undefined })],
    ["a short key", upgradeRequest("/", { "Sec-WebSocket-Key": "AAAA" })],
    ["two keys", upgradeRequest("/", { "Sec-WebSocket-Key": [UPGRADE_KEY, UPGRADE_KEY] })],
    ["no version", upgradeRequest("/", { "Sec-WebSocket-Version": undefined })],
    ["version 8", upgradeRequest("/", { "Sec-WebSocket-Version": "8" })],
    ["another protocol", upgradeRequest("/", { Upgrade: "h2c" })],
    ["POST", upgradeRequest("/", { "Content-Length": "0" }, { method: "POST" })],
    ["HTTP/1.0", upgradeRequest("/", {}, { version: "1.0" })],
    ["an invalid subprotocol", upgradeRequest("/", { "Sec-WebSocket-Protocol": "a b" })],
    ["another origin", upgradeRequest("/", { Origin: "http://evil.example" })],
    ["a Response of authorize", upgradeRequest("/?refuse")],
    ["an error of authorize", upgradeRequest("/?throw")],
  ] as const) {
    it(`gets the answer and the event that it gets from attach: ${what}`, async () => {
      const options = (events: unknown[]): AcceptOptions => ({
        observe: (event) => {
          if (event.type !== "refused") return;
          const { localPort: _, remotePort: __, ...facts } = event;
          events.push(facts);
        },
        onError: (error, { place }) => void events.push([String(error), place]),
        authorize: ({ query }) => {
          if (query === "throw") throw new Error("no");
          return new Response("not you", { status: 402, headers: { "X-Why": query } });
        },
      });
      const [byAttach, byAccept]: [unknown[], unknown[]] = [[], []];
      await using one = await site();
      await using _ = attach(one.http, { ...options(byAttach), open: () => undefined });
      await using two = await site((...upgrade) => void accept(...upgrade, options(byAccept)));
      const [first, second] = await Promise.all([refused(one.port, request), refused(two.port, request)]);
      assert.ok(first.status >= 400);
      assert.deepEqual(second, first);
      assert.deepEqual(byAccept, byAttach);
      assert.ok(byAccept.length > 0);
    });
  }

  it("does not end the process if nothing handles the rejection", async () => {
    await using served = await site((...upgrade) => void accept(...upgrade));
    const answer = await refused(served.port, upgradeRequest("/", { Origin: "http://evil.example" }));
    assert.equal(answer.status, 403);
    await settled();
  });

  it("gets 503 when authorize takes longer than openTimeout", async () => {
    const clock = new ManualClock();
    const asked = deferred();
    const authorize = (): Promise<never> => {
      asked.resolve();
      return new Promise(() => undefined);
    };
    const { error } = await outcomeOf({ clock, openTimeout: 1_000, authorize }, async (port) => {
      await using peer = await RawPeer.to(port);
      peer.write(upgradeRequest());
      await asked.promise;
      await clock.advance(1_000);
      await peer.until(({ ended }) => ended);
      assert.equal(answerOf(peer.text).status, 503);
    });
    assert.equal((error as HandshakeError).refusal, "authorizeTimeout");
  });

  it("is disconnected if the client leaves, before the call or during authorize", async () => {
    const asked = deferred();
    const { error } = await outcomeOf(
      {
        authorize: () => {
          asked.resolve();
          return new Promise(() => undefined);
        },
      },
      async (port) => {
        await using peer = await RawPeer.to(port);
        peer.write(upgradeRequest());
        await asked.promise;
        peer.socket.destroy();
        await peer.closed;
      },
    );
    assert.deepEqual(
      [(error as HandshakeError).refusal, (error as HandshakeError).status],
      ["disconnected", undefined],
    );

    const upgrades = deferred<Upgrade>();
    await using served = await site((...upgrade) => {
      upgrade[1].on("error", () => undefined);
      upgrades.resolve(upgrade);
    });
    await using peer = await RawPeer.to(served.port);
    peer.write(upgradeRequest());
    const upgrade = await upgrades.promise;
    upgrade[1].destroy();
    await assert.rejects(accept(...upgrade), { code: "HANDSHAKE", refusal: "disconnected" });
  });
});

describe("acceptSync", LIMIT, () => {
  it("has written the 101 and guards the socket when it returns", async () => {
    const seen: unknown[] = [];
    await using served = await site((request, socket, head) => {
      const connection = acceptSync(request, socket, head, { message: (one, message) => void one.send(message) });
      seen.push(
        connection?.state,
        socket.listenerCount("error") > 0,
        (socket as { bytesWritten?: number }).bytesWritten,
      );
      assert.equal(connection?.trySend("at once"), "sent");
    });
    await using peer = await upgraded(served.port);
    await peer.until(({ text }) => text.includes("at once"));
    const [state, guarded, written] = seen;
    assert.deepEqual([state, guarded], ["OPEN", true]);
    assert.ok((written as number) > 100, `${written}`);
    peer.write(peerFrame({ opcode: 1, payload: "echo", key: KEY }));
    await peer.until(({ text }) => text.includes("echo"));
    const frames = framesIn(peer.bytes.subarray(peer.bytes.indexOf("\r\n\r\n") + 4));
    assert.deepEqual(
      frames.map(({ payload }) => payload.toString()),
      ["at once", "echo"],
    );
    // A reset is no uncaught exception.
    peer.socket.resetAndDestroy();
    await peer.closed;
  });

  it("returns undefined for a refused request, which is answered", async () => {
    const returned: unknown[] = [];
    await using served = await site((...upgrade) => void returned.push(acceptSync(...upgrade)));
    const answer = await refused(served.port, upgradeRequest("/", { Origin: "http://evil.example" }));
    assert.equal(answer.status, 403);
    assert.deepEqual(returned, [undefined]);
  });
});

describe("misuse of accept", LIMIT, () => {
  it("is a TypeError before anything is answered", async () => {
    const upgrades = deferred<Upgrade>();
    await using served = await site((...upgrade) => upgrades.resolve(upgrade));
    await using peer = await RawPeer.to(served.port);
    peer.write(upgradeRequest());
    const [request, socket, head] = await upgrades.promise;
    for (const [wrong, message] of [
      [[{ raw: request }, socket, head], /below its own, such as request\.raw/],
      [[undefined, socket, head], /expected the request/],
      [[request, {}, head], /expected the socket/],
      [[request, request, head], /expected the socket/],
      [[request, socket, undefined], /expected the Buffer/],
      [[request, socket, "head"], /expected the Buffer/],
      [[request, socket, head, null], /expected an object/],
      [[request, socket, head, { orgin: "any" }], /orgin/],
      [[request, socket, head, { path: "/" }], /path/],
      [[request, socket, head, { messageType: 5 }], /messageType/],
    ] as const) {
      const given = wrong as unknown as Parameters<typeof accept>;
      await assert.rejects(accept(...given), { name: "TypeError", message });
      assert.throws(() => acceptSync(...given), { name: "TypeError", message });
    }
    const authorize = (): boolean => true;
    assert.throws(() => acceptSync(request, socket, head, { authorize } as object), {
      message: /authorize.*use accept/,
    });
    assert.equal(peer.received, 0);
    const connection = await accept(request, socket, head);
    await assert.rejects(accept(request, socket, head), { name: "TypeError", message: /already accepted/ });
    assert.throws(() => acceptSync(request, socket, head), { name: "TypeError", message: /already accepted/ });
    assert.equal(connection.state, "OPEN");
    connection.terminate();
    await connection.closed;
  });

  it("is found if an attachment has the request, and an attachment leaves a request that was accepted", async () => {
    const errors: unknown[] = [];
    const clock = new ManualClock();
    await using served = await site();
    await using attached = attach(served.http, { path: "/attached", clock }, async (connection) => {
      await connection.send("attached");
      await connection.closed;
    });
    served.http.on("upgrade", (...upgrade: Upgrade) => {
      if (upgrade[0].url === "/attached") void accept(...upgrade).catch((error: unknown) => errors.push(error));
    });
    await using first = await connect(`ws://127.0.0.1:${served.port}/attached`);
    assert.equal(await first.receive(), "attached");
    assert.match(String(errors[0]), /already accepted/);
    served.http.prependListener("upgrade", (...upgrade: Upgrade) => {
      if (["/attached?mine", "/other"].includes(upgrade[0].url ?? "")) acceptSync(...upgrade)?.trySend("accepted");
    });
    // At openTimeout, an attachment answers 404 to a request that no listener has taken.
    await using other = await connect(`ws://127.0.0.1:${served.port}/other`);
    assert.equal(await other.receive(), "accepted");
    await clock.advance(20_000);
    await other.ping();
    await using second = await connect(`ws://127.0.0.1:${served.port}/attached?mine`);
    assert.equal(await second.receive(), "accepted");
    assert.equal(attached.connections.size, 1, "the first one");
  });
});
