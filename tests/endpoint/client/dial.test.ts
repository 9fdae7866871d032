/** Tests of the ways to the server that the application chooses: `dial`, `lookup`, `family`, `localAddress`. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect as connectTo, createServer, type LookupFunction, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { Duplex } from "node:stream";
import { describe, it } from "node:test";
import { TLSSocket } from "node:tls";
import {
  type ConnectOptions,
  connect,
  type DialAttempt,
  type DialDestination,
  type Dialer,
  HandshakeError,
  listen,
  ReconnectingConnection,
  reconnect,
  type Server,
  TimeoutError,
  TransportError,
} from "../../../src/index.ts";
import { ManualClock, settled } from "../../../src/testing/index.ts";
import { LOCALHOST } from "../../fixtures/certificates.ts";
import { duplexPair } from "../../kit/duplex-pair.ts";
import { failure } from "../../kit/handshake-failure.ts";
import { openSockets, socketsDownTo } from "../../kit/kernel-sockets.ts";
import { portOf, rawServer, switchingTo } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };
const SCHEMES = ["ws", "wss", "tcp", "tls"] as const;
type Scheme = (typeof SCHEMES)[number];

const framed = (scheme: string): { framing?: "lines" } => (scheme.startsWith("t") ? { framing: "lines" } : {});

/** A server that answers each message with the address of its client. */
const served = (scheme: Scheme, host = "127.0.0.1"): Promise<Server> =>
  listen(`${scheme}://${host}:0`, {
    ...framed(scheme),
    ...(scheme.endsWith("s") && scheme !== "ws" && { tls: LOCALHOST }),
    message: (connection) => void connection.trySend(connection.remoteAddress),
  });

const to = (scheme: string, options: ConnectOptions<undefined> = {}): ConnectOptions<undefined> => ({
  ...framed(scheme),
  tls: { ca: LOCALHOST.cert },
  ...options,
});

const rejection = (attempt: Promise<unknown>): Promise<unknown> =>
  attempt.then(
    () => assert.fail("it was to fail"),
    (error: unknown) => error,
  );

const socketTo = ({ port }: { readonly port: number }): Socket => connectTo(port, "127.0.0.1");

