/** Arguments of a wrong form: each is refused at the call, by a TypeError or RangeError that names what was expected. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server as HttpServer } from "node:http";
import { createSecureServer } from "node:http2";
import { createServer as createTcp } from "node:net";
import { describe, it } from "node:test";
import { createServer as createTls } from "node:tls";
import {
  attach,
  type Connection,
  connect,
  DEFAULTS,
  type ExtraHeaders,
  Group,
  listen,
  prepare,
  ReconnectingConnection,
  reconnect,
  type UpgradeRequest,
} from "../../src/index.ts";
import { chaosProxy, pair } from "../../src/testing/index.ts";
import { startWorkers } from "../../src/workers/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { portOf, refused, upgraded, upgradeRequest } from "../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const ANY_PORT = "ws://127.0.0.1:0";
// Nothing listens there: a call that tries to connect fails with another error.
const NOWHERE = "ws://127.0.0.1:9";
const stay = async ({ closed }: Connection): Promise<void> => void (await closed);
const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

type Call = (...given: never[]) => unknown;
const call = (fn: Call, ...given: unknown[]): unknown => Reflect.apply(fn, undefined, given);
const typeError = (message: RegExp) => ({ name: "TypeError", message });

/** Invalid in every function that takes the options of a connection. */
const OPTIONS: Readonly<Record<string, readonly [options: object, expected: { name: string; message: RegExp }]>> = {
  "heartbeat: 1000": [{ heartbeat: 1000 }, typeError(/heartbeat 1000: expected \{ interval, timeout \}.* or false/)],
  "heartbeat: true": [{ heartbeat: true }, typeError(/heartbeat boolean: expected/)],
  "heartbeat: null": [{ heartbeat: null }, typeError(/heartbeat null: expected/)],
  "heartbeat: []": [{ heartbeat: [] }, typeError(/heartbeat an array: expected/)],
  "heartbeat.intervall": [{ heartbeat: { intervall: 5 } }, typeError(/heartbeat\.intervall: there is no such option/)],
  "highWaterMark above maxQueuedBytes": [
    { highWaterMark: 2_000, maxQueuedBytes: 1_000 },
    { name: "RangeError", message: /highWaterMark 2000: expected at most maxQueuedBytes, which is 1000/ },
  ],
  "highWaterMark above the default of maxQueuedBytes": [
    { highWaterMark: DEFAULTS.connection.maxQueuedBytes + 1 },
    { name: "RangeError", message: /expected at most maxQueuedBytes/ },
  ],
  "lowWaterMark above highWaterMark": [
    { lowWaterMark: 2_000, highWaterMark: 1_000 },
    { name: "RangeError", message: /lowWaterMark 2000: expected at most highWaterMark, which is 1000/ },
  ],
  'subprotocols: "mqtt"': [{ subprotocols: "mqtt" }, typeError(/subprotocols: expected a list of strings, got string/)],
  "subprotocols: [5]": [{ subprotocols: [5] }, typeError(/subprotocol 5: expected a token/)],
  "headers: a function": [{ headers: () => ({}) }, typeError(/headers: expected an object, Headers, a Map/)],
  "headers: a string": [{ headers: "x: y" }, typeError(/headers: expected an object.* got string/)],
  "headers: null": [{ headers: null }, typeError(/headers: expected an object.* got null/)],
  "headers: lines": [{ headers: ["x: y"] }, typeError(/expected pairs of a name and a value, got string/)],
  "headers: a pair of three": [{ headers: [["x", "y", "z"]] }, typeError(/expected pairs/)],
  "headers: a number as value": [{ headers: { "X-A": 5 } }, typeError(/header X-A: expected a string.* got number/)],
  "headers: a name with a space": [{ headers: new Map([["a b", "c"]]) }, typeError(/its name is not a token/)],
  "headers: Host": [{ headers: [["hOst", "x"]] }, typeError(/the handshake writes it itself/)],
};

