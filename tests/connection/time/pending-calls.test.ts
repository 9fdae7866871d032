/** Pending calls: each ends once, by its result, a timeout, a deadline, a signal or the end of the connection. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import type { WaitOptions } from "../../../src/index.ts";
import { settled, type Wired, wired } from "../../../src/testing/index.ts";
import { blocked, stateOf } from "../../kit/blocked-connection.ts";
import { FrameReader, KEY, peerFrame } from "../../kit/frames.ts";

/** A connection on which a call stays pending. */
interface Stage extends Wired {
  readonly call: (options?: WaitOptions) => Promise<unknown>;
  /** Provides the result that the call waits for. */
  readonly finish: () => void | Promise<void>;
}

interface Call {
  readonly operation: "receive" | "send" | "ping" | "drain";
  readonly stage: () => Promise<Stage>;
}

const text = peerFrame({ opcode: 1, payload: "a message", key: KEY });

/** A connection whose peer does not read until `finish`. */
async function unread(call: (scene: Wired) => Stage["call"]): Promise<Stage> {
  const scene = await blocked();
  return { ...scene, call: call(scene), finish: () => scene.peer.resume() };
}

async function unwritten(call: (scene: Wired) => Stage["call"]): Promise<Stage> {
  const scene = wired();
  return { ...scene, call: call(scene), finish: () => scene.peer.write(text) };
}

const CALLS: Record<string, Call> = {
  receive: {
    operation: "receive",
    stage: () =>
      unwritten(
        ({ connection }) =>
          (options) =>
            connection.receive(options),
      ),
  },
  reader: {
    operation: "receive",
    stage: () =>
      unwritten(
        ({ connection }) =>
          (options) =>
            connection.reader(options),
      ),
  },
  "read of a reader": {
    operation: "receive",
    stage: async () => {
      const scene = wired({ connection: { streaming: true } });
      scene.peer.write(peerFrame({ opcode: 1, payload: "first ", fin: false, key: KEY }));
      const reader = await scene.connection.reader();
      await reader.read();
      const finish = (): void => scene.peer.write(peerFrame({ opcode: 0, payload: "last", key: KEY }));
      return { ...scene, call: (options) => reader.read(options), finish };
    },
  },
  send: {
    operation: "send",
    stage: () =>
      unread(
        ({ connection }) =>
          (options) =>
            connection.send("x", options),
      ),
  },
  "write of a writer": {
    operation: "send",
    stage: () =>
      unread(({ connection }) => {
        const writer = connection.writer("text");
        return (options) => writer.write("x", options);
      }),
  },
  "end of a writer": {
    operation: "send",
    stage: () =>
      unread(({ connection }) => {
        const writer = connection.writer("text");
        return (options) => writer.end("x", options);
      }),
  },
  drain: {
    operation: "drain",
    stage: () =>
      unread(
        ({ connection }) =>
          (options) =>
            connection.drain(options),
      ),
  },
  ping: {
    operation: "ping",
    stage: async () => {
      const scene = wired();
      const finish = async (): Promise<void> => {
        await settled();
        const pings = new FrameReader().push(scene.peer.received).filter(({ opcode }) => opcode === 9);
        for (const { payload } of pings) scene.peer.write(peerFrame({ opcode: 10, payload, key: KEY }));
      };
      return { ...scene, call: (options) => scene.connection.ping(options), finish };
    },
  },
};

