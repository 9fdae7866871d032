/** The limits of time that nobody calls for: heartbeat, idle, message, pause and lifetime. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { after } from "../../src/base/time.js";
import { settle } from "../../src/connection/options.js";
import { Watch } from "../../src/connection/watch.js";
import { type ConnectionOptions, connect, type TimeoutError } from "../../src/index.js";
import { pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { joined, KEY, peerFrame } from "../engine/peer-frames.js";
import { rawServer } from "../raw-peers.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";
import { closeCodeIn } from "./goodbye.js";

const [WEBSOCKET, TCP] = SPEECHES as [Speech, Speech];

const scene = ({ protocol, options }: Speech, connection: ConnectionOptions = {}): Wired =>
  wired({ protocol, ...options, connection: { closeTimeout: 10, ...connection } });

/** Asserts that `limit` ended the connection after `after`, and with which code the peer was told. */
async function assertEnded(one: Wired, facts: Partial<TimeoutError>, closeCode?: number): Promise<void> {
  const { connection, wire, clock } = one;
  await clock.advance(10);
  const { cause, wasClean, by } = await connection.closed;
  assert.deepEqual([wasClean, by], [false, "local"]);
  assert.deepEqual({ ...(cause as object), code: "TIMEOUT", retriable: false, ...facts }, { ...(cause as object) });
  if (connection.protocol === "websocket") assert.equal(closeCodeIn(wire), closeCode);
}

describe("a lifetime", () => {
  for (const speech of SPEECHES) {
    it(`closes the connection with 1001, however busy it is, on ${speech.name}`, async () => {
      const one = scene(speech, { lifetime: 1_000, message: () => undefined });
      for (let at = 0; at < 1_000; at += 50) {
        assert.equal(one.connection.state, "OPEN");
        one.wire.write(speech.message("busy"));
        await one.clock.advance(50);
      }
      await assertEnded(one, { limit: "lifetime", operation: "live", bound: 1_000, after: 1_000 }, 1001);
    });

    it(`is without end by default, on ${speech.name}`, async () => {
      const { connection, wire, clock } = scene(speech, { message: () => undefined });
      for (let day = 0; day < 100; day += 1) {
        wire.write(speech.message("still here"));
        await clock.block(20_000);
        wire.write(speech.message("still here"));
        await settled();
      }
      assert.equal(connection.state, "OPEN");
    });
  }
});

describe("an idle limit", () => {
  it("is 60 s where there is no heartbeat", async () => {
    const one = scene(TCP);
    await one.clock.advance(59_999);
    assert.equal(one.connection.state, "OPEN");
    await one.clock.advance(1);
    await assertEnded(one, { limit: "idleTimeout", operation: "receive", bound: 60_000, after: 60_000 });
  });

  it("is not there with a heartbeat, which asks instead", async () => {
    const { connection, wire, clock } = scene(WEBSOCKET);
    for (let beat = 0; beat < 20; beat += 1) {
      await clock.advance(25_000);
      assert.deepEqual([...wire.take()], [0x89, 0]);
      wire.write(peerFrame({ opcode: 10, key: KEY }));
    }
    assert.equal(connection.state, "OPEN");
  });

  it("may stand beside a heartbeat: then the answers to it count as bytes like any other", async () => {
    const { client, clock } = pair({ client: { heartbeat: { interval: 100, timeout: 50 }, idleTimeout: 150 } });
    await clock.advance(10_000);
    assert.equal(client.state, "OPEN");
  });
});