describe("an argument of a wrong form is refused at the call", LIMIT, () => {
  for (const [name, [options, expected]] of Object.entries(OPTIONS)) {
    it(`by every function with options: ${name}`, async () => {
      await assert.rejects(listen(ANY_PORT, options, stay), expected);
      await assert.rejects(connect(NOWHERE, options), expected);
      const http = createServer();
      assert.throws(() => attach(http, options, stay), expected);
      assert.equal(http.listenerCount("upgrade"), 0);
    });
  }

  it("a fixed framing whose messages are above maxMessageSize", async () => {
    const options = { framing: { fixed: 11 }, maxMessageSize: 10 } as const;
    const expected = {
      name: "RangeError",
      message: "Cannot use fixed 11: expected at most maxMessageSize, which is 10",
    };
    await assert.rejects(listen("tcp://127.0.0.1:0", options, stay), expected);
    await assert.rejects(connect("tcp://127.0.0.1:1", options), expected);
    await using server = await listen("tcp://127.0.0.1:0", { ...options, streaming: true }, stay);
    await using connection = await connect(server.url, { framing: { fixed: 10 }, maxMessageSize: 10 });
    assert.equal(connection.state, "OPEN");
  });

  it("framing on a WebSocket", async () => {
    const expected = typeError(/framing: a WebSocket has its own/);
    await assert.rejects(listen(ANY_PORT, { framing: "lines" }, stay), expected);
    await assert.rejects(connect(NOWHERE, { framing: "raw" }), expected);
    assert.throws(() => call(attach, createServer(), { framing: "lines" }, stay), typeError(/framing/));
  });

  it("a handler that is not a function, and neither a handler nor a hook", async () => {
    const noCode = typeError(/without a handler or a hook/);
    for (const given of [[], [undefined], [{}], [{ maxConnections: 5 }], [{ message: undefined }, undefined]]) {
      await assert.rejects(async () => call(listen, ANY_PORT, ...given), noCode);
      assert.throws(() => call(attach, createServer(), ...given), noCode);
    }
    const none = typeError(/expected a function as the handler, got/);
    for (const handler of [5, "echo", {}, null]) {
      await assert.rejects(async () => call(listen, ANY_PORT, {}, handler), none);
      assert.throws(() => call(attach, createServer(), {}, handler), none);
    }
    const swapped = typeError(/expected the options before the handler/);
    await assert.rejects(async () => call(listen, ANY_PORT, stay, {}), swapped);
    assert.throws(() => call(attach, createServer(), stay, {}), swapped);
  });

  it("options that are not an object", async () => {
    const none = typeError(/Cannot use options: expected an object, got/);
    for (const wrong of [null, 5, "x", []]) {
      await assert.rejects(async () => call(listen, ANY_PORT, wrong, stay), none);
      await assert.rejects(async () => call(connect, NOWHERE, wrong), none);
      await assert.rejects(async () => call(reconnect, NOWHERE, stay, wrong), none);
      assert.throws(() => call(attach, createServer(), wrong, stay), none);
      assert.throws(() => new ReconnectingConnection(NOWHERE, wrong as never), none);
      assert.throws(() => call(prepare, "x", wrong), none);
      assert.throws(() => new Group().send("x", wrong as never), none);
      assert.throws(() => new Group(wrong as never), none);
      const { client } = pair();
      await assert.rejects(client.receive(wrong as never), none);
      await assert.rejects(client.send("x", wrong as never), none);
      await assert.rejects(client.ping(wrong as never), none);
      await assert.rejects(client.drain(wrong as never), none);
      assert.throws(() => client.trySend("x", wrong as never), none);
      assert.throws(() => client.writer("text", wrong as never), none);
      await using server = await listen(ANY_PORT, stay);
      await assert.rejects(server.close(wrong as never), none);
    }
    await assert.rejects(async () => call(startWorkers, 5, stay), none);
    await assert.rejects(chaosProxy({ to: "127.0.0.1:9", faults: 5 as never }), typeError(/faults/));
    assert.throws(() => prepare("x", { compress: "yes" as never }), typeError(/compress/));
  });

  it("a signal that is not an AbortSignal", async () => {
    const none = typeError(/signal: expected an AbortSignal, got/);
    for (const signal of [{}, null, 5, new AbortController()] as never[]) {
      await assert.rejects(connect(NOWHERE, { signal }), none);
      await assert.rejects(reconnect(NOWHERE, stay, { signal }), none);
      assert.throws(() => new ReconnectingConnection(NOWHERE, { signal }), none);
    }
  });

  it("tls that is not an object; a server without certificate or key, when it listens", async () => {
    const options = (scheme: string): object => (scheme === "tls" ? { framing: "lines" } : {});
    for (const scheme of ["wss", "tls"]) {
      const serve = (tls: unknown): Promise<unknown> =>
        listen(`${scheme}://127.0.0.1:0`, { ...options(scheme), tls: tls as never }, stay);
      const { cert, key } = LOCALHOST;
      for (const tls of [undefined, {}, { key }, { cert: undefined, key }, { cert: "", key }]) {
        await assert.rejects(serve(tls), typeError(/without tls\.cert: expected tls\.cert and tls\.key/));
      }
      await assert.rejects(serve({ cert }), typeError(/without tls\.key/));
      for (const tls of [null, 5, "cert", []]) await assert.rejects(serve(tls), typeError(/Cannot use tls: expected/));
      await assert.rejects(
        connect(`${scheme}://127.0.0.1:9`, { ...options(scheme), tls: "ca" as never }),
        typeError(/Cannot use tls: expected an object, got string/),
      );
    }
  });

  it("except a server without a certificate that has another way to get one", async () => {
    const SNICallback = (_: string, done: (error: Error) => void): void => done(new Error("no such name"));
    const ways = [{ SNICallback }, { pskCallback: () => null, pskIdentityHint: "x", ciphers: "PSK" }];
    for (const tls of ways) await (await listen("wss://127.0.0.1:0", { tls }, stay)).close();
  });

  it("a path, a clock and an exchange of a wrong form", async () => {
    for (const path of [5, {}, "live", /live/]) {
      assert.throws(() => attach(createServer(), { path: path as string }, stay), typeError(/Cannot use path/));
    }
    for (const clock of [null, 5, {}, Date, { now: () => 0 }] as never[]) {
      await assert.rejects(
        listen(ANY_PORT, { clock }, stay),
        typeError(/Cannot use clock: expected an object with now/),
      );
      await assert.rejects(connect(NOWHERE, { clock }), typeError(/Cannot use clock/));
    }
    for (const exchange of [undefined, {}, { publish: () => true }] as never[]) {
      assert.throws(() => new Group({ name: "room", exchange }), typeError(/Cannot use exchange/));
    }
  });

  it("a backlog that is not a number of connections", async () => {
    for (const backlog of ["5", {}, true]) {
      await assert.rejects(listen(ANY_PORT, { backlog: backlog as never }, stay), typeError(/backlog/));
    }
  });

  it("an HTTP server that attach cannot use", () => {
    const app = Object.assign(() => undefined, createServer());
    for (const wrong of [undefined, null, {}, 5, "http", app, createTcp(), createTls()]) {
      assert.throws(
        () => attach(wrong as unknown as HttpServer, stay),
        typeError(/Cannot attach to .*: expected a server of node:http or node:https/),
      );
    }
    const { cert, key } = LOCALHOST;
    const secure = createSecureServer({ allowHTTP1: true, cert, key });
    // No cast: the type of `attach` accepts it.
    assert.ok(attach(secure, stay));
  });
});

