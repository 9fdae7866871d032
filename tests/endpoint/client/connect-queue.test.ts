/** Tests that WebSockets to one address open one after the other (RFC 6455 section 4.1), and that this wait can end. */

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type ConnectOptions, connect, HandshakeError, listen, TimeoutError } from "../../../src/index.ts";
import { ManualClock, settled } from "../../../src/testing/index.ts";
import { RawPeer, type RawServer, rawServer, switchingTo } from "../../kit/raw-peer.ts";

const LIMIT = { timeout: 240_000 };

/** A server that answers a request only when the test says so. */
async function manualServer(): Promise<RawServer & { readonly answer: (peer: RawPeer | undefined) => Promise<void> }> {
  const server = await rawServer(() => undefined);
  return {
    ...server,
    answer: async (peer) => {
      assert.ok(peer);
      await peer.head();
      peer.write(switchingTo(peer.text));
    },
  };
}

async function untilPeers(server: RawServer, count: number): Promise<void> {
  while (server.peers.length < count) await settled();
  // No other client may connect.
  await settled();
  await settled();
  assert.equal(server.peers.length, count);
}

const outcome = (attempt: Promise<unknown>): Promise<unknown> => attempt.catch((error: unknown) => error);
const options = (): ConnectOptions<undefined> => ({ clock: new ManualClock() });

describe("a WebSocket to an address to which another one is being opened", LIMIT, () => {
  it("waits until that one is open, in the order of the calls, for any name of the address", async () => {
    await using server = await manualServer();
    const names = ["127.0.0.1", "localhost", "127.0.0.1"];
    const attempts = names.map((name, index) => connect(`ws://${name}:${server.port}/${index}`, options()));
    for (const [index, attempt] of attempts.entries()) {
      await untilPeers(server, index + 1);
      const peer = server.peers[index];
      await peer?.head();
      // An attempt without a name to look up reaches the address first.
      assert.match(peer?.text ?? "", new RegExp(`^GET /${[0, 2, 1][index]} `));
      await server.answer(peer);
      await (index === 0 ? attempt : Promise.any(attempts.slice(1)));
    }
    for (const attempt of attempts) (await attempt).terminate();
  });

  const failures: Readonly<Record<string, (peer: RawPeer) => void>> = {
    "is refused": (peer) => peer.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
    "is reset": ({ socket }) => socket.resetAndDestroy(),
    "gets a wrong answer": (peer) => peer.write(switchingTo(peer.text, { Upgrade: "h2c" })),
  };
  for (const [what, fail] of Object.entries(failures)) {
    it(`opens when that one ${what}`, async () => {
      await using server = await manualServer();
      const first = outcome(connect(`ws://127.0.0.1:${server.port}`, options()));
      const second = connect(`ws://127.0.0.1:${server.port}`, options());
      await untilPeers(server, 1);
      const [peer] = server.peers;
      assert.ok(peer);
      await peer.head();
      fail(peer);
      assert.ok((await first) instanceof HandshakeError);
      await untilPeers(server, 2);
      await server.answer(server.peers[1]);
      (await second).terminate();
    });
  }

  it("opens when that one is cancelled, and is skipped if it is cancelled itself", async () => {
    await using server = await manualServer();
    const controllers = [0, 1, 2].map(() => new AbortController());
    const attempts = controllers.map(({ signal }) =>
      outcome(connect(`ws://127.0.0.1:${server.port}`, { ...options(), signal })),
    );
    await untilPeers(server, 1);
    controllers[1]?.abort("second");
    assert.equal(await attempts[1], "second");
    await untilPeers(server, 1);
    controllers[0]?.abort("first");
    assert.equal(await attempts[0], "first");
    await untilPeers(server, 2);
    controllers[2]?.abort("third");
    assert.equal(await attempts[2], "third");
  });

  it("waits for queueTimeout at most, and its error names the one that has the turn", async () => {
    await using server = await manualServer();
    const [waiting, limited] = [new ManualClock(), new ManualClock()];
    const url = `ws://127.0.0.1:${server.port}`;
    const first = outcome(connect(`${url}/secret`, { clock: waiting }));
    await untilPeers(server, 1);
    await waiting.advance(2_000);
    const second = outcome(connect(url, { clock: limited, queueTimeout: 3_000, openTimeout: 1_000 }));
    await settled();
    await limited.advance(3_000);
    const error = await second;
    assert.ok(error instanceof TimeoutError, String(error));
    assert.equal(error.operation, "connect:queue");
    assert.equal(error.limit, "queueTimeout");
    assert.equal(error.after, 3_000);
    assert.equal(
      error.message,
      "Cannot connect (in phase queue): queueTimeout of 3000 ms reached after 3000 ms: another WebSocket to the same address " +
        `must open first; that to ${url} began 2000 ms ago and is in phase upgrade`,
    );
    await waiting.advance(10_000);
    const other = await first;
    assert.ok(other instanceof TimeoutError);
    assert.equal(other.operation, "connect:upgrade");
    await untilPeers(server, 1);
  });

  it("has the whole of openTimeout from its turn on", async () => {
    await using server = await manualServer();
    const clock = new ManualClock();
    const url = `ws://127.0.0.1:${server.port}`;
    const first = connect(url, { clock, openTimeout: 3_000 });
    const second = outcome(connect(url, { clock, openTimeout: 3_000 }));
    await untilPeers(server, 1);
    await clock.advance(2_900);
    await server.answer(server.peers[0]);
    (await first).terminate();
    await untilPeers(server, 2);
    await clock.advance(2_900);
    const state = await Promise.race([second, settled().then(() => "pending")]);
    assert.equal(state, "pending");
    await clock.advance(100);
    const error = await second;
    assert.ok(error instanceof TimeoutError);
    assert.deepEqual([error.operation, error.limit, error.after], ["connect:upgrade", "openTimeout", 3_000]);
  });

  it("ends at its deadline, which counts the wait for the turn", async () => {
    await using server = await manualServer();
    const clock = new ManualClock();
    const url = `ws://127.0.0.1:${server.port}`;
    const stuck = outcome(connect(url, { clock }));
    await untilPeers(server, 1);
    const waiting = outcome(connect(url, { clock, deadline: { in: 4_000 } }));
    await settled();
    await clock.advance(4_000);
    const error = await waiting;
    assert.ok(error instanceof TimeoutError);
    assert.deepEqual([error.operation, error.limit], ["connect:queue", "deadline"]);
    await assert.rejects(connect(url, { clock, deadline: 5 as never }), TypeError);
    await assert.rejects(connect(url, { queueTimeout: -1 }), RangeError);
    await assert.rejects(connect(`tcp://127.0.0.1:${server.port}`, { queueTimeout: 5 }), TypeError);
    server.peers[0]?.socket.destroy();
    await stuck;
  });

  it("waits also for the path of a unix socket", {
    skip: process.platform === "win32" && "a pipe has another name",
  }, async () => {
    const path = join(tmpdir(), `holdfast-${process.pid}-queue.sock`);
    const peers: RawPeer[] = [];
    const server = createServer((socket) => void peers.push(new RawPeer(socket)));
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const attempts = [0, 1].map(() => connect(`ws+unix://${path}`, options()));
    for (let index = 0; index < 2; index += 1) {
      while (peers.length <= index) await settled();
      await settled();
      assert.equal(peers.length, index + 1);
      await peers[index]?.head();
      peers[index]?.write(switchingTo(peers[index]?.text ?? ""));
      (await attempts[index])?.terminate();
    }
    for (const { socket } of peers) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    rmSync(path, { force: true });
  });
});

