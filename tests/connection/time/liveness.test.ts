/** The time limits of the whole connection: heartbeat, idle, message, pause and lifetime. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { after, type Instant } from "../../../src/base/time.ts";
import { settle } from "../../../src/connection/options.ts";
import { type ConnectionBase, ConnectionRecord } from "../../../src/connection/record.ts";
import {
  bytesReceived,
  type LivenessOwner,
  livenessTimerExpired,
  startLiveness,
} from "../../../src/connection/time/liveness.ts";
import { expireTimers, stopTimers, type TimerName } from "../../../src/connection/time/timers.ts";
import { type Connection, type ConnectionOptions, connect, type TimeoutError } from "../../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../../src/testing/index.ts";
import { closeCodeIn, joined, KEY, peerFrame } from "../../kit/frames.ts";
import { rawServer } from "../../kit/raw-peer.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../../kit/wire-protocols.ts";

const [WEBSOCKET, TCP] = WIRE_PROTOCOLS as [WireProtocol, WireProtocol];

const scene = ({ protocol, options }: WireProtocol, connection: ConnectionOptions = {}): Wired =>
  wired({ kind: protocol, ...options, connection: { closeTimeout: 10, ...connection } });

/** Asserts that `limit` ended the connection after `after`, and the code in the Close frame. */
async function assertEnded(one: Wired, facts: Partial<TimeoutError>, closeCode?: number): Promise<void> {
  const { connection, peer, clock } = one;
  await clock.advance(10);
  const { cause, wasClean, by } = await connection.closed;
  assert.deepEqual([wasClean, by], [false, "local"]);
  assert.deepEqual({ ...(cause as object), code: "TIMEOUT", retriable: false, ...facts }, { ...(cause as object) });
  if (connection.kind === "websocket") assert.equal(closeCodeIn(peer.received), closeCode);
}

describe("a lifetime", () => {
  for (const wire of WIRE_PROTOCOLS) {
    it(`closes the connection with 1001, also a busy one, on ${wire.name}`, async () => {
      const one = scene(wire, { lifetime: 1_000, message: () => undefined });
      for (let at = 0; at < 1_000; at += 50) {
        assert.equal(one.connection.state, "OPEN");
        one.peer.write(wire.message("busy"));
        await one.clock.advance(50);
      }
      await assertEnded(one, { limit: "lifetime", operation: "lifetime", bound: 1_000, after: 1_000 }, 1001);
    });

    it(`is infinite by default, on ${wire.name}`, async () => {
      const { connection, peer, clock } = scene(wire, { message: () => undefined });
      for (let day = 0; day < 100; day += 1) {
        peer.write(wire.message("still here"));
        await clock.block(20_000);
        peer.write(wire.message("still here"));
        await settled();
      }
      assert.equal(connection.state, "OPEN");
    });
  }
});

describe("an idle limit", () => {
  it("is 60 s without a heartbeat", async () => {
    const one = scene(TCP);
    await one.clock.advance(59_999);
    assert.equal(one.connection.state, "OPEN");
    await one.clock.advance(1);
    await assertEnded(one, { limit: "idleTimeout", operation: "receive", bound: 60_000, after: 60_000 });
  });

  it("is off with a heartbeat, which detects a dead peer instead", async () => {
    const { connection, peer, clock } = scene(WEBSOCKET);
    for (let beat = 0; beat < 20; beat += 1) {
      await clock.advance(25_000);
      assert.deepEqual([...peer.take()], [0x89, 0]);
      peer.write(peerFrame({ opcode: 10, key: KEY }));
    }
    assert.equal(connection.state, "OPEN");
  });

  it("can be set together with a heartbeat: then the answers to the heartbeat count as received bytes", async () => {
    const { client, clock } = pair({ client: { heartbeat: { interval: 100, timeout: 50 }, idleTimeout: 150 } });
    await clock.advance(10_000);
    assert.equal(client.state, "OPEN");
  });
});

