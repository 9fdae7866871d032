/** Limits for each address of clients: connections and handshakes per second, on real sockets. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect as dial } from "node:net";
import { networkInterfaces } from "node:os";
import { describe, it } from "node:test";
import { AddressLimits, MAX_IDLE_ADDRESSES } from "../../../src/endpoint/server/address-limits.ts";
import {
  type AttachOptions,
  accept,
  attach,
  type Connection,
  type ConnectionError,
  type ConnectionEvent,
  connect,
  HandshakeError,
  type LimitError,
  type ListenOptions,
  listen,
  type PerAddressOptions,
  type RefusedEvent,
  type Server,
} from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { portOf, RawPeer, refused, upgraded, upgradeRequest } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 60_000 };
const WS = "ws://127.0.0.1:0";
const TCP = "tcp://127.0.0.1:0";
const HAS_IPV6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));
// Other systems have only one loopback address.
const ONE_ADDRESS = process.platform === "linux" ? false : "only Linux has more than one loopback address";

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

const seen = (): { readonly events: RefusedEvent[]; readonly observe: (event: ConnectionEvent) => void } => {
  const events: RefusedEvent[] = [];
  return { events, observe: (event) => event.type === "refused" && void events.push(event) };
};

/** A request that a proxy on this machine has forwarded for `client`. */
const from = (client: string, target?: string): string => upgradeRequest(target, { "X-Forwarded-For": client });

const PROXY = { trustProxy: ["127.0.0.1"] } as const;

/** Waits until the server has noticed the end of connections. */
async function downTo(server: Server, count: number): Promise<void> {
  while (server.connections.size > count) await new Promise(setImmediate);
}

interface Stage extends AsyncDisposable {
  readonly port: number;
  readonly size: () => number;
}

/** The forms of a WebSocket server. */
const WAYS: Readonly<Record<string, (options: AttachOptions) => Promise<Stage>>> = {
  listen: async (options) => {
    const server = await listen(WS, options as ListenOptions, echo);
    return {
      port: portOf(server),
      size: () => server.connections.size,
      [Symbol.asyncDispose]: async () => void (await server.close()),
    };
  },
  attach: async (options) => {
    const http = createServer();
    await once(http.listen(0, "127.0.0.1"), "listening");
    const server = attach(http, options, echo);
    return {
      port: portOf(server),
      size: () => server.connections.size,
      [Symbol.asyncDispose]: async () => {
        await server.close();
        http.close();
      },
    };
  },
  accept: async (options) => {
    const open = new Set<Connection>();
    const http = createServer();
    http.on("upgrade", (request, socket, head) => {
      accept(request, socket, head, options).then(
        async (connection) => {
          open.add(connection);
          await connection.closed;
          open.delete(connection);
        },
        () => undefined,
      );
    });
    await once(http.listen(0, "127.0.0.1"), "listening");
    return {
      port: (http.address() as { readonly port: number }).port,
      size: () => open.size,
      [Symbol.asyncDispose]: async () => {
        for (const connection of open) connection.terminate();
        http.close();
      },
    };
  },
};

