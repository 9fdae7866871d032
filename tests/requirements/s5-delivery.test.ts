/** S5: what was accepted for sending reaches a peer that continues to read, and ends are clean on both sides. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as dial, type Socket } from "node:net";
import { describe, it } from "node:test";
import { type CloseInfo, type Connection, connect, listen, type Message } from "../../src/index.ts";
import { pair, settled, wired } from "../../src/testing/index.ts";
import { FrameReader } from "../kit/frames.ts";
import { portOf, RawPeer, upgraded } from "../kit/raw-peer.ts";

/** Payload bytes of the messages that a server sent over `protocol`. */
function payloadOf(protocol: "ws" | "tcp", bytes: Buffer): number {
  if (protocol === "tcp") return bytes.length;
  const reader = new FrameReader();
  const frames = reader.push(bytes.subarray(bytes.indexOf("\r\n\r\n") + 4));
  return frames.filter(({ opcode }) => opcode <= 2).reduce((sum, { payload }) => sum + payload.length, 0);
}

/** Reads `socket` in steps of at most `step` bytes, `pause` milliseconds apart, to its end. Resolves with the bytes. */
async function readSlowly(socket: Socket, step: number, pause: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.pause();
  const ended = once(socket, "end").then(() => true);
  for (let over = false; !over; ) {
    for (let left = step; left > 0; ) {
      const chunk: Buffer | null = socket.read(Math.min(left, socket.readableLength)) as Buffer | null;
      if (chunk === null) break;
      chunks.push(chunk);
      left -= chunk.length;
    }
    socket.read(0);
    over = await Promise.race([ended, new Promise<false>((resolve) => setTimeout(() => resolve(false), pause))]);
  }
  return Buffer.concat(chunks);
}