for (const [name, { operation, stage }] of Object.entries(CALLS)) {
  describe(`a pending call: ${name}`, () => {
    it("ends by its result, with any limits", async () => {
      const { clock, call, finish } = await stage();
      const signal = new AbortController().signal;
      const done = call({ timeout: 1_000, deadline: clock.in(1_000), signal });
      const outcome = stateOf(done);
      await clock.advance(999);
      assert.equal(outcome.state, "pending");
      await finish();
      await done;
      assert.equal(getEventListeners(signal, "abort").length, 0);
    });

    it("ends by a timeout, and can be repeated", async () => {
      const { connection, clock, call, finish } = await stage();
      const timedOut = assert.rejects(call({ timeout: 50 }), {
        ...{ code: "TIMEOUT", operation, limit: "timeout", bound: 50, after: 50, retriable: true },
      });
      await clock.advance(50);
      await timedOut;
      assert.equal(connection.state, "OPEN");
      const again = call();
      await finish();
      await again;
    });

    it("ends by a deadline, and can be repeated", async () => {
      const { connection, clock, call, finish } = await stage();
      const deadline = clock.in(50);
      const timedOut = assert.rejects(call({ deadline, timeout: 51 }), {
        ...{ code: "TIMEOUT", operation, limit: "deadline", bound: deadline, after: 50, retriable: true },
      });
      await clock.advance(50);
      await timedOut;
      assert.equal(connection.state, "OPEN");
      const again = call();
      await finish();
      await again;
    });

    it("fails without an effect if its limit has already passed", async () => {
      const { peer, clock, call } = await stage();
      const before = peer.received.length;
      for (const bounds of [{ timeout: 0 }, { deadline: clock.in(0) }, { deadline: clock.in(-1) }]) {
        await assert.rejects(call(bounds), { code: "TIMEOUT", operation, after: 0, retriable: true });
      }
      peer.resume();
      await settled();
      // After the half message with which a stage may have begun.
      if (operation !== "drain") assert.ok(peer.received.length <= Math.max(before, 102));
    });

    it("rejects at once with the same reason object if its signal is already aborted", async () => {
      const { connection, call, finish } = await stage();
      const reason = { not: "even an error" };
      const signal = AbortSignal.abort(reason);
      assert.equal(await call({ signal }).catch((error: unknown) => error), reason);
      assert.equal(getEventListeners(signal, "abort").length, 0);
      assert.equal(connection.state, "OPEN");
      const again = call();
      await finish();
      await again;
    });

    it("ends by a signal that aborts, and can be repeated", async () => {
      const { connection, call, finish } = await stage();
      const exit = new AbortController();
      const cancelled = call({ signal: exit.signal }).catch((error: unknown) => error);
      await settled();
      assert.equal(getEventListeners(exit.signal, "abort").length, 1);
      const reason = new Error("the program is to exit");
      exit.abort(reason);
      assert.equal(await cancelled, reason);
      assert.equal(connection.state, "OPEN");
      const again = call();
      await finish();
      await again;
    });

    it("leaves no listener on its signal, for each kind of end", async () => {
      const exit = new AbortController();
      const { signal } = exit;
      const listeners = (): number => getEventListeners(signal, "abort").length;
      const ends: ((stage: Stage) => unknown)[] = [
        ({ finish }) => finish(),
        ({ clock }) => clock.advance(50),
        ({ connection }) => connection.terminate(),
        ({ peer }) => peer.reset(),
        () => exit.abort(),
      ];
      for (const end of ends) {
        const one = await stage();
        const call = stateOf(one.call({ signal, timeout: 50 }));
        await settled();
        assert.equal(listeners(), 1);
        await end(one);
        await settled();
        assert.notEqual(call.state, "pending");
        assert.equal(listeners(), 0);
      }
    });

    it("ends with the connection, with the same reason as every later call", async () => {
      const { connection, call, link } = await stage();
      const waiting = call().catch((error: unknown) => error);
      await settled();
      link.reset();
      const error = await waiting;
      assert.equal((error as { errno?: string }).errno, "ECONNRESET");
      // To end a message twice is a TypeError.
      if (name !== "end of a writer") assert.equal(await call().catch((again: unknown) => again), error);
      assert.equal(await connection.send("x").catch((again: unknown) => again), error);
    });

    it("rejects invalid limits without an effect", async () => {
      const { connection, call, finish } = await stage();
      // Some calls are async functions and some are not. Only the absence of a wait matters.
      const attempt = async (bounds: unknown): Promise<unknown> => call(bounds as WaitOptions);
      await assert.rejects(attempt({ timeout: "5" }), { name: "TypeError", message: /timeout: expected milliseconds/ });
      await assert.rejects(attempt({ timeout: Number.NaN }), RangeError);
      await assert.rejects(attempt({ timeout: -1 }), { name: "RangeError", message: /timeout -1/ });
      await assert.rejects(attempt({ deadline: 5_000 }), { name: "TypeError", message: /expected a Date/ });
      await assert.rejects(attempt({ deadline: new Date(Number.NaN) }), RangeError);
      assert.equal(connection.state, "OPEN");
      const again = call({ timeout: Infinity });
      await finish();
      await again;
    });
  });
}