for (const [way, serve] of Object.entries(WAYS)) {
  describe(`perAddress with ${way}`, LIMIT, () => {
    it("refuses a connection too many of an address with 429, and counts other addresses for themselves", async () => {
      const { events, observe } = seen();
      await using stage = await serve({ ...PROXY, observe, perAddress: { connections: 2 } });
      await using _first = await upgraded(stage.port, from("192.0.2.1"));
      await using _second = await upgraded(stage.port, from("192.0.2.1"));
      const { status, headers, body } = await refused(stage.port, from("192.0.2.1"));
      assert.deepEqual([status, headers["retry-after"]], [429, "5"]);
      assert.equal(body, "too many connections of this address\n");
      await using _other = await upgraded(stage.port, from("192.0.2.2"));
      await using _own = await upgraded(stage.port);
      assert.equal(events.length, 1);
      const [event] = events;
      assert.deepEqual([event?.reason, event?.status, event?.remoteAddress], ["perAddress", 429, "192.0.2.1"]);
      assert.equal(event?.detail, "perAddress.connections (2) is reached by 192.0.2.1");
      const cause = event?.cause;
      assert.deepEqual(
        [cause?.code, cause?.limit, cause?.maximum, cause?.actual],
        ["LIMIT", "perAddress.connections", 2, 3],
      );
    });

    for (const [how, end] of Object.entries({
      "a reset": (peer: RawPeer) => peer.socket.resetAndDestroy(),
      "its FIN": (peer: RawPeer) => peer.socket.end(),
      "a Close frame": (peer: RawPeer) => peer.write(Buffer.from([0x88, 0x80, 0, 0, 0, 0])),
      "a protocol error": (peer: RawPeer) => peer.write(Buffer.from([0x81, 0x01, 0x61])),
    })) {
      it(`has room again when a connection has ended by ${how}, as often as one ends`, async () => {
        await using stage = await serve({ ...PROXY, perAddress: { connections: 1 } });
        for (let time = 0; time < 3; time += 1) {
          await using peer = await upgraded(stage.port, from("192.0.2.1"));
          assert.equal((await refused(stage.port, from("192.0.2.1"))).status, 429);
          end(peer);
          if (how !== "a reset") await peer.until(({ ended }) => ended);
          peer.socket.end();
          while (stage.size() > 0) await new Promise(setImmediate);
        }
      });
    }

    it("counts requests that wait for authorize, and frees their place if they are refused", async () => {
      const waiting: ((answer: Response | undefined) => void)[] = [];
      const authorize = (): Promise<Response | undefined> => new Promise((resolve) => void waiting.push(resolve));
      await using stage = await serve({ ...PROXY, authorize, perAddress: { connections: 1 } });
      const decide = async (answer: Response | undefined): Promise<void> => {
        while (waiting.length === 0) await new Promise(setImmediate);
        waiting.pop()?.(answer);
      };
      await using first = await RawPeer.to(stage.port);
      first.write(from("192.0.2.1"));
      while (waiting.length === 0) await new Promise(setImmediate);
      assert.equal((await refused(stage.port, from("192.0.2.1"))).status, 429);
      await decide(new Response("no", { status: 403 }));
      assert.equal((await first.head()).status, 403);
      await using second = await RawPeer.to(stage.port);
      second.write(from("192.0.2.1"));
      while (waiting.length === 0) await new Promise(setImmediate);
      // The client leaves before the decision.
      second.socket.resetAndDestroy();
      await second.closed;
      await using third = await RawPeer.to(stage.port);
      third.write(from("192.0.2.1"));
      while (waiting.length < 2) await new Promise(setImmediate);
      await decide(undefined);
      assert.equal((await third.head()).status, 101);
    });

    it("limits the handshakes of an address per second, refused ones included, and says when the next is allowed", async () => {
      const clock = new ManualClock();
      const { events, observe } = seen();
      const asked: string[] = [];
      const authorize = ({ path }: { readonly path: string }): Response => {
        asked.push(path);
        return new Response("no", { status: 401 });
      };
      await using stage = await serve({ ...PROXY, clock, observe, authorize, perAddress: { handshakes: 2 } });
      const ask = async (target: string, client = "192.0.2.1"): Promise<number> =>
        (await refused(stage.port, from(client, target))).status;
      assert.deepEqual([await ask("/1"), await ask("/2"), await ask("/3")], [401, 401, 429]);
      assert.equal(await ask("/4", "192.0.2.2"), 401);
      await clock.advance(499);
      const { status, headers } = await refused(stage.port, from("192.0.2.1", "/5"));
      assert.deepEqual([status, headers["retry-after"]], [429, "1"]);
      await clock.advance(1);
      assert.deepEqual([await ask("/6"), await ask("/7")], [401, 429]);
      await clock.advance(60_000);
      assert.deepEqual([await ask("/8"), await ask("/9"), await ask("/10")], [401, 401, 429]);
      assert.deepEqual(asked, ["/1", "/2", "/4", "/6", "/8", "/9"]);
      const limits = events.filter(({ reason }) => reason === "perAddress").map(({ cause }) => cause?.limit);
      assert.deepEqual(limits, Array(4).fill("perAddress.handshakes"));
    });

    it("counts IPv6 addresses by their first 64 bits, and IPv4-mapped ones as IPv4", async () => {
      await using stage = await serve({ ...PROXY, perAddress: { connections: 1 } });
      await using _six = await upgraded(stage.port, from("2001:db8:0:1::1"));
      assert.equal((await refused(stage.port, from("2001:db8:0:1:ffff::2"))).status, 429);
      await using _other = await upgraded(stage.port, from("2001:db8:0:2::1"));
      await using _four = await upgraded(stage.port, from("192.0.2.1"));
      assert.equal((await refused(stage.port, from("::ffff:192.0.2.1"))).status, 429);
    });

    it("believes no forwarded address without trustProxy", async () => {
      await using stage = await serve({ perAddress: { connections: 1 } });
      await using _first = await upgraded(stage.port, from("192.0.2.1"));
      assert.equal((await refused(stage.port, from("192.0.2.2"))).status, 429);
    });

    for (const [what, perAddress] of Object.entries({
      undefined,
      "no limit in it": {},
      "undefined limits": { connections: undefined, handshakes: undefined },
      Infinity: { connections: Infinity, handshakes: Infinity },
    })) {
      it(`has no limit with ${what}`, async () => {
        await using stage = await serve({ perAddress } as AttachOptions);
        const peers = await Promise.all(Array.from({ length: 20 }, () => upgraded(stage.port)));
        for (const peer of peers) peer.socket.destroy();
      });
    }
  });
}

