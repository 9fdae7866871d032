/** The chaos proxy between real sockets: what is forwarded, what is not, and which side sees it. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { describe, it } from "node:test";
import { seeded } from "../../../src/testing/chaos/faults.ts";
import { type ChaosFaults, type ChaosProxy, chaosProxy } from "../../../src/testing/index.ts";
import { openSockets } from "../../kit/kernel-sockets.ts";
import { RawPeer, type RawServer, rawServer } from "../../kit/raw-peer.ts";

/** A proxy before a server of raw peers, which proves at its end that no descriptor is left. */
class Stage implements AsyncDisposable {
  readonly proxy: ChaosProxy;
  readonly #server: RawServer;
  readonly #before: number;
  readonly #peers: RawPeer[] = [];

  private constructor(proxy: ChaosProxy, server: RawServer, before: number) {
    this.proxy = proxy;
    this.#server = server;
    this.#before = before;
  }

  static async open(faults: ChaosFaults = {}): Promise<Stage> {
    const before = openSockets();
    const server = await rawServer(() => undefined);
    const proxy = await chaosProxy({ to: `127.0.0.1:${server.port}`, faults, seed: 1 });
    return new Stage(proxy, server, before);
  }

  /** One more connection through the proxy: its two ends. */
  async join(): Promise<{ readonly client: RawPeer; readonly server: RawPeer }> {
    const client = await RawPeer.to(this.proxy.port);
    this.#peers.push(client);
    const server = (): RawPeer | undefined => this.#server.peers[this.#peers.length - 1];
    while (server() === undefined) await new Promise(setImmediate);
    return { client, server: server() as RawPeer };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#peers.map((peer) => peer[Symbol.asyncDispose]()));
    await this.proxy.close();
    await this.#server[Symbol.asyncDispose]();
    while (openSockets() > this.#before) await new Promise(setImmediate);
  }
}

/** Bytes in which a missing, duplicate or moved byte is detected. */
function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(Math.imul(at, 2_654_435_761) >>> 0, at);
  return bytes;
}

/** True if this many bytes have arrived. */
const has =
  (size: number) =>
  ({ socket }: RawPeer): boolean =>
    socket.bytesRead >= size;