describe("a heartbeat", () => {
  it("asks after 25 s of silence and gives up 10 s later, by default on a WebSocket", async () => {
    const one = scene(WEBSOCKET);
    const { connection, wire, clock } = one;
    await clock.advance(24_999);
    assert.equal(wire.received.length, 0);
    await clock.advance(1);
    assert.deepEqual([...wire.received], [0x89, 0]);
    await clock.advance(9_999);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    const { code, cause, by } = await connection.closed;
    assert.deepEqual([code, by], [1006, "local"], "no goodbye to the dead");
    const { operation, limit, bound } = cause as TimeoutError;
    assert.deepEqual([operation, limit, bound], ["ping", "heartbeat.timeout", 10_000]);
  });

  it("that was answered wakes nobody until it has to ask again", () => {
    class Watched extends Watch {
      asked = 0;
      readonly busy = false;

      override askForLife(): void {
        this.asked += 1;
      }

      override follow(): void {}

      override limitReached(error: TimeoutError): void {
        throw error;
      }
    }
    const options = settle({}, "websocket");
    const watch = new Watched(options);
    const now = options.clock.now();
    const { tick } = watch;
    // Long before its time, as the wheel would do it then.
    watch.cancel();
    watch.wake(after(now, 25_001));
    assert.equal(watch.asked, 1);
    const step = watch.tick;
    assert.ok(step > tick && step < tick + 2_000 / 4, `${step} behind ${tick}`);
    watch.heard(after(now, 25_002));
    assert.ok(watch.tick > tick + 24_000 / 4, `${watch.tick} behind ${tick}`);
    watch.stop();
  });

  it("is off with an interval of Infinity", async () => {
    const { connection, wire, clock } = scene(WEBSOCKET, { heartbeat: { interval: Infinity }, idleTimeout: Infinity });
    await clock.advance(3_600_000);
    assert.equal(wire.received.length, 0);
    assert.equal(connection.state, "OPEN");
  });

  it("asks only who is silent", async () => {
    const { wire, clock } = scene(WEBSOCKET, { heartbeat: { interval: 100 } });
    for (let count = 0; count < 20; count += 1) {
      await clock.advance(99);
      wire.write(peerFrame({ opcode: 10, payload: "unasked", key: KEY }));
    }
    await settled();
    assert.equal(wire.received.length, 0);
  });

  for (const bytes of [1, 5, 6, 8]) {
    it(`takes what looks like its answer for what it is, ${bytes} bytes into a message of a peer that has been asked`, async () => {
      const got: unknown[] = [];
      const { wire, clock } = scene(WEBSOCKET, { message: (_, data) => void got.push(data) });
      const payload = Uint8Array.of(1, 2, ...peerFrame({ opcode: 10, key: KEY }));
      const frame = peerFrame({
        opcode: 2,
        payload: payload.map((byte, at) => byte ^ (KEY[at % 4] as number)),
        key: KEY,
      });
      wire.write(frame.subarray(0, bytes));
      await clock.advance(25_000);
      assert.deepEqual([...wire.take()], [0x89, 0]);
      for (let at = bytes; at < frame.length; at += 6) wire.write(frame.subarray(at, at + 6));
      await settled();
      assert.deepEqual(got, [payload.map((byte, at) => byte ^ (KEY[at % 4] as number))]);
    });
  }

  it("hears an answer when messages have come and nothing is kept of them, and what follows it", async () => {
    const got: unknown[] = [];
    const { wire, clock } = scene(WEBSOCKET, { message: (_, data) => void got.push(data) });
    for (let beat = 0; beat < 3; beat += 1) {
      wire.write(WEBSOCKET.message(`before ${beat}`));
      await clock.advance(25_000);
      assert.deepEqual([...wire.take()], [0x89, 0]);
      wire.write(joined(peerFrame({ opcode: 10, key: KEY }), WEBSOCKET.message(`behind ${beat}`)));
      await clock.advance(25_000);
      assert.deepEqual([...wire.take()], [0x89, 0]);
      wire.write(peerFrame({ opcode: 10, key: KEY }));
    }
    await settled();
    assert.deepEqual(
      got,
      [0, 1, 2].flatMap((beat) => [`before ${beat}`, `behind ${beat}`]),
    );
  });

  it("fails a connection on which a Pong comes that is not masked", async () => {
    const { connection, wire, clock } = scene(WEBSOCKET);
    await clock.advance(25_000);
    wire.write(peerFrame({ opcode: 10 }));
    await clock.advance(5_000);
    assert.equal((await connection.closed).code, 1002);
  });

  it("is not taken for life by what this side sends", async () => {
    const { connection, clock } = scene(WEBSOCKET, { heartbeat: { interval: 100, timeout: 50 } });
    for (let at = 0; at < 150; at += 10) {
      await connection.send("busy");
      await clock.advance(10);
    }
    assert.equal((await connection.closed).code, 1006);
  });

  for (const [how, answer] of Object.entries({
    "the answer to it": peerFrame({ opcode: 10, key: KEY }),
    "another Pong": peerFrame({ opcode: 10, payload: "unasked", key: KEY }),
    "a message": WEBSOCKET.message("x"),
    "half a frame": WEBSOCKET.message("x").subarray(0, 1),
  })) {
    it(`takes ${how} for an answer`, async () => {
      const { connection, wire, clock } = scene(WEBSOCKET, { heartbeat: { interval: 100, timeout: 50 } });
      await clock.advance(149);
      wire.write(answer);
      await clock.advance(100);
      assert.equal(connection.state, "OPEN");
      assert.equal(wire.received.length, 4, "and asks anew after another silence");
    });
  }

  it("asks by its message on framed TCP, as often as there is silence, and takes any line for an answer", async () => {
    const { connection, wire, clock } = scene(TCP, {
      heartbeat: { interval: 100, timeout: 50, message: "are you there?" },
      message: () => undefined,
    });
    for (let beat = 0; beat < 3; beat += 1) {
      await clock.advance(100);
      assert.equal(Buffer.from(wire.take()).toString(), "are you there?\n");
      wire.write("yes\n");
    }
    await clock.advance(149);
    assert.equal(connection.state, "OPEN");
    await clock.advance(1);
    assert.equal(((await connection.closed).cause as TimeoutError).limit, "heartbeat.timeout");
  });

  it("has no message on a WebSocket, and one that the framing takes on TCP", () => {
    assert.throws(() => wired({ connection: { heartbeat: { message: "x" } } }), { name: "TypeError", message: /Ping/ });
    const heartbeat = { message: "two\nlines" };
    assert.throws(() => wired({ protocol: "tcp", framing: "lines", connection: { heartbeat } }), RangeError);
  });

  it("says nothing behind the FIN that this side has sent", async () => {
    const { connection, wire, clock } = scene(TCP, {
      ...{ heartbeat: { interval: 100, timeout: 100, message: "alive?" }, closeTimeout: 1_000 },
    });
    void connection.close();
    await clock.advance(999);
    assert.equal(wire.received.length, 0);
    assert.equal(wire.ended, true);
    await clock.advance(1);
    assert.equal(((await connection.closed).cause as TimeoutError).limit, "closeTimeout");
  });

  it("says nothing behind the FIN on a socket either, where that would be an error of its own", async () => {
    await using server = await rawServer(() => undefined);
    const connection = await connect(`tcp://127.0.0.1:${server.port}`, {
      ...{ framing: "lines", heartbeat: { interval: 5, timeout: 1_000, message: "alive?" }, closeTimeout: 60 },
    });
    const { cause } = await connection.close();
    assert.equal((cause as TimeoutError).limit, "closeTimeout");
  });

  it("is suspended while reading is paused, and starts again with it", async () => {
    const { connection, wire, clock } = scene(WEBSOCKET, {
      ...{ heartbeat: { interval: 100, timeout: 50 }, maxInboxMessages: 1 },
    });
    wire.write(WEBSOCKET.message("nobody takes this"));
    await clock.advance(10_000);
    assert.equal(wire.received.length, 0);
    assert.equal(connection.state, "OPEN");
    await connection.receive();
    await clock.advance(99);
    assert.equal(wire.received.length, 0);
    await clock.advance(1);
    assert.equal(wire.received.length, 2);
    await clock.advance(50);
    assert.equal(connection.state, "CLOSED");
  });

  it("that waits for an answer when reading pauses waits anew when it goes on", async () => {
    const { connection, wire, clock } = scene(WEBSOCKET, {
      ...{ heartbeat: { interval: 100, timeout: 50 }, maxInboxMessages: 1 },
    });
    wire.write(WEBSOCKET.message("one").subarray(0, 3));
    await clock.advance(100);
    wire.write(WEBSOCKET.message("one").subarray(3));
    await clock.advance(1_000);
    await connection.receive();
    await clock.advance(99);
    assert.equal(connection.state, "OPEN");
  });
});

