/** S3: peers that go without a word, or freeze: each is noticed, by heartbeat, idle limit, write progress or the kernel. Lost packets: tests/faults. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
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
} from "../../src/index.js";
import { ManualClock, pair, type WiredOptions, wired } from "../../src/testing/index.js";
import { socketsOf, UNCOUNTED, untilSockets } from "../descriptors.js";
import { Scene } from "./scene.js";
import { SPEECHES, type Speech } from "./speech.js";

const [WEBSOCKET] = SPEECHES as [Speech];
const NEVER = { heartbeat: { interval: Infinity }, idleTimeout: Infinity };
const skip = process.platform === "win32" && "Windows has no signals by which a process could be killed or stopped";

/** A client in a process of its own, which can be killed and stopped as the network's users are. */
class DistantPeer implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;

  constructor({ greeting, message }: Speech, port: number) {
    const program = fileURLToPath(new URL("./distant-peer.js", import.meta.url));
    const said = Buffer.concat([Buffer.from(greeting), message("here I am")]).toString("base64");
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    this.#child = spawn(process.execPath, [program, String(port), said], { env, stdio: "inherit" });
    this.#exited = once(this.#child, "exit");
  }

  signal(name: "SIGKILL" | "SIGSTOP" | "SIGCONT"): void {
    this.#child.kill(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signal("SIGKILL");
    await this.#exited;
  }
}

/** Keeps the connection until it ends. */
const patient = async ({ closed }: Connection): Promise<void> => void (await closed);

function assertTimedOut({ cause }: CloseInfo, limit: string): void {
  assert.ok(cause instanceof TimeoutError, String(cause));
  assert.equal(cause.limit, limit);
}

