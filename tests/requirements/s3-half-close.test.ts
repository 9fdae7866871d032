/** S3: the peer's FIN, what may still be sent after it, and that no socket stays in CLOSE_WAIT. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type ConnectionEvent,
  isConnectionError,
  type Message,
  type MetricsSnapshot,
  metrics,
} from "../../src/index.ts";
import { pair, settled, wired } from "../../src/testing/index.ts";
import { deferred } from "../kit/deferred.ts";
import { SOCKETS_SKIP, socketsOf, untilSockets } from "../kit/kernel-sockets.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const NEVER = { heartbeat: { interval: Infinity }, idleTimeout: Infinity };
const [WEBSOCKET, TCP] = WIRE_PROTOCOLS as [WireProtocol, WireProtocol];

/** A handler that never returns, and keeps nothing alive. */
const stuck = (): Promise<void> => new Promise(() => undefined);

describe("S3-10 the peer's FIN is visible before this side has closed", () => {
  it("S3-10 with the time since it arrived, and as an event", async () => {
    const events: string[] = [];
    const observe = ({ type }: ConnectionEvent): number => events.push(type);
    const { connection, peer, clock } = wired({ kind: "tcp", connection: { observe } });
    assert.equal(connection.peerEndedFor, undefined);
    peer.end();
    await settled();
    assert.equal(connection.peerEndedFor, 0);
    await clock.advance(1_234);
    assert.equal(connection.peerEndedFor, 1_234);
    assert.equal(connection.state, "OPEN", "it can still send");
    assert.deepEqual(events, ["open", "peerEnded"]);
  });

  it("S3-10 while the kernel calls it CLOSE_WAIT", { skip: SOCKETS_SKIP }, async () => {
    const ended = deferred();
    const observe = ({ type }: ConnectionEvent): void => void (type === "peerEnded" && ended.resolve());
    await using scene = await ServerWithPeers.open(TCP, { observe }, stuck);
    const { peer, connection } = await scene.peer();
    assert.equal(connection.peerEndedFor, undefined);
    peer.socket.end();
    await ended.promise;
    assert.ok((connection.peerEndedFor ?? -1) >= 0);
    assert.deepEqual(
      socketsOf(scene.port).map(({ state }) => state),
      ["CLOSE_WAIT"],
    );
  });
});

describe("S3-11 after the peer's FIN the answer still arrives, complete", () => {
  const part = "x".repeat(256 * 1024);

  it("S3-11 on framed TCP, also what is sent only then", async () => {
    await using scene = await ServerWithPeers.open(TCP, { allowHalfOpen: true }, async (connection) => {
      const requests: Message[] = [];
      for await (const request of connection) requests.push(request);
      assert.notEqual(connection.peerEndedFor, undefined);
      for (let sent = 0; sent < 32; sent += 1) await connection.send(`${requests.join()} ${sent} ${part}`);
    });
    const { peer, connection } = await scene.peer();
    // Until the server's writes wait, so that most of the answer is sent long after the FIN.
    peer.socket.pause();
    peer.write(TCP.message("request"));
    peer.socket.end();
    while (connection.queuedBytes === 0) await new Promise(setImmediate);
    peer.socket.resume();
    await peer.until(({ ended }) => ended);
    const expected = Array.from({ length: 32 }, (_, sent) => `request ${sent} ${part}`);
    assert.deepEqual(TCP.messages(peer.bytes), expected);
    assert.equal((await connection.closed).wasClean, true);
  });

  it("S3-11 on WebSocket, where the FIN begins the end, what was sent before", async () => {
    const sent: Promise<void>[] = [];
    await using scene = await ServerWithPeers.open(WEBSOCKET, { maxQueuedBytes: Infinity }, async (connection) => {
      await connection.receive();
      for (let index = 0; index < 32; index += 1) sent.push(connection.send(`${index} ${part}`));
      await connection.closed;
    });
    const { peer, connection } = await scene.peer();
    peer.socket.pause();
    peer.write(WEBSOCKET.message("request"));
    while (connection.queuedBytes === 0) await new Promise(setImmediate);
    peer.socket.end();
    while (connection.peerEndedFor === undefined) await new Promise(setImmediate);
    peer.socket.resume();
    await peer.until(({ ended }) => ended);
    await Promise.all(sent);
    assert.deepEqual(
      WEBSOCKET.messages(peer.bytes),
      Array.from({ length: 32 }, (_, index) => `${index} ${part}`),
    );
    const { code, wasClean, by } = await connection.closed;
    assert.deepEqual({ code, wasClean, by }, { code: 1006, wasClean: false, by: "peer" });
  });
});