describe("a message limit", () => {
  for (const speech of SPEECHES) {
    const { name, message } = speech;

    it(`is 60 s from a message's first byte, on ${name}`, async () => {
      const one = scene(speech, { heartbeat: { interval: Infinity }, idleTimeout: Infinity });
      await one.clock.advance(5_000);
      one.wire.write(message("slow").subarray(0, 1));
      await one.clock.advance(59_999);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      await assertEnded(one, { limit: "messageTimeout", operation: "receive", after: 60_000 }, 1008);
    });

    it(`begins anew with each message, on ${name}`, async () => {
      const one = scene(speech, { messageTimeout: 100, message: () => undefined });
      const whole = message("whole");
      const [head, tail] = [whole.subarray(0, 2), whole.subarray(2)];
      one.wire.write(head);
      for (let count = 0; count < 5; count += 1) {
        await one.clock.advance(90);
        one.wire.write(joined(tail, head));
      }
      await one.clock.advance(99);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      await assertEnded(one, { limit: "messageTimeout", after: 100 }, 1008);
    });

    it(`does not count the time for which reading was paused, on ${name}`, async () => {
      const one = scene(speech, { messageTimeout: 100, maxInboxMessages: 1 });
      one.wire.write(joined(message("whole"), message("half").subarray(0, 3)));
      await one.clock.advance(10_000);
      assert.equal(await one.connection.receive(), "whole");
      await one.clock.advance(99);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      await assertEnded(one, { limit: "messageTimeout" }, 1008);
    });
  }

  it("does not apply to a message that is read in pieces", async () => {
    const { connection, wire, clock } = scene(WEBSOCKET, { messageTimeout: 100, streaming: true });
    wire.write(peerFrame({ opcode: 1, payload: "a long ", fin: false, key: KEY }));
    const reader = await connection.reader();
    const pieces = [await reader.read()];
    const rest = (async () => {
      for await (const piece of reader) pieces.push(piece);
    })();
    await clock.advance(10_000);
    wire.write(peerFrame({ opcode: 0, payload: "pause", key: KEY }));
    await rest;
    assert.equal(Buffer.concat(pieces as Uint8Array[]).toString(), "a long pause");
  });
});

