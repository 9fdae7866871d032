/** The control queue: every Ping is answered while the kernel accepts bytes, and few Pongs wait while it does not. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type RawPeer, settled, wired } from "../../../src/testing/index.ts";
import { blocked, PLUG, stateOf } from "../../kit/blocked-connection.ts";
import { FrameReader, KEY, peerFrame } from "../../kit/frames.ts";

const ping = (payload: string, masked = true): Uint8Array =>
  peerFrame({ opcode: 9, payload, ...(masked && { key: KEY }) });

/** The payloads of the pongs that the peer has received. */
const pongs = (wire: RawPeer): string[] =>
  new FrameReader()
    .push(wire.received)
    .filter(({ opcode }) => opcode === 10)
    .map(({ payload }) => payload.toString());

/** Counts the pings that a connection has received, so that a test can wait for them. */
class Asked {
  #count = 0;
  readonly ping = (): void => {
    this.#count += 1;
  };

  async until(count: number): Promise<void> {
    while (this.#count < count) await settled();
  }
}

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${from + index}`);

describe("while the kernel accepts writes", () => {
  for (const role of ["server", "client"] as const) {
    it(`a ${role} answers each of 3,000 pings in one chunk, in order and with its payload`, async () => {
      const { peer } = wired({ role });
      const asked = numbers(1, 3_000);
      peer.write(Buffer.concat(asked.map((payload) => ping(payload, role === "server"))));
      await peer.until(() => pongs(peer).length === 3_000);
      assert.deepEqual(pongs(peer), asked);
    });
  }

  it("each ping is answered while messages are being written", async () => {
    const { connection, peer } = wired();
    const asked = numbers(1, 200);
    for (const payload of asked) {
      peer.write(ping(payload));
      connection.trySend("x".repeat(1_000));
      await settled();
    }
    assert.deepEqual(pongs(peer), asked);
  });

  it("an empty ping has an empty answer, and the longest ping an answer of 125 bytes", async () => {
    const { peer } = wired();
    const longest = "x".repeat(125);
    peer.write(ping(""));
    peer.write(ping(longest));
    await settled();
    assert.deepEqual(pongs(peer), ["", longest]);
  });
});

describe("while the kernel accepts nothing", () => {
  it("at most 16 pongs wait, and the last one answers the newest ping", async () => {
    const asked = new Asked();
    const { peer } = await blocked({ ping: asked.ping });
    for (const payload of numbers(1, 1_000)) peer.write(ping(payload));
    await asked.until(1_000);
    peer.write(Buffer.concat(numbers(1_001, 2_000).map((payload) => ping(payload))));
    await asked.until(2_000);
    peer.resume();
    await peer.until(() => pongs(peer).at(-1) === "2000");
    await settled();
    const answered = pongs(peer);
    assert.ok(answered.length <= 16, `${answered.length} pongs had waited`);
    assert.deepEqual(answered.slice(0, -1), numbers(1, answered.length - 1), "the others answer the oldest");
  });

  it("at most 16 pongs wait also if the pending write is a pong", async () => {
    const asked = new Asked();
    const { peer } = wired({ capacity: 16, connection: { ping: asked.ping } });
    peer.pause();
    peer.write(ping("x".repeat(100)));
    await settled();
    peer.write(Buffer.concat(numbers(1, 100).map((payload) => ping(payload))));
    await asked.until(101);
    peer.resume();
    await peer.until(() => pongs(peer).at(-1) === "100");
    assert.deepEqual(pongs(peer).slice(1), [...numbers(1, 15), "100"]);
  });

  it("the pongs that one chunk left in the queue are reduced to 16 at the next ping", async () => {
    // The chunk arrives while no write is pending. Its answers exceed one write and the room of the kernel.
    const { connection, peer } = wired({ capacity: 100_000, connection: { maxQueuedBytes: Infinity } });
    peer.pause();
    await connection.send(new Uint8Array(99_000));
    const long = (payload: string): string => payload.padEnd(125, ".");
    peer.write(Buffer.concat(numbers(1, 700).map((payload) => ping(long(payload)))));
    await settled();
    peer.write(ping(long("701")));
    await settled();
    peer.resume();
    await peer.until(() => pongs(peer).at(-1) === long("701"));
    const answered = pongs(peer);
    const inOneWrite = Math.floor(65_536 / 127);
    assert.ok(answered.length <= inOneWrite + 16, `${answered.length} pongs were kept`);
    assert.ok(answered.length > inOneWrite);
  });

  it("at most 16 pings of this side wait, and pongs do not take their places", async () => {
    const seen = new Asked();
    const { connection, peer, read } = await blocked({ ping: seen.ping });
    for (const payload of numbers(1, 40)) peer.write(ping(payload));
    await seen.until(40);
    const asked = Array.from({ length: 16 }, () => stateOf(connection.ping()));
    await assert.rejects(connection.ping(), { code: "LIMIT", maximum: 16 });
    await read(1);
    const frames = new FrameReader().push(peer.received);
    assert.equal(frames.filter(({ opcode }) => opcode === 9).length, 16);
    assert.equal(frames.filter(({ opcode }) => opcode === 10).length, 16);
    assert.ok(asked.every(({ state }) => state === "pending"));
  });

  it("pings that timed out do not make the queue longer", async () => {
    const { connection, clock, peer, read } = await blocked({ writeTimeout: Infinity });
    for (let round = 0; round < 40; round += 1) {
      const timedOut = connection.ping({ timeout: 10 }).catch(() => undefined);
      await clock.advance(10);
      await timedOut;
    }
    await read(1);
    const frames = new FrameReader().push(peer.received);
    assert.ok(frames.filter(({ opcode }) => opcode === 9).length <= 16);
  });
});

describe("the position of a control frame", () => {
  it("is before waiting messages, and after the frame that is being written", async () => {
    const { connection, peer, read } = await blocked();
    connection.trySend("a");
    connection.trySend("b");
    peer.write(ping("now"));
    await settled();
    await read(3);
    const frames = new FrameReader().push(peer.received);
    assert.deepEqual(
      frames.map(({ payload }) => payload.toString()),
      [PLUG, "now", "a", "b"],
    );
  });

  it("of type Close is after all queued messages and all other control frames", async () => {
    const { connection, peer, read } = await blocked();
    connection.trySend("a");
    void connection.close(1000, "done");
    peer.write(ping("still"));
    await settled();
    await read(2);
    const frames = new FrameReader().push(peer.received);
    assert.deepEqual(
      frames.map(({ opcode }) => opcode),
      [1, 10, 1, 8],
    );
  });
});
