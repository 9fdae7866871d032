/** Tests of routes: several WebSocket paths on one address, each with its own options, added and removed while the server runs. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  ClosedError,
  type Connection,
  type ConnectionEvent,
  connect,
  listen,
  type UpgradeRequest,
} from "../../../src/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { deferred } from "../../kit/deferred.ts";
import { portOf, refused, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const CLIENT = { tls: { ca: LOCALHOST.cert } };

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};
const says =
  (text: string) =>
  async (connection: Connection): Promise<void> => {
    await connection.send(text);
  };

/** The first message of the server. */
async function heard(url: string): Promise<unknown> {
  await using connection = await connect(url, CLIENT);
  return await connection.receive();
}

describe("routes", LIMIT, () => {
  for (const [scheme, tls] of [
    ["ws", undefined],
    ["wss", LOCALHOST],
  ] as const) {
    it(`serves several paths on one ${scheme} address, and 404 elsewhere`, async () => {
      const rooms: string[] = [];
      await using server = await listen(`${scheme}://127.0.0.1:0`, {
        tls,
        routes: {
          "/echo": echo,
          "/rooms/:room": {
            open: (connection, { params }) => {
              // The compiler knows the names of the parameters.
              const room: string = params.room;
              rooms.push(room);
              void connection.send(room);
            },
          },
          "/rooms/all": { handler: says("all") },
          "/files/*path": (connection, { params }) => connection.send(params.path),
        },
      });
      const { url } = server;
      await using connection = await connect(`${url}/echo`, CLIENT);
      await connection.send("hello");
      assert.equal(await connection.receive(), "hello");
      assert.equal(await heard(`${url}/rooms/caf%C3%A9`), "café");
      assert.equal(await heard(`${url}/rooms/all?from=1`), "all");
      assert.equal(await heard(`${url}/files/a/b.txt`), "a/b.txt");
      assert.deepEqual(rooms, ["café"]);
      for (const path of ["/", "/rooms", "/rooms/a/b", "/files"]) {
        await assert.rejects(connect(`${url}${path}`, CLIENT), { name: "HandshakeError", status: 404 }, path);
      }
    });
  }

  it("refuses a path whose percent-encoded characters are malformed, with 400", async () => {
    const events: ConnectionEvent[] = [];
    await using server = await listen("ws://127.0.0.1:0", {
      observe: (event) => void events.push(event),
      routes: { "/rooms/:room": echo },
    });
    assert.equal((await refused(portOf(server), upgradeRequest("/rooms/%FF"))).status, 400);
    const [event] = events;
    assert.deepEqual(event?.type === "refused" && [event.reason, event.status], ["request", 400]);
  });

  it("serves the path of its URL beside the routes, and every other path if the URL has none", async () => {
    await using one = await listen(
      "ws://127.0.0.1:0/main/:id",
      { routes: { "/b": says("b") } },
      (connection, request) => connection.send(String(request.params["id"])),
    );
    const root = one.url.replace("/main/:id", "");
    assert.equal(await heard(`${root}/main/7`), "7");
    assert.equal(await heard(`${root}/b`), "b");
    await assert.rejects(connect(root), { status: 404 });
    await using every = await listen("ws://127.0.0.1:0", { routes: { "/b": says("b") } }, says("other"));
    assert.equal(await heard(`${every.url}/b`), "b");
    for (const path of ["", "/x/y", "/%FF"]) assert.equal(await heard(`${every.url}${path}`), "other");
  });

  it("gives each route its own options over those of the server, but not the hooks of the server", async () => {
    const opened: string[] = [];
    await using server = await listen(
      "ws://127.0.0.1:0/main",
      {
        subprotocols: ["v1"],
        authorize: ({ headers }) =>
          headers["authorization"] === undefined ? new Response("who?", { status: 401 }) : "server",
        open: () => void opened.push("main"),
        maxMessageSize: 10,
        routes: {
          "/own": {
            subprotocols: ["v2"],
            authorize: ({ path }: UpgradeRequest) => ({ path }),
            maxMessageSize: 100,
            handler: async (connection) => {
              // The type of `data` is that of this route's `authorize`.
              const { path }: { path: string } = connection.data;
              await connection.send(`${path} ${await connection.receive()}`);
            },
          },
          "/same": async (connection) => {
            await connection.send(String(connection.data));
            await connection.receive();
          },
        },
      },
      echo,
    );
    const root = server.url.replace("/main", "");
    const subprotocols = ["v1", "v2"];
    const headers = { Authorization: "Basic a" };
    await using own = await connect(`${root}/own`, { subprotocols });
    assert.equal(own.protocol, "v2");
    await own.send("x".repeat(90));
    assert.equal(await own.receive(), `/own ${"x".repeat(90)}`);
    await assert.rejects(connect(`${root}/same`), { status: 401 });
    await using same = await connect(`${root}/same`, { subprotocols, headers });
    assert.equal(same.protocol, "v1");
    assert.equal(await same.receive(), "server");
    await same.send("x".repeat(11));
    assert.equal((await same.closed).code, 1009);
    assert.deepEqual(opened, []);
    await using main = await connect(server.url, { headers });
    await main.ping();
    assert.deepEqual(opened, ["main"]);
  });

  it("bounds the connections of a route, and those of all routes together", async () => {
    await using server = await listen("ws://127.0.0.1:0", {
      maxConnections: 2,
      routes: { "/a": { maxConnections: 1, handler: echo }, "/b": echo },
    });
    await using _a = await connect(`${server.url}/a`);
    await assert.rejects(connect(`${server.url}/a`), { status: 503 });
    await using b = await connect(`${server.url}/b`);
    await assert.rejects(connect(`${server.url}/b`), { status: 503 });
    assert.equal(server.connections.size, 2);
    assert.equal([...server.connections].length, 2);
    assert.ok([...server.connections].every((one) => server.connections.has(one)));
    const [, last] = server.connections;
    await b.close();
    await last?.closed;
    await using _b = await connect(`${server.url}/b`);
  });

  it("adds and removes routes while it runs; connections of a removed route continue", async () => {
    await using server = await listen("ws://127.0.0.1:0", { routes: {} });
    await assert.rejects(connect(`${server.url}/a/1`), { status: 404 });
    const route = server.route("/a/:id", async (connection, { params }) => {
      const id: string = params.id;
      for await (const message of connection) await connection.send(`${id} ${message}`);
    });
    await using client = await connect(`${server.url}/a/1`);
    await client.ping();
    assert.equal(route.connections.size, 1);
    route.remove();
    route.remove();
    await assert.rejects(connect(`${server.url}/a/1`), { status: 404 });
    await client.send("still here");
    assert.equal(await client.receive(), "1 still here");
    assert.equal(server.connections.size, 1);
    {
      using _again = server.route("/a/:id", says("new"));
      assert.equal(await heard(`${server.url}/a/2`), "new");
    }
    await assert.rejects(connect(`${server.url}/a/1`), { status: 404 });
    assert.deepEqual(await server.close(), { clean: 1, cut: 0 });
    assert.equal((await client.closed).code, 1001);
  });

  it("closes the connections of one route, and the server continues", async () => {
    await using server = await listen("ws://127.0.0.1:0", { routes: { "/b": echo } });
    const route = server.route("/a", echo);
    await using a = await connect(`${server.url}/a`);
    await using b = await connect(`${server.url}/b`);
    await Promise.all([a.ping(), b.ping()]);
    assert.deepEqual(await route.close({ code: 4000, reason: "moved" }), { clean: 1, cut: 0 });
    assert.deepEqual([(await a.closed).code, a.state], [4000, "CLOSED"]);
    await b.send("hello");
    assert.equal(await b.receive(), "hello");
    assert.equal(server.connections.size, 1);
  });

  it("lets an opening in authorize finish when its route is removed, and refuses it when the route is closed", async () => {
    await using server = await listen("ws://127.0.0.1:0", { routes: {} });
    for (const how of ["remove", "close"] as const) {
      const [asked, answer] = [deferred(), deferred()];
      const route = server.route("/a", {
        authorize: async () => {
          asked.resolve();
          await answer.promise;
        },
        handler: says("in"),
      });
      const opening =
        how === "remove" ? heard(`${server.url}/a`) : assert.rejects(heard(`${server.url}/a`), { status: 503 });
      await asked.promise;
      const done = route[how]();
      answer.resolve();
      assert.equal(await opening, how === "remove" ? "in" : undefined);
      await done;
    }
  });

  it("refuses patterns and targets that cannot work", async () => {
    await using server = await listen("ws://127.0.0.1:0", { routes: { "/a/:id": echo } });
    const cases: [unknown, unknown, RegExp][] = [
      ["a", echo, /begins with \//],
      ["/a/:id", echo, /already served/],
      ["/a/:name", echo, /conflicts with \/a\/:id/],
      ["/b", {}, /a handler or a hook/],
      ["/b", 5, /a handler or options, got number/],
      ["/b", { handler: "x" }, /Cannot use handler: expected a function/],
      ["/b", { handler: echo, ref: false }, /Cannot use ref for a route/],
      ["/b", { handler: echo, port: 1 }, /no such option/],
      ["/b", { handler: echo, origin: 1 }, /Cannot use origin/],
    ];
    for (const [pattern, target, message] of cases) {
      assert.throws(() => server.route(pattern as string, target as never), { name: "TypeError", message });
    }
    assert.throws(() => server.route("/b", { handler: echo, maxConnections: 0 }), { name: "RangeError" });
    // A refused route leaves nothing behind.
    server.route("/b", echo);
    await assert.rejects(listen("ws://127.0.0.1:0", { routes: [] as never }), { name: "TypeError", message: /routes/ });
    await assert.rejects(listen("tcp://127.0.0.1:0", { routes: {} }, echo), { message: /Cannot use routes/ });
    await using tcp = await listen("tcp://127.0.0.1:0", echo);
    assert.throws(() => tcp.route("/a", echo), { name: "TypeError", message: /TCP has no paths/ });
    await server.close();
    assert.throws(() => server.route("/c", echo), ClosedError);
  });

  it("ends all routes when the server closes, also openings in authorize", async () => {
    const asked = deferred();
    const server = await listen("ws://127.0.0.1:0", {
      routes: {
        "/a": echo,
        "/b": { authorize: () => new Promise<never>(() => asked.resolve()), handler: echo },
      },
    });
    await using a = await connect(`${server.url}/a`);
    await a.ping();
    const waiting = assert.rejects(connect(`${server.url}/b`), { status: 503 });
    await asked.promise;
    assert.deepEqual(await server.close(), { clean: 1, cut: 0 });
    await waiting;
    assert.equal((await a.closed).code, 1001);
  });
});