describe("a limit on pauses", () => {
  for (const speech of SPEECHES) {
    const { name, message } = speech;

    it(`ends a connection from which nobody has taken anything for 60 s, on ${name}`, async () => {
      const one = scene(speech, { maxInboxMessages: 2 });
      one.wire.write(joined(message("1"), message("2")));
      await one.clock.advance(59_999);
      assert.equal(one.connection.state, "OPEN");
      await one.clock.advance(1);
      const facts = { limit: "pauseTimeout", operation: "receive", bound: 60_000, after: 60_000 } as const;
      await assertEnded(one, facts, 1008);
      assert.deepEqual([await one.connection.receive(), await one.connection.receive()], ["1", "2"]);
    });

    it(`counts each pause for itself, on ${name}`, async () => {
      const { connection, wire, clock } = scene(speech, { maxInboxMessages: 1, pauseTimeout: 100 });
      wire.write(joined(...Array.from({ length: 20 }, (_, index) => message(`${index}`))));
      for (let count = 0; count < 20; count += 1) {
        await clock.advance(99);
        assert.equal(await connection.receive(), `${count}`);
      }
      await clock.advance(1_000);
      assert.equal(connection.state, "OPEN");
    });

    it(`is not reached by a hook that is slow but goes on, on ${name}`, async () => {
      let ends: (() => void)[] = [];
      const { connection, wire, clock } = scene(speech, {
        ...{ maxInboxMessages: 2, pauseTimeout: 100 },
        message: () => new Promise<void>((resolve) => void ends.push(resolve)),
      });
      wire.write(joined(...Array.from({ length: 10 }, () => message("x"))));
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

it("a connection that has ended wakes nobody any more", async () => {
  const { connection, wire, clock } = scene(WEBSOCKET, { lifetime: 50_000, idleTimeout: 60_000 });
  let wakeups = 0;
  const { wakeAt } = clock;
  clock.wakeAt = (at, wake) =>
    wakeAt.call(clock, at, (now) => {
      wakeups += 1;
      wake(now);
    });
  wire.reset();
  await connection.closed;
  await clock.advance(3_600_000);
  assert.equal(wakeups, 0);
});

describe("a peer that takes long to read what we send", () => {
  it("is alive as long as it reads, although it says nothing", async () => {
    const capacity = 65_536;
    const { connection, wire, clock } = wired({ capacity });
    wire.pause();
    const sent = connection.send(new Uint8Array(1_000_000));
    let seconds = 0;
    for (; connection.queuedBytes > 0; seconds += 6) {
      await clock.advance(6_000);
      assert.equal(connection.state, "OPEN", `${seconds + 6} s`);
      // As much as the kernels between them hold, a chunk at a time: resumed for longer, it would take everything.
      for (const until = wire.received.length + capacity; wire.received.length < Math.min(until, 1_000_000); ) {
        wire.resume();
        wire.pause();
        await settled();
      }
    }
    await sent;
    // Twice the 35 s after which a peer that takes nothing is dead.
    assert.ok(seconds > 70, `everything was read in ${seconds} s`);
  });

  it("is dead if it says nothing and only its kernel takes what we send", async () => {
    const one = wired({ connection: { closeTimeout: 10 } });
    one.wire.pause();
    for (let second = 0; second < 34; second += 1) {
      await one.connection.send("a few bytes");
      await one.clock.advance(1_000);
    }
    assert.equal(one.connection.state, "OPEN");
    await one.clock.advance(1_000);
    await assertEnded(one, { limit: "heartbeat.timeout", operation: "ping", bound: 10_000 });
  });
});
