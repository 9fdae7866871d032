/** S0: silence is bounded, the error names the bound, and a heartbeat distinguishes a silent peer from a dead one. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { type Connection, DEFAULTS, listen, TimeoutError } from "../../src/index.ts";
import { pair, type Wired, wired } from "../../src/testing/index.ts";
import { ChildProgram } from "../kit/child-process.ts";
import { addressOf } from "../kit/connected-pair.ts";
import { framesIn } from "../kit/frames.ts";

/** How a connection ended: by `closed`, and by the Close frame if there is one. */
async function endOf({ connection, peer }: Wired): Promise<{ cause: TimeoutError; code: number; said: string }> {
  const said = connection.kind === "tcp" ? "" : closeReason(peer.received);
  const { cause, code } = await connection.closed;
  assert.ok(cause instanceof TimeoutError, String(cause));
  return { cause, code, said };
}

function closeReason(written: Uint8Array): string {
  const close = framesIn(written).find(({ opcode }) => opcode === 8);
  return close === undefined ? "" : close.payload.subarray(2).toString();
}

const FROZEN_PEER = fileURLToPath(new URL("./frozen-peer.js", import.meta.url));

/** No heartbeat, so that there is an idle limit. */
const IDLE = { heartbeat: { interval: Infinity }, writeTimeout: 10_000, closeTimeout: 1_000 } as const;

describe("S0-6 the end by the idle limit is visible, and is no write timeout", () => {
  for (const [name, kind] of [
    ["WebSocket", {}],
    ["framed TCP", { kind: "tcp", framing: "lines" }],
  ] as const) {
    it(`S0-6 on ${name} the error has idle and read, the configured duration and the actual one`, async () => {
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

  it("S0-6 the error has the actual duration if it was longer than the configured one", async () => {
    const scene = wired({ connection: { ...IDLE, idleTimeout: 1_000 } });
    await scene.clock.block(3_500);
    await scene.clock.advance(1_000);
    const { cause } = await endOf(scene);
    assert.deepEqual([cause.bound, cause.after], [1_000, 3_500]);
  });

  it("S0-6 a write timeout on an idle connection is reported as a write timeout", async () => {
    const scene = wired({ capacity: 16, connection: { ...IDLE, idleTimeout: 120_000 } });
    scene.peer.pause();
    scene.connection.trySend("more than the kernel holds");
    await scene.clock.advance(119_999);
    const { cause } = await endOf(scene);
    assert.deepEqual(
      [cause.operation, cause.limit, cause.bound, cause.after],
      ["write:data", "writeTimeout", 10_000, 10_000],
    );
  });

  it("S0-6 what this side sends does not delay the end: it shows nothing about the peer", async () => {
    const scene = wired({ connection: { ...IDLE, idleTimeout: 1_000 } });
    for (let round = 0; round < 9; round += 1) {
      await scene.connection.send("anyone?");
      await scene.clock.advance(100);
    }
    assert.equal(scene.connection.state, "OPEN");
    await scene.clock.advance(1_100);
    assert.equal((await endOf(scene)).cause.after, 1_000);
  });

  it("S0-6 the default is documented, finite without a heartbeat, and works as documented", async () => {
    const source = readFileSync(new URL("../../../src/connection/options.ts", import.meta.url), "utf8");
    assert.match(
      source,
      /silence of the peer(?:(?!\*\/)[\s\S])*@default off with a heartbeat, else 60_000\s+\*\/\s+readonly idleTimeout/,
    );
    assert.equal(DEFAULTS.connection.idleTimeout, 60_000);
    const tcp = wired({ kind: "tcp" });
    await tcp.clock.advance(60_000 + DEFAULTS.connection.closeTimeout);
    assert.deepEqual((await endOf(tcp)).cause.bound, 60_000);
    const { client, server, clock } = pair();
    await clock.advance(3_600_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
  });
});

describe("S0-7 a heartbeat keeps an idle connection open, and detects a frozen peer", () => {
  const INTERVAL = 25_000;
  const TIMEOUT = 10_000;

  it("S0-7 without traffic of the application both sides stay open, far beyond the idle limit", async () => {
    const { client, server, clock } = pair({
      server: { heartbeat: { interval: INTERVAL, timeout: TIMEOUT }, idleTimeout: 60_000 },
      client: { heartbeat: { interval: Infinity }, idleTimeout: 60_000 },
    });
    await clock.advance(5 * 60_000);
    assert.deepEqual([client.state, server.state], ["OPEN", "OPEN"]);
    await client.send("still here");
    assert.equal(await server.receive(), "still here");
  });

  it("S0-7 on TCP the heartbeat sends a message of the application, and any message answers it", async () => {
    const heartbeat = { interval: INTERVAL, timeout: TIMEOUT, message: "there?" };
    const { client, server, clock } = pair({
      kind: "tcp",
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

  it("S0-7 the bound also holds if the timeout is longer than the interval", async () => {
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
    it(`S0-7 a frozen peer is detected within interval and timeout, on ${protocol}`, async () => {
      const heartbeat = { interval: INTERVAL, timeout: TIMEOUT };
      const asked = protocol === "tcp" ? { ...heartbeat, message: "there?" } : heartbeat;
      const { server, link, clock } = pair({
        kind: protocol,
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

    it(`S0-7 a process under SIGSTOP is detected, although its kernel still acknowledges, on ${protocol}`, {
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
      await using child = new ChildProgram(FROZEN_PEER, [addressOf(server)], { channel: true });
      const connection = await connected;
      await alive;
      assert.equal(connection.state, "OPEN");
      child.signal("SIGSTOP");
      const { cause } = await connection.closed;
      assert.ok(cause instanceof TimeoutError, String(cause));
      assert.deepEqual([cause.operation, cause.limit, cause.bound], ["ping", "heartbeat.timeout", 1_000]);
    });
  }
});
