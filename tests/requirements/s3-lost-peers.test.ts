/** S3: peers that disappear or freeze: each is detected by heartbeat, idle limit, write progress or the kernel. Lost packets: tests/faults. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import {
  type CloseInfo,
  type Connection,
  type ConnectionOptions,
  connect,
  DEFAULTS,
  type KeepAliveOptions,
  TimeoutError,
} from "../../src/index.ts";
import { ManualClock, pair, type WiredOptions, wired } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { SOCKETS_SKIP, socketsOf, untilSockets } from "../kit/kernel-sockets.ts";
import { ServerWithPeers } from "../kit/server-with-peers.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../kit/wire-protocols.ts";

const [WEBSOCKET] = WIRE_PROTOCOLS as [WireProtocol];
const NEVER = { heartbeat: { interval: Infinity }, idleTimeout: Infinity };
const skip = process.platform === "win32" && "Windows has no signals by which a process could be killed or stopped";

const DISTANT_PEER = fileURLToPath(new URL("./distant-peer.js", import.meta.url));

/** A client in another process, which a test can kill and stop. */
function distantPeer({ greeting, message }: WireProtocol, port: number): ChildProgram {
  const said = Buffer.concat([Buffer.from(greeting), message("here I am")]).toString("base64");
  return new ChildProgram(DISTANT_PEER, [String(port), said]);
}

/** A handler that lasts as long as its connection. */
const patient = async ({ closed }: Connection): Promise<void> => void (await closed);

function assertTimedOut({ cause }: CloseInfo, limit: string): void {
  assert.ok(cause instanceof TimeoutError, String(cause));
  assert.equal(cause.limit, limit);
}