describe("a heartbeat", () => {
  it("sends a Ping after 25 s of silence and fails 10 s later, by default on a WebSocket", async () => {
    const one = scene(WEBSOCKET);
    const { connection, peer, clock } = one;
    await clock.advance(24_999);
    assert.equal(peer.received.length, 0);
    await clock.advance(1);
    assert.deepEqual([...peer.received], [0x89, 0]);
    await clock.advance(9_999);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    const { code, cause, by } = await connection.closed;
    assert.deepEqual([code, by], [1006, "local"], "no Close frame is sent to a dead peer");
    const { operation, limit, bound } = cause as TimeoutError;
    assert.deepEqual([operation, limit, bound], ["ping", "heartbeat.timeout", 10_000]);
  });

  it("that was answered causes no wakeup until the next Ping", () => {
    class Watched extends ConnectionRecord implements LivenessOwner {
      asked = 0;
      readonly busy = false;

      probePeer(): void {
        this.asked += 1;
      }

      pollKernel(): void {}

      limitReached(error: TimeoutError): void {
        throw error;
      }

      timerExpired(name: TimerName, at: Instant): void {
        livenessTimerExpired(this, name, at);
      }

      override wake(at: Instant): void {
        expireTimers(this, at);
      }
    }
    const options = settle({}, "websocket");
    const watch = new Watched({} as Connection, { options } as ConnectionBase);
    startLiveness(watch);
    const now = options.clock.now();
    const { tick } = watch;
    // Long before it is due, as the timer wheel may wake it.
    watch.cancel();
    watch.wake(after(now, 25_001));
    assert.equal(watch.asked, 1);
    const step = watch.tick;
    assert.ok(step > tick && step < tick + 2_000 / 4, `${step} behind ${tick}`);
    bytesReceived(watch, after(now, 25_002));
    assert.ok(watch.tick > tick + 24_000 / 4, `${watch.tick} behind ${tick}`);
    stopTimers(watch);
  });

  it("is off with an interval of Infinity", async () => {
    const { connection, peer, clock } = scene(WEBSOCKET, { heartbeat: { interval: Infinity }, idleTimeout: Infinity });
    await clock.advance(3_600_000);
    assert.equal(peer.received.length, 0);
    assert.equal(connection.state, "OPEN");
  });

  it("sends a Ping only to a silent peer", async () => {
    const { peer, clock } = scene(WEBSOCKET, { heartbeat: { interval: 100 } });
    for (let count = 0; count < 20; count += 1) {
      await clock.advance(99);
      peer.write(peerFrame({ opcode: 10, payload: "unasked", key: KEY }));
    }
    await settled();
    assert.equal(peer.received.length, 0);
  });

  for (const bytes of [1, 5, 6, 8]) {
    it(`does not take bytes that look like its Pong for a Pong inside a message, ${bytes} bytes after the start`, async () => {
      const got: unknown[] = [];
      const { peer, clock } = scene(WEBSOCKET, { message: (_, data) => void got.push(data) });
      const payload = Uint8Array.of(1, 2, ...peerFrame({ opcode: 10, key: KEY }));
      const frame = peerFrame({
        opcode: 2,
        payload: payload.map((byte, at) => byte ^ (KEY[at % 4] as number)),
        key: KEY,
      });
      peer.write(frame.subarray(0, bytes));
      await clock.advance(25_000);
      assert.deepEqual([...peer.take()], [0x89, 0]);
      for (let at = bytes; at < frame.length; at += 6) peer.write(frame.subarray(at, at + 6));
      await settled();
      assert.deepEqual(got, [payload.map((byte, at) => byte ^ (KEY[at % 4] as number))]);
    });
  }

  it("accepts an answer after messages have been handled and the parts are pooled, and later messages arrive", async () => {
    const got: unknown[] = [];
    const { peer, clock } = scene(WEBSOCKET, { message: (_, data) => void got.push(data) });
    for (let beat = 0; beat < 3; beat += 1) {
      peer.write(WEBSOCKET.message(`before ${beat}`));
      await clock.advance(25_000);
      assert.deepEqual([...peer.take()], [0x89, 0]);
      peer.write(joined(peerFrame({ opcode: 10, key: KEY }), WEBSOCKET.message(`behind ${beat}`)));
      await clock.advance(25_000);
      assert.deepEqual([...peer.take()], [0x89, 0]);
      peer.write(peerFrame({ opcode: 10, key: KEY }));
    }
    await settled();
    assert.deepEqual(
      got,
      [0, 1, 2].flatMap((beat) => [`before ${beat}`, `behind ${beat}`]),
    );
  });

  it("fails a connection that receives a Pong without a mask", async () => {
    const { connection, peer, clock } = scene(WEBSOCKET);
    await clock.advance(25_000);
    peer.write(peerFrame({ opcode: 10 }));
    await clock.advance(5_000);
    assert.equal((await connection.closed).code, 1002);
  });

  it("does not count bytes that this side sends as a sign of life", async () => {
    const { connection, clock } = scene(WEBSOCKET, { heartbeat: { interval: 100, timeout: 50 } });
    for (let at = 0; at < 150; at += 10) {
      await connection.send("busy");
      await clock.advance(10);
    }
    assert.equal((await connection.closed).code, 1006);
  });

  for (const [kind, answer] of Object.entries({
    "the Pong of its Ping": peerFrame({ opcode: 10, key: KEY }),
    "another Pong": peerFrame({ opcode: 10, payload: "unasked", key: KEY }),
    "a message": WEBSOCKET.message("x"),
    "half a frame": WEBSOCKET.message("x").subarray(0, 1),
  })) {
    it(`accepts ${kind} as an answer`, async () => {
      const { connection, peer, clock } = scene(WEBSOCKET, { heartbeat: { interval: 100, timeout: 50 } });
      await clock.advance(149);
      peer.write(answer);
      await clock.advance(100);
      assert.equal(connection.state, "OPEN");
      assert.equal(peer.received.length, 4, "and sends another Ping after the next silence");
    });
  }

  it("sends its message on framed TCP after each silence, and accepts any line as an answer", async () => {
    const { connection, peer, clock } = scene(TCP, {
      heartbeat: { interval: 100, timeout: 50, message: "are you there?" },
      message: () => undefined,
    });
    for (let beat = 0; beat < 3; beat += 1) {
      await clock.advance(100);
      assert.equal(Buffer.from(peer.take()).toString(), "are you there?\n");
      peer.write("yes\n");
    }
    await clock.advance(149);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    assert.equal(((await connection.closed).cause as TimeoutError).limit, "heartbeat.timeout");
  });

  it("has no message on a WebSocket, and on TCP a message that the framing can encode", () => {
    assert.throws(() => wired({ connection: { heartbeat: { message: "x" } } }), { name: "TypeError", message: /Ping/ });
    const heartbeat = { message: "two\nlines" };
    assert.throws(() => wired({ kind: "tcp", framing: "lines", connection: { heartbeat } }), RangeError);
  });

  it("sends nothing after the FIN of this side", async () => {
    const { connection, peer, clock } = scene(TCP, {
      ...{ heartbeat: { interval: 100, timeout: 100, message: "alive?" }, closeTimeout: 1_000 },
    });
    void connection.close();
    await clock.advance(999);
    assert.equal(peer.received.length, 0);
    assert.equal(peer.ended, true);
    await clock.advance(1);
    assert.equal(((await connection.closed).cause as TimeoutError).limit, "closeTimeout");
  });

  it("sends nothing after the FIN of this side on a socket, where a write would be an error", async () => {
    await using server = await rawServer(() => undefined);
    const connection = await connect(`tcp://127.0.0.1:${server.port}`, {
      ...{ framing: "lines", heartbeat: { interval: 5, timeout: 1_000, message: "alive?" }, closeTimeout: 60 },
    });
    const { cause } = await connection.close();
    assert.equal((cause as TimeoutError).limit, "closeTimeout");
  });

  it("is suspended while reading is paused, and starts again with it", async () => {
    const { connection, peer, clock } = scene(WEBSOCKET, {
      ...{ heartbeat: { interval: 100, timeout: 50 }, maxInboxMessages: 1 },
    });
    peer.write(WEBSOCKET.message("nobody takes this"));
    await clock.advance(10_000);
    assert.equal(peer.received.length, 0);
    assert.equal(connection.state, "OPEN");
    await connection.receive();
    await clock.advance(99);
    assert.equal(peer.received.length, 0);
    await clock.advance(1);
    assert.equal(peer.received.length, 2);
    await clock.advance(50);
    assert.equal(connection.state, "CLOSED");
  });

  it("whose answer is pending when reading pauses waits for the full timeout after the pause", async () => {
    const { connection, peer, clock } = scene(WEBSOCKET, {
      ...{ heartbeat: { interval: 100, timeout: 50 }, maxInboxMessages: 1 },
    });
    peer.write(WEBSOCKET.message("one").subarray(0, 3));
    await clock.advance(100);
    peer.write(WEBSOCKET.message("one").subarray(3));
    await clock.advance(1_000);
    await connection.receive();
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
  });
});

