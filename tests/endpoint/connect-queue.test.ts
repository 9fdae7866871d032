/** Tests that WebSockets to one address open one after the other (RFC 6455 section 4.1), and that this wait can end. */

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { type ConnectOptions, connect, HandshakeError, listen, TimeoutError } from "../../src/index.js";
import { ManualClock, settled } from "../../src/testing/index.js";
import { RawPeer, type RawServer, rawServer, switchingTo } from "../raw-peers.js";

const LIMIT = { timeout: 240_000 };

/** A server that answers nobody until it is told to. */
async function reluctant(): Promise<RawServer & { readonly answer: (peer: RawPeer | undefined) => Promise<void> }> {
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
  // Nobody else may come.
  await settled();
  await settled();
  assert.equal(server.peers.length, count);
}

const outcome = (attempt: Promise<unknown>): Promise<unknown> => attempt.catch((error: unknown) => error);
const options = (): ConnectOptions<undefined> => ({ clock: new ManualClock() });

describe("a WebSocket whose address another one is being opened to", LIMIT, () => {
  it("waits until that one is open, in the order of the calls, by whatever name", async () => {
    await using server = await reluctant();
    const names = ["127.0.0.1", "localhost", "127.0.0.1"];
    const attempts = names.map((name, index) => connect(`ws://${name}:${server.port}/${index}`, options()));
    for (const [index, attempt] of attempts.entries()) {
      await untilPeers(server, index + 1);
      const peer = server.peers[index];
      await peer?.head();
      // One that has no name to look up is first at the address.
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
      await using server = await reluctant();
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

  it("opens when that one is cancelled, and is passed over when it is cancelled itself", async () => {
    await using server = await reluctant();
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

  it("waits no longer than openTimeout, and its error says what it waited for", async () => {
    await using server = await reluctant();
    const [patient, hasty] = [new ManualClock(), new ManualClock()];
    const first = outcome(connect(`ws://127.0.0.1:${server.port}`, { clock: patient }));
    await untilPeers(server, 1);
    const second = outcome(connect(`ws://127.0.0.1:${server.port}`, { clock: hasty, openTimeout: 3_000 }));
    await settled();
    await hasty.advance(3_000);
    const error = await second;
    assert.ok(error instanceof TimeoutError, String(error));
    assert.equal(error.operation, "connect:queue");
    assert.equal(error.limit, "openTimeout");
    assert.equal(error.after, 3_000);
    await patient.advance(10_000);
    const other = await first;
    assert.ok(other instanceof TimeoutError);
    assert.equal(other.operation, "connect:upgrade");
    await untilPeers(server, 1);
  });

  it("waits at the path of a unix socket", {
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

describe("a WebSocket that does not wait", LIMIT, () => {
  it("is one to another port", async () => {
    await using silent = await reluctant();
    await using server = await reluctant();
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
    await using server = await reluctant();
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

  it("is framed TCP, which has no handshake to wait for, nor a limit of handshakes", async () => {
    await using server = await reluctant();
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
    it(`may not ask for ${maxConnecting} at once`, async () => {
      await assert.rejects(connect("ws://127.0.0.1:9", { maxConnecting }), RangeError);
    });
  }
});

describe("a crowd of WebSockets", LIMIT, () => {
  it("to one server opens one after the other, and all of them", async () => {
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