describe("S3-1 a peer that disappears without a FIN is detected", () => {
  it("S3-1 within the heartbeat's bound, by both sides, and no read waits for ever", async () => {
    const { client, server, link, clock } = pair();
    const reads = [client, server].map((side) =>
      assert.rejects(side.receive(), { code: "TIMEOUT", operation: "ping" }),
    );
    link.cut();
    await clock.advance(34_999);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
    await clock.advance(1);
    assert.deepEqual([client.state, server.state], ["CLOSED", "CLOSED"]);
    await Promise.all(reads);
    for (const side of [client, server]) assertTimedOut(await side.closed, "heartbeat.timeout");
  });

  it("S3-1 within the heartbeat's bound on framed TCP, where the heartbeat sends a message", async () => {
    const heartbeat = { interval: 1_000, timeout: 500, message: "are you there?" };
    const { client, server, link, clock } = pair({
      kind: "tcp",
      framing: "lines",
      server: { heartbeat },
      client: { heartbeat },
    });
    for (const side of [client, server]) void answerAll(side);
    await clock.advance(10_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"], "as long as they answer");
    link.cut();
    await clock.advance(1_500);
    assert.deepEqual([client.state, server.state], ["CLOSED", "CLOSED"]);
    for (const side of [client, server]) assertTimedOut(await side.closed, "heartbeat.timeout");
  });

  it("S3-1 within idleTimeout without a heartbeat, and then closeTimeout", async () => {
    const { client, server, link, clock } = pair({ kind: "tcp", framing: "lines" });
    const reads = [client, server].map((side) =>
      assert.rejects(side.receive(), { code: "TIMEOUT", limit: "idleTimeout" }),
    );
    link.cut();
    await clock.advance(60_000);
    await Promise.all(reads);
    await clock.advance(5_000);
    assert.deepEqual([client.state, server.state], ["CLOSED", "CLOSED"]);
  });

  for (const wire of WIRE_PROTOCOLS) {
    it(`S3-1 on ${wire.name}, when its process is stopped`, { skip }, async () => {
      const options: ConnectionOptions =
        wire.protocol === "websocket"
          ? { heartbeat: { interval: 500, timeout: 500 } }
          : { idleTimeout: 500, closeTimeout: 30 };
      // Long enough that the peer has sent its message before, also on a busy machine.
      await using scene = await ServerWithPeers.open(wire, options, patient);
      await using peer = distantPeer(wire, scene.port);
      const connection = await scene.arrival();
      assert.equal(await connection.receive(), "here I am");
      peer.signal("SIGSTOP");
      const read = assert.rejects(connection.receive(), { code: "TIMEOUT" });
      assertTimedOut(await connection.closed, wire.protocol === "websocket" ? "heartbeat.timeout" : "idleTimeout");
      await read;
    });
  }
});

/** Answers every message, as a peer on TCP must, which has no Pong. */
async function answerAll(connection: Connection): Promise<void> {
  for (;;) {
    const asked = await connection.receive().catch(() => undefined);
    if (asked === undefined) return;
    if (asked === "are you there?") connection.trySend("yes");
  }
}

describe("S3-15 a server has a finite limit on silence by default", () => {
  it("S3-15 of 25 s and 10 s with a heartbeat, and of 60 s without", () => {
    assert.deepEqual(
      [DEFAULTS.connection.heartbeat, DEFAULTS.connection.idleTimeout],
      [{ interval: 25_000, timeout: 10_000 }, 60_000],
    );
  });

  const cases: readonly [string, WiredOptions, number, string][] = [
    ["on WebSocket", {}, 35_000, "heartbeat.timeout"],
    ["on WebSocket without a heartbeat", { connection: { heartbeat: { interval: Infinity } } }, 60_000, "idleTimeout"],
    ["on framed TCP", { kind: "tcp", framing: "lines" }, 60_000, "idleTimeout"],
  ];
  for (const [which, options, bound, limit] of cases) {
    it(`S3-15 ${which} of a peer that never sends anything`, async () => {
      const { connection, clock } = wired(options);
      await clock.advance(bound - 1);
      assert.equal(connection.state, "OPEN");
      await clock.advance(1);
      assert.notEqual(connection.state, "OPEN");
      await clock.advance(DEFAULTS.connection.closeTimeout);
      assertTimedOut(await connection.closed, limit);
    });
  }
});

describe("S3-18 a killed process sends a FIN or a reset, a lost one nothing", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`S3-18 SIGKILL is detected at once on ${wire.name}, by no time limit`, { skip }, async () => {
      await using scene = await ServerWithPeers.open(wire, NEVER, patient);
      await using peer = distantPeer(wire, scene.port);
      const connection = await scene.arrival();
      assert.equal(await connection.receive(), "here I am");
      // A reset if it had not read the 101 yet.
      const read = assert.rejects(connection.receive(), ({ code }) => ["CLOSED", "TRANSPORT"].includes(code));
      peer.signal("SIGKILL");
      await read;
      if (wire.protocol === "tcp") void connection.close();
      assert.equal((await connection.closed).by, "peer");
    });

    it(`S3-18 SIGKILL with unread bytes is a reset on ${wire.name}`, { skip }, async () => {
      await using scene = await ServerWithPeers.open(wire, NEVER, patient);
      await using peer = distantPeer(wire, scene.port);
      const connection = await scene.arrival();
      assert.equal(await connection.receive(), "here I am");
      peer.signal("SIGSTOP");
      await connection.send("never read");
      const read = assert.rejects(connection.receive(), { code: "TRANSPORT", errno: "ECONNRESET" });
      peer.signal("SIGKILL");
      await read;
      assert.equal((await connection.closed).by, "peer");
    });
  }

  it("S3-18 a lost peer is detected by the heartbeat, although nothing arrived from it", async () => {
    const { server, link, clock } = pair({ server: { heartbeat: { interval: 1_000, timeout: 500 } } });
    link.cut();
    await clock.advance(1_500);
    assert.equal(server.state, "CLOSED");
    assertTimedOut(await server.closed, "heartbeat.timeout");
  });
});