it("S3-11 an answer that gets a reset is no clean end, on framed TCP", async () => {
  const asked = deferred();
  await using scene = await ServerWithPeers.open(TCP, {}, async (connection) => {
    await asked.promise;
    // The kernel accepts it, and detects only then that the peer is gone.
    await connection.send("too late");
  });
  const { peer, connection } = await scene.peer();
  peer.socket.end();
  while (connection.peerEndedFor === undefined) await new Promise(setImmediate);
  await peer[Symbol.asyncDispose]();
  asked.resolve();
  const { wasClean, cause } = await connection.closed;
  assert.deepEqual([wasClean, isConnectionError(cause) && cause.code], [false, "TRANSPORT"]);
});

describe("S3-12 after the peer's FIN ours follows within `lingerTimeout`", () => {
  it("S3-12 although the application does nothing", async () => {
    const { connection, peer, clock } = wired({ kind: "tcp", connection: { lingerTimeout: 1_000 } });
    peer.end();
    await clock.advance(999);
    assert.deepEqual([peer.ended, connection.state], [false, "OPEN"]);
    await clock.advance(1);
    assert.deepEqual([peer.ended, peer.closed, connection.state], [true, true, "CLOSED"]);
    assert.deepEqual(await connection.closed, { code: 1000, reason: "", by: "peer", wasClean: true, cause: undefined });
  });

  it("S3-12 after the queued messages", async () => {
    const { connection, peer, clock } = wired({ kind: "tcp", framing: "lines", capacity: 1_000 });
    peer.pause();
    const sent = connection.send("x".repeat(5_000));
    peer.end();
    await clock.advance(3_000);
    assert.equal(peer.ended, false);
    await assert.rejects(connection.send("y"), { code: "CLOSED" }, "the connection has begun to close");
    peer.resume();
    await sent;
    await peer.until(({ ended }) => ended);
    assert.equal(peer.received.length, 5_001);
    assert.equal((await connection.closed).wasClean, true);
  });

  it("S3-12 and if the queued messages cannot be written, the connection is terminated", async () => {
    const options = { lingerTimeout: 1_000, closeTimeout: 500, writeTimeout: Infinity };
    const { connection, peer, clock } = wired({ kind: "tcp", capacity: 1_000, connection: options });
    peer.pause();
    const refused = assert.rejects(connection.send(new Uint8Array(5_000)), { code: "TIMEOUT", limit: "closeTimeout" });
    peer.end();
    await clock.advance(1_499);
    assert.notEqual(connection.state, "CLOSED");
    await clock.advance(1);
    await refused;
    assert.equal(connection.state, "CLOSED");
  });

  it("S3-12 on WebSocket at once, since without a Close frame nothing can follow", async () => {
    const { connection, peer, clock } = wired();
    peer.end();
    await settled();
    assert.deepEqual([peer.ended, connection.state], [true, "CLOSED"]);
    await clock.advance(60_000);
  });

  it("S3-12 on WebSocket, queued messages have no more time than that", async () => {
    const options = { lingerTimeout: 1_000, closeTimeout: 500, writeTimeout: Infinity };
    const { connection, peer, clock } = wired({ capacity: 1_000, connection: options });
    peer.pause();
    const refused = assert.rejects(connection.send(new Uint8Array(5_000)), { code: "TIMEOUT", limit: "lingerTimeout" });
    peer.end();
    await clock.advance(999);
    assert.equal(connection.state, "CLOSING");
    await clock.advance(1);
    await refused;
    assert.equal(connection.state, "CLOSED");
  });

  it("S3-12 a close in progress keeps its own bound when the FIN arrives", async () => {
    const options = { lingerTimeout: 1_000, closeTimeout: 500, writeTimeout: Infinity };
    const { connection, peer, clock } = wired({ capacity: 1_000, connection: options });
    peer.pause();
    const refused = assert.rejects(connection.send(new Uint8Array(5_000)), { code: "TIMEOUT", limit: "closeTimeout" });
    void connection.close();
    await clock.advance(499);
    peer.end();
    await clock.advance(1);
    await refused;
    assert.equal(connection.state, "CLOSED");
  });

  it("S3-12 a call that is pending at a terminate behind the FIN gets the error of the FIN, as closed does", async () => {
    const { connection, peer } = wired({ capacity: 1_000, connection: { writeTimeout: Infinity } });
    peer.pause();
    const rejected = connection.send(new Uint8Array(5_000)).catch((error: unknown) => error);
    void connection.close();
    peer.end();
    await settled();
    connection.terminate();
    assert.equal(await rejected, (await connection.closed).cause);
  });

  it("S3-12 at once, when a hook has handled all messages", async () => {
    const taken: Message[] = [];
    const message = (_: unknown, data: Message): number => taken.push(data);
    const { connection, peer } = wired({
      kind: "tcp",
      framing: "lines",
      connection: { message: (c, data) => void message(c, data) },
    });
    peer.write("one\ntwo\n");
    peer.end();
    await settled();
    assert.deepEqual(taken, ["one", "two"]);
    assert.deepEqual([peer.ended, connection.state], [true, "CLOSED"]);
  });

  for (const wire of WIRE_PROTOCOLS) {
    it(`S3-12 for the kernel: no socket stays in CLOSE_WAIT, on ${wire.name}`, { skip: SOCKETS_SKIP }, async () => {
      await using scene = await ServerWithPeers.open(wire, { lingerTimeout: 30, closeTimeout: 30 }, stuck);
      const { peer, connection } = await scene.peer();
      peer.socket.end();
      await untilSockets(scene.port, (sockets) => sockets.every(({ state }) => state !== "ESTABLISHED"));
      await peer.until(({ ended }) => ended);
      await connection.closed;
      await untilSockets(scene.port, (sockets) => sockets.length === 0);
      assert.equal(scene.server.connections.size, 0);
    });
  }
});

