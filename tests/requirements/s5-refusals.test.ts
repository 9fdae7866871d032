/** S5-9: every opening that leads to no connection is an event, with a reason from one closed set. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { REFUSALS } from "../../src/base/refusals.ts";
import { attach, connect, listen, type Refusal, type RefusedEvent } from "../../src/index.ts";
import { ManualClock } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { deferred } from "../kit/deferred.ts";
import { portOf, RawPeer, refused, upgradeRequest } from "../kit/raw-peer.ts";
import { Openings, type Options, WAYS, type Way } from "./refusals.ts";
import type { Answer, Order } from "./short-of-descriptors.ts";

const LIMIT = { timeout: 30_000 };
const live = (
  changes: Parameters<typeof upgradeRequest>[1] = {},
  line: Parameters<typeof upgradeRequest>[2] = {},
): string => upgradeRequest("/live", changes, line);

const NODE_COUNTS_FIELDS = Number.parseInt(process.versions.node, 10) >= 22;

/** Requests that are answered, and the reason of each. */
const ANSWERED: readonly {
  readonly what: string;
  readonly request: string;
  readonly reason: Refusal;
  readonly detail: RegExp;
  readonly options?: Options;
  /** Where the HTTP server belongs to the application, the application answers this request. */
  readonly pages?: "observed" | "unobserved";
}[] = [
  { what: "a wrong path", request: upgradeRequest("/other?a=b"), reason: "path", detail: /\/other$/ },
  {
    what: "no Upgrade, as behind a proxy that does not pass it on",
    request: live({ Upgrade: undefined, Connection: "close" }),
    ...{ reason: "upgrade", detail: /Upgrade does not name websocket/, pages: "observed" },
  },
  {
    what: "no Connection",
    request: live({ Connection: undefined }),
    ...{ reason: "upgrade", detail: /Connection does not name Upgrade/, pages: "observed" },
  },
  { what: "another protocol", request: live({ Upgrade: "h2c" }), reason: "upgrade", detail: /Upgrade/ },
  { what: "another version", request: live({ "Sec-WebSocket-Version": "8" }), reason: "version", detail: /13/ },
  {
    what: "HTTP/1.0",
    request: live({}, { version: "1.0" }),
    ...{ reason: "httpVersion", detail: /older than 1\.1/ },
  },
  { what: "another method", request: live({}, { method: "PUT" }), reason: "method", detail: /GET/ },
  { what: "no key", request: live({ "Sec-WebSocket-Key": undefined }), reason: "request", detail: /Key/ },
  { what: "no HTTP", request: "hello\r\n\r\n", reason: "request", detail: /HPE_/, pages: "unobserved" },
  {
    what: "fields beyond every bound",
    request: live({ "X-Long": "x".repeat(20_000) }),
    ...{ reason: "headers", detail: /HPE_HEADER_OVERFLOW/, pages: "unobserved" },
  },
  {
    what: "too many fields",
    request: live(Object.fromEntries(Array.from({ length: 1_200 }, (_, index) => [`x${index}`, "1"]))),
    // Since Node 22 node:http refuses them itself, and the error of an application's server belongs to the application.
    reason: "headers",
    detail: NODE_COUNTS_FIELDS ? /HPE_HEADER_OVERFLOW/ : /1,?\d{3} header fields/,
    ...(NODE_COUNTS_FIELDS && { pages: "unobserved" }),
  },
  {
    what: "another origin",
    request: live({ Origin: "https://evil.example", Host: "good.example:8080" }),
    ...{ reason: "origin", detail: /https:\/\/evil\.example .*good\.example:8080/ },
  },
  {
    what: "authorize that refuses",
    request: live(),
    options: { authorize: () => new Response("no", { status: 401 }) },
    ...{ reason: "authorize", detail: /401/ },
  },
  {
    what: "authorize that throws",
    request: live(),
    options: {
      onError: () => undefined,
      authorize: () => {
        throw new Error("as it should");
      },
    },
    ...{ reason: "failed", detail: /authorize/ },
  },
];

function judge(event: RefusedEvent | undefined, reason: Refusal, detail: RegExp): asserts event is RefusedEvent {
  assert.deepEqual([event?.type, event?.direction, event?.reason], ["refused", "in", reason]);
  assert.match(event?.detail ?? "", detail);
}

