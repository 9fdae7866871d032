/** The control lane: every Ping is answered while the kernel takes answers, and few of them wait while it does not. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { settled, type Wire, wired } from "../../src/testing/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import { blocked, outcomeOf, PLUG } from "./blocked.js";

const ping = (payload: string, masked = true): Uint8Array =>
  peerFrame({ opcode: 9, payload, ...(masked && { key: KEY }) });

/** The payloads of the pongs that the peer has got. */
const pongs = (wire: Wire): string[] =>
  new FrameReader()
    .push(wire.received)
    .filter(({ opcode }) => opcode === 10)
    .map(({ payload }) => payload.toString());

/** Counts the pings that a connection has got, for waiting until they have come. */
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

describe("while the kernel takes what is written", () => {
  for (const role of ["server", "client"] as const) {
    it(`a ${role} answers each of 3,000 pings that come at once, in order and with its payload`, async () => {
      const { wire } = wired({ role });
      const asked = numbers(1, 3_000);
      wire.write(Buffer.concat(asked.map((payload) => ping(payload, role === "server"))));
      await wire.until(() => pongs(wire).length === 3_000);
      assert.deepEqual(pongs(wire), asked);
    });
  }

  it("each ping is answered although messages are being written", async () => {
    const { connection, wire } = wired();
    const asked = numbers(1, 200);
    for (const payload of asked) {
      wire.write(ping(payload));
      connection.trySend("x".repeat(1_000));
      await settled();
    }
    assert.deepEqual(pongs(wire), asked);
  });

  it("the empty ping has an empty answer, and the longest one its 125 bytes", async () => {
    const { wire } = wired();
    const longest = "x".repeat(125);
    wire.write(ping(""));
    wire.write(ping(longest));
    await settled();
    assert.deepEqual(pongs(wire), ["", longest]);
  });
});

describe("while the kernel takes nothing", () => {
  it("at most 16 pongs wait, of which the last answers the newest ping", async () => {
    const asked = new Asked();
    const { wire } = await blocked({ ping: asked.ping });
    for (const payload of numbers(1, 1_000)) wire.write(ping(payload));
    await asked.until(1_000);
    wire.write(Buffer.concat(numbers(1_001, 2_000).map((payload) => ping(payload))));
    await asked.until(2_000);
    wire.resume();
    await wire.until(() => pongs(wire).at(-1) === "2000");
    await settled();
    const answered = pongs(wire);
    assert.ok(answered.length <= 16, `${answered.length} pongs had waited`);
    assert.deepEqual(answered.slice(0, -1), numbers(1, answered.length - 1), "the others answer the oldest");
  });

  it("at most 16 wait when it is a pong that the kernel does not take", async () => {
    const asked = new Asked();
    const { wire } = wired({ capacity: 16, connection: { ping: asked.ping } });
    wire.pause();
    wire.write(ping("x".repeat(100)));
    await settled();
    wire.write(Buffer.concat(numbers(1, 100).map((payload) => ping(payload))));
    await asked.until(101);
    wire.resume();
    await wire.until(() => pongs(wire).at(-1) === "100");
    assert.deepEqual(pongs(wire).slice(1), [...numbers(1, 15), "100"]);
  });

  it("what a chunk's pings left in the lane is cut to as many with the next ping", async () => {
    // The chunk comes while nothing is under way, and its answers are more than one write and than the kernel has room for.
    const { connection, wire } = wired({ capacity: 100_000, connection: { maxQueuedBytes: Infinity } });
    wire.pause();
    await connection.send(new Uint8Array(99_000));
    const long = (payload: string): string => payload.padEnd(125, ".");
    wire.write(Buffer.concat(numbers(1, 700).map((payload) => ping(long(payload)))));
    await settled();
    wire.write(ping(long("701")));
    await settled();
    wire.resume();
    await wire.until(() => pongs(wire).at(-1) === long("701"));
    const answered = pongs(wire);
    const inOneWrite = Math.floor(65_536 / 127);
    assert.ok(answered.length <= inOneWrite + 16, `${answered.length} pongs were kept`);
    assert.ok(answered.length > inOneWrite);
  });

  it("pings of ours that wait are at most 16, and pongs do not keep them from their places", async () => {
    const seen = new Asked();
    const { connection, wire, read } = await blocked({ ping: seen.ping });
    for (const payload of numbers(1, 40)) wire.write(ping(payload));
    await seen.until(40);
    const asked = Array.from({ length: 16 }, () => outcomeOf(connection.ping()));
    await assert.rejects(connection.ping(), { code: "LIMIT", maximum: 16 });
    await read(1);
    const frames = new FrameReader().push(wire.received);
    assert.equal(frames.filter(({ opcode }) => opcode === 9).length, 16);
    assert.equal(frames.filter(({ opcode }) => opcode === 10).length, 16);
    assert.ok(asked.every(({ state }) => state === "pending"));
  });

  it("pings that were given up do not make the lane longer", async () => {
    const { connection, clock, wire, read } = await blocked({ writeTimeout: Infinity });
    for (let round = 0; round < 40; round += 1) {
      const timedOut = connection.ping({ timeout: 10 }).catch(() => undefined);
      await clock.advance(10);
      await timedOut;
    }
    await read(1);
    const frames = new FrameReader().push(wire.received);
    assert.ok(frames.filter(({ opcode }) => opcode === 9).length <= 16);
  });
});

describe("the place of a control frame", () => {
  it("is before the messages that wait, behind the frame that is being written", async () => {
    const { connection, wire, read } = await blocked();
    connection.trySend("a");
    connection.trySend("b");
    wire.write(ping("now"));
    await settled();
    await read(3);
    const frames = new FrameReader().push(wire.received);
    assert.deepEqual(
      frames.map(({ payload }) => payload.toString()),
      [PLUG, "now", "a", "b"],
    );
  });

  it("of a Close is behind everything that was queued, and behind the other control frames", async () => {
    const { connection, wire, read } = await blocked();
    connection.trySend("a");
    void connection.close(1000, "done");
    wire.write(ping("still"));
    await settled();
    await read(2);
    const frames = new FrameReader().push(wire.received);
    assert.deepEqual(
      frames.map(({ opcode }) => opcode),
      [1, 10, 1, 8],
    );
  });
});