describe("a chaos proxy", { timeout: 120_000 }, () => {
  it("without faults forwards all bytes in both directions, and each FIN after them", async () => {
    await using stage = await Stage.open();
    const { client, server } = await stage.join();
    const [there, back] = [pattern(3_000_000), pattern(1_000_000)];
    client.write(there);
    client.socket.end();
    await server.until(({ ended }) => ended);
    assert.ok(server.bytes.equals(there));
    assert.equal(client.ended, false, "the other direction is open");
    server.write(back);
    server.socket.end();
    await client.until(({ ended }) => ended);
    assert.ok(client.bytes.equals(back));
    assert.deepEqual(await Promise.all([client.closed, server.closed]), [undefined, undefined]);
    const { accepted, bytesToServer, bytesToClient, resets } = stage.proxy.counts;
    assert.deepEqual([accepted, bytesToServer, bytesToClient, resets], [1, there.length, back.length, 0]);
  });

  it("forwards a reset", async () => {
    await using stage = await Stage.open();
    const { client, server } = await stage.join();
    client.socket.resetAndDestroy();
    assert.equal(await server.closed, "ECONNRESET");
  });

  it("resets a new connection if nothing listens at its target", async () => {
    const nobody = createServer().listen(0, "127.0.0.1");
    await once(nobody, "listening");
    const { port } = nobody.address() as { readonly port: number };
    nobody.close();
    await once(nobody, "close");
    await using proxy = await chaosProxy({ to: `127.0.0.1:${port}` });
    const client = await RawPeer.to(proxy.port);
    assert.equal(await client.closed, "ECONNRESET");
  });

  it("delays everything by the latency and a random jitter, in order", async () => {
    await using stage = await Stage.open({ latency: 50, jitter: 30 });
    const { client, server } = await stage.join();
    const sent = pattern(400_000);
    const since = performance.now();
    for (let at = 0; at < sent.length; at += 1_000) client.write(sent.subarray(at, at + 1_000));
    await server.until(has(1));
    // Timers count in whole milliseconds, and may be early by one.
    assert.ok(performance.now() - since >= 49);
    await server.until(has(sent.length));
    assert.ok(server.bytes.equals(sent));
    server.socket.end();
    await client.until(({ ended }) => ended);
    assert.ok(performance.now() - since >= 98, "a FIN takes as long");
  });

  it("forwards no more per second than its bandwidth", async () => {
    await using stage = await Stage.open({ bandwidth: 400_000 });
    const { client, server } = await stage.join();
    const sent = pattern(200_000);
    const since = performance.now();
    client.write(sent);
    await server.until(has(sent.length));
    assert.ok(performance.now() - since >= 450, `${performance.now() - since} ms`);
    assert.ok(server.bytes.equals(sent));
  });

  for (const fault of [{ bandwidth: 0 }, { blackhole: true }] as const) {
    it(`holds few bytes with ${JSON.stringify(fault)}: the sender waits, and everything arrives later`, async () => {
      await using stage = await Stage.open(fault);
      const { client, server } = await stage.join();
      const sent = pattern(24_000_000);
      client.write(sent);
      let before = -1;
      // The kernels' buffers fill up, and then nothing moves.
      for (let still = 0; still < 20; ) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        still = client.socket.bytesWritten === before ? still + 1 : 0;
        before = client.socket.bytesWritten;
      }
      assert.ok(client.socket.writableLength > 0, "it waits");
      assert.equal(stage.proxy.counts.bytesToServer, 0);
      await stage.proxy.heal();
      await server.until(has(sent.length));
      assert.ok(server.bytes.equals(sent));
    });
  }

  it("with a blackhole reports no end to the other side until the fault is removed", async () => {
    await using stage = await Stage.open();
    const [ended, reset] = [await stage.join(), await stage.join()];
    await stage.proxy.set({ blackhole: true });
    ended.client.write("last words");
    ended.client.socket.end();
    reset.client.socket.resetAndDestroy();
    await reset.client.closed;
    // A third peer sees no end, either: by then the others would have seen it, too.
    const { client } = await stage.join();
    await stage.proxy.set({ direction: "to-server" });
    client.write("x");
    assert.deepEqual([ended.server.ended, ended.server.text, reset.server.socket.destroyed], [false, "", false]);
    await stage.proxy.heal();
    await ended.server.until((peer) => peer.ended);
    assert.equal(ended.server.text, "last words");
    assert.equal(await reset.server.closed, "ECONNRESET");
  });

  it("may have its faults in one direction only", async () => {
    await using stage = await Stage.open({ blackhole: true, direction: "to-client" });
    const { client, server } = await stage.join();
    client.write("heard");
    await server.until(has(5));
    server.write("not heard");
    client.write(" again");
    await server.until(has(11));
    assert.equal(client.text, "");
    await stage.proxy.set({ blackhole: false });
    await client.until(has(9));
  });

  it("resets both sides after so many bytes, which arrive", async () => {
    await using stage = await Stage.open({ resetAfter: 1_000 });
    const { client, server } = await stage.join();
    client.write(pattern(1_500));
    // libuv before 1.52 reports a reset together with the last bytes as a FIN.
    while (!server.ended && !server.socket.destroyed) await new Promise(setImmediate);
    assert.ok(server.bytes.equals(pattern(1_500).subarray(0, 1_000)));
    await client.closed;
    assert.equal(stage.proxy.counts.resets, 1);
  });

  it("sends a FIN in place of later bytes after so many, and the other direction stays open", async () => {
    await using stage = await Stage.open({ truncateAfter: 1_000, direction: "to-client" });
    const { client, server } = await stage.join();
    server.write(pattern(999));
    await client.until(has(999));
    server.write(pattern(500));
    await client.until(({ ended }) => ended);
    assert.equal(client.bytes.length, 1_000);
    client.write("still here");
    await server.until(has(10));
  });

  it("resets each connection at random, at the given rate", async () => {
    await using stage = await Stage.open({ resetRate: 50 });
    for (let round = 0; round < 5; round += 1) {
      const client = await RawPeer.to(stage.proxy.port);
      await client.closed;
    }
    assert.equal(stage.proxy.counts.resets, 5);
    await stage.proxy.set({ resetRate: 0 });
    await using client = await RawPeer.to(stage.proxy.port);
    const { bytesToServer } = stage.proxy.counts;
    client.write("left alone");
    while (stage.proxy.counts.bytesToServer < bytesToServer + 10) await new Promise(setImmediate);
    assert.equal(stage.proxy.counts.resets, 5);
  });

  it("refuses new connections, keeps open ones, and has the same port when it accepts again", async () => {
    await using stage = await Stage.open();
    const { client, server } = await stage.join();
    await stage.proxy.set({ refuse: true });
    await assert.rejects(RawPeer.to(stage.proxy.port), { code: "ECONNREFUSED" });
    client.write("still here");
    await server.until(has(10));
    await stage.proxy.heal();
    await stage.join();
  });

  it("that refuses from the beginning has a port too", async () => {
    await using stage = await Stage.open({ refuse: true });
    assert.ok(stage.proxy.port > 0);
    await assert.rejects(RawPeer.to(stage.proxy.port), { code: "ECONNREFUSED" });
    await stage.proxy.set({ refuse: false });
    await stage.join();
  });

  it("resets all connections at once, or ends them with a FIN, by a call", async () => {
    await using stage = await Stage.open();
    const [one, two] = [await stage.join(), await stage.join()];
    stage.proxy.fin();
    for (const peer of [one.client, one.server, two.client, two.server]) await peer.until(({ ended }) => ended);
    const three = await stage.join();
    stage.proxy.reset();
    assert.deepEqual(await Promise.all([three.client.closed, three.server.closed]), ["ECONNRESET", "ECONNRESET"]);
  });

  it("is closed, and leaves nothing open, while a FIN and a reset are in transit", async () => {
    await using stage = await Stage.open();
    await stage.join();
    stage.proxy.fin();
    stage.proxy.reset();
    await stage.proxy.close();
  });

  it("makes the same random decisions with the same seed", () => {
    const [one, same, other] = [1, 1, 2].map((seed) => Array.from({ length: 1_000 }, seeded(seed)));
    assert.deepEqual(one, same);
    assert.notDeepEqual(one, other);
    assert.ok(one?.every((number) => number >= 0 && number < 1));
    const mean = (one ?? []).reduce((sum, number) => sum + number, 0) / 1_000;
    assert.ok(mean > 0.45 && mean < 0.55, `${mean}`);
  });

  it("refuses invalid options", async () => {
    const to = "127.0.0.1:9";
    for (const options of [
      { to: "127.0.0.1" },
      { to: "127.0.0.1:99999" },
      { to: "127.0.0.1:0" },
      { to, listen: "9000" },
      { to, seed: 0.5 },
      { to, faults: { latency: -1 } },
      { to, faults: { latency: 2 ** 31 } },
      { to, faults: { bandwidth: Number.NaN } },
      { to, faults: { blackhole: 1 } },
      { to, faults: { direction: "up" } },
      { to, faults: { packetLoss: 1 } },
    ]) {
      await assert.rejects(
        chaosProxy(options as never),
        /^(TypeError|RangeError): Cannot use/,
        JSON.stringify(options),
      );
    }
    await using proxy = await chaosProxy({ to });
    await assert.rejects(chaosProxy({ to, listen: proxy.address }), { code: "EADDRINUSE" });
  });
});