for (const [name, open] of Object.entries(WAYS)) {
  const owned = name.startsWith("attach");
  const unix = name.includes("unix");

  describe(`a refused request: ${name}`, LIMIT, () => {
    for (const { what, request, reason, detail, options, pages } of ANSWERED) {
      if (owned && pages === "unobserved") continue;
      it(`S5-9: is an event with the reason ${reason}: ${what}`, async () => {
        await using way = await open(options);
        await using peer = await way.peer();
        peer.write(request);
        await peer.until(({ ended }) => ended);
        const { status } = await peer.head();
        const [event] = await way.openings.until(1);
        judge(event, reason, detail);
        if (owned && pages === "observed") assert.equal(event.status, undefined);
        else {
          assert.equal(event.status, status);
          if (REFUSALS[reason] !== "any") assert.equal(status, REFUSALS[reason]);
        }
        if (!/HPE/.test(detail.source)) assert.match(event.path ?? "", /^\/(live|other)$/);
        assert.match(event.remoteAddress ?? "", unix ? /^$/ : /^127\.0\.0\.1$/);
        peer.socket.end();
        await peer.closed;
        await way.server.close();
        assert.equal(way.openings.refused.length, 1, "one refusal is one event");
      });
    }

    it("S5-9: is an event with the reason capacity: maxConnections", async () => {
      await using way = await open({ maxConnections: 1 });
      await using _first = await accepted(way);
      await using peer = await way.peer();
      peer.write(live());
      assert.equal((await peer.head()).status, 503);
      judge((await way.openings.until(1))[0], "capacity", /maxConnections/);
    });

    if (!unix)
      it("S5-9: is an event with the reason perAddress: a connection too many of an address", async () => {
        await using way = await open({ perAddress: { connections: 1 } });
        await using _first = await accepted(way);
        await using peer = await way.peer();
        peer.write(live());
        assert.equal((await peer.head()).status, REFUSALS.perAddress);
        judge((await way.openings.until(1))[0], "perAddress", /perAddress\.connections \(1\).*127\.0\.0\.1/);
      });

    it("S5-9: is an event with the reason closing: a server that ends during authorize", async () => {
      const asked = deferred();
      const authorize = (): Promise<never> => {
        asked.resolve();
        return new Promise(() => undefined);
      };
      await using way = await open({ authorize });
      await using peer = await way.peer();
      peer.write(live());
      await asked.promise;
      const closed = way.server.close();
      assert.equal((await peer.head()).status, 503);
      await closed;
      judge(way.openings.refused[0], "closing", /closing/);
    });

    it("S5-9: is an event with the reason authorizeTimeout: authorize that does not settle", async () => {
      const clock = new ManualClock();
      const asked = deferred();
      const authorize = (): Promise<never> => {
        asked.resolve();
        return new Promise(() => undefined);
      };
      await using way = await open({ authorize, clock, openTimeout: 3_000 });
      await using peer = await way.peer();
      peer.write(live());
      await asked.promise;
      await clock.advance(3_000);
      assert.equal((await peer.head()).status, 503);
      judge((await way.openings.until(1))[0], "authorizeTimeout", /3000 ms/);
    });

    it("S5-9: is an event with the reason disconnected: a client that ends during authorize", async () => {
      const asked = deferred();
      const authorize = (): Promise<never> => {
        asked.resolve();
        return new Promise(() => undefined);
      };
      await using way = await open({ authorize });
      await using peer = await way.peer();
      peer.write(live());
      await asked.promise;
      peer.socket.destroy();
      const [event] = await way.openings.until(1);
      judge(event, "disconnected", /authorize/);
      assert.equal(event.path, "/live");
    });

    it("S5-9: an opening without a common subprotocol has the offered ones, and none that was agreed on", async () => {
      await using way = await open({ subprotocols: ["v2"], open: () => undefined });
      await using peer = await way.peer();
      peer.write(live({ "Sec-WebSocket-Protocol": "v1, v0" }));
      assert.equal((await peer.head()).status, 101);
      const [event] = way.openings.accepted;
      assert.deepEqual([event?.offered, event?.subprotocol, event?.path], [["v1", "v0"], "", "/live"]);
      assert.equal(event?.subprotocolMismatch, true);
      await using agreed = await way.peer();
      agreed.write(live({ "Sec-WebSocket-Protocol": "v1, v2" }));
      await agreed.head();
      await using silent = await way.peer();
      silent.write(live());
      await silent.head();
      assert.deepEqual(
        way.openings.accepted.map(({ subprotocolMismatch }) => subprotocolMismatch),
        [true, false, false],
      );
    });
  });
}