describe("S5-1 what send accepted reaches a peer that continues to read, however slowly", { concurrency: true }, () => {
  const SIZE = 1_500_000;
  const PART = 50_000;

  for (const protocol of ["tcp", "ws"] as const) {
    for (const [how, end] of Object.entries({
      "the handler returns": () => undefined,
      "the handler closes": (connection: Connection) => void connection.close(),
    })) {
      it(`S5-1 all of it, then a clean end, far beyond closeTimeout: ${how}, over ${protocol}:`, async () => {
        // Slower than closeTimeout: 1.5 MB in steps of 30 kB every 40 ms take 2 s.
        const ends: CloseInfo[] = [];
        await using server = await listen(
          `${protocol}://127.0.0.1:0`,
          { closeTimeout: 1_000, maxQueuedBytes: 2 * SIZE, close: (_, info) => void ends.push(info) },
          async (connection) => {
            for (let sent = 0; sent < SIZE; sent += PART) await connection.send(new Uint8Array(PART));
            end(connection);
          },
        );
        const peer = protocol === "ws" ? await upgraded(portOf(server)) : await RawPeer.to(portOf(server));
        const { socket } = peer;
        const already = peer.bytes;
        socket.removeAllListeners("data");
        const bytes = Buffer.concat([already, await readSlowly(socket, 30_000, 40)]);
        assert.equal(payloadOf(protocol, bytes), SIZE);
        socket.end();
        assert.equal(await peer.closed, undefined, "no reset");
        await server.close();
        assert.equal(ends.length, 1);
      });
    }
  }

  for (const protocol of ["tcp", "ws"] as const) {
    it(`S5-1 a peer that reads only when the descriptor is free gets all of it, and no reset, over ${protocol}:`, async () => {
      // As much as the kernels hold: they have everything, with the FIN, when the application is done.
      const SOME = 200_000;
      const limits = { closeTimeout: 100, heartbeat: { interval: Infinity }, idleTimeout: Infinity };
      let ended: Promise<CloseInfo> | undefined;
      await using server = await listen(`${protocol}://127.0.0.1:0`, limits, async (connection) => {
        ended = connection.closed;
        await connection.send(new Uint8Array(SOME));
      });
      const peer = protocol === "ws" ? await upgraded(portOf(server)) : await RawPeer.to(portOf(server));
      peer.socket.pause();
      while (ended === undefined) await new Promise(setImmediate);
      const { cause } = await ended;
      assert.deepEqual({ ...(cause as object), limit: "closeTimeout" }, { ...(cause as object) });
      peer.socket.resume();
      await peer.until((it) => it.ended);
      assert.equal(payloadOf(protocol, peer.bytes), SOME);
      peer.socket.end();
      assert.equal(await peer.closed, undefined, "no reset");
    });
  }

  it("S5-1 a peer that reads nothing is reset when closeTimeout is over", async () => {
    const { connection, peer, clock } = wired({
      capacity: 10_000,
      connection: { closeTimeout: 1_000, writeTimeout: Infinity },
    });
    peer.pause();
    const sent = connection.send(new Uint8Array(50_000));
    const refused = assert.rejects(sent, { code: "TIMEOUT", limit: "closeTimeout" });
    void connection.close();
    await clock.advance(999);
    assert.equal(connection.state, "CLOSING");
    await clock.advance(1);
    await refused;
    assert.equal(connection.state, "CLOSED");
    assert.equal(peer.closed, true, "reset");
  });

  it("S5-1 closeTimeout starts again whenever the peer reads", async () => {
    const { connection, peer, clock } = wired({
      kind: "tcp",
      capacity: 10_000,
      connection: { closeTimeout: 1_000, writeTimeout: Infinity },
    });
    peer.pause();
    const sent = connection.send(new Uint8Array(200_000));
    void connection.close();
    for (let step = 0; step < 20 && !peer.ended; step += 1) {
      await clock.advance(900);
      peer.resume();
      const before = peer.received.length;
      await peer.until(({ received, ended }) => received.length >= Math.min(before + 65_536, 200_000) || ended);
      peer.pause();
    }
    peer.resume();
    await sent;
    await peer.until(({ ended }) => ended);
    assert.equal(peer.received.length, 200_000);
    peer.end();
    await settled();
    assert.equal((await connection.closed).wasClean, true);
  });

  it("S5-1 what the peer acknowledges after the last write counts from the beginning of a short closeTimeout", async () => {
    const { connection, peer, clock } = wired({
      kind: "tcp",
      capacity: 100_000,
      connection: { closeTimeout: 1_000 },
    });
    peer.pause();
    await connection.send(new Uint8Array(50_000));
    void connection.close();
    await settled();
    await clock.advance(100);
    peer.resume();
    await peer.until(({ ended }) => ended);
    await clock.advance(999);
    assert.equal(connection.state, "CLOSING", "the peer has taken bytes 999 ms ago");
    await clock.advance(1);
    assert.equal(connection.state, "CLOSED");
  });

  it("S5-1 and no more than sixty times closeTimeout in total", async () => {
    const { connection, peer, clock } = wired({
      kind: "tcp",
      capacity: 65_536,
      connection: { closeTimeout: 1_000, writeTimeout: Infinity, maxQueuedBytes: Infinity },
    });
    peer.pause();
    const sent = Array.from({ length: 200 }, () => connection.send(new Uint8Array(65_536)).catch(() => undefined));
    void connection.close();
    let steps = 0;
    while (connection.state !== "CLOSED") {
      await clock.advance(900);
      steps += 1;
      const before = peer.received.length;
      peer.resume();
      await peer.until(({ received, closed }) => received.length >= before + 65_536 || closed);
      peer.pause();
    }
    await Promise.all(sent);
    assert.equal(steps, 67, "60,000 ms in steps of 900");
    const { cause } = await connection.closed;
    assert.deepEqual({ ...(cause as object), limit: "closeTimeout" }, { ...(cause as object) });
  });
});