describe("perAddress on TCP", LIMIT, () => {
  const farewell = (error: ConnectionError): string => ("limit" in error ? `bye ${error.limit}` : "bye");

  it("ends a connection too many after its farewell, and has room again later", async () => {
    const { events, observe } = seen();
    const options = { framing: "lines", farewell, observe, perAddress: { connections: 1 } } as const;
    await using server = await listen(TCP, options, echo);
    for (let time = 0; time < 3; time += 1) {
      await using first = await RawPeer.to(portOf(server));
      first.write("hello\n");
      await first.until(({ text }) => text === "hello\n");
      await using second = await RawPeer.to(portOf(server));
      await second.until(({ ended }) => ended);
      assert.equal(second.text, "bye perAddress.connections\n");
      first.socket.resetAndDestroy();
      await downTo(server, 0);
    }
    assert.equal(events.length, 3);
    for (const { reason, status, cause } of events)
      assert.deepEqual(
        [reason, status, cause?.limit, cause?.maximum],
        ["perAddress", undefined, "perAddress.connections", 1],
      );
  });

  it("limits the connections per second", async () => {
    const clock = new ManualClock();
    const options = { framing: "lines", farewell, clock, perAddress: { handshakes: 2 } } as const;
    await using server = await listen(TCP, options, echo);
    const opens = async (): Promise<boolean> => {
      await using peer = await RawPeer.to(portOf(server));
      peer.write("hello\n");
      await peer.until(({ text }) => text.includes("\n"));
      return peer.text === "hello\n";
    };
    assert.deepEqual([await opens(), await opens(), await opens()], [true, true, false]);
    await clock.advance(500);
    assert.deepEqual([await opens(), await opens()], [true, false]);
  });

  it("closes a connection too many at once without a farewell, also under TLS", async () => {
    for (const scheme of ["tcp", "tls"]) {
      const { events, observe } = seen();
      const tls = { tls: LOCALHOST };
      await using server = await listen(
        `${scheme}://127.0.0.1:0`,
        { framing: "lines", observe, perAddress: { connections: 1 }, ...(scheme === "tls" && tls) },
        echo,
      );
      const client = { framing: "lines", tls: { ca: LOCALHOST.cert } } as const;
      await using first = await connect(server.url, client);
      await first.send("hello");
      assert.equal(await first.receive(), "hello");
      const second = await connect(server.url, client);
      await assert.rejects(second.receive());
      assert.deepEqual(
        events.map(({ reason, remoteAddress }) => [reason, remoteAddress]),
        [["perAddress", "127.0.0.1"]],
      );
    }
  });

  it("counts the addresses of sockets for themselves", { skip: ONE_ADDRESS }, async () => {
    await using server = await listen(TCP, { framing: "lines", perAddress: { connections: 1 } }, echo);
    const open = async (localAddress: string): Promise<string> => {
      const peer = new RawPeer(dial({ port: portOf(server), host: "127.0.0.1", localAddress }));
      peer.write("hello\n");
      await peer.until(({ text, ended }) => ended || text !== "").catch(() => undefined);
      return peer.text;
    };
    const texts = [await open("127.0.0.1"), await open("127.0.0.2"), await open("127.0.0.1")];
    assert.deepEqual(texts, ["hello\n", "hello\n", ""]);
    for (const connection of server.connections) connection.terminate();
  });

  it("counts clients of IPv4 and IPv6 on one port as what they are", { skip: !HAS_IPV6 }, async () => {
    await using server = await listen("tcp://[::]:0", { framing: "lines", perAddress: { connections: 1 } }, echo);
    const open = async (host: string): Promise<string> => {
      const peer = new RawPeer(dial({ port: portOf(server), host }));
      peer.write("hello\n");
      await peer.until(({ text, ended }) => ended || text !== "").catch(() => undefined);
      return peer.text;
    };
    const texts = [await open("127.0.0.1"), await open("::1"), await open("127.0.0.1"), await open("::1")];
    assert.deepEqual(texts, ["hello\n", "hello\n", "", ""]);
    for (const connection of server.connections) connection.terminate();
  });
});

