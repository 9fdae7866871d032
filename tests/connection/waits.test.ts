/** Calls that wait: each ends by its result, a timeout, a deadline, a signal or the connection's end, and only once. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { describe, it } from "node:test";
import type { WaitOptions } from "../../src/index.js";
import { settled, type Wired, wired } from "../../src/testing/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { FrameReader } from "../frames.js";
import { blocked, outcomeOf } from "./blocked.js";

/** A connection on which a call has to wait. */
interface Stage extends Wired {
  readonly call: (options?: WaitOptions) => Promise<unknown>;
  /** Brings what the call waits for, and has it handled. */
  readonly finish: () => void | Promise<void>;
}

interface Call {
  readonly operation: "receive" | "send" | "ping" | "drain";
  readonly stage: () => Promise<Stage>;
}

const text = peerFrame({ opcode: 1, payload: "a message", key: KEY });

/** One whose peer does not read, until that is what is waited for. */
async function unread(call: (scene: Wired) => Stage["call"]): Promise<Stage> {
  const scene = await blocked();
  return { ...scene, call: call(scene), finish: () => scene.wire.resume() };
}

async function unwritten(call: (scene: Wired) => Stage["call"]): Promise<Stage> {
  const scene = wired();
  return { ...scene, call: call(scene), finish: () => scene.wire.write(text) };
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
      scene.wire.write(peerFrame({ opcode: 1, payload: "first ", fin: false, key: KEY }));
      const reader = await scene.connection.reader();
      await reader.read();
      const finish = (): void => scene.wire.write(peerFrame({ opcode: 0, payload: "last", key: KEY }));
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
        const pings = new FrameReader().push(scene.wire.received).filter(({ opcode }) => opcode === 9);
        for (const { payload } of pings) scene.wire.write(peerFrame({ opcode: 10, payload, key: KEY }));
      };
      return { ...scene, call: (options) => scene.connection.ping(options), finish };
    },
  },
};

for (const [name, { operation, stage }] of Object.entries(CALLS)) {
  describe(`a call that waits: ${name}`, () => {
    it("ends by its result, whatever bounds it was given", async () => {
      const { clock, call, finish } = await stage();
      const signal = new AbortController().signal;
      const done = call({ timeout: 1_000, deadline: clock.in(1_000), signal });
      const outcome = outcomeOf(done);
      await clock.advance(999);
      assert.equal(outcome.state, "pending");
      await finish();
      await done;
      assert.equal(getEventListeners(signal, "abort").length, 0);
    });

    it("ends by a timeout, and can be made again", async () => {
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

    it("ends by a deadline, and can be made again", async () => {
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

    it("fails before anything is done when its bound has passed already", async () => {
      const { wire, clock, call } = await stage();
      const before = wire.received.length;
      for (const bounds of [{ timeout: 0 }, { deadline: clock.in(0) }, { deadline: clock.in(-1) }]) {
        await assert.rejects(call(bounds), { code: "TIMEOUT", operation, after: 0, retriable: true });
      }
      wire.resume();
      await settled();
      // Behind the half message that a stage may have begun with.
      if (operation !== "drain") assert.ok(wire.received.length <= Math.max(before, 102));
    });

    it("fails at once with the reason of a signal that has aborted, untouched", async () => {
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

    it("ends by a signal that aborts while it waits, and can be made again", async () => {
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

    it("leaves no listener behind at its signal, however it ended", async () => {
      const exit = new AbortController();
      const { signal } = exit;
      const listeners = (): number => getEventListeners(signal, "abort").length;
      const ends: ((stage: Stage) => unknown)[] = [
        ({ finish }) => finish(),
        ({ clock }) => clock.advance(50),
        ({ connection }) => connection.terminate(),
        ({ wire }) => wire.reset(),
        () => exit.abort(),
      ];
      for (const end of ends) {
        const one = await stage();
        const call = outcomeOf(one.call({ signal, timeout: 50 }));
        await settled();
        assert.equal(listeners(), 1);
        await end(one);
        await settled();
        assert.notEqual(call.state, "pending");
        assert.equal(listeners(), 0);
      }
    });

    it("ends with the connection, by the reason that every later call gets", async () => {
      const { connection, call, link } = await stage();
      const waiting = call().catch((error: unknown) => error);
      await settled();
      link.reset();
      const error = await waiting;
      assert.equal((error as { errno?: string }).errno, "ECONNRESET");
      // To end a message twice is a mistake of another kind.
      if (name !== "end of a writer") assert.equal(await call().catch((again: unknown) => again), error);
      assert.equal(await connection.send("x").catch((again: unknown) => again), error);
    });

    it("refuses bounds that are none, before anything is done", async () => {
      const { connection, call, finish } = await stage();
      // Some calls are async functions and some are not: what counts is that nothing is waited for.
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

describe("the connection's own deadlines", () => {
  it("hold for those who read, those who write, or both", async () => {
    const { connection, wire, clock } = wired({ capacity: 64 });
    wire.pause();
    // Without a call that waits for it: a deadline that is reached half on the wire ends the connection.
    connection.trySend("p".repeat(100));
    await settled();
    const [reading, writing, draining] = [connection.receive(), connection.send("x"), connection.drain()];
    const outcomes = [reading, writing, draining, connection.ping()].map(outcomeOf);
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
        // A control frame never inherits a deadline that was set for messages.
        ["pending", undefined],
      ],
    );
    connection.setDeadline(clock.in(0));
    await assert.rejects(connection.receive(), { limit: "readDeadline" });
    await assert.rejects(connection.send("x"), { limit: "writeDeadline" });
    connection.setDeadline(undefined);
    const received = outcomeOf(connection.receive());
    await clock.advance(5_000);
    assert.equal(received.state, "pending");
  });

  it("do not move when the wall clock does", async () => {
    const scene = wired();
    const { connection, clock } = scene;
    const deadline = clock.in(100);
    connection.setReadDeadline(deadline);
    const wall = clock.wallTime.bind(clock);
    clock.wallTime = () => wall() + 3_600_000;
    const reading = outcomeOf(connection.receive());
    await clock.advance(99);
    assert.equal(reading.state, "pending");
    await clock.advance(1);
    assert.equal(reading.state, "rejected");
  });

  it("are told apart from the call's timeout on a clock of fractions, too", async () => {
    const { connection, clock } = wired();
    // 600.1 + 1,000 - 600.1 is not 1,000 in floating point.
    await clock.advance(600.1);
    const facts = { limit: "timeout", bound: 1_000 };
    const timedOut = assert.rejects(connection.receive({ timeout: 1_000, deadline: clock.in(60_000) }), facts);
    await clock.advance(1_001);
    await timedOut;
  });

  it("leave a call alone that was answered in the same moment", async () => {
    const { connection, wire, clock } = wired();
    const [byTimeout, byDeadline] = [connection.receive({ timeout: 100 }), connection.receive()];
    connection.setReadDeadline(clock.in(100));
    await clock.advance(99);
    wire.write(text);
    wire.write(text);
    await settled();
    await clock.advance(1_000);
    assert.deepEqual([await byTimeout, await byDeadline], ["a message", "a message"]);
  });
});

it("a thousand calls that wait each end by their own bound, in the order of the bounds", async () => {
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
