/** The phases of `connect`: each fails under its name, is bounded, can be cancelled, and leaves nothing behind. */

import assert from "node:assert/strict";
import dns from "node:dns";
import { once } from "node:events";
import { syncBuiltinESMExports } from "node:module";
import { connect as dial, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  type ConnectOptions,
  type ConnectPhase,
  connect,
  HandshakeError,
  TimeoutError,
  TransportError,
} from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { ChildProgram } from "../../kit/child-process.ts";
import { openSockets, socketsDownTo } from "../../kit/kernel-sockets.ts";
import { type RawPeer, rawServer } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };

/** A peer that stops the progress of connecting in one phase. */
interface Stall extends AsyncDisposable {
  readonly url: string;
  /** Resolves when an attempt has reached that phase. */
  readonly reached: Promise<unknown>;
}

/** A resolver that does not answer for this name. */
async function dnsStall(t: TestContext): Promise<Stall> {
  let tell: () => void;
  const reached = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const original = dns.lookup as (...args: unknown[]) => void;
  const lookup = t.mock.method(dns, "lookup", (...args: unknown[]) => {
    if (args[0] === "nobody.invalid") tell();
    else original(...args);
  });
  syncBuiltinESMExports();
  return {
    url: "ws://nobody.invalid:9",
    reached,
    [Symbol.asyncDispose]: async () => {
      lookup.mock.restore();
      syncBuiltinESMExports();
    },
  };
}

const BUSY_SERVER = `
  const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
    require("node:fs").writeSync(1, String(server.address().port));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  });`;