describe("perAddress", LIMIT, () => {
  it("counts all routes of a server together, also those that are added later", async () => {
    const options = { ...PROXY, perAddress: { connections: 2 }, routes: { "/a": echo, "/b": echo } };
    await using server = await listen(`${WS}/own`, options, echo);
    const route = server.route("/c", echo);
    const port = portOf(server);
    await using _own = await upgraded(port, from("192.0.2.1", "/own"));
    await using _a = await upgraded(port, from("192.0.2.1", "/a"));
    for (const path of ["/own", "/a", "/b", "/c"])
      assert.equal((await refused(port, from("192.0.2.1", path))).status, 429);
    await using _other = await upgraded(port, from("192.0.2.2", "/c"));
    await route.close({ drain: 0 });
    await using _free = await upgraded(port, from("192.0.2.2", "/b"));
  });

  it("is no option of a route", async () => {
    const routes = { "/a": { handler: echo, perAddress: { connections: 1 } } } as never;
    await assert.rejects(listen(WS, { routes }), { name: "TypeError", message: /perAddress.*option of the server/ });
  });

  it("takes no token of a client that maxConnections refuses, and no place of the server for one that it refuses", async () => {
    const clock = new ManualClock();
    await using server = await listen(
      WS,
      { ...PROXY, clock, maxConnections: 2, perAddress: { connections: 1, handshakes: 2 } },
      echo,
    );
    const port = portOf(server);
    await using first = await upgraded(port, from("192.0.2.1"));
    assert.equal((await refused(port, from("192.0.2.1"))).status, 429);
    await using second = await upgraded(port, from("192.0.2.2"));
    for (let time = 0; time < 3; time += 1) assert.equal((await refused(port, from("192.0.2.3"))).status, 503);
    second.socket.resetAndDestroy();
    await downTo(server, 1);
    for (let time = 0; time < 2; time += 1) {
      await using third = await upgraded(port, from("192.0.2.3"));
      third.socket.resetAndDestroy();
      await downTo(server, 1);
    }
    assert.equal((await refused(port, from("192.0.2.3"))).status, 429);
    assert.equal(first.ended, false);
  });

  it("has no limit for peers of a unix socket, unless a proxy names the client", {
    skip: process.platform === "win32",
  }, async () => {
    for (const trustProxy of [undefined, ["unix"]]) {
      const path = `/tmp/holdfast-per-address-${process.pid}.sock`;
      await using _server = await listen(`ws+unix://${path}:/`, { trustProxy, perAddress: { connections: 1 } }, echo);
      await using _first = await upgraded(path, from("192.0.2.1"));
      if (trustProxy !== undefined) assert.equal((await refused(path, from("192.0.2.1"))).status, 429);
      await using _third = await upgraded(path);
      await using _fourth = await upgraded(path);
    }
  });

  it("is the cause of the HandshakeError of accept", async () => {
    const http = createServer();
    const failed: unknown[] = [];
    const options = { perAddress: { connections: 1 } };
    http.on("upgrade", (request, socket, head) => {
      accept(request, socket, head, options).catch((error: unknown) => failed.push(error));
    });
    await once(http.listen(0, "127.0.0.1"), "listening");
    const { port } = http.address() as { readonly port: number };
    await using _first = await upgraded(port);
    await refused(port, upgradeRequest());
    const [error] = failed;
    assert.ok(error instanceof HandshakeError);
    assert.deepEqual([error.refusal, error.status], ["perAddress", 429]);
    assert.equal((error.cause as LimitError).limit, "perAddress.connections");
    http.close();
  });

  for (const [wrong, name] of [
    [{ connections: 0 }, "RangeError"],
    [{ handshakes: 1.5 }, "RangeError"],
    [{ handshakes: Number.NaN }, "RangeError"],
    [{ connections: "5" }, "TypeError"],
    [{ conections: 5 }, "TypeError"],
    [5, "TypeError"],
    [[], "TypeError"],
    [null, "TypeError"],
  ] as [PerAddressOptions, string][]) {
    it(`is refused at the call with ${JSON.stringify(wrong)}`, async () => {
      const expected = { name, message: /perAddress/ };
      for (const url of [WS, TCP]) await assert.rejects(listen(url, { perAddress: wrong }, echo), expected);
      const http = createServer();
      assert.throws(() => attach(http, { perAddress: wrong }, echo), expected);
      assert.equal(http.listenerCount("upgrade"), 0);
    });
  }
});