describe("S3-13 a FIN is detected while reading is paused", () => {
  const many = Array.from({ length: 1_000 }, (_, index) => `message ${index}`);

  for (const wire of WIRE_PROTOCOLS) {
    const { protocol, options } = wire;
    const paused = { ...options, maxInboxMessages: 2 };

    it(`S3-13 within pauseTimeout, on ${wire.name} in memory`, async () => {
      const { connection, peer, clock } = wired({
        ...{ kind: protocol, ...options },
        connection: { maxInboxMessages: 2, pauseTimeout: 1_000 },
      });
      peer.write(Buffer.concat(many.map((text) => wire.message(text))));
      peer.end();
      await clock.advance(999);
      assert.equal(connection.state, "OPEN");
      await clock.advance(1);
      assert.equal(connection.state, "CLOSED");
      const { cause } = await connection.closed;
      assert.deepEqual({ ...(cause as object), limit: "pauseTimeout", bound: 1_000 }, { ...(cause as object) });
      assert.equal(peer.ended, true);
    });

    // What Node does not report while a paused socket has unread bytes: its `end`, and before 22 a reset.
    const unread = "x".repeat(300_000).match(/.{1000}/g) ?? [];
    for (const [what, leave] of [
      ["FIN", (peer: { socket: { end(): void } }) => peer.socket.end()],
      ["reset", (peer: { socket: { resetAndDestroy(): void } }) => peer.socket.resetAndDestroy()],
    ] as const) {
      it(`S3-13 within pauseTimeout although much is unread: a ${what} on ${wire.name}`, async () => {
        const pauses = deferred();
        const observe = ({ type }: ConnectionEvent): void => void (type === "pause" && pauses.resolve());
        await using scene = await ServerWithPeers.open(
          wire,
          { ...paused, observe, pauseTimeout: 40, closeTimeout: 40, lingerTimeout: 40 },
          stuck,
        );
        const { peer, connection } = await scene.peer();
        for (const text of unread) peer.write(wire.message(text));
        await pauses.promise;
        leave(peer);
        const { cause, wasClean } = await connection.closed;
        assert.equal(wasClean, false);
        // Later Nodes read further in advance, and may detect the reset before.
        if (what === "reset" && isConnectionError(cause) && cause.code === "TRANSPORT") return;
        assert.deepEqual({ ...(cause as object), limit: "pauseTimeout", bound: 40 }, { ...(cause as object) });
        if (!SOCKETS_SKIP) {
          await untilSockets(scene.port, (sockets) => sockets.every(({ state }) => state !== "CLOSE_WAIT"));
        }
      });
    }

    it(`S3-13 within lingerTimeout after it was detected, on ${wire.name} in memory`, async () => {
      const events: string[] = [];
      const { connection, peer, clock } = wired({
        ...{ kind: protocol, ...options },
        connection: {
          ...{ maxInboxMessages: 2, lingerTimeout: 1_000, closeTimeout: 1 },
          observe: ({ type }) => void (/frame/.test(type) || events.push(type)),
        },
      });
      for (const text of many.slice(0, 4)) peer.write(wire.message(text));
      await clock.advance(500);
      assert.equal(connection.peerEndedFor, undefined);
      peer.end();
      await clock.advance(999);
      assert.deepEqual([connection.state, connection.peerEndedFor], ["OPEN", 999]);
      await clock.advance(2);
      const { cause, wasClean } = await connection.closed;
      assert.deepEqual(
        { ...(cause as object), limit: "lingerTimeout", operation: "receive", bound: 1_000, after: 1_000 },
        { ...(cause as object) },
      );
      assert.equal(wasClean, false);
      assert.deepEqual(events.slice(0, 3), ["open", "pause", "peerEnded"]);
      assert.equal(events.filter((type) => type === "peerEnded").length, 1);
    });

    it(`S3-13 but an application that continues to receive loses nothing, on ${wire.name} in memory`, async () => {
      const { connection, peer, clock } = wired({
        ...{ kind: protocol, ...options },
        connection: { maxInboxMessages: 2, lingerTimeout: 1_000 },
      });
      for (const text of many.slice(0, 12)) peer.write(wire.message(text));
      peer.write(wire.farewell);
      peer.end();
      const taken: Message[] = [];
      for (let message = 0; message < 12; message += 1) {
        await clock.advance(400);
        taken.push(await connection.receive());
      }
      assert.deepEqual(taken, many.slice(0, 12));
      await clock.advance(1_000);
      assert.equal((await connection.closed).wasClean, true);
    });

    it(`S3-13 within lingerTimeout, although only the kernel has it, on ${wire.name}`, {
      skip: SOCKETS_SKIP,
    }, async () => {
      const told: string[] = [];
      const options = { ...paused, ...NEVER, pauseTimeout: Infinity, closeTimeout: 40, lingerTimeout: 40 };
      const observe = ({ type }: ConnectionEvent): number => told.push(type);
      await using scene = await ServerWithPeers.open(wire, { ...options, observe }, stuck);
      const { peer, connection } = await scene.peer();
      // No more than the window allows, or the FIN would wait at the peer.
      for (const text of unread.slice(0, 100)) peer.write(wire.message(text));
      peer.socket.end();
      const { cause, wasClean } = await connection.closed;
      assert.deepEqual({ ...(cause as object), limit: "lingerTimeout", bound: 40 }, { ...(cause as object) });
      assert.equal(wasClean, false);
      assert.ok(told.includes("peerEnded"));
      await untilSockets(scene.port, (sockets) => sockets.every(({ state }) => state !== "CLOSE_WAIT"));
    });

    it(`S3-13 a reset behind unread bytes is detected, too, on ${wire.name}`, {
      skip: SOCKETS_SKIP,
    }, async () => {
      const pauses = deferred();
      const observe = ({ type }: ConnectionEvent): void => void (type === "pause" && pauses.resolve());
      await using scene = await ServerWithPeers.open(
        wire,
        { ...paused, ...NEVER, observe, pauseTimeout: Infinity },
        stuck,
      );
      const { peer, connection } = await scene.peer();
      for (const text of unread) peer.write(wire.message(text));
      await pauses.promise;
      peer.socket.resetAndDestroy();
      const { cause } = await connection.closed;
      assert.equal(isConnectionError(cause) && cause.code, "TRANSPORT");
    });

    it(`S3-13 and messages before it are not lost, on ${wire.name}`, async () => {
      const taken: Message[] = [];
      const begun = deferred();
      await using scene = await ServerWithPeers.open(wire, paused, async (connection) => {
        await begun.promise;
        for await (const message of connection) taken.push(message);
      });
      const { peer, connection } = await scene.peer();
      // In one chunk, so that the socket has no unread bytes and its FIN is detected at once.
      peer.write(Buffer.concat([...many.map((text) => wire.message(text)), wire.farewell]));
      peer.socket.end();
      while (connection.peerEndedFor === undefined) await new Promise(setImmediate);
      assert.equal(connection.state, "OPEN", "nothing has been taken yet");
      begun.resolve();
      const { wasClean, cause } = await connection.closed;
      assert.deepEqual(taken, many);
      assert.deepEqual({ wasClean, cause }, { wasClean: true, cause: undefined });
    });

    it(`S3-13 and a message that it truncates is no clean end, on ${wire.name}`, async () => {
      const taken: Message[] = [];
      const begun = deferred();
      await using scene = await ServerWithPeers.open(wire, paused, async (connection) => {
        await begun.promise;
        for await (const message of connection) taken.push(message);
      });
      const { peer, connection } = await scene.peer();
      const bytes = Buffer.concat(many.map((text) => wire.message(text)));
      peer.socket.end(bytes.subarray(0, -3));
      while (connection.peerEndedFor === undefined) await new Promise(setImmediate);
      begun.resolve();
      const { wasClean, cause } = await connection.closed;
      assert.deepEqual(taken, many.slice(0, -1));
      assert.equal(wasClean, false);
      assert.deepEqual({ ...(cause as object), clause: "unexpected-eof" }, { ...(cause as object) });
    });
  }

  it("S3-13 between two connections", async () => {
    const { client, server, clock } = pair({
      kind: "tcp",
      framing: "lines",
      server: { maxInboxMessages: 2, pauseTimeout: 1_000, lingerTimeout: 1_000 },
    });
    for (const text of many) void client.send(text).catch(() => undefined);
    void client.close();
    await clock.advance(10_000);
    assert.deepEqual([server.state, client.state], ["CLOSED", "CLOSED"]);
  });
});