describe("common forms of arguments work", LIMIT, () => {
  it("heartbeat: false sends no Ping, and the idle limit counts", async () => {
    const { client, server, clock } = pair({ client: { heartbeat: false }, server: { heartbeat: false } });
    await clock.advance(DEFAULTS.connection.idleTimeout - 1);
    assert.equal(client.state, "OPEN");
    await clock.advance(1);
    const ends = await Promise.all([client.closed, server.closed]);
    assert.ok(ends.some(({ cause }) => (cause as { limit?: string }).limit === "idleTimeout"));
  });

  it("heartbeat: false on real sockets, at both ends", async () => {
    await using server = await listen(ANY_PORT, { heartbeat: false }, echo);
    await using client = await connect(server.url, { heartbeat: false });
    await client.send("hello");
    assert.equal(await client.receive(), "hello");
  });

  it("attach(http, handler)", async () => {
    const http = createServer();
    await using _server = attach(http, echo);
    await once(http.listen(0, "127.0.0.1"), "listening");
    const client = await connect(`ws://127.0.0.1:${(http.address() as { readonly port: number }).port}`);
    await client.send("hello");
    assert.equal(await client.receive(), "hello");
    await client.close();
    http.close();
  });

  const pairs: readonly (readonly [string, string])[] = [
    ["X-One", "1"],
    ["Set-Cookie", "a=1; Path=/"],
    ["Set-Cookie", "b=2"],
  ];
  function* generated(): Generator<readonly [string, string]> {
    yield* pairs;
  }
  const forms: Readonly<Record<string, () => ExtraHeaders>> = {
    "an object": () => ({ "X-One": "1", "Set-Cookie": ["a=1; Path=/", "b=2"] }),
    Headers: () => new Headers(pairs.map(([name, value]) => [name, value])),
    "a list of pairs": () => pairs,
    "a list of lists": () => pairs.map((one) => [...one]),
    "a Map": () =>
      new Map<string, string | string[]>([
        ["X-One", "1"],
        ["Set-Cookie", ["a=1; Path=/", "b=2"]],
      ]),
    "a generator": generated,
  };
  for (const [name, headers] of Object.entries(forms)) {
    it(`headers as ${name}, from a server, each cookie for each client`, async () => {
      await using server = await listen(ANY_PORT, { headers: headers() }, stay);
      for (let client = 0; client < 2; client += 1) {
        await using peer = await upgraded(portOf(server));
        const lines = peer.text.split("\r\n").map((line) => line.replace(/^[^:]+/, (field) => field.toLowerCase()));
        const added = lines.filter((line) => /^(x-one|set-cookie):/.test(line)).sort();
        assert.deepEqual(added, ["set-cookie: a=1; Path=/", "set-cookie: b=2", "x-one: 1"]);
      }
    });

    it(`headers as ${name}, from a client, at each attempt`, async () => {
      const got: Readonly<Record<string, string>>[] = [];
      const authorize = ({ headers: fields }: UpgradeRequest): void => void got.push(fields);
      let opened = 0;
      await using server = await listen(ANY_PORT, { authorize }, async (connection) => {
        opened += 1;
        if (opened === 1) connection.terminate();
        else await connection.send("stay");
      });
      const url = server.url;
      await reconnect(url, (connection) => connection.receive(), { headers: headers(), initialPause: 1 });
      assert.equal(got.length, 2);
      for (const fields of got) assert.equal(fields["x-one"], "1");
      await (await connect(url, { headers: headers() })).close();
      assert.equal(got[2]?.["x-one"], "1");
    });
  }

  it("a refusal with Headers that has several cookies", async () => {
    const authorize = (): Response => new Response("no", { status: 401, headers: pairs.map(([n, v]) => [n, v]) });
    await using server = await listen(ANY_PORT, { authorize }, stay);
    const { status, body } = await refused(portOf(server), upgradeRequest());
    assert.deepEqual([status, body], [401, "no"]);
  });

  it("a small queue alone: the water marks are lower than it", async () => {
    const marks: string[] = [];
    const { client, link } = pair({
      capacity: 64,
      client: {
        maxQueuedBytes: 8_192,
        highWater: () => void marks.push("high"),
        lowWater: () => void marks.push("low"),
      },
    });
    link.freeze("server");
    for (let sent = 0; sent < 12; sent += 1) client.trySend("x".repeat(100));
    assert.deepEqual(marks, ["high"]);
    link.thaw("server");
    await client.drain();
    assert.deepEqual(marks, ["high", "low"]);
  });

  it("highWaterMark: Infinity, and water marks at their limits", () => {
    pair({ client: { highWaterMark: Infinity } });
    pair({ client: { highWaterMark: 1_000, maxQueuedBytes: 1_000, lowWaterMark: 1_000 } });
    pair({ client: { highWaterMark: 1 } });
  });
});

