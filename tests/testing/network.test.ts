/** The memory network of `holdfast/testing`: the library's own client and server on it, and each of its faults. */

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import {
  attach,
  type Connection,
  type ConnectOptions,
  connect,
  Group,
  type Handler,
  type ListenOptions,
  listen,
  ReconnectingConnection,
  type Server,
  type TimeoutError,
} from "../../src/index.ts";
import { type MemoryNetwork, network, settled } from "../../src/testing/index.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";
import { deferred } from "../kit/deferred.ts";

const echo: Handler = async (connection) => {
  for await (const message of connection) await connection.send(message);
};

const serve = (net: MemoryNetwork, handler: Handler = echo, options: ListenOptions = {}): Promise<Server> =>
  listen("ws://chat:80", { network: net.host("chat"), ...options }, handler);

const dial = (net: MemoryNetwork, options: ConnectOptions = {}): Promise<Connection> =>
  connect("ws://chat:80", { network: net.host("alice"), ...options });

/** Two open connections that are each other's peer. */
async function open(
  net: MemoryNetwork,
  { client, server }: { readonly client?: ConnectOptions; readonly server?: ListenOptions } = {},
): Promise<{ readonly client: Connection; readonly server: Connection; readonly listening: Server }> {
  let accept = (_connection: Connection): void => undefined;
  const accepted = new Promise<Connection>((resolve) => {
    accept = resolve;
  });
  const listening = await serve(
    net,
    async (connection) => {
      accept(connection);
      await connection.closed;
    },
    server,
  );
  return { client: await dial(net, client), server: await accepted, listening };
}

/** Advances until `promise` settles. Returns its value and the milliseconds that have passed. */
async function timed<T>({ clock }: MemoryNetwork, promise: Promise<T>): Promise<[T, number]> {
  let done = false;
  const began = clock.wallTime();
  const over = promise.finally(() => {
    done = true;
  });
  over.catch(() => undefined);
  await settled();
  while (!done) await clock.advance(1);
  return [await over, clock.wallTime() - began];
}

describe("a memory network", () => {
  it("carries a real handshake, and messages both ways", async () => {
    const net = network();
    const authorize: ListenOptions["authorize"] = ({ path, headers, remoteAddress }) => {
      assert.deepEqual([path, headers["x-user"]], ["/", "alice"]);
      assert.match(remoteAddress, /^10\.0\.0\.\d+$/);
      return {};
    };
    const server = await serve(net, echo, { authorize, subprotocols: ["chat.v1"] });
    assert.equal(server.url, "ws://chat:80");
    const client = await dial(net, { subprotocols: ["chat.v1"], headers: { "X-User": "alice" } });
    assert.equal(client.protocol, "chat.v1");
    assert.deepEqual([client.remoteAddress, client.remotePort], [net.host("chat").address, 80]);
    await client.send("hello");
    assert.equal(await client.receive(), "hello");
    const large = new Uint8Array(1_000_000).fill(7);
    await client.send(large);
    assert.deepEqual(await client.receive(), large);
    await client.close();
    assert.deepEqual(await server.close(), { clean: 1, cut: 0 });
  });

  it("refuses a path with the answer of the server", async () => {
    const net = network();
    await listen("ws://chat:80/chat", { network: net.host("chat") }, echo);
    await assert.rejects(dial(net), { phase: "upgrade", status: 404 });
  });

  it("chooses a free port for port 0, and refuses a bound one and a foreign address", async () => {
    const net = network();
    const server = await listen("ws://127.0.0.1:0", { network: net.host("chat") }, echo);
    const { port } = new URL(server.url);
    assert.ok(Number(port) >= 49_152);
    await assert.rejects(listen(server.url, { network: net.host("chat") }, echo), { errno: "EADDRINUSE" });
    await assert.rejects(listen("ws://10.9.9.9:80", { network: net.host("chat") }, echo), { errno: "EADDRNOTAVAIL" });
    // The loopback address of another machine is another address.
    await assert.rejects(connect(server.url, { network: net.host("alice") }), { phase: "tcp" });
    const client = await connect(server.url, { network: net.host("chat") });
    await client.close();
    await server.close();
    await listen(server.url, { network: net.host("chat") }, echo);
  });

  it("carries framed TCP, unix sockets, TLS, and the upgrades of an application's HTTP server", async () => {
    const net = network();
    const there = net.host("chat");
    const lines = { framing: "lines" } as const;
    await listen("tcp://chat:7", { network: there, ...lines }, echo);
    await listen("ws+unix:///run/chat.sock", { network: there }, echo);
    await listen("wss://chat:443", { network: there, tls: LOCALHOST }, echo);
    const http = createServer();
    attach(http, { clock: net.clock }, echo);
    await there.listen(http, { host: "", port: 8_080, socketPath: undefined });
    const alice = { network: net.host("alice") };
    for (const client of [
      await connect("tcp://chat:7", { ...alice, ...lines }),
      await connect("ws+unix:///run/chat.sock", { network: there }),
      await connect("wss://chat", { ...alice, tls: { ca: LOCALHOST.cert, servername: "localhost" } }),
      await connect("ws://chat:8080", alice),
    ]) {
      await client.send("hello");
      assert.equal(await client.receive(), "hello", client.url);
      await client.close();
    }
    await assert.rejects(connect("ws+unix:///run/chat.sock", alice), /ENOENT/);
  });

  it("is a value that connect, listen and reconnect check", async () => {
    for (const wrong of [null, 1, {}, network(), "chat"]) {
      const options = { network: wrong } as never;
      await assert.rejects(connect("ws://chat", options), TypeError);
      await assert.rejects(listen("ws://chat", options, echo), TypeError);
      assert.throws(() => new ReconnectingConnection("ws://chat", options), TypeError);
    }
  });
});

