/** An option that is undefined is an absent one: in every options type, for the compiler and at run time. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { describe, it } from "node:test";
import {
  type CompressionOptions,
  type CompressionTerms,
  settleCompression,
} from "../../src/connection/compression/options.ts";
import { settle } from "../../src/connection/options.ts";
import type { KeepAliveOptions } from "../../src/endpoint/options.ts";
import { settleKeepAlive } from "../../src/endpoint/options.ts";
import { settleDrain } from "../../src/endpoint/server/roster.ts";
import { resolveFraming } from "../../src/engine/framing/framing.ts";
import {
  type AttachOptions,
  attach,
  type Connection,
  type ConnectionOptions,
  type ConnectOptions,
  connect,
  DEFAULTS,
  type DelimitedFraming,
  type DrainOptions,
  type FixedFraming,
  Group,
  type GroupSendOptions,
  type HeartbeatOptions,
  type LengthPrefixedFraming,
  type ListenOptions,
  listen,
  type PrepareOptions,
  prepare,
  ReconnectingConnection,
  type ReconnectingOptions,
  type ReconnectOptions,
  reconnect,
  type SendOptions,
  type WaitOptions,
  type WriterOptions,
} from "../../src/index.ts";
import { KernelSockets, type KernelSocketsOptions } from "../../src/kernel/index.ts";
import { settleReconnecting } from "../../src/reconnect/connection-options.ts";
import { settleReconnect } from "../../src/reconnect/options.ts";
import { changedFaults, NO_FAULTS } from "../../src/testing/chaos/faults.ts";
import type { ChaosFaults } from "../../src/testing/index.ts";
import {
  type ChaosOptions,
  chaosProxy,
  type PairOptions,
  pair,
  type WiredOptions,
  wired,
} from "../../src/testing/index.ts";
import type { WorkersOptions } from "../../src/workers/index.ts";
import { settleWorkers } from "../../src/workers/options.ts";
import { LOCALHOST } from "../fixtures/certificates.ts";

const LIMIT = { timeout: 60_000 };

/** Every optional option with the value undefined. A missing one does not compile. */
type Undefined<T> = { readonly [K in keyof T as undefined extends T[K] ? K : never]-?: undefined };