describe("S5-2 two peers of this library end framed TCP cleanly and at once, whichever ends first", () => {
  const NEVER = { closeTimeout: Infinity, lingerTimeout: Infinity, idleTimeout: Infinity };
  const ways: Record<string, (connection: Connection) => Promise<unknown>> = {
    "for await": async (connection) => {
      for await (const _ of connection);
    },
    receive: async (connection) => {
      while (await connection.receive().catch(() => undefined));
    },
    streams: async (connection) => {
      await connection.readable.pipeTo(new WritableStream());
    },
  };
  for (const [way, read] of Object.entries(ways)) {
    it(`S5-2 the server ends, the client reads with ${way}`, async () => {
      const info: CloseInfo[] = [];
      await using server = await listen(
        "tcp://127.0.0.1:0",
        { framing: "lines", ...NEVER, close: (_, end) => void info.push(end) },
        (connection) => connection.send("hello"),
      );
      const client = await connect(server.url, { framing: "lines", ...NEVER });
      await read(client);
      // No time limit would end it.
      assert.deepEqual([(await client.closed).wasClean, (await client.closed).code], [true, 1000]);
      await server.close();
      assert.deepEqual(
        info.map(({ wasClean }) => wasClean),
        [true],
      );
    });

    it(`S5-2 the client ends, the server reads with ${way}`, async () => {
      const info: CloseInfo[] = [];
      await using server = await listen(
        "tcp://127.0.0.1:0",
        { framing: "lines", ...NEVER, close: (_, end) => void info.push(end) },
        async (connection) => {
          await read(connection);
          // The application knows of the end and does nothing: nothing waits for this handler.
          await connection.closed;
        },
      );
      const client = await connect(server.url, { framing: "lines", ...NEVER });
      await client.send("hello");
      assert.equal((await client.close()).wasClean, true);
      await server.close();
      assert.deepEqual(
        info.map(({ wasClean }) => wasClean),
        [true],
      );
    });
  }

  it("S5-2 with hooks on both sides", async () => {
    const info: CloseInfo[] = [];
    const hooks = { framing: "lines", ...NEVER, message: () => undefined } as const;
    await using server = await listen("tcp://127.0.0.1:0", {
      ...hooks,
      open: (connection) => void connection.close(),
      close: (_, end) => void info.push(end),
    });
    const client = await connect(server.url, hooks);
    assert.equal((await client.closed).wasClean, true);
    await server.close();
    assert.deepEqual(
      info.map(({ wasClean }) => wasClean),
      [true],
    );
  });

  it("S5-2 a message that the application holds is answered before the FIN", async () => {
    await using server = await listen("tcp://127.0.0.1:0", { framing: "lines", ...NEVER }, async (connection) => {
      const request = await connection.receive();
      while (connection.peerEndedFor === undefined) await new Promise(setImmediate);
      await connection.send(`answer to ${String(request)}`);
    });
    const peer = await RawPeer.to(portOf(server));
    peer.write("request\n");
    peer.socket.end();
    await peer.until(({ ended }) => ended);
    assert.equal(peer.text, "answer to request\n");
  });

  it("S5-2 allowHalfOpen keeps the other direction open until the application closes", async () => {
    await using server = await listen(
      "tcp://127.0.0.1:0",
      { framing: "lines", ...NEVER, allowHalfOpen: true },
      async (connection) => {
        const requests: Message[] = [];
        for await (const request of connection) requests.push(request);
        for (let turn = 0; turn < 10; turn += 1) {
          await new Promise(setImmediate);
          await connection.send(`${requests.length} requests, line ${turn}`);
        }
      },
    );
    const peer = await RawPeer.to(portOf(server));
    peer.write("one\ntwo\n");
    peer.socket.end();
    await peer.until(({ ended }) => ended);
    assert.equal(peer.text.split("\n").length, 11);
    await peer.closed;
  });

  it("S5-2 after the peer's FIN `closed` reports the peer's end, whatever code this side closes with", async () => {
    await using server = await listen(
      "tcp://127.0.0.1:0",
      { framing: "lines", ...NEVER, allowHalfOpen: true },
      async (connection) => {
        for await (const _ of connection);
        const refused = await connection.receive().catch((error: unknown) => error);
        const { code, by, reason, wasClean, cause } = await connection.close(4_001, "no such code on TCP");
        assert.deepEqual([code, by, reason, wasClean, cause], [1000, "peer", "", true, undefined]);
        assert.equal(connection.signal.reason, refused, "calls get the same error before and behind this side's close");
        checked = true;
      },
    );
    let checked = false;
    const peer = await RawPeer.to(portOf(server));
    peer.socket.end();
    await peer.closed;
    await server.close();
    assert.equal(checked, true);
  });

  it("S5-2 allowHalfOpen is for TCP", async () => {
    await assert.rejects(
      listen("ws://127.0.0.1:0", { allowHalfOpen: true }, () => undefined),
      { name: "TypeError" },
    );
  });

  it("S5-2 in memory, without any time", async () => {
    const { client, server } = pair({ kind: "tcp", framing: "lines" });
    const reading = (async () => {
      for await (const _ of client);
    })();
    const ends = await Promise.all([server.close(), client.closed, reading]);
    assert.deepEqual([ends[0].wasClean, ends[1].wasClean], [true, true]);
  });
});

it("S5-1 unread bytes of a peer that sends all the time do not turn the end into a reset", async () => {
  await using server = await listen(
    "tcp://127.0.0.1:0",
    { framing: "lines", maxInboxMessages: 2 },
    async (connection) => {
      await connection.send("x".repeat(500_000));
    },
  );
  const socket = dial({ port: portOf(server), host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "connect");
  let errno: string | undefined;
  socket.on("error", ({ code }: NodeJS.ErrnoException) => {
    errno = code;
  });
  // More than the inbox and the kernels hold.
  const chatter = setInterval(() => {
    for (let line = 0; line < 100; line += 1) socket.write(`${"y".repeat(1_000)}\n`);
  }, 5);
  const bytes = await readSlowly(socket, 100_000, 20);
  clearInterval(chatter);
  assert.equal(bytes.length, 500_001);
  assert.equal(errno, undefined);
  socket.end();
  await once(socket, "close");
});