describe("a message limit", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const { name, message } = wire;

    it(`is 60 s from the first byte of a message, on ${name}`, async () => {
      const one = scene(wire, { heartbeat: { interval: Infinity }, idleTimeout: Infinity });
      await one.clock.advance(5_000);
      one.peer.write(message("slow").subarray(0, 1));
      await one.clock.advance(59_999);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      await assertEnded(one, { limit: "messageTimeout", operation: "receive", after: 60_000 }, 1008);
    });

    it(`starts again with each message, on ${name}`, async () => {
      const one = scene(wire, { messageTimeout: 100, message: () => undefined });
      const whole = message("whole");
      const [head, tail] = [whole.subarray(0, 2), whole.subarray(2)];
      one.peer.write(head);
      for (let count = 0; count < 5; count += 1) {
        await one.clock.advance(90);
        one.peer.write(joined(tail, head));
      }
      await one.clock.advance(99);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      await assertEnded(one, { limit: "messageTimeout", after: 100 }, 1008);
    });

    it(`does not include the time in which reading is paused, on ${name}`, async () => {
      const one = scene(wire, { messageTimeout: 100, maxInboxMessages: 1 });
      one.peer.write(joined(message("whole"), message("half").subarray(0, 3)));
      await one.clock.advance(10_000);
      assert.equal(await one.connection.receive(), "whole");
      await one.clock.advance(99);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      await assertEnded(one, { limit: "messageTimeout" }, 1008);
    });
  }

  it("does not apply to a message that is read in pieces", async () => {
    const { connection, peer, clock } = scene(WEBSOCKET, { messageTimeout: 100, streaming: true });
    peer.write(peerFrame({ opcode: 1, payload: "a long ", fin: false, key: KEY }));
    const reader = await connection.reader();
    const pieces = [await reader.read()];
    const rest = (async () => {
      for await (const piece of reader) pieces.push(piece);
    })();
    await clock.advance(10_000);
    peer.write(peerFrame({ opcode: 0, payload: "pause", key: KEY }));
    await rest;
    assert.equal(Buffer.concat(pieces as Uint8Array[]).toString(), "a long pause");
  });
});