const HEARTBEAT: Undefined<HeartbeatOptions> = { interval: undefined, timeout: undefined, message: undefined };
const HOOKS = {
  ...{ open: undefined, message: undefined, ping: undefined, pong: undefined },
  ...{ highWater: undefined, lowWater: undefined, closing: undefined, close: undefined },
};
const CONNECTION: Undefined<ConnectionOptions> = {
  ...HOOKS,
  ...{ openTimeout: undefined, writeTimeout: undefined, closeTimeout: undefined, lingerTimeout: undefined },
  ...{ allowHalfOpen: undefined, messageTimeout: undefined, lifetime: undefined, idleTimeout: undefined },
  ...{ heartbeat: undefined, midFrameTimeout: undefined, maxMessageSize: undefined, maxFragments: undefined },
  ...{ maxQueuedBytes: undefined, maxQueuedMessages: undefined, overflow: undefined, highWaterMark: undefined },
  maxInFlightBytes: undefined,
  ...{ lowWaterMark: undefined, maxInboxBytes: undefined, maxInboxMessages: undefined, pauseTimeout: undefined },
  ...{
    codec: undefined,
    farewell: undefined,
    messageType: undefined,
    autoPong: undefined,
    receiveWhileClosing: undefined,
    streaming: undefined,
    ref: undefined,
    trace: undefined,
    observe: undefined,
    log: undefined,
    onError: undefined,
  },
  clock: undefined,
};
const UPGRADE = {
  ...{ origin: undefined, subprotocols: undefined, compression: undefined, headers: undefined, authorize: undefined },
  trustProxy: undefined,
  maxConnections: undefined,
  perAddress: undefined,
};
const ATTACH: Undefined<AttachOptions> = { ...CONNECTION, ...UPGRADE, path: undefined };
const LISTEN: Undefined<ListenOptions> = {
  ...{ ...CONNECTION, ...UPGRADE, framing: undefined, tls: undefined, keepAlive: undefined, backlog: undefined },
  network: undefined,
  ...{ routes: undefined, fetch: undefined, request: undefined },
};
const CONNECT: Undefined<ConnectOptions<undefined>> = {
  ...{ ...CONNECTION, signal: undefined, subprotocols: undefined, compression: undefined, headers: undefined },
  ...{
    origin: undefined,
    framing: undefined,
    maxConnecting: undefined,
    queueTimeout: undefined,
    deadline: undefined,
    tls: undefined,
    keepAlive: undefined,
  },
  ...{ dial: undefined, lookup: undefined, family: undefined, localAddress: undefined },
  network: undefined,
  data: undefined,
};
const POLICY = {
  ...{ shouldReconnect: undefined, initialPause: undefined, maxPause: undefined, stableAfter: undefined },
  ...{ maxAttempts: undefined, maxElapsed: undefined, maxRetryAfter: undefined, state: undefined, random: undefined },
};
const RECONNECT: Undefined<ReconnectOptions> = { ...CONNECT, ...POLICY };
const { ping: _1, pong: _2, highWater: _3, lowWater: _4, closing: _5, streaming: _6, ...LASTING } = RECONNECT;
const RECONNECTING: Undefined<ReconnectingOptions> = { ...LASTING, delivery: undefined };
const WAIT: Undefined<WaitOptions> = { timeout: undefined, deadline: undefined, signal: undefined };
const SEND: Undefined<SendOptions> = { ...WAIT, overflow: undefined, key: undefined, compress: undefined };
const WRITER: Undefined<WriterOptions> = { compress: undefined };
const PREPARE: Undefined<PrepareOptions> = { compress: undefined };
const GROUP_SEND: Undefined<GroupSendOptions> = {
  ...{ overflow: undefined, key: undefined, compress: undefined, except: undefined },
};
const DRAIN: Undefined<DrainOptions> = {
  ...{ drain: undefined, opening: undefined, code: undefined, reason: undefined, retryAfter: undefined },
};
const KEEP_ALIVE: Undefined<KeepAliveOptions> = { delay: undefined, interval: undefined, count: undefined };
const TERMS: Undefined<CompressionTerms> = {
  ...{ serverContextTakeover: undefined, clientContextTakeover: undefined },
  ...{ serverWindowBits: undefined, clientWindowBits: undefined },
};
const COMPRESSION: Undefined<CompressionOptions> = {
  ...{ ...TERMS, threshold: undefined, level: undefined, maxInflationRatio: undefined, fallbacks: undefined },
};
const WORKERS: Undefined<WorkersOptions> = {
  ...{ workers: undefined, startTimeout: undefined, stopTimeout: undefined, maxQueuedBytes: undefined },
  ...{ maxQueuedMessages: undefined, maxLogBytes: undefined, maxLogTopics: undefined },
  ...{ signals: undefined, observe: undefined },
};
const KERNEL: Undefined<KernelSocketsOptions> = { pid: undefined, port: undefined, clock: undefined };
const LINKED = {
  ...{ kind: undefined, framing: undefined, compression: undefined, capacity: undefined, latency: undefined },
  clock: undefined,
};
const PAIR: Undefined<PairOptions> = { ...LINKED, server: undefined, client: undefined };
const WIRED: Undefined<WiredOptions> = { ...LINKED, role: undefined, connection: undefined };
const CHAOS: Undefined<ChaosOptions> = { listen: undefined, seed: undefined, faults: undefined };
const FAULTS: Undefined<ChaosFaults> = {
  ...{ direction: undefined, latency: undefined, jitter: undefined, bandwidth: undefined, blackhole: undefined },
  ...{ resetAfter: undefined, resetRate: undefined, truncateAfter: undefined, refuse: undefined },
};
const DELIMITED: Undefined<DelimitedFraming> = { text: undefined };
const PREFIXED: Undefined<LengthPrefixedFraming> = { endian: undefined, text: undefined };
const FIXED: Undefined<FixedFraming> = { text: undefined };

/** Removes functions for a comparison: two closures are never equal. */
const comparable = (settled: unknown): unknown =>
  JSON.parse(
    JSON.stringify(settled, (_, value: unknown) =>
      typeof value === "function" ? "a function" : value === Infinity ? "Infinity" : value,
    ) ?? "null",
  );

/** The options one by one, and then all at once. */
function* eachAndAll(all: object): Generator<[string, object]> {
  for (const name of Object.keys(all)) yield [name, { [name]: undefined }];
  yield ["all of them", all];
}

interface Settling {
  readonly all: object;
  readonly settle: (options: never) => unknown;
}

const SETTLED: Readonly<Record<string, Settling>> = {
  "a WebSocket": { all: CONNECTION, settle: (options) => settle(options, "websocket") },
  "framed TCP": { all: CONNECTION, settle: (options) => settle(options, "tcp") },
  heartbeat: { all: HEARTBEAT, settle: (heartbeat) => settle({ heartbeat }, "websocket") },
  "the compression of a client": { all: COMPRESSION, settle: (options) => settleCompression("client", options) },
  "the compression of a server": { all: COMPRESSION, settle: (options) => settleCompression("server", options) },
  "a fallback": { all: TERMS, settle: (terms) => settleCompression("client", { fallbacks: [terms] }) },
  keepAlive: { all: KEEP_ALIVE, settle: settleKeepAlive },
  "Server.close": { all: DRAIN, settle: settleDrain },
  reconnect: { all: RECONNECT, settle: settleReconnect },
  ReconnectingConnection: { all: RECONNECTING, settle: settleReconnecting },
  startWorkers: { all: WORKERS, settle: (options) => settleWorkers(options, () => 4) },
  "the chaos proxy": { all: FAULTS, settle: (faults) => changedFaults(NO_FAULTS, faults) },
  delimited: { all: DELIMITED, settle: (options: object) => resolveFraming({ delimiter: "|", ...options }) },
  "length-prefixed": { all: PREFIXED, settle: (options: object) => resolveFraming({ lengthPrefix: 4, ...options }) },
  fixed: { all: FIXED, settle: (options: object) => resolveFraming({ fixed: 4, ...options }) },
};