describe("S3-1 a peer that is gone without a FIN is noticed", () => {
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

  it("S3-1 within the heartbeat's bound on framed TCP, which asks with a message of its own", async () => {
    const heartbeat = { interval: 1_000, timeout: 500, message: "are you there?" };
    const { client, server, link, clock } = pair({
      protocol: "tcp",
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

  it("S3-1 within idleTimeout where there is no heartbeat, and then closeTimeout", async () => {
    const { client, server, link, clock } = pair({ protocol: "tcp", framing: "lines" });
    const reads = [client, server].map((side) =>
      assert.rejects(side.receive(), { code: "TIMEOUT", limit: "idleTimeout" }),
    );
    link.cut();
    await clock.advance(60_000);
    await Promise.all(reads);
    await clock.advance(5_000);
    assert.deepEqual([client.state, server.state], ["CLOSED", "CLOSED"]);
  });

  for (const speech of SPEECHES) {
    it(`S3-1 on ${speech.name}, when its process is stopped`, { skip }, async () => {
      const options: ConnectionOptions =
        speech.protocol === "websocket"
          ? { heartbeat: { interval: 30, timeout: 30 } }
          : { idleTimeout: 30, closeTimeout: 30 };
      await using scene = await Scene.open(speech, options, patient);
      await using peer = new DistantPeer(speech, scene.port);
      const connection = await scene.arrival();
      assert.equal(await connection.receive(), "here I am");
      peer.signal("SIGSTOP");
      const read = assert.rejects(connection.receive(), { code: "TIMEOUT" });
      assertTimedOut(await connection.closed, speech.protocol === "websocket" ? "heartbeat.timeout" : "idleTimeout");
      await read;
    });
  }
});

/** Says something to whatever comes, as a peer without a Ping has to. */
async function answerAll(connection: Connection): Promise<void> {
  for (;;) {
    const asked = await connection.receive().catch(() => undefined);
    if (asked === undefined) return;
    if (asked === "are you there?") connection.trySend("yes");
  }
}

describe("S3-15 a server has a finite limit of silence by default", () => {
  it("S3-15 of 25 s and 10 s with a heartbeat, and of 60 s without", () => {
    assert.deepEqual([DEFAULTS.heartbeat, DEFAULTS.idleTimeout], [{ interval: 25_000, timeout: 10_000 }, 60_000]);
  });

  const cases: readonly [string, WiredOptions, number, string][] = [
    ["on WebSocket", {}, 35_000, "heartbeat.timeout"],
    ["on WebSocket without a heartbeat", { connection: { heartbeat: { interval: Infinity } } }, 60_000, "idleTimeout"],
    ["on framed TCP", { protocol: "tcp", framing: "lines" }, 60_000, "idleTimeout"],
  ];
  for (const [which, options, bound, limit] of cases) {
    it(`S3-15 ${which} of a peer that never says anything`, async () => {
      const { connection, clock } = wired(options);
      await clock.advance(bound - 1);
      assert.equal(connection.state, "OPEN");
      await clock.advance(1);
      assert.notEqual(connection.state, "OPEN");
      await clock.advance(DEFAULTS.closeTimeout);
      assertTimedOut(await connection.closed, limit);
    });
  }
});

describe("S3-18 a killed process sends a FIN or a reset, a lost one nothing", () => {
  for (const speech of SPEECHES) {
    it(`S3-18 SIGKILL is seen at once on ${speech.name}, by no limit of time`, { skip }, async () => {
      await using scene = await Scene.open(speech, NEVER, patient);
      await using peer = new DistantPeer(speech, scene.port);
      const connection = await scene.arrival();
      assert.equal(await connection.receive(), "here I am");
      // A reset if it had not read yet that it was accepted.
      const read = assert.rejects(connection.receive(), ({ code }) => ["CLOSED", "TRANSPORT"].includes(code));
      peer.signal("SIGKILL");
      await read;
      if (speech.protocol === "tcp") void connection.close();
      assert.equal((await connection.closed).by, "peer");
    });

    it(`S3-18 SIGKILL with bytes that it did not read is a reset on ${speech.name}`, { skip }, async () => {
      await using scene = await Scene.open(speech, NEVER, patient);
      await using peer = new DistantPeer(speech, scene.port);
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

  it("S3-18 a lost peer is seen by the heartbeat, though nothing came from it", async () => {
    const { server, link, clock } = pair({ server: { heartbeat: { interval: 1_000, timeout: 500 } } });
    link.cut();
    await clock.advance(1_500);
    assert.equal(server.state, "CLOSED");
    assertTimedOut(await server.closed, "heartbeat.timeout");
  });
});

describe("S3-19 TCP keepalive can be set", { skip: UNCOUNTED }, () => {
  const cases: readonly [string, KeepAliveOptions | undefined, number | undefined][] = [
    ["is on by default, after a minute", undefined, 60_000],
    ["is on after the silence that was asked for", { delay: 20_000 }, 20_000],
    ["counts whole seconds, and begins no earlier than asked", { delay: 1_500 }, 2_000],
    ["is on after the least silence that TCP can count", { delay: 1 }, 1_000],
    ["is off when it is never to begin", { delay: Infinity }, undefined],
  ];
  for (const speech of SPEECHES) {
    for (const [what, keepAlive, delay] of cases) {
      it(`S3-19 it ${what}, on ${speech.name}, at both ends`, async () => {
        const given = keepAlive === undefined ? {} : { keepAlive };
        const since = performance.now();
        await using scene = await Scene.open(speech, { ...given, lingerTimeout: 30 }, patient);
        await using client = await connect(scene.server.url, { ...speech.options, ...given });
        await scene.arrival();
        const ports = [scene.port, Number(client.localAddress.split(":")[1])] as const;
        for (const [port, peer] of [ports, ports.toReversed()] as [number, number][]) {
          // 1: what was sent last has yet to be acknowledged.
          await untilSockets(port, (sockets) =>
            sockets.every(({ peerPort, timer }) => peerPort !== peer || timer !== 1),
          );
          const socket = socketsOf(port).find(({ peerPort }) => peerPort === peer);
          if (delay === undefined) assert.equal(socket?.timer, 0);
          else {
            assert.equal(socket?.timer, 2);
            // A timer that was set when the socket was new. To read the kernel's table may take seconds.
            const least = delay - (performance.now() - since) - 500;
            assert.ok(socket.expires <= delay && socket.expires > least, `${socket.expires} ms are left`);
          }
        }
      });
    }
  }
});

describe("S3-20 what keepalive does not see", () => {
  const quiet: ConnectionOptions = { ...NEVER, writeTimeout: 10_000 };

  it("S3-20 data that is never acknowledged: the write's progress is bounded", async () => {
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

  it("S3-20 data that the kernel took and nobody acknowledges: the heartbeat asks", async () => {
    const { server, link, clock } = pair();
    link.cut();
    await server.send("this fits the kernel's buffer");
    await clock.advance(35_000);
    assert.equal(server.state, "CLOSED");
    assertTimedOut(await server.closed, "heartbeat.timeout");
  });

  for (const speech of SPEECHES) {
    it(`S3-20 a peer that does not read, on ${speech.name}: the write's progress is bounded`, async () => {
      await using scene = await Scene.open(speech, { ...NEVER, writeTimeout: 60 }, patient);
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
      if (!UNCOUNTED) assert.deepEqual(socketsOf(scene.port), [], "nothing is left to be retransmitted");
    });
  }

  it("S3-20 a frozen process whose kernel still acknowledges: only the heartbeat sees it", {
    skip: skip || UNCOUNTED,
  }, async () => {
    const clock = new ManualClock();
    const options = { heartbeat: { interval: 1_000, timeout: 500 }, keepAlive: { delay: 1_000 }, clock };
    await using scene = await Scene.open(WEBSOCKET, options, patient);
    await using peer = new DistantPeer(WEBSOCKET, scene.port);
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