describe("names and refusals of a memory network", () => {
  it("are the errors that a system reports", async () => {
    const net = network();
    net.resolve("busy", "EAI_AGAIN");
    net.host("chat");
    const alice = { network: net.host("alice") };
    await assert.rejects(connect("ws://nowhere", alice), { phase: "dns", message: /ENOTFOUND/ });
    await assert.rejects(connect("ws://busy", alice), { phase: "dns", message: /EAI_AGAIN/ });
    await assert.rejects(connect("ws://chat", alice), { phase: "tcp", message: /ECONNREFUSED/ });
  });

  it("leave a client in phase dns to openTimeout if the resolver does not answer, and not the next one that gets an answer", async () => {
    const net = network();
    await serve(net);
    net.neverResolve("silent");
    const options = { network: net.host("alice"), openTimeout: 700 };
    const [error, waited] = await timed(
      net,
      connect("ws://silent", options).then(
        () => assert.fail("there was no answer"),
        (reason: unknown) => reason as TimeoutError,
      ),
    );
    assert.deepEqual([error.operation, error.limit, waited], ["connect:dns", "openTimeout", 700]);
    net.resolve("silent", [net.host("chat").address]);
    await using client = await connect("ws://silent", options);
    assert.equal(client.remoteAddress, net.host("chat").address);
  });

  it("let a client use the second address of a name 250 ms after the first, which no machine has", async () => {
    const net = network();
    net.resolve("service", ["fd00::1", net.host("chat").address]);
    await serve(net);
    const [client, waited] = await timed(net, connect("ws://service", { network: net.host("alice") }));
    assert.equal(waited, 250);
    assert.deepEqual([client.remoteAddress, client.remotePort], [net.host("chat").address, 80]);
  });

  it("leave a client to openTimeout if nothing answers", async () => {
    const net = network();
    await serve(net);
    net.link("alice", "chat").cut();
    const opening = assert.rejects(dial(net, { openTimeout: 5_000 }), { operation: "connect:tcp" });
    const [, waited] = await timed(net, opening);
    assert.equal(waited, 5_000);
  });
});