describe("an option that is undefined has its default", LIMIT, () => {
  for (const [name, { all, settle: settled }] of Object.entries(SETTLED)) {
    for (const [option, options] of eachAndAll(all)) {
      it(`in ${name}: ${option}`, () => {
        assert.deepEqual(comparable(settled(options as never)), comparable(settled({} as never)));
      });
    }
  }

  it("for every option with a default", () => {
    for (const name of Object.keys(DEFAULTS.connection)) assert.ok(name in CONNECTION, name);
  });

  it("in other kinds of framing", async () => {
    const framing = { delimiter: undefined, lengthPrefix: 4, fixed: undefined, encode: undefined } as never;
    const { client, server } = pair({ kind: "tcp", framing });
    await client.send("hello");
    assert.deepEqual(await server.receive(), new TextEncoder().encode("hello"));
  });

  it("in the headers", async () => {
    await using server = await listen("ws://127.0.0.1:0", { headers: { "X-A": undefined }, open: () => undefined });
    await using connection = await connect(server.url, { headers: { Authorization: undefined } });
    assert.equal(connection.state, "OPEN");
  });
});

const echo = async (connection: Connection): Promise<void> => {
  for await (const message of connection) await connection.send(message);
};

async function echoes(connection: Pick<Connection, "send" | "receive">): Promise<void> {
  await connection.send("hello", SEND);
  assert.equal(await connection.receive(WAIT), "hello");
}

describe("a program with all options undefined works", LIMIT, () => {
  for (const scheme of ["ws", "wss", "tcp", "tls"]) {
    it(`with listen and connect on ${scheme}`, async () => {
      const framing = scheme.startsWith("t") ? "lines" : undefined;
      const tls = {
        ca: undefined,
        handshakeTimeout: undefined,
        minVersion: undefined,
        secureOptions: undefined,
      } as object;
      const server = await listen(
        `${scheme}://127.0.0.1:0`,
        { ...LISTEN, framing, tls: scheme.endsWith("s") && scheme !== "ws" ? { ...tls, ...LOCALHOST } : undefined },
        echo,
      );
      const { url } = server;
      const client = await connect(url, { ...CONNECT, framing, tls: { ...tls, ca: LOCALHOST.cert } });
      await echoes(client);
      await client.drain(WAIT);
      if (scheme.startsWith("ws")) await client.ping(WAIT);
      assert.notEqual(client.trySend("x", { overflow: undefined, key: undefined, compress: undefined }), "refused");
      await client.receive();
      const writer = client.writer("text", WRITER);
      await writer.write("hel", WAIT);
      await writer.end(undefined, WAIT);
      assert.equal(await client.receive(), "hel");
      await client.close(undefined, undefined);
      assert.equal((await server.close(DRAIN)).cut, 0);
    });
  }

  it("with attach", async () => {
    const http = createServer();
    attach(http, ATTACH, echo);
    await once(http.listen(0, "127.0.0.1"), "listening");
    const address = http.address() as { readonly port: number };
    const client = await connect(`ws://127.0.0.1:${address.port}`, CONNECT);
    await echoes(client);
    await client.close();
    http.close();
  });

  it("with reconnect and ReconnectingConnection, and a target with undefined options", async () => {
    await using server = await listen("ws://127.0.0.1:0", LISTEN, echo);
    await reconnect(server.url, echoes, RECONNECT);
    const target = { url: server.url, subprotocols: undefined, headers: undefined, origin: undefined } as const;
    const own = { headers: { "X-Own": "kept" }, tls: undefined, data: undefined };
    await reconnect(() => ({ ...target, tls: undefined, data: undefined }), echoes, { ...RECONNECT, ...own });
    await using lasting = new ReconnectingConnection<undefined>(server.url, RECONNECTING);
    await echoes(lasting);
  });

  it("with groups and prepared messages", async () => {
    const { client, server } = pair(PAIR);
    const group = new Group(undefined);
    group.join(client);
    assert.equal(group.send(prepare("hello", PREPARE), GROUP_SEND).taken, 1);
    assert.equal(await server.receive(), "hello");
  });

  it("with the tools for tests and diagnosis", async () => {
    const { connection, peer } = wired(WIRED);
    connection.terminate();
    assert.ok(peer);
    await (await chaosProxy({ to: "127.0.0.1:9", ...CHAOS })).close();
    assert.ok(await new KernelSockets(KERNEL).read());
  });
});