describe("a pause limit", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const { name, message } = wire;

    it(`ends a connection from which the application has taken nothing for 60 s, on ${name}`, async () => {
      const one = scene(wire, { maxInboxMessages: 2 });
      one.peer.write(joined(message("1"), message("2")));
      await one.clock.advance(59_999);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      const facts = { limit: "pauseTimeout", operation: "receive", bound: 60_000, after: 60_000 } as const;
      await assertEnded(one, facts, 1008);
      assert.deepEqual([await one.connection.receive(), await one.connection.receive()], ["1", "2"]);
    });

    it(`applies to each pause separately, on ${name}`, async () => {
      const { connection, peer, clock } = scene(wire, { maxInboxMessages: 1, pauseTimeout: 100 });
      peer.write(joined(...Array.from({ length: 20 }, (_, index) => message(`${index}`))));
      for (let count = 0; count < 20; count += 1) {
        await clock.advance(99);
        assert.equal(await connection.receive(), `${count}`);
      }
      await clock.advance(1_000);
      assert.equal(connection.state, "OPEN");
    });

    it(`is not reached by a hook that is slow but continues, on ${name}`, async () => {
      let ends: (() => void)[] = [];
      const { connection, peer, clock } = scene(wire, {
        ...{ maxInboxMessages: 2, pauseTimeout: 100 },
        message: () => new Promise<void>((resolve) => void ends.push(resolve)),
      });
      peer.write(joined(...Array.from({ length: 10 }, () => message("x"))));
      for (let count = 0; count < 10; count += 1) {
        await clock.advance(60);
        for (const end of ends) end();
        ends = [];
      }
      assert.equal(connection.state, "OPEN");
    });
  }
});