describe("a link of a memory network", () => {
  it("delays: the handshake takes two round trips, and an echo one", async () => {
    const net = network({ latency: 100 });
    await serve(net);
    const [client, opened] = await timed(net, dial(net));
    assert.equal(opened, 400);
    await client.send("hello");
    assert.deepEqual(await timed(net, client.receive()), ["hello", 200]);
    net.link("chat", "alice").latency = 300;
    await client.send("again");
    assert.deepEqual(await timed(net, client.receive()), ["again", 400]);
  });

  it("keeps the order with jitter", async () => {
    const random = [0.9, 0.1, 0.5, 0.7, 0.3];
    let drawn = 0;
    const net = network({ latency: 10, jitter: 50, random: () => random[drawn++ % random.length]! });
    const opening = open(net);
    const [{ client, server }] = await timed(net, opening);
    for (let n = 0; n < 20; n += 1) {
      await client.send(String(n));
      await net.clock.advance(1);
    }
    for (let n = 0; n < 20; n += 1) assert.equal((await timed(net, server.receive()))[0], String(n));
  });

  it("carries so many bytes per second, of all its connections", async () => {
    const net = network();
    const { client, server } = await open(net, { client: { compression: false } });
    net.link("alice", "chat").rate = 1_000;
    await client.send(new Uint8Array(9_992));
    const [, waited] = await timed(net, server.receive());
    assert.equal(waited, 10_000);
  });

  it("loses nothing in a cut of one direction that ends: what TCP sends again arrives in order", async () => {
    const net = network({ latency: 5 });
    const [{ client, server }] = await timed(net, open(net));
    net.link("alice", "chat").cut();
    for (const text of ["one", "two", "three"]) await client.send(text);
    await server.send("to alice");
    assert.equal((await timed(net, client.receive()))[0], "to alice");
    await net.clock.advance(1_000);

    net.heal();
    for (const text of ["one", "two", "three"]) assert.equal((await timed(net, server.receive()))[0], text);
  });

  it("in a partition ends connections by their heartbeats, and others live", async () => {
    const net = network();
    const heartbeat = { interval: 25_000, timeout: 10_000 };
    const { client, server } = await open(net, { client: { heartbeat }, server: { heartbeat } });
    const other = await connect("ws://chat:80", { network: net.host("bob"), heartbeat });
    net.partition(["alice"], ["chat"]);
    await net.clock.advance(40_000);
    for (const end of [client, server]) assert.match(String((await end.closed).cause), /heartbeat/);
    assert.equal(other.state, "OPEN");
  });

  it("resets its connections", async () => {
    const net = network();
    const { client, server } = await open(net);
    net.link("chat", "alice").reset();
    for (const end of [client, server]) assert.match(String((await end.closed).cause), /ECONNRESET/);
  });

  it("lets the kernels hold the capacity, so that a slow reader makes writes wait", async () => {
    const net = network({ capacity: 1_000 });
    const { client, server } = await open(net, { client: { compression: false } });
    net.host("chat").freeze();
    let sent = false;
    const sending = client.send(new Uint8Array(5_000), { timeout: 60_000 }).then(() => {
      sent = true;
    });
    await net.clock.advance(100);
    assert.ok(client.queuedBytes > 0);
    net.host("chat").thaw();
    assert.equal((await server.receive()).length, 5_000);
    await sending;
    assert.ok(sent);
    assert.equal(client.queuedBytes, 0);
  });
});

describe("a process on a memory network", () => {
  it("that is killed closes its connections and its port, and the next one may bind it", async () => {
    const net = network();
    const { client, server } = await open(net);
    const old = net.host("chat");
    old.kill();
    assert.equal((await client.closed).code, 1006);
    await assert.rejects(dial(net), /ECONNREFUSED/);
    assert.notEqual(net.host("chat"), old);
    await serve(net);
    const again = await dial(net);
    await again.send("hello");
    assert.equal(await again.receive(), "hello");
    // The old process does not run any more: none of its timers, and no event of its connections.
    await net.clock.advance(1_000_000);
    assert.equal(server.state, "OPEN");
  });

  it("that loses power leaves a half-open connection, and a reset after the start of the next", async () => {
    const net = network();
    const { client } = await open(net, { client: { heartbeat: false, idleTimeout: Infinity } });
    net.host("chat").crash();
    await client.send("lost");
    await net.clock.advance(60_000);
    assert.equal(client.state, "OPEN");
    net.host("chat");
    assert.match(String((await client.closed).cause), /ECONNRESET/);
    await assert.rejects(dial(net), /ECONNREFUSED/);
  });

  it("that is frozen accepts nothing and answers nothing until it is thawed, and then reads before it judges", async () => {
    const net = network();
    const heartbeat = { interval: 10_000, timeout: 5_000 };
    const { client, server } = await open(net, {
      server: { heartbeat },
      client: { heartbeat: false, idleTimeout: Infinity },
    });
    net.host("chat").freeze();
    const opening = dial(net, { openTimeout: 120_000 });
    const pong = client.ping({ timeout: 70_000 });
    await net.clock.advance(60_000);
    assert.equal(server.state, "OPEN");
    net.host("chat").thaw();
    const [other] = await timed(net, opening);
    assert.equal(await pong, 60_000);
    await net.clock.advance(5_000);
    assert.deepEqual([client.state, server.state, other.state], ["OPEN", "OPEN", "OPEN"]);
  });
});