for (const [name, open] of Object.entries(WAYS).filter(([way]) => way.startsWith("listen"))) {
  const secure = name.endsWith("wss");

  describe(`an opening without a request: ${name}`, LIMIT, () => {
    it("S5-9: is an event with the reason silence: nothing until openTimeout", async () => {
      const clock = new ManualClock();
      await using way = await open({ clock, openTimeout: 3_000 });
      await using peer = await way.knock();
      await accepts(way);
      await clock.advance(3_000);
      const [event] = await way.openings.until(1);
      judge(event, "silence", /3000 ms/);
      assert.deepEqual([event.status, event.path, event.requestHeaders], [undefined, undefined, undefined]);
      if (!name.includes("unix")) assert.equal(event.remoteAddress, "127.0.0.1");
      peer.socket.end();
      await peer.closed;
      assert.equal(way.openings.refused.length, 1);
    });

    it("S5-9: is an event with the reason incomplete: half a request at openTimeout", async () => {
      const clock = new ManualClock();
      await using way = await open({ clock, openTimeout: 3_000 });
      await using peer = await way.peer();
      peer.write(live().slice(0, -10));
      await accepts(way);
      await clock.advance(3_000);
      judge((await way.openings.until(1))[0], "incomplete", /^\d+ bytes .*3000 ms/);
      peer.socket.end();
      await peer.closed;
      assert.equal(way.openings.refused.length, 1);
    });

    it("S5-9: is an event with the reason incomplete: a FIN in the middle of the request", async () => {
      await using way = await open();
      await using peer = await way.peer();
      peer.write(live().slice(0, -10));
      peer.socket.end();
      judge((await way.openings.until(1))[0], "incomplete", /middle/);
      peer.socket.end();
      await peer.closed;
      assert.equal(way.openings.refused.length, 1);
    });

    it("S5-9: is an event with the reason disconnected: a client that ends and has sent nothing", async () => {
      await using way = await open();
      await using peer = await way.peer();
      peer.socket.end();
      judge((await way.openings.until(1))[0], "disconnected", /before/);
      peer.socket.end();
      await peer.closed;
      assert.equal(way.openings.refused.length, 1);
    });

    it("S5-9: is an event with the reason closing: a silent socket when the server closes", async () => {
      await using way = await open();
      await using peer = await way.peer();
      await accepts(way);
      await way.server.close();
      judge((await way.openings.until(1))[0], "closing", /closing/);
      peer.socket.end();
      await peer.closed;
      assert.equal(way.openings.refused.length, 1);
    });

    if (!secure) return;

    it("S5-9: is an event with the reason tls: no TLS at all", async () => {
      await using way = await open();
      await using peer = await way.knock();
      peer.write(live());
      const [event] = await way.openings.until(1);
      judge(event, "tls", /does not speak TLS/);
      assert.equal(event.remoteAddress, "127.0.0.1");
      peer.socket.end();
      await peer.closed;
      assert.equal(way.openings.refused.length, 1);
    });
  });
}