describe("S3-19 TCP keepalive can be set", { skip: SOCKETS_SKIP }, () => {
  const cases: readonly [string, KeepAliveOptions | undefined, number | undefined][] = [
    ["is on by default, after a minute", undefined, 60_000],
    ["is on after the silence that was asked for", { delay: 20_000 }, 20_000],
    ["counts whole seconds, and begins no earlier than asked", { delay: 1_500 }, 2_000],
    ["is on after the least silence that TCP can count", { delay: 1 }, 1_000],
    ["is off when it is never to begin", { delay: Infinity }, undefined],
  ];
  for (const wire of WIRE_PROTOCOLS) {
    for (const [what, keepAlive, delay] of cases) {
      it(`S3-19 it ${what}, on ${wire.name}, on both sides`, async () => {
        const given = keepAlive === undefined ? {} : { keepAlive };
        const since = performance.now();
        await using scene = await ServerWithPeers.open(wire, { ...given, lingerTimeout: 30 }, patient);
        await using client = await connect(scene.server.url, { ...wire.options, ...given });
        await scene.arrival();
        const ports = [scene.port, client.localPort as number] as const;
        for (const [port, peer] of [ports, ports.toReversed()] as [number, number][]) {
          // 1: the last bytes are not acknowledged yet.
          await untilSockets(port, (sockets) =>
            sockets.every(({ peerPort, timer }) => peerPort !== peer || timer !== 1),
          );
          const socket = socketsOf(port).find(({ peerPort }) => peerPort === peer);
          if (delay === undefined) assert.equal(socket?.timer, 0);
          else {
            assert.equal(socket?.timer, 2);
            // A timer that was set when the socket was new. Reading the kernel's table may take seconds.
            const least = delay - (performance.now() - since) - 500;
            assert.ok(socket.expires <= delay && socket.expires > least, `${socket.expires} ms are left`);
          }
        }
      });
    }
  }
});

describe("S3-20 what keepalive does not detect", () => {
  const quiet: ConnectionOptions = { ...NEVER, writeTimeout: 10_000 };

  it("S3-20 data that is never acknowledged: writeTimeout detects it", async () => {
    const { server, link, clock } = pair({ server: quiet, client: NEVER, capacity: 10_000 });
    link.cut();
    const sent = server.send(new Uint8Array(50_000));
    const refused = assert.rejects(sent, {
      code: "TIMEOUT",
      limit: "writeTimeout",
      operation: "write:data",
      retriable: false,
    });
    await clock.advance(9_999);
    assert.equal(server.state, "OPEN");
    await clock.advance(1);
    await refused;
    assert.equal(server.state, "CLOSED");
  });

  it("S3-20 data that the kernel accepted and the peer does not acknowledge: the heartbeat detects it", async () => {
    const { server, link, clock } = pair();
    link.cut();
    await server.send("this fits the kernel's buffer");
    await clock.advance(35_000);
    assert.equal(server.state, "CLOSED");
    assertTimedOut(await server.closed, "heartbeat.timeout");
  });

  for (const wire of WIRE_PROTOCOLS) {
    it(`S3-20 a peer that does not read, on ${wire.name}: writeTimeout detects it`, async () => {
      await using scene = await ServerWithPeers.open(wire, { ...NEVER, writeTimeout: 60 }, patient);
      const { peer, connection } = await scene.peer();
      peer.socket.pause();
      const outcomes: Promise<unknown>[] = [];
      const part = "x".repeat(512 * 1024);
      let failure: unknown;
      while (failure === undefined) {
        const sent = connection.send(part);
        outcomes.push(sent.catch((error: unknown) => error));
        failure = await sent.catch((error: unknown) => error);
      }
      assert.ok(failure instanceof TimeoutError);
      assert.deepEqual([failure.limit, failure.operation], ["writeTimeout", "write:data"]);
      assertTimedOut(await connection.closed, "writeTimeout");
      if (!SOCKETS_SKIP) assert.deepEqual(socketsOf(scene.port), [], "nothing is left to be retransmitted");
    });
  }

  it("S3-20 a frozen process whose kernel still acknowledges: only the heartbeat detects it", {
    skip: skip || SOCKETS_SKIP,
  }, async () => {
    const clock = new ManualClock();
    const options = { heartbeat: { interval: 1_000, timeout: 500 }, keepAlive: { delay: 1_000 }, clock };
    await using scene = await ServerWithPeers.open(WEBSOCKET, options, patient);
    await using peer = distantPeer(WEBSOCKET, scene.port);
    const connection = await scene.arrival();
    assert.equal(await connection.receive(), "here I am");
    peer.signal("SIGSTOP");
    await connection.send("acknowledged, and never read");
    await untilSockets(scene.port, ([socket]) => socket?.unacknowledged === 0);
    await clock.advance(1_000);
    assert.deepEqual([socketsOf(scene.port)[0]?.state, connection.state], ["ESTABLISHED", "OPEN"]);
    await clock.advance(500);
    assertTimedOut(await connection.closed, "heartbeat.timeout");
  });
});