describe("faults of a process in the middle of a call", () => {
  it("killed while it calls listen, it binds nothing", async () => {
    const net = network();
    void serve(net);
    net.host("chat").kill();
    await settled();
    await serve(net);
    const client = await dial(net);
    await client.send("hello");
    assert.equal(await client.receive(), "hello");
    await client.close();
  });

  it("frozen while its connection is reset, it learns of the end when it is thawed", async () => {
    const net = network();
    const { server } = await open(net);
    net.host("chat").freeze();
    net.link("alice", "chat").reset();
    await net.clock.advance(1_000);
    assert.equal(server.state, "OPEN");
    net.host("chat").thaw();
    assert.match(String((await server.closed).cause), /ECONNRESET/);
  });

  it("its server closes although a connection never opened whose last segment was lost", async () => {
    const net = network({ latency: 10 });
    const [server] = await timed(net, serve(net));
    const opening = assert.rejects(dial(net, { openTimeout: 1_000 }));
    // The first two segments arrive, the third does not.
    await net.clock.advance(15);
    net.link("alice", "chat").cut();
    await net.clock.advance(10);
    assert.deepEqual((await timed(net, server.close()))[0], { clean: 0, cut: 0 });
    await timed(net, opening);
  });
});

describe("programs on a memory network", () => {
  it("learn that a client has left while authorize decides, as on the system's network", async () => {
    const net = network();
    const left: unknown[] = [];
    const decides = deferred<void>();
    const server = await listen(
      "ws://server:80",
      {
        network: net.host("server"),
        authorize: ({ signal }) => {
          decides.resolve();
          return new Promise<string>((resolve) => void signal.addEventListener("abort", () => resolve("too late")));
        },
        observe: (event) => event.type === "refused" && left.push(event.reason),
      },
      () => undefined,
    );
    const leaves = new AbortController();
    const opening = connect("ws://server:80", { network: net.host("client"), signal: leaves.signal });
    await decides.promise;
    leaves.abort();
    await assert.rejects(opening, { name: "AbortError" });
    await settled();
    assert.deepEqual(left, ["disconnected"]);
    await server.close();
  });

  it("reconnect after the server was killed", async () => {
    const net = network();
    await serve(net);
    const failures: unknown[] = [];
    const onError = (error: unknown): void => void failures.push(error);
    const client = new ReconnectingConnection("ws://chat:80", { network: net.host("alice"), random: () => 1, onError });
    await client.send("one");
    assert.equal((await timed(net, client.receive()))[0], "one");
    net.host("chat").kill();
    await net.clock.advance(3_000);
    assert.equal(client.state.name, "waiting");
    await serve(net);
    const sending = client.send("two");
    assert.equal((await timed(net, client.receive()))[0], "two");
    await sending;
    await client.close();
  });

  it("drain: a request that was received is answered, and then the connection closes with 1001", async () => {
    const net = network({ latency: 20 });
    let finish = (): void => undefined;
    const work = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const [server] = await timed(
      net,
      serve(net, async (connection) => {
        for await (const message of connection) {
          await work;
          await connection.send(`done: ${message}`);
        }
      }),
    );
    const [client] = await timed(net, dial(net));
    await client.send("job");
    await net.clock.advance(20);
    const closing = server.close({ drain: 10_000 });
    await net.clock.advance(1_000);
    finish();
    assert.equal((await timed(net, client.receive()))[0], "done: job");
    assert.deepEqual((await timed(net, closing))[0], { clean: 1, cut: 0 });
    assert.equal((await client.closed).code, 1001);
  });

  it("send to groups, whose members leave when their hosts are killed", async () => {
    const net = network();
    const group = new Group();
    await serve(net, async (connection) => {
      group.join(connection);
      for await (const message of connection) group.send(message);
    });
    const names = ["alice", "bob", "carol"];
    const clients = await Promise.all(names.map((name) => connect("ws://chat:80", { network: net.host(name) })));
    await clients[0]!.send("hello");
    for (const client of clients) assert.equal(await client.receive(), "hello");
    net.host("bob").kill();
    await settled();
    assert.equal(group.size, 2);
  });
});