it("no limit changes the reason of an end that has begun", async () => {
  const limits = { lifetime: 50, idleTimeout: 60, messageTimeout: 70, heartbeat: { interval: 40, timeout: 40 } };
  const { connection, clock } = scene(WEBSOCKET, { ...limits, closeTimeout: 200 });
  void connection.close(4_000, "on purpose");
  await clock.advance(200);
  const { code, reason, cause } = await connection.closed;
  assert.deepEqual([code, reason, (cause as TimeoutError).limit], [4_000, "on purpose", "closeTimeout"]);
});

it("a connection that has ended causes no wakeup", async () => {
  const { connection, peer, clock } = scene(WEBSOCKET, { lifetime: 50_000, idleTimeout: 60_000 });
  let wakeups = 0;
  const { wakeAt } = clock;
  clock.wakeAt = (at, wake) =>
    wakeAt.call(clock, at, (now) => {
      wakeups += 1;
      wake(now);
    });
  peer.reset();
  await connection.closed;
  await clock.advance(3_600_000);
  assert.equal(wakeups, 0);
});

describe("a peer that reads slowly", () => {
  it("is alive as long as it reads, also if it sends nothing", async () => {
    const capacity = 65_536;
    const { connection, peer, clock } = wired({ capacity });
    peer.pause();
    const sent = connection.send(new Uint8Array(1_000_000));
    let seconds = 0;
    for (; connection.queuedBytes > 0; seconds += 6) {
      await clock.advance(6_000);
      assert.equal(connection.state, "OPEN", `${seconds + 6} s`);
      // As much as the buffers of both kernels hold, one chunk at a time. If it resumed for longer, it would read everything.
      for (const until = peer.received.length + capacity; peer.received.length < Math.min(until, 1_000_000); ) {
        peer.resume();
        peer.pause();
        await settled();
      }
    }
    await sent;
    // Twice the 35 s after which a peer that reads nothing is dead.
    assert.ok(seconds > 70, `everything was read in ${seconds} s`);
  });

  it("is dead if it sends nothing and only its kernel accepts bytes", async () => {
    const one = wired({ connection: { closeTimeout: 10 } });
    one.peer.pause();
    for (let second = 0; second < 34; second += 1) {
      await one.connection.send("a few bytes");
      await one.clock.advance(1_000);
    }
    assert.equal(one.connection.state, "OPEN");
    await one.clock.advance(1_000);
    await assertEnded(one, { limit: "heartbeat.timeout", operation: "ping", bound: 10_000 });
  });
});