describe("an opening on framed TCP", LIMIT, () => {
  it("S5-9: is an event with the reason capacity beyond maxConnections", async () => {
    const openings = new Openings();
    const options = { observe: openings.observe, maxConnections: 1, framing: "lines" } as const;
    await using server = await listen("tcp://127.0.0.1:0", options, async ({ closed }) => void (await closed));
    await using _first = await RawPeer.to(portOf(server));
    await using second = await RawPeer.to(portOf(server));
    const [event] = await openings.until(1);
    judge(event, "capacity", /maxConnections/);
    assert.deepEqual([event.status, event.path], [undefined, undefined]);
    assert.equal(event.remoteAddress, "127.0.0.1");
    second.socket.end();
    await second.closed;
  });

  it("S5-9: is an event with the reason tls if TLS fails, and silence if nothing arrives", async () => {
    const openings = new Openings();
    const options = { observe: openings.observe, openTimeout: 200, framing: "lines", tls: LOCALHOST } as const;
    await using server = await listen("tls://127.0.0.1:0", options, async ({ closed }) => void (await closed));
    await using wrong = await RawPeer.to(portOf(server));
    wrong.write("hello\r\n");
    judge((await openings.until(1))[0], "tls", /does not speak TLS/);
    await using silent = await RawPeer.to(portOf(server));
    judge((await openings.until(2))[1], "silence", /200 ms/);
    for (const { socket } of [wrong, silent]) socket.end();
    await Promise.all([wrong.closed, silent.closed]);
    assert.equal(openings.refused.length, 2);
  });
});

describe("accepting without descriptors", LIMIT, () => {
  const skip = process.platform === "win32" && "Windows has no limit that could be lowered";
  it("S5-9: is an event with the reason accept", { skip }, async () => {
    const program = fileURLToPath(new URL("short-of-descriptors.js", import.meta.url));
    const by = ["/bin/sh", "-c", 'ulimit -n 160; exec "$0" "$@"'];
    await using child = new ChildProgram(program, ["ws://127.0.0.1:0"], { by, channel: true });
    await child.message();
    await child.ask<Answer>("exhaust" satisfies Order);
    const { refusals = [] } = await child.ask<Answer>("measure" satisfies Order);
    assert.ok(refusals.length > 0);
    assert.deepEqual([...new Set(refusals)], ["accept undefined"]);
  });
});

describe("the observers of several attachments", LIMIT, () => {
  it("S5-9: each get one event for a path that none of them serves", async () => {
    const http = createServer();
    const [one, two] = [new Openings(), new Openings()];
    await using _a = attach(http, { path: "/a", observe: one.observe, open: () => undefined });
    await using _b = attach(http, { path: "/b", observe: one.observe, open: () => undefined });
    await using _c = attach(http, { path: "/c", observe: two.observe, open: () => undefined });
    await using _d = attach(http, { path: "/d", open: () => undefined });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    assert.equal((await refused((http.address() as AddressInfo).port, upgradeRequest("/e"))).status, 404);
    assert.deepEqual(
      [one, two].map(({ refused }) => refused.map(({ reason, path }) => `${reason} ${path}`)),
      [["path /e"], ["path /e"]],
    );
    http.close();
  });
});

describe("an observer that fails", LIMIT, () => {
  it("S5-9: changes no answer, and onError is called with its error", async () => {
    const places: string[] = [];
    const observe = (): never => {
      throw new Error("as it should");
    };
    const onError = (_: unknown, { place }: { readonly place: string }): void => void places.push(place);
    await using server = await listen("ws://127.0.0.1:0/live", { observe, onError, open: () => undefined });
    assert.equal((await refused(portOf(server), upgradeRequest("/other"))).status, 404);
    assert.deepEqual(places, ["observe"]);
  });
});

describe("a client", LIMIT, () => {
  it("S5-9: has an event for each answer: accepted, and refused with the reason answer", async () => {
    await using server = await listen("ws://127.0.0.1:0/live", { subprotocols: ["v2"], open: () => undefined });
    const openings = new Openings();
    const { observe } = openings;
    await using _connection = await connect(server.url, { observe, subprotocols: ["v1", "v2"] });
    await assert.rejects(connect(server.url.replace("live", "other"), { observe }), { status: 404 });
    const [opened] = openings.accepted;
    assert.deepEqual([opened?.direction, opened?.offered, opened?.subprotocol], ["out", ["v1", "v2"], "v2"]);
    const [{ direction, reason, status, path } = {} as RefusedEvent] = openings.refused;
    assert.deepEqual([direction, reason, status, path], ["out", "answer", 404, "/other"]);
  });
});

/** A connection that the server has accepted. */
async function accepted(way: Way): Promise<RawPeer> {
  const peer = await way.peer();
  peer.write(live());
  await peer.head();
  return peer;
}

/** Resolves when the server has accepted all earlier connections. */
async function accepts(way: Way): Promise<void> {
  await using _peer = await accepted(way);
}
