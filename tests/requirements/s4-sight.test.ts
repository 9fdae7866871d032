/** S4: what is visible of a connection's health and of its protocol, and which side caused a silence. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type AcceptedEvent,
  type CloseEvent,
  type Connection,
  type ConnectionEvent,
  type ConnectionOptions,
  connect,
  type FrameEvent,
  type Histogram,
  listen,
  metrics,
  type RefusedEvent,
  type TimeoutError,
} from "../../src/index.ts";
import { type Pair, pair, settled, wired } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { KEY, peerFrame } from "../kit/frames.ts";
import { portOf, RawPeer, rawServer, refused, upgradeRequest } from "../kit/raw-peer.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const INTERVAL = 1_000;
const TIMEOUT = 500;

/** The heartbeat of a client, and a server that answers it: the library on WebSocket, the application on TCP. */
function beating({ protocol }: WireProtocol, interval = INTERVAL, timeout = TIMEOUT): ConnectionOptions {
  return { heartbeat: { interval, timeout, ...(protocol === "tcp" && { message: "alive?" }) } };
}

function scene(wire: WireProtocol): Pair {
  const { protocol, options } = wire;
  return pair({
    ...{ kind: protocol, ...options, client: { ...beating(wire), message: () => undefined } },
    server: {
      heartbeat: { interval: Infinity },
      idleTimeout: Infinity,
      message: (connection) => void connection.trySend("alive"),
    },
  });
}

describe("S4-6 a heartbeat does not blame the peer for our own blocked event loop", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S4-6 a live peer stays connected over a block of any length, on ${wire.name}`, async () => {
      const { client, clock } = scene(wire);
      for (const blocked of [INTERVAL, INTERVAL + TIMEOUT + 1, 10_000, 3_600_000]) {
        await clock.block(blocked);
        assert.equal(client.state, "OPEN", `over a block of ${blocked} ms`);
        await clock.advance(3 * INTERVAL);
        assert.equal(client.state, "OPEN", `and after it`);
      }
    });

    it(`S4-6 a live peer stays connected if the block is between a Ping and its answer, on ${wire.name}`, async () => {
      const { client, clock, link } = scene(wire);
      link.latency = 10;
      await clock.advance(INTERVAL + 5);
      await clock.block(10_000);
      assert.equal(client.state, "OPEN");
      await clock.advance(3 * INTERVAL);
      assert.equal(client.state, "OPEN");
    });

    it(`S4-6 a dead peer is still detected, one timeout later, on ${wire.name}`, async () => {
      const { client, clock, link } = scene(wire);
      await clock.advance(INTERVAL);
      link.cut();
      await clock.block(10_000);
      assert.equal(client.state, "OPEN");
      await clock.advance(INTERVAL + TIMEOUT);
      const { cause } = await client.closed;
      assert.equal((cause as { limit: string }).limit, "heartbeat.timeout");
    });
  }

  it("S4-6 the delay of the event loop is measured: a block of 500 ms in 2 s is in the 99th percentile", async () => {
    metrics(process);
    const delays = (): Histogram => metrics(process).snapshot().histogram("holdfast_loop_blocked_seconds");
    const before = delays().countUpTo(0.25);
    const beforeAll = delays().count;
    await new Promise((resolve) => setTimeout(resolve, 700));
    for (const end = performance.now() + 500; performance.now() < end; );
    await new Promise((resolve) => setTimeout(resolve, 700));
    // Each of the 25 samples that the block has left out is counted: half of them are longer than half of the block.
    const long = delays().count - beforeAll - (delays().countUpTo(0.25) - before);
    assert.ok(long >= 10, `${long} samples above a quarter of a second`);
    assert.ok(long / (delays().count - beforeAll) > 0.05);
  });
});

describe("S4-12 a heartbeat checks the connection regularly", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S4-12 a silent live peer gets Pings again and again, and stays connected, on ${wire.name}`, async () => {
      const { protocol, options } = wire;
      const asked: unknown[] = [];
      const { client, clock } = pair({
        ...{ kind: protocol, ...options, client: { ...beating(wire), message: () => undefined } },
        server: {
          ...{ heartbeat: { interval: Infinity }, idleTimeout: Infinity },
          ping: (_, payload) => void asked.push(payload),
          message: (connection, message) => {
            asked.push(message);
            connection.trySend("yes");
          },
        },
      });
      await clock.advance(60 * INTERVAL);
      assert.equal(client.state, "OPEN");
      assert.equal(asked.length, 60);
    });

    it(`S4-12 a frozen peer is detected within interval and timeout, on ${wire.name}`, async () => {
      const { client, clock, link } = scene(wire);
      await clock.advance(5 * INTERVAL);
      link.freeze("server");
      // The last sign of life is the answer to the last Ping, so that no more time than this remains.
      await clock.advance(INTERVAL + TIMEOUT - 1);
      assert.equal(client.state, "OPEN");
      await clock.advance(1);
      const { wasClean, by, cause } = await client.closed;
      assert.deepEqual([wasClean, by], [false, "local"]);
      const { code, operation, limit, bound, retriable } = cause as TimeoutError;
      assert.deepEqual(
        { code, operation, limit, bound, retriable },
        { code: "TIMEOUT", operation: "ping", limit: "heartbeat.timeout", bound: TIMEOUT, retriable: false },
      );
    });

    it(`S4-12 any byte is a sign of life, on ${wire.name}`, async () => {
      const { connection, peer, clock } = wired({
        ...{ kind: wire.protocol, ...wire.options },
        connection: { ...beating(wire), messageTimeout: Infinity },
      });
      const bytes = wire.message("x".repeat(50));
      for (const byte of bytes.subarray(0, -1)) {
        peer.write([byte]);
        await clock.advance(INTERVAL - 1);
      }
      assert.equal(connection.state, "OPEN");
      assert.equal(peer.received.length, 0, "and nobody is asked who speaks by himself");
    });

    it(`S4-12 a peer that answers nothing is detected, on sockets on ${wire.name}`, async () => {
      await using server = await rawServer((peer) => wire.answer(peer));
      const url = wire.url.replace(":0", `:${server.port}`);
      const connection = await connect(url, { ...wire.options, ...beating(wire, 10, 10) });
      const { cause } = await connection.closed;
      assert.equal((cause as { limit: string }).limit, "heartbeat.timeout");
    });
  }
});