describe("the deadlines of a connection", () => {
  it("apply to reads, to writes, or to both", async () => {
    const { connection, peer, clock } = wired({ capacity: 64 });
    peer.pause();
    // Without a pending call: a deadline that expires while half a message is written ends the connection.
    connection.trySend("p".repeat(100));
    await settled();
    const [reading, writing, draining] = [connection.receive(), connection.send("x"), connection.drain()];
    const outcomes = [reading, writing, draining, connection.ping()].map(stateOf);
    connection.setReadDeadline(clock.in(10));
    connection.setWriteDeadline(clock.in(20));
    await clock.advance(10);
    assert.deepEqual(
      outcomes.map(({ state }) => state),
      ["rejected", "pending", "pending", "pending"],
    );
    await clock.advance(10);
    assert.deepEqual(
      outcomes.map(({ state, error }) => [state, (error as { limit?: string } | undefined)?.limit]),
      [
        ["rejected", "readDeadline"],
        ["rejected", "writeDeadline"],
        ["rejected", "writeDeadline"],
        // The write deadline does not apply to control frames.
        ["pending", undefined],
      ],
    );
    connection.setDeadline(clock.in(0));
    await assert.rejects(connection.receive(), { limit: "readDeadline" });
    await assert.rejects(connection.send("x"), { limit: "writeDeadline" });
    connection.setDeadline(undefined);
    const received = stateOf(connection.receive());
    await clock.advance(5_000);
    assert.equal(received.state, "pending");
  });

  it("do not move when the wall clock changes", async () => {
    const scene = wired();
    const { connection, clock } = scene;
    const deadline = clock.in(100);
    connection.setReadDeadline(deadline);
    const wall = clock.wallTime.bind(clock);
    clock.wallTime = () => wall() + 3_600_000;
    const reading = stateOf(connection.receive());
    await clock.advance(99);
    assert.equal(reading.state, "pending");
    await clock.advance(1);
    assert.equal(reading.state, "rejected");
  });

  it("are distinguished from the timeout of a call, also on a clock with fractions", async () => {
    const { connection, clock } = wired();
    // 600.1 + 1,000 - 600.1 is not 1,000 in floating point.
    await clock.advance(600.1);
    const facts = { limit: "timeout", bound: 1_000 };
    const timedOut = assert.rejects(connection.receive({ timeout: 1_000, deadline: clock.in(60_000) }), facts);
    await clock.advance(1_001);
    await timedOut;
  });

  it("do not affect a call that has a result in the same moment", async () => {
    const { connection, peer, clock } = wired();
    const [byTimeout, byDeadline] = [connection.receive({ timeout: 100 }), connection.receive()];
    connection.setReadDeadline(clock.in(100));
    await clock.advance(99);
    peer.write(text);
    peer.write(text);
    await settled();
    await clock.advance(1_000);
    assert.deepEqual([await byTimeout, await byDeadline], ["a message", "a message"]);
  });
});

it("a thousand pending calls each end by their own limit, in the order of the limits", async () => {
  const { connection, clock } = wired();
  const ended: number[] = [];
  const calls = Array.from({ length: 1_000 }, (_, index) => {
    const timeout = ((index * 7_919) % 1_000) + 1;
    return connection.receive({ timeout }).catch((error: { bound: number; after: number }) => {
      assert.deepEqual([error.bound, error.after], [timeout, timeout]);
      ended.push(timeout);
    });
  });
  await clock.block(0);
  for (let at = 0; at < 10; at += 1) {
    await clock.advance(100);
    assert.equal(ended.length, (at + 1) * 100);
  }
  await Promise.all(calls);
  assert.deepEqual(
    ended,
    ended.toSorted((one, other) => one - other),
  );
});