describe("the table of addresses", () => {
  const address = (index: number): string => `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}`;
  const take = (limits: AddressLimits, from: string): { release(): void } => {
    const place = limits.take(from);
    if (place === undefined || "cause" in place) throw new Error("there is no place");
    return place;
  };
  const of = (options: PerAddressOptions, clock: ManualClock): AddressLimits => {
    const limits = AddressLimits.of(options, clock);
    if (limits === undefined) throw new Error("there are no limits");
    return limits;
  };

  it("forgets an address with its last connection, and with handshakes when its bucket is full", async () => {
    const clock = new ManualClock();
    const alone = of({ connections: 2 }, clock);
    const [one, two] = [take(alone, "10.0.0.1"), take(alone, "10.0.0.1")];
    one.release();
    assert.equal(alone.size, 1);
    two.release();
    assert.equal(alone.size, 0);

    const limits = of({ handshakes: 2 }, clock);
    const first = take(limits, "10.0.0.1");
    const second = take(limits, "10.0.0.2");
    await clock.advance(5_000);
    assert.equal(limits.size, 2);
    first.release();
    await clock.advance(600);
    second.release();
    // Becomes busy again, and idle later.
    take(limits, "10.0.0.2").release();
    await clock.advance(399);
    assert.equal(limits.size, 2);
    await clock.advance(1);
    assert.equal(limits.size, 1);
    await clock.advance(599);
    assert.equal(limits.size, 1);
    await clock.advance(1);
    assert.equal(limits.size, 0);
  });

  it(`remembers at most ${MAX_IDLE_ADDRESSES} addresses without connections, the latest ones`, async () => {
    const clock = new ManualClock();
    const limits = of({ handshakes: 1 }, clock);
    const open = take(limits, "192.0.2.1");
    for (let index = 0; index < MAX_IDLE_ADDRESSES + 100; index += 1) take(limits, address(index)).release();
    assert.equal(limits.size, MAX_IDLE_ADDRESSES + 1);
    // The oldest is forgotten, the newest is not.
    take(limits, address(0)).release();
    assert.ok("cause" in (limits.take(address(MAX_IDLE_ADDRESSES + 99)) ?? {}));
    open.release();
    await clock.advance(1_000);
    assert.equal(limits.size, 0);
  });
});