describe("S4-13 resources are counted", () => {
  it("S4-13 queue depth and drops can be read from each connection", async () => {
    const { connection, peer } = wired({ capacity: 64, connection: { maxQueuedMessages: 2, overflow: "drop-newest" } });
    peer.pause();
    for (const message of ["x".repeat(100), "queued", "dropped"]) connection.trySend(message);
    const { queuedBytes, queuedMessages, droppedMessages, refusedMessages } = connection;
    assert.deepEqual([queuedBytes, queuedMessages, droppedMessages, refusedMessages], [106 + 2 * 512, 2, 1, 0]);
    await settled();
  });

  it("S4-13 messages, bytes, drops, stalls, round trips and the delay of the loop are counted", async () => {
    const opened = deferred<Connection>();
    const options = { maxInboxMessages: 2, heartbeat: { interval: 20, timeout: 5_000 } } as const;
    await using server = await listen("ws://127.0.0.1:0", options, async (connection) => {
      opened.resolve(connection);
      await connection.closed;
    });
    const client = await connect(server.url);
    const connection = await opened.promise;
    const measured = metrics(server);
    const until = async (condition: () => boolean): Promise<void> => {
      while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until(() => measured.snapshot().histogram("holdfast_ping_rtt_seconds").count > 0);
    for (let sent = 0; sent < 4; sent += 1) void client.send("not taken").catch(() => undefined);
    await until(() => measured.snapshot().value("holdfast_pauses_total") === 1);
    while (connection.droppedMessages === 0) {
      connection.trySend("x".repeat(100_000), { overflow: "drop-newest" });
      await new Promise(setImmediate);
    }
    const snapshot = measured.snapshot();
    assert.ok(snapshot.value("holdfast_messages_total", { direction: "in" }) >= 2);
    assert.ok(snapshot.value("holdfast_bytes_total", { direction: "out" }) > 100_000);
    assert.ok(snapshot.value("holdfast_overflow_total", { policy: "drop-newest" }) >= 1);
    assert.equal(snapshot.value("holdfast_queued_bytes"), connection.queuedBytes);
    await until(() => measured.snapshot().histogram("holdfast_loop_blocked_seconds").count > 0);
    client.terminate();
  });
});

describe("S4-14 a trace has the frames", () => {
  function traced(): { events: ConnectionEvent[]; observe: (event: ConnectionEvent) => void } {
    const events: ConnectionEvent[] = [];
    return { events, observe: (event) => void events.push(event) };
  }
  const shape = ({ opcode, fin, rsv, masked, length }: FrameEvent): string =>
    `${opcode} ${fin} ${rsv} ${masked} ${length}`;
  const frames = (events: readonly ConnectionEvent[], direction: "in" | "out"): string[] =>
    events
      .filter((event) => event.type === "frame" && event.direction === direction)
      .map((e) => shape(e as FrameEvent));

  for (const { name, protocol, options } of WIRE_PROTOCOLS) {
    it(`S4-14 each frame that one side writes is one that the other reads, on ${name}`, async () => {
      const [mine, theirs] = [traced(), traced()];
      const { client, server } = pair({
        ...{ kind: protocol, ...options },
        client: { observe: mine.observe, trace: true },
        server: { observe: theirs.observe, trace: true },
      });
      await client.send("a text");
      await client.send("x".repeat(70_000));
      await server.receive();
      await server.receive();
      if (protocol === "websocket") {
        await client.send(new Uint8Array(300));
        await server.ping();
        const writer = server.writer("text");
        await writer.write("in ");
        await writer.end("parts");
        await client.receive();
      }
      await Promise.all([client.close(1000, "bye"), server.close(1000, "bye")]);
      assert.deepEqual(frames(mine.events, "out"), frames(theirs.events, "in"));
      assert.deepEqual(frames(theirs.events, "out"), frames(mine.events, "in"));
      const written = frames(mine.events, "out").join();
      const messages =
        protocol === "tcp" ? "1 true 0 false 6,1 true 0 false 70000" : "1 true 0 true 6,1 true 0 true 70000";
      assert.ok(written.startsWith(messages), written);
    });
  }

  it("S4-14 a violation appears as received, and then as the close that it caused", async () => {
    const { events, observe } = traced();
    const { connection, peer, clock } = wired({ connection: { observe, trace: true, closeTimeout: 10 } });
    peer.write(peerFrame({ opcode: 3, payload: "odd", rsv: 4, key: KEY }));
    await clock.advance(10);
    await connection.closed;
    assert.deepEqual(frames(events, "in"), ["3 true 4 true 3"]);
    const [close] = events.slice(-1) as [CloseEvent];
    const { type, code, by, wasClean, cause } = close;
    assert.deepEqual([type, code, by, wasClean], ["close", 1002, "local", false]);
    assert.deepEqual((cause as { clause: string }).clause.slice(0, 8), "RFC 6455");
    assert.ok(close.reason.length > 0);
  });

  it("S4-14 a server's view of a handshake: headers, status, and the reason of a refusal", async () => {
    const { events, observe } = traced();
    await using server = await listen("ws://127.0.0.1:0/live", { observe, subprotocols: ["chat"] }, () => undefined);
    const port = portOf(server);
    const wrong: readonly [string, number, RegExp][] = [
      [upgradeRequest("/live", { Origin: "http://elsewhere.test" }), 403, /origin/i],
      [upgradeRequest("/live", { "Sec-WebSocket-Version": "8" }), 426, /version/i],
      [upgradeRequest("/live", { "Sec-WebSocket-Key": "short" }), 400, /key/i],
    ];
    for (const [request, status, why] of wrong) {
      assert.equal((await refused(port, request)).status, status);
      const event = events.at(-1) as RefusedEvent;
      assert.deepEqual([event.type, event.direction, event.status], ["refused", "in", status]);
      assert.match(event.detail, why);
      assert.equal(event.requestHeaders?.["upgrade"], "websocket");
    }
    await using peer = await RawPeer.to(port);
    peer.write(upgradeRequest("/live", { "Sec-WebSocket-Protocol": "news, chat" }));
    await peer.head();
    const [event] = events.filter((one) => one.type === "accepted") as [AcceptedEvent];
    assert.equal(event.requestHeaders["sec-websocket-protocol"], "news, chat");
    assert.equal(event.responseHeaders["sec-websocket-protocol"], "chat");
  });

  it("S4-14 a client's view of a handshake with a server that is not quite valid", async () => {
    const answers: readonly [string, RegExp][] = [
      ["HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", /accept/i],
      ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", /200/],
      ["HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", /401/],
    ];
    for (const [answer, why] of answers) {
      const { events, observe } = traced();
      await using server = await rawServer(async (peer) => {
        await peer.until(({ text }) => text.endsWith("\r\n\r\n"));
        peer.socket.end(answer);
      });
      const url = `ws://127.0.0.1:${server.port}/path`;
      const status = Number(answer.split(" ")[1]);
      await assert.rejects(connect(url, { observe, headers: { "X-Trace": "yes" } }), { code: "HANDSHAKE", status });
      const [event] = events.filter(({ type }) => type !== "phase") as [RefusedEvent];
      assert.deepEqual([event.type, event.direction, event.status], ["refused", "out", status]);
      assert.match(event.detail, why);
      assert.equal(event.requestHeaders?.["x-trace"], "yes");
      assert.deepEqual(Object.keys(event.responseHeaders ?? {}).length > 0, true);
    }
  });
});
