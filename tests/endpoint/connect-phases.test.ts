/** Tests of the phases of connecting: each fails under its name, is bounded, can be cancelled, and leaves nothing behind. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import dns from "node:dns";
import { once } from "node:events";
import { syncBuiltinESMExports } from "node:module";
import { connect as dial, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import {
  type ConnectOptions,
  connect,
  HandshakeError,
  type Phase,
  TimeoutError,
  TransportError,
} from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { openSockets, socketsDownTo } from "../descriptors.js";
import { type RawPeer, rawServer } from "../raw-peers.js";

const LIMIT = { timeout: 240_000 };

/** A place where connecting stands still. */
interface Stall extends AsyncDisposable {
  readonly url: string;
  /** Resolves when an attempt has come so far. */
  readonly reached: Promise<unknown>;
}

/** A resolver that does not answer. */
async function dnsStall(t: TestContext): Promise<Stall> {
  let tell: () => void;
  const reached = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const lookup = t.mock.method(dns, "lookup", () => tell());
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
  const server = spawn(process.execPath, ["-e", BUSY_SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [printed] = (await once(server.stdout, "data")) as [Buffer];
  const port = Number(printed);
  const waiting: Socket[] = [];
  // Linux lets in one more than it was asked for.
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
      server.kill("SIGKILL");
      await once(server, "close");
    },
  };
}

/** A server that accepts and says nothing, whatever is to be said first. */
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

const STALLS: Record<string, { phase: Phase; stall: (t: TestContext) => Promise<Stall>; skip?: string | false }> = {
  "a resolver that does not answer": { phase: "dns", stall: dnsStall },
  "a kernel that does not answer": {
    phase: "tcp",
    stall: tcpStall,
    skip: process.platform !== "linux" && "a full queue of a listener stalls only Linux",
  },
  "a server that does not begin TLS": { phase: "tls", stall: () => silence("wss") },
  "the same on framed TCP": { phase: "tls", stall: () => silence("tls") },
  "a server that does not answer the request": { phase: "upgrade", stall: () => silence("ws") },
};

/** What an attempt fails with. */
async function reasonOf(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(
    () => assert.fail("it was to fail"),
    (reason: unknown) => reason,
  );
}

describe("connecting to", LIMIT, () => {
  for (const [what, { phase, stall, skip = false }] of Object.entries(STALLS)) {
    it(`${what} ends at openTimeout, under the name connect:${phase}`, { skip }, async (t) => {
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

    it(`${what} can be cancelled in phase ${phase}, with the signal's own reason`, { skip }, async (t) => {
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

  it("a moment that is over at once cancels before anything is done", async () => {
    await using stalled = await silence("ws");
    const controller = new AbortController();
    const before = openSockets();
    const attempt = reasonOf(connect(stalled.url, { signal: controller.signal }));
    controller.abort("at once");
    assert.equal(await attempt, "at once");
    await socketsDownTo(before);
  });

  const failures: Record<string, { url: () => string; phase: Phase; errno: readonly string[]; options?: object }> = {
    // A resolver without a network gives the second answer.
    "a name that there is not": {
      url: () => "ws://nobody.invalid:9",
      phase: "dns",
      errno: ["ENOTFOUND", "EAI_AGAIN"],
    },
    "the same on framed TCP": { url: () => "tcp://nobody.invalid:9", phase: "dns", errno: ["ENOTFOUND", "EAI_AGAIN"] },
    "a unix socket that there is not": { url: () => "ws+unix:///nowhere.sock", phase: "tcp", errno: ["ENOENT"] },
  };
  for (const [what, { url, phase, errno, options }] of Object.entries(failures)) {
    it(`${what} fails in phase ${phase}, with the system's reason`, async () => {
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
      it(`a port of ${host} where nobody listens fails in phase tcp: ${scheme}`, async () => {
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

  const breaking: Record<string, { serve: (peer: RawPeer) => void; phase: Phase }> = {
    "who leaves before TLS": { serve: ({ socket }) => socket.end(), phase: "tls" },
    "who resets before TLS": { serve: ({ socket }) => socket.resetAndDestroy(), phase: "tls" },
    "who speaks no TLS": { serve: (peer) => peer.write("SSH-2.0-OpenSSH_9.2\r\n"), phase: "tls" },
  };
  for (const [what, { serve, phase }] of Object.entries(breaking)) {
    for (const scheme of ["wss", "tls"]) {
      it(`one ${what} fails in phase ${phase}: ${scheme}`, async () => {
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

  it("options of TLS that cannot be fails in phase tls and leaves nothing", async () => {
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