/** A server that does not accept, and whose kernel's queue is full: our SYN is not answered. */
async function tcpStall(): Promise<Stall> {
  const server = new ChildProgram("-e", [BUSY_SERVER]);
  await server.until((stdout) => stdout !== "");
  const port = Number(server.stdout);
  const waiting: Socket[] = [];
  // Linux accepts one more than the backlog.
  for (let place = 0; place < 2; place += 1) {
    const socket = dial({ port, host: "127.0.0.1" }).on("error", () => undefined);
    waiting.push(socket);
    await once(socket, "connect");
  }
  return {
    url: `ws://127.0.0.1:${port}`,
    reached: Promise.resolve(),
    [Symbol.asyncDispose]: async () => {
      for (const socket of waiting) socket.destroy();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A server that accepts a connection and sends nothing. */
async function silence(scheme: "wss" | "tls" | "ws"): Promise<Stall> {
  let tell: () => void;
  const reached = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const server = await rawServer((peer) => {
    peer.socket.once("data", () => tell());
    peer.socket.once("end", () => peer.socket.destroy());
  });
  return {
    url: `${scheme}://127.0.0.1:${server.port}`,
    reached,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

const STALLS: Record<
  string,
  { phase: ConnectPhase; stall: (t: TestContext) => Promise<Stall>; skip?: string | false }
> = {
  "a resolver that does not answer": { phase: "dns", stall: dnsStall },
  "a kernel that does not answer": {
    phase: "tcp",
    stall: tcpStall,
    skip: process.platform !== "linux" && "a full queue of a listener stalls only Linux",
  },
  "a server that does not begin TLS": { phase: "tls", stall: () => silence("wss") },
  "the same with framed TCP": { phase: "tls", stall: () => silence("tls") },
  "a server that does not answer the request": { phase: "upgrade", stall: () => silence("ws") },
};

/** The error of an attempt. */
async function reasonOf(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(
    () => assert.fail("it was to fail"),
    (reason: unknown) => reason,
  );
}

describe("connect", LIMIT, () => {
  for (const [what, { phase, stall, skip = false }] of Object.entries(STALLS)) {
    it(`to ${what} fails at openTimeout, with the operation connect:${phase}`, { skip }, async (t) => {
      await using stalled = await stall(t);
      const before = openSockets();
      const clock = new ManualClock();
      let settled = false;
      const attempt = reasonOf(connect(stalled.url, { clock, openTimeout: 5_000 })).finally(() => {
        settled = true;
      });
      await stalled.reached;
      await clock.advance(4_999);
      assert.equal(settled, false);
      await clock.advance(1);
      const error = await attempt;
      assert.ok(error instanceof TimeoutError);
      assert.equal(error.operation, `connect:${phase}`);
      assert.equal(error.limit, "openTimeout");
      assert.equal(error.bound, 5_000);
      assert.equal(error.after, 5_000);
      assert.equal(error.retriable, true);
      await socketsDownTo(before);
    });

    it(`to ${what} can be cancelled in phase ${phase}, and rejects with the reason of the signal`, {
      skip,
    }, async (t) => {
      await using stalled = await stall(t);
      for (const reason of [new Error("enough"), "enough", undefined]) {
        const before = openSockets();
        const controller = new AbortController();
        const attempt = reasonOf(connect(stalled.url, { signal: controller.signal }));
        await stalled.reached;
        controller.abort(reason);
        const given = await attempt;
        assert.equal(given, controller.signal.reason);
        if (reason !== undefined) assert.equal(given, reason);
        await socketsDownTo(before);
      }
    });
  }

  it("can be cancelled in the turn of the call, and then does nothing", async () => {
    await using stalled = await silence("ws");
    const controller = new AbortController();
    const before = openSockets();
    const attempt = reasonOf(connect(stalled.url, { signal: controller.signal }));
    controller.abort("at once");
    assert.equal(await attempt, "at once");
    await socketsDownTo(before);
  });

  const failures: Record<
    string,
    { url: () => string; phase: ConnectPhase; errno: readonly string[]; options?: object }
  > = {
    // A resolver without a network gives the second answer.
    "a name that does not exist": {
      url: () => "ws://nobody.invalid:9",
      phase: "dns",
      errno: ["ENOTFOUND", "EAI_AGAIN"],
    },
    "the same with framed TCP": {
      url: () => "tcp://nobody.invalid:9",
      phase: "dns",
      errno: ["ENOTFOUND", "EAI_AGAIN"],
    },
    "a unix socket that does not exist": { url: () => "ws+unix:///nowhere.sock", phase: "tcp", errno: ["ENOENT"] },
  };
  for (const [what, { url, phase, errno, options }] of Object.entries(failures)) {
    it(`to ${what} fails in phase ${phase}, with the error of the system`, async () => {
      const before = openSockets();
      const error = await failure(url(), options);
      assert.equal(error.phase, phase);
      assert.equal(error.status, undefined);
      assert.ok(error.cause instanceof TransportError);
      assert.ok(errno.includes(error.cause.errno), error.cause.errno);
      await socketsDownTo(before);
    });
  }

  for (const scheme of ["ws", "wss", "tcp", "tls"]) {
    for (const host of ["127.0.0.1", "localhost"]) {
      it(`to a port of ${host} without a listener fails in phase tcp: ${scheme}`, async () => {
        const { port, ...server } = await rawServer(() => undefined);
        await server[Symbol.asyncDispose]();
        const before = openSockets();
        const error = await failure(`${scheme}://${host}:${port}`);
        assert.equal(error.phase, "tcp");
        assert.ok(error.cause instanceof TransportError);
        assert.equal(error.cause.errno, "ECONNREFUSED");
        await socketsDownTo(before);
      });
    }
  }

  const breaking: Record<string, { serve: (peer: RawPeer) => void; phase: ConnectPhase }> = {
    "leaves before TLS": { serve: ({ socket }) => socket.end(), phase: "tls" },
    "resets before TLS": { serve: ({ socket }) => socket.resetAndDestroy(), phase: "tls" },
    "sends no TLS": { serve: (peer) => peer.write("SSH-2.0-OpenSSH_9.2\r\n"), phase: "tls" },
  };
  for (const [what, { serve, phase }] of Object.entries(breaking)) {
    for (const scheme of ["wss", "tls"]) {
      it(`to a server that ${what} fails in phase ${phase}: ${scheme}`, async () => {
        await using server = await rawServer(async (peer) => {
          await peer.until(({ bytes }) => bytes.length > 0);
          serve(peer);
        });
        const before = openSockets();
        const error = await failure(`${scheme}://127.0.0.1:${server.port}`);
        assert.equal(error.phase, phase);
        assert.ok(error.cause instanceof TransportError);
        for (const { socket } of server.peers) socket.destroy();
        await socketsDownTo(before);
      });
    }
  }

  it("with invalid TLS options fails in phase tls, and leaves no socket", async () => {
    await using stalled = await silence("wss");
    const before = openSockets();
    const attempt = connect(stalled.url, { tls: { ca: 5 as unknown as string } });
    await assert.rejects(attempt);
    await socketsDownTo(before);
  });
});

async function failure(url: string, options: ConnectOptions<undefined> = {}): Promise<HandshakeError> {
  const error = await reasonOf(connect(url, options));
  assert.ok(error instanceof HandshakeError, String(error));
  assert.match(error.message, /^Cannot connect: .+ \(in phase \w+\)$/);
  return error;
}