describe("S3-14 many peers that have ended are visible", () => {
  /** A server of TCP whose handlers do not end, and `count` peers that have sent their FIN. */
  async function leaking(
    count: number,
    use: (read: () => MetricsSnapshot, events: readonly ConnectionEvent[]) => Promise<void>,
  ): Promise<void> {
    const events: ConnectionEvent[] = [];
    const options = { ...NEVER, lingerTimeout: 60_000, observe: (event: ConnectionEvent) => void events.push(event) };
    await using scene = await ServerWithPeers.open(TCP, options, stuck);
    for (let opened = 0; opened < count; opened += 1) {
      const { peer } = await scene.peer();
      peer.socket.end();
    }
    const read = (): MetricsSnapshot => metrics(scene.server).snapshot();
    while (read().value("holdfast_peer_ended_connections") < count) await new Promise(setImmediate);
    await use(read, events);
  }

  it("S3-14 as the metric of connections whose peer has ended", async () => {
    await leaking(5, async (read) => {
      assert.equal(read().value("holdfast_peer_ended_connections", { role: "server" }), 5);
      assert.equal(read().value("holdfast_connections", { role: "server", state: "open" }), 5);
    });
  });

  it("S3-14 as the time of the oldest FIN", async () => {
    const before = Date.now() / 1_000;
    await leaking(2, async (read) => {
      const oldest = read().value("holdfast_peer_ended_oldest_timestamp_seconds", { role: "server" });
      assert.ok(oldest >= before - 1 && oldest <= Date.now() / 1_000 + 1, `${oldest}`);
    });
  });

  it("S3-14 by an event for each, for an alarm", async () => {
    await leaking(3, async (_, events) => {
      assert.equal(events.filter(({ type }) => type === "peerEnded").length, 3);
    });
  });
});