describe("a connection that does not wait", LIMIT, () => {
  it("is one to another port", async () => {
    await using silent = await manualServer();
    await using server = await manualServer();
    const stuck = outcome(connect(`ws://127.0.0.1:${silent.port}`, options()));
    await untilPeers(silent, 1);
    const free = connect(`ws://127.0.0.1:${server.port}`, options());
    await untilPeers(server, 1);
    await server.answer(server.peers[0]);
    (await free).terminate();
    silent.peers[0]?.socket.destroy();
    await stuck;
  });

  it("is one of as many as maxConnecting allows", async () => {
    await using server = await manualServer();
    const attempts = Array.from({ length: 5 }, () =>
      outcome(connect(`ws://127.0.0.1:${server.port}`, { ...options(), maxConnecting: 3 })),
    );
    await untilPeers(server, 3);
    server.peers[1]?.socket.destroy();
    await untilPeers(server, 4);
    const all = connect(`ws://127.0.0.1:${server.port}`, { ...options(), maxConnecting: Infinity });
    await untilPeers(server, 5);
    await server.answer(server.peers[4]);
    (await all).terminate();
    for (const peer of server.peers) peer.socket.destroy();
    await untilPeers(server, 6);
    for (const peer of server.peers) peer.socket.destroy();
    for (const error of await Promise.all(attempts)) assert.ok(error instanceof HandshakeError);
  });

  it("is framed TCP, which has no handshake and no limit of handshakes", async () => {
    await using server = await manualServer();
    const stuck = outcome(connect(`ws://127.0.0.1:${server.port}`, options()));
    await untilPeers(server, 1);
    const framed = await connect(`tcp://127.0.0.1:${server.port}`, options());
    framed.terminate();
    await framed.closed;
    await assert.rejects(connect(`tcp://127.0.0.1:${server.port}`, { maxConnecting: 2 }), TypeError);
    for (const peer of server.peers) peer.socket.destroy();
    await stuck;
  });

  for (const maxConnecting of [0, -1, 1.5, Number.NaN]) {
    it(`is refused with maxConnecting ${maxConnecting}`, async () => {
      await assert.rejects(connect("ws://127.0.0.1:9", { maxConnecting }), RangeError);
    });
  }
});

describe("many WebSockets", LIMIT, () => {
  it("to a server with a slow handshake all open, although the last waits longer than openTimeout", async () => {
    await using server = await manualServer();
    const clock = new ManualClock();
    const crowd = Array.from({ length: 40 }, () => connect(`ws://127.0.0.1:${server.port}`, { clock }));
    for (const index of crowd.keys()) {
      await untilPeers(server, index + 1);
      await clock.advance(300);
      await server.answer(server.peers[index]);
    }
    for (const one of await Promise.all(crowd)) one.terminate();
  });

  it("to one server all open, one after the other", async () => {
    let most = 0;
    await using server = await listen(
      "ws://127.0.0.1:0",
      {
        authorize: async () => {
          most += 1;
          await settled();
          assert.equal(most, 1);
          most -= 1;
        },
      },
      async ({ closed }) => void (await closed),
    );
    const crowd = await Promise.all(Array.from({ length: 200 }, () => connect(server.url, { openTimeout: Infinity })));
    assert.equal(server.connections.size, 200);
    for (const one of crowd) one.terminate();
    await Promise.all(crowd.map(({ closed }) => closed));
  });
});
