/** Tests of trustProxy on real sockets: requests, connections, events and plain HTTP requests have the address of the client. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import {
  attach,
  type ConnectionEvent,
  connect,
  type ErrorContext,
  listen,
  type TrustProxy,
} from "../../../src/index.ts";

const LIMIT = { timeout: 60_000 };
const headers = { "X-Forwarded-For": "203.0.113.7:4711, 127.0.0.1" };

/** The address and port of each event, without its port where that is the socket's own. */
const peers = (events: readonly ConnectionEvent[]): string[] =>
  events.flatMap((event) =>
    "remoteAddress" in event
      ? [`${event.type} ${event.remoteAddress} ${event.remotePort === 4711 ? 4711 : "own"}`]
      : [],
  );

describe("trustProxy", LIMIT, () => {
  for (const [what, trustProxy, address] of [
    ["a trusted list", ["127.0.0.0/8"], "203.0.113.7 4711"],
    ["a number of proxies", 2, "203.0.113.7 4711"],
    ["a list without the peer", ["192.0.2.0/24"], "127.0.0.1 own"],
    ["nothing", undefined, "127.0.0.1 own"],
  ] as [string, TrustProxy | undefined, string][]) {
    it(`with ${what} has ${address} everywhere`, async () => {
      const events: ConnectionEvent[] = [];
      const seen: string[] = [];
      const note = ({ remoteAddress, remotePort }: { remoteAddress?: string; remotePort?: number | undefined }): void =>
        void seen.push(`${remoteAddress} ${remotePort === 4711 ? 4711 : "own"}`);
      await using server = await listen("ws://127.0.0.1:0", {
        trustProxy,
        observe: (event) => void events.push(event),
        onError: (_, context: ErrorContext) => note(context),
        authorize: (request) => {
          note(request);
          if (request.path === "/throw") throw new Error("authorize failed");
          return request.path === "/no" ? new Response("no", { status: 401 }) : undefined;
        },
        fetch: (_, info) => {
          note(info);
          return new Response("page");
        },
        routes: {
          "/:path": (connection, request) => {
            note(request);
            note(connection);
          },
        },
      });
      const connection = await connect(`${server.url}/yes`, { headers });
      await connection.closed;
      await assert.rejects(connect(`${server.url}/no`, { headers }), { status: 401 });
      await assert.rejects(connect(`${server.url}/throw`, { headers }), { status: 500 });
      await assert.rejects(connect(`${server.url}/a/b`, { headers }), { status: 404 });
      await (await fetch(server.url.replace("ws", "http"), { headers })).text();
      assert.deepEqual(new Set(seen), new Set([address]));
      assert.equal(seen.length, 7);
      const [accepted, opened, ...refused] = peers(events);
      assert.deepEqual([accepted, opened], [`accepted ${address}`, `open ${address}`]);
      assert.deepEqual(refused, Array(3).fill(`refused ${address}`));
    });
  }

  it("works under attach, and a wrong value is refused at the call", async () => {
    const http = createServer();
    await once(http.listen(0, "127.0.0.1"), "listening");
    const seen: string[] = [];
    const server = attach(http, { trustProxy: ["127.0.0.1"] }, ({ remoteAddress }) => void seen.push(remoteAddress));
    await (await connect(server.url, { headers })).closed;
    assert.deepEqual(seen, ["203.0.113.7"]);
    await server.close();
    http.close();
    const wrong = { trustProxy: "127.0.0.1" as never };
    assert.throws(() => attach(createServer(), wrong, () => undefined), { name: "TypeError" });
    await assert.rejects(
      listen("ws://127.0.0.1:0", wrong, () => undefined),
      { name: "TypeError" },
    );
    await assert.rejects(
      listen("tcp://127.0.0.1:0", { trustProxy: 1 }, () => undefined),
      /Cannot use trustProxy/,
    );
  });
});
