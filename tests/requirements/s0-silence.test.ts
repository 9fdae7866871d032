/** S0: silence is bounded, the bound says what it was, and a heartbeat tells a silent peer from a dead one. */

import assert from "node:assert/strict";
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, DEFAULTS, listen, TimeoutError } from "../../src/index.js";
import { pair, type Wired, wired } from "../../src/testing/index.js";
import { framesIn } from "../frames.js";
import { addressOf } from "./joined.js";

/** How the end of a connection was told: by `closed`, and on the wire if there is a word for it. */
async function endOf({ connection, wire }: Wired): Promise<{ cause: TimeoutError; code: number; said: string }> {
  const said = connection.protocol === "tcp" ? "" : closeReason(wire.received);
  const { cause, code } = await connection.closed;
  assert.ok(cause instanceof TimeoutError, String(cause));
  return { cause, code, said };
}

function closeReason(written: Uint8Array): string {
  const close = framesIn(written).find(({ opcode }) => opcode === 8);
  return close === undefined ? "" : close.payload.subarray(2).toString();
}

/** No heartbeat, so that there is an idle limit. */
const IDLE = { heartbeat: { interval: Infinity }, writeTimeout: 10_000, closeTimeout: 1_000 } as const;

describe("S0-6 the idle cut-off is visible, and is no write timeout", () => {
  for (const [name, kind] of [
    ["WebSocket", {}],
    ["framed TCP", { protocol: "tcp", framing: "lines" }],
  ] as const) {
    it(`S0-6 on ${name} it says idle and read, how long was configured, and how long it was`, async () => {
      const scene = wired({ ...kind, connection: { ...IDLE, idleTimeout: 120_000 } });
      await scene.clock.advance(119_999);
      assert.equal(scene.connection.state, "OPEN");
      await scene.clock.advance(1_001);
      const { cause, code, said } = await endOf(scene);
      const { operation, limit, bound, after, retriable } = cause;
      assert.deepEqual(
        [operation, limit, bound, after, retriable],
        ["receive", "idleTimeout", 120_000, 120_000, false],
      );
      assert.equal(code, 1001);
      if (name === "WebSocket") assert.match(said, /receive: idleTimeout of 120000 ms/);
    });
  }

  it("S0-6 the actual duration is told when it was longer than what is configured", async () => {
    const scene = wired({ connection: { ...IDLE, idleTimeout: 1_000 } });
    await scene.clock.block(3_500);
    await scene.clock.advance(1_000);
    const { cause } = await endOf(scene);
    assert.deepEqual([cause.bound, cause.after], [1_000, 3_500]);
  });

  it("S0-6 a write timeout on an idle connection is told as one", async () => {
    const scene = wired({ capacity: 16, connection: { ...IDLE, idleTimeout: 120_000 } });
    scene.wire.pause();
    scene.connection.trySend("more than the kernel holds");
    await scene.clock.advance(119_999);
    const { cause } = await endOf(scene);
    assert.deepEqual(
      [cause.operation, cause.limit, cause.bound, cause.after],
      ["write:data", "writeTimeout", 10_000, 10_000],
    );
  });

  it("S0-6 our own sends are no sign of the peer: they do not put the cut-off off", async () => {
    const scene = wired({ connection: { ...IDLE, idleTimeout: 1_000 } });
    for (let round = 0; round < 9; round += 1) {
      await scene.connection.send("anyone?");
      await scene.clock.advance(100);
    }
    assert.equal(scene.connection.state, "OPEN");
    await scene.clock.advance(1_100);
    assert.equal((await endOf(scene)).cause.after, 1_000);
  });

  it("S0-6 the default is documented, finite where there is no heartbeat, and what is said of it is what happens", async () => {
    const source = readFileSync(new URL("../../../src/connection/options.ts", import.meta.url), "utf8");
    assert.match(
      source,
      /silence of the peer[^*]*@default off with a heartbeat, else 60_000 \*\/\s+readonly idleTimeout/,
    );
    assert.equal(DEFAULTS.idleTimeout, 60_000);
    const tcp = wired({ protocol: "tcp" });
    await tcp.clock.advance(60_000 + DEFAULTS.closeTimeout);
    assert.deepEqual((await endOf(tcp)).cause.bound, 60_000);
    const { client, server, clock } = pair();
    await clock.advance(3_600_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
  });
});

describe("S0-7 a heartbeat keeps a long-idle connection, and finds a frozen peer", () => {
  const INTERVAL = 25_000;
  const TIMEOUT = 10_000;

  it("S0-7 without any traffic of the application both ends live on, far beyond the idle limit", async () => {
    const { client, server, clock } = pair({
      server: { heartbeat: { interval: INTERVAL, timeout: TIMEOUT }, idleTimeout: 60_000 },
      client: { heartbeat: { interval: Infinity }, idleTimeout: 60_000 },
    });
    await clock.advance(5 * 60_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
    await client.send("still here");
    assert.equal(await server.receive(), "still here");
  });

  it("S0-7 on TCP a message of the application's choice asks, and any answer will do", async () => {
    const heartbeat = { interval: INTERVAL, timeout: TIMEOUT, message: "there?" };
    const { client, server, clock } = pair({
      protocol: "tcp",
      framing: "lines",
      server: { heartbeat, idleTimeout: 60_000 },
      client: { idleTimeout: 60_000, message: (connection) => void connection.trySend("yes") },
    });
    const heard: unknown[] = [];
    const reading = (async () => {
      for await (const message of server) heard.push(message);
    })();
    await clock.advance(5 * 60_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
    assert.equal(heard.length, 12);
    server.terminate();
    await assert.rejects(reading);
  });

  it("S0-7 the bound holds, too, where the timeout is longer than the interval", async () => {
    let pings = 0;
    const { server, link, clock } = pair({
      server: { heartbeat: { interval: 50, timeout: 5_000 } },
      client: {
        ping: () => {
          pings += 1;
        },
      },
    });
    await clock.advance(1_000);
    assert.equal(pings, 20, "each after the same silence");
    link.freeze("client");
    await clock.advance(5_049);
    assert.equal(server.state, "OPEN");
    await clock.advance(1);
    assert.equal(server.state, "CLOSED");
  });

  for (const protocol of ["websocket", "tcp"] as const) {
    it(`S0-7 a peer that froze is given up within interval and timeout, on ${protocol}`, async () => {
      const heartbeat = { interval: INTERVAL, timeout: TIMEOUT };
      const asked = protocol === "tcp" ? { ...heartbeat, message: "there?" } : heartbeat;
      const { server, link, clock } = pair({
        protocol,
        framing: "lines",
        server: { heartbeat: asked },
        client: { message: (connection) => void connection.trySend("yes") },
      });
      await clock.advance(10 * INTERVAL + 1);
      assert.equal(server.state, "OPEN");
      link.freeze("client");
      await clock.advance(INTERVAL + TIMEOUT);
      assert.equal(server.state, "CLOSED");
      const { cause, wasClean } = await server.closed;
      assert.ok(cause instanceof TimeoutError);
      assert.deepEqual([cause.operation, cause.limit, cause.bound], ["ping", "heartbeat.timeout", TIMEOUT]);
      assert.ok(cause.after <= INTERVAL + TIMEOUT, `${cause.after} ms`);
      assert.equal(wasClean, false);
    });

    it(`S0-7 a process under SIGSTOP is one, although its kernel goes on, on ${protocol}`, {
      skip: process.platform === "win32" && "there is no SIGSTOP on Windows",
    }, async () => {
      let answers = 0;
      let accepted!: (connection: Connection) => void;
      let answered!: () => void;
      const connected = new Promise<Connection>((resolve) => {
        accepted = resolve;
      });
      const alive = new Promise<void>((resolve) => {
        answered = resolve;
      });
      const heard = (): void => {
        answers += 1;
        if (answers === 5) answered();
      };
      const heartbeat = { interval: 50, timeout: 1_000 };
      const tcp = protocol === "tcp";
      await using server = await listen(tcp ? "tcp://127.0.0.1:0" : "ws://127.0.0.1:0", {
        ...(tcp && { framing: "lines" as const }),
        heartbeat: tcp ? { ...heartbeat, message: "there?" } : heartbeat,
        open: accepted,
        pong: heard,
        message: heard,
      });
      const child = forked("./frozen-peer.js", addressOf(server));
      try {
        const connection = await connected;
        await alive;
        assert.equal(connection.state, "OPEN");
        child.kill("SIGSTOP");
        const { cause } = await connection.closed;
        assert.ok(cause instanceof TimeoutError, String(cause));
        assert.deepEqual([cause.operation, cause.limit, cause.bound], ["ping", "heartbeat.timeout", 1_000]);
      } finally {
        const gone = once(child, "exit");
        child.kill("SIGKILL");
        await gone;
      }
    });
  }
});

function forked(module: string, ...args: string[]): ChildProcess {
  return fork(fileURLToPath(new URL(module, import.meta.url)), args, { stdio: "inherit" });
}