describe("a message hook beside a handler that reads", LIMIT, () => {
  it("makes every other way to receive throw or reject at once", async () => {
    const { client } = pair({ client: { message: () => undefined } });
    const hooked = typeError(/Cannot receive: messages go to the message hook/);
    assert.throws(() => client[Symbol.asyncIterator](), hooked);
    assert.throws(() => client.readable, hooked);
    await assert.rejects(client.receive(), hooked);
    await assert.rejects(client.reader(), hooked);
    assert.ok(client.writable);
  });

  it("is reported to onError with the place handler, and closes with 1011", async () => {
    const reports: [unknown, string][] = [];
    const options = {
      message: () => undefined,
      onError: (error: unknown, { place }: { readonly place: string }) => void reports.push([error, place]),
    };
    await using server = await listen(ANY_PORT, options, echo);
    const { code } = await (await connect(server.url)).closed;
    assert.equal(code, 1011);
    assert.deepEqual(
      reports.map(([error, place]) => [(error as Error).name, place]),
      [["TypeError", "handler"]],
    );
  });

  it("does not affect a handler that only sends", async () => {
    let received = "";
    await using server = await listen(
      ANY_PORT,
      {
        message: (_, data) => {
          received = String(data);
        },
      },
      async (connection) => {
        await connection.send("pushed");
        await connection.closed;
      },
    );
    const client = await connect(server.url);
    assert.equal(await client.receive(), "pushed");
    await client.send("heard");
    await client.close();
    assert.equal(received, "heard");
  });
});