/** A Duplex that is no socket and is joined with a socket to `port`. */
function joined({ port }: { readonly port: number }): Duplex {
  const [near, far] = duplexPair();
  const socket = connectTo({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.pipe(far).pipe(socket);
  socket.on("error", () => far.destroy()).on("close", () => far.destroy());
  far.on("error", () => socket.destroy()).on("close", () => socket.destroy());
  return near;
}

/** A stream in front of `inner` that writes a chunk some turns after it has called back for it. */
function late(inner: Duplex): Duplex {
  const stream = new Duplex({
    read: () => void inner.resume(),
    write: (chunk: Uint8Array, _encoding, done) => {
      setTimeout(() => inner.write(chunk), 2);
      done();
    },
    final: (done) => void setTimeout(() => inner.end(done), 2),
    destroy: (error, done) => {
      inner.destroy();
      done(error);
    },
  });
  inner.on("data", (chunk) => stream.push(chunk) || inner.pause()).on("end", () => stream.push(null));
  inner.on("close", () => stream.destroy());
  return stream;
}

describe("connect on a stream of the application", LIMIT, () => {
  for (const scheme of SCHEMES) {
    const ways: Record<string, Dialer> = {
      "a socket that is connecting": socketTo,
      "a socket that is connected": async (destination) => {
        const socket = socketTo(destination);
        await once(socket, "connect");
        return socket;
      },
      "a paused socket": async (destination) => {
        const socket = socketTo(destination);
        await once(socket, "connect");
        return socket.pause();
      },
      "a Duplex that is no socket": joined,
      "a stream of open": ({ port }, { open }) => open({ host: "localhost", port }),
      "no stream, so that connect opens one": () => undefined,
    };
    for (const [what, dial] of Object.entries(ways)) {
      it(`sends and receives, and closes the stream at its end: ${scheme}, ${what}`, async () => {
        const before = openSockets();
        await using server = await served(scheme);
        const streams: (Duplex | undefined)[] = [];
        const recorded: Dialer = async (destination, attempt) => {
          const stream = await dial(destination, attempt);
          streams.push(stream);
          return stream;
        };
        // The name is that of the certificate. It is not resolved.
        const url = `${scheme}://localhost:${portOf(server)}`;
        const connection = await connect(url, to(scheme, { dial: recorded }));
        await connection.send("hello");
        assert.equal(await connection.receive(), "127.0.0.1");
        await connection.close();
        await connection.closed;
        assert.equal(streams.length, 1);
        for (const stream of streams) if (stream?.destroyed === false) await once(stream, "close");
        await server.close();
        await socketsDownTo(before);
      });
    }

    it(`may be given the stream itself: ${scheme}`, async () => {
      await using server = await served(scheme);
      for (const make of [socketTo, joined]) {
        const stream = make({ port: portOf(server) });
        const connection = await connect(`${scheme}://localhost:9`, to(scheme, { dial: stream }));
        await connection.send("hello");
        assert.equal(await connection.receive(), "127.0.0.1");
        const closed = once(stream, "close");
        connection.terminate();
        await closed;
      }
    });
  }

  for (const scheme of SCHEMES) {
    // As the streams of Duplex.from, whose callback says only that the inner stream wants more.
    it(`sends what was given, on a stream that uses the bytes after it has called back: ${scheme}`, async () => {
      const texts = [
        "a",
        "b".repeat(1_000),
        "é".repeat(100_000),
        "d".repeat(5_000),
        ...Array.from({ length: 200 }, (_, index) => String(index)),
      ];
      await using server = await listen(`${scheme}://127.0.0.1:0`, {
        ...framed(scheme),
        ...(scheme.endsWith("s") && scheme !== "ws" && { tls: LOCALHOST }),
        message: (connection, message) => connection.send(message),
      });
      const dial: Dialer = (destination) => late(joined(destination));
      const options = to(scheme, { dial });
      await using connection = await connect(`${scheme}://localhost:${portOf(server)}`, options);
      for (const text of texts) await connection.send(text);
      for (const text of texts) assert.ok(String(await connection.receive()) === text, `${text.length} characters`);
    });
  }

  it("gets the bytes that were received before it had the stream", async () => {
    await using server = await rawServer((peer) => peer.write("first\n"));
    const dial: Dialer = async () => {
      const socket = socketTo(server);
      const [chunk] = (await once(socket, "data")) as [Buffer];
      socket.pause();
      socket.unshift(chunk);
      return socket;
    };
    await using connection = await connect("tcp://any:1", { dial, framing: "lines" });
    assert.equal(String(await connection.receive()), "first");
    connection.terminate();
  });

  it("speaks TLS after a plain part that the application has read and written (STARTTLS)", async () => {
    const server = createServer((socket) => {
      socket.write("220 ready\r\n");
      socket.once("data", () => {
        socket.write("220 go ahead\r\n");
        const secure = new TLSSocket(socket, { isServer: true, ...LOCALHOST });
        secure.on("error", () => undefined).on("data", (line) => secure.write(line));
      });
      socket.on("error", () => undefined);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const startTls: Dialer = async (destination, { open }) => {
      const stream = await open({ host: "127.0.0.1", port: destination.port });
      await once(stream, "data");
      stream.write("STARTTLS\r\n");
      await once(stream, "data");
      stream.pause();
      return stream;
    };
    await using connection = await connect(`tls://localhost:${port}`, to("tls", { dial: startTls }));
    assert.equal(connection.secure, true);
    await connection.send("over TLS");
    assert.equal(String(await connection.receive()), "over TLS");
    connection.terminate();
    server.close();
  });

  it("calls the function with the destination, a signal and the time that is left", async () => {
    const clock = new ManualClock();
    const calls: [DialDestination, DialAttempt][] = [];
    const dial: Dialer = (destination, attempt) => {
      calls.push([destination, attempt]);
      throw new Error("no way");
    };
    const options = { dial, clock, openTimeout: 5_000 };
    for (const url of ["wss://[fd00::1]/live?a=b", "tcp://Example.com:7", "ws+unix:///run/app.sock:/live"])
      await failure(connect(url, options));
    await failure(connect("ws://example.com", { ...options, deadline: { in: 3_000 } }));
    await failure(connect("ws://example.com", { ...options, openTimeout: Infinity }));
    const shared = { socketPath: undefined, secure: false, kind: "websocket" };
    assert.deepEqual(
      calls.map(([destination]) => destination),
      [
        { ...shared, host: "fd00::1", port: 443, secure: true },
        { ...shared, host: "Example.com", port: 7, kind: "tcp" },
        { ...shared, host: "localhost", port: 0, socketPath: "/run/app.sock" },
        { ...shared, host: "example.com", port: 80 },
        { ...shared, host: "example.com", port: 80 },
      ],
    );
    assert.deepEqual(
      calls.map(([, { timeout }]) => timeout),
      [5_000, 5_000, 5_000, 3_000, Infinity],
    );
    for (const [, { signal }] of calls) assert.equal(signal.aborted, false);
  });

  it("can check each address before it connects", async () => {
    const forbidden: Dialer = ({ host, port }, { open }) => {
      if (host === "127.0.0.1") throw new Error(`${host} is not allowed`);
      return open({ host, port });
    };
    const error = await failure(connect("ws://127.0.0.1:9", { dial: forbidden }));
    assert.equal(error.message, "Cannot connect: 127.0.0.1 is not allowed (in phase proxy)");
  });

  it("reaches a link-local address with its interface", async (t) => {
    const [name, entry] =
      Object.entries(networkInterfaces())
        .flatMap(([each, entries = []]) => entries.map((one) => [each, one] as const))
        .find(([, { address }]) => address.startsWith("fe80:")) ?? [];
    if (entry === undefined) return t.skip("no interface of this machine has a link-local IPv6 address");
    await using server = await served("ws", "[::]");
    const dial: Dialer = ({ port }, { open }) => open({ host: `${entry.address}%${name}`, port });
    await using connection = await connect(`ws://router.local:${portOf(server)}`, { dial });
    await connection.send("hello");
    assert.match(String(await connection.receive()), /^fe80:/);
  });

  const wrong: Record<string, [Dialer, RegExp, string | undefined]> = {
    throws: [() => assert.fail("enough"), /enough/, "ERR_ASSERTION"],
    "throws no error": [() => Promise.reject("enough"), /enough/, "Error"],
    "returns no stream": [() => ({}) as Duplex, /expected a Duplex, got an object/, "TypeError"],
    "returns null": [() => null as unknown as Duplex, /expected a Duplex, got null/, "TypeError"],
    "returns a closed stream": [(where) => socketTo(where).destroy(), /the stream of dial was closed/, "Error"],
    "returns a stream that fails": [() => connectTo(1, "127.0.0.1"), /ECONNREFUSED/, "ECONNREFUSED"],
    "opens a place that is not there": [
      (_, { open }) => open({ host: "127.0.0.1", port: 1 }),
      /REFUSED/,
      "ECONNREFUSED",
    ],
  };
  for (const [what, [dial, message, errno]] of Object.entries(wrong)) {
    it(`rejects in phase proxy if the function ${what}`, async () => {
      await using server = await served("ws");
      const error = await failure(connect(server.url, { dial }));
      assert.match(error.message, message);
      assert.equal(error.phase, "proxy");
      assert.ok(error.cause instanceof TransportError);
      assert.equal(error.cause.errno, errno);
    });
  }

  it("rejects with the HandshakeError that the function throws", async () => {
    const thrown = new HandshakeError({ problem: "the bastion is closed", phase: "proxy", status: 503 });
    assert.equal(await failure(connect("ws://a.example", { dial: () => Promise.reject(thrown) })), thrown);
  });

  for (const end of ["openTimeout", "deadline", "signal"]) {
    it(`ends a function that does not return at ${end}, and destroys what it has opened and returns later`, async () => {
      const before = openSockets();
      await using server = await rawServer(() => undefined);
      const clock = new ManualClock();
      const controller = new AbortController();
      let late!: (stream: Duplex) => void;
      const returned = new Promise<Duplex>((resolve) => {
        late = resolve;
      });
      let aborted: unknown;
      const dial: Dialer = async (_, { open, signal }) => {
        await open({ host: "127.0.0.1", port: server.port });
        signal.addEventListener("abort", () => {
          aborted = signal.reason;
        });
        return returned;
      };
      const deadline = end === "deadline" ? { in: 2_000 } : undefined;
      const options = { dial, clock, openTimeout: 5_000, deadline, signal: controller.signal };
      const attempt = rejection(connect("ws://a.example", options));
      while (server.peers.length === 0) await settled();
      for (let turn = 0; turn < 5; turn += 1) await settled();
      if (end === "signal") controller.abort("enough");
      else await clock.advance(5_000);
      const error = await attempt;
      assert.equal(error, aborted);
      if (end === "signal") assert.equal(error, "enough");
      else {
        assert.ok(error instanceof TimeoutError);
        assert.deepEqual([error.operation, error.limit], ["connect:proxy", end]);
      }
      await server.peers[0]?.until(({ ended }) => ended);
      const stream = socketTo(server);
      late(stream);
      await once(stream, "close");
      await server[Symbol.asyncDispose]();
      await socketsDownTo(before);
    });
  }

  const refusals: Record<string, [url: string, options: ConnectOptions<undefined>]> = {
    "the server refuses": ["ws://a.example", {}],
    "TLS fails": ["wss://a.example", {}],
    "an option is wrong": ["ws://a.example", { openTimeout: -1 }],
    "the address is wrong": ["http://a.example", {}],
    "the signal has aborted": ["ws://a.example", { signal: AbortSignal.abort() }],
  };
  for (const [what, [url, options]] of Object.entries(refusals)) {
    it(`destroys a given stream if ${what}`, async () => {
      const before = openSockets();
      await using server = await rawServer((peer) => peer.write("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"));
      const stream = socketTo(server);
      await once(stream, "connect");
      await assert.rejects(connect(url, { ...options, dial: stream }));
      assert.equal(stream.destroyed, true);
      await server[Symbol.asyncDispose]();
      await socketsDownTo(before);
    });
  }

  it("opens one WebSocket at a time for each host name (RFC 6455 4.1)", async () => {
    await using server = await rawServer(() => undefined);
    const dial: Dialer = () => socketTo(server);
    const clock = new ManualClock();
    const attempts = ["a", "b", "a"].map((name) => connect(`ws://${name}.example`, { dial, clock }));
    while (server.peers.length < 2) await settled();
    for (let turn = 0; turn < 5; turn += 1) await settled();
    assert.equal(server.peers.length, 2);
    for (const at of [0, 1, 2]) {
      while (server.peers.length <= at) await settled();
      const peer = server.peers[at];
      await peer?.head();
      peer?.write(switchingTo(peer.text));
    }
    for (const attempt of attempts) (await attempt).terminate();
  });

  it("is refused with a TypeError if dial is neither a function nor a stream", async () => {
    for (const dial of [5, "http://proxy:3128", {}, null, []])
      await assert.rejects(connect("ws://a.example", { dial: dial as unknown as Dialer }), {
        name: "TypeError",
        message: /Cannot use dial: expected a function or a Duplex/,
      });
  });
});

describe("reconnect with dial", LIMIT, () => {
  it("calls the function for each attempt", async () => {
    await using server = await served("ws");
    let calls = 0;
    const dial: Dialer = (_, { open }) => {
      calls += 1;
      return open({ host: "127.0.0.1", port: portOf(server) });
    };
    await using client = new ReconnectingConnection("ws://a.example", { dial, initialPause: 1 });
    await client.send("1");
    assert.equal(await client.receive(), "127.0.0.1");
    await client.reconnect("again");
    await client.send("2");
    assert.equal(await client.receive(), "127.0.0.1");
    assert.equal(calls, 2);
  });

  it("refuses a Duplex, which can be used once, but takes one from the target function", async () => {
    await using server = await served("ws");
    const [stream] = duplexPair();
    for (const call of [
      () => reconnect("ws://a.example", () => undefined, { dial: stream as unknown as Dialer }),
      async () => new ReconnectingConnection("ws://a.example", { dial: stream as unknown as Dialer }),
    ])
      await assert.rejects(call, { name: "TypeError", message: /Cannot use dial: expected a function/ });
    const target = (): { url: string; dial: Duplex } => ({
      url: "ws://a.example",
      dial: socketTo({ port: portOf(server) }),
    });
    const answer = await reconnect(target, async (connection) => {
      await connection.send("hello");
      return await connection.receive();
    });
    assert.equal(answer, "127.0.0.1");
  });
});

describe("the options of a connection over TCP", LIMIT, () => {
  const lookupTo =
    (...addresses: readonly string[]): LookupFunction =>
    (_host, options, done) => {
      assert.equal(options.all, true);
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
      );
    };

  it("lookup: resolves the name, and is not called for an address", async () => {
    await using server = await served("ws");
    const asked: string[] = [];
    const lookup: LookupFunction = (host, options, done) => {
      asked.push(host);
      lookupTo("127.0.0.1")(host, options, done);
    };
    for (const host of ["nowhere.invalid", "127.0.0.1"]) {
      await using connection = await connect(`ws://${host}:${portOf(server)}`, { lookup });
      await connection.send("hello");
      assert.equal(await connection.receive(), "127.0.0.1");
    }
    assert.deepEqual(asked, ["nowhere.invalid"]);
  });

  it("lookup: may answer with one address, as dns.lookup without `all`", async () => {
    await using server = await served("tcp");
    const lookup: LookupFunction = (_host, _options, done) => done(null, "127.0.0.1", 4);
    await using connection = await connect(`tcp://a.example:${portOf(server)}`, { lookup, framing: "lines" });
    await connection.send("hello");
    assert.equal(await connection.receive(), "127.0.0.1");
  });

  it("lookup: tries the other addresses if the first does not answer", async () => {
    await using server = await served("ws");
    const lookup = lookupTo("::1", "127.0.0.1");
    await using _connection = await connect(`ws://a.example:${portOf(server)}`, { lookup });
  });

  const failing: Record<string, [LookupFunction, RegExp]> = {
    "an error": [(_host, _options, done) => done(new Error("no resolver"), []), /no resolver/],
    "an exception": [() => assert.fail("no resolver"), /no resolver/],
    "no address": [lookupTo(), /a\.example has no address/],
    "a name": [lookupTo("b.example"), /expected IP addresses, got "b\.example"/],
    nothing: [(_host, _options, done) => done(null, undefined as unknown as string), /expected IP addresses/],
  };
  for (const [what, [lookup, message]] of Object.entries(failing)) {
    it(`lookup: fails in phase dns with ${what}`, async () => {
      const error = await failure(connect("ws://a.example:9", { lookup }));
      assert.equal(error.phase, "dns");
      assert.match(error.message, message);
    });
  }

  it("family: uses only addresses of this family", async () => {
    await using server = await served("ws");
    const lookup = lookupTo("::1", "127.0.0.1");
    const url = `ws://a.example:${portOf(server)}`;
    await using connection = await connect(url, { lookup, family: 4 });
    assert.equal(connection.remoteAddress, "127.0.0.1");
    const error = await failure(connect(url, { lookup: lookupTo("127.0.0.1"), family: 6 }));
    assert.equal(error.message, "Cannot connect: a.example has no IPv6 address (in phase dns)");
  });

  it("localAddress: is the address from which this side connects, and decides the family", async () => {
    await using server = await served("ws");
    const lookup = lookupTo("::1", "127.0.0.1");
    for (const dial of [undefined, ((_, { open }) => open({ host: "a.example", port: portOf(server) })) as Dialer]) {
      const options = { localAddress: "127.0.0.7", lookup, dial };
      await using connection = await connect(`ws://a.example:${portOf(server)}`, options);
      await connection.send("hello");
      assert.equal(await connection.receive(), "127.0.0.7");
    }
  });

  const misuses: Record<string, [object, string, RegExp]> = {
    "lookup that is no function": [{ lookup: "127.0.0.1" }, "TypeError", /Cannot use lookup: expected a function/],
    "family that is no number": [{ family: "IPv4" }, "TypeError", /Cannot use family: expected a number/],
    "family of another number": [{ family: 5 }, "RangeError", /Cannot use family 5: expected 0, 4 or 6/],
    "localAddress that is no address": [{ localAddress: "localhost" }, "TypeError", /expected an IP address/],
    "localAddress that is no string": [{ localAddress: 4 }, "TypeError", /Cannot use localAddress: expected a string/],
    "localAddress of another family": [{ localAddress: "::1", family: 4 }, "TypeError", /of family 6/],
  };
  for (const [what, [options, name, message]] of Object.entries(misuses)) {
    it(`refuse ${what}`, async () => {
      await assert.rejects(connect("ws://a.example", options), { name, message });
    });
  }

  it("are refused for a unix socket, which has no IP address", async () => {
    for (const options of [{ family: 4 as const }, { localAddress: "127.0.0.1" }, { lookup: lookupTo() }])
      await assert.rejects(connect("ws+unix:///run/app.sock", options), {
        name: "TypeError",
        message: /a unix socket has no IP address/,
      });
  });
});
