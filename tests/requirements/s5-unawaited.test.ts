/** S5: a message that is sent without `await` arrives; one that is refused is counted and reported. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { type Connection, type ConnectionOptions, connect, LimitError, listen } from "../../src/index.ts";
import { wired } from "../../src/testing/index.ts";
import { blocked } from "../kit/blocked-connection.ts";
import { portOf } from "../kit/raw-peer.ts";

/** Two turns of the event loop: work at the end of this turn is done then. */
async function turnsOver(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const PROTOCOLS = {
  ws: { url: "ws://127.0.0.1:0", options: {} },
  tcp: { url: "tcp://127.0.0.1:0", options: { framing: "lines" } },
} as const;

const MESSAGES = 5_000;

describe("S5-4: five thousand short sends without await arrive", () => {
  for (const protocol of ["ws", "tcp"] as const) {
    for (const size of [5, 100]) {
      for (const sender of ["client", "server"] as const) {
        it(`S5-4: ${size} bytes each over ${protocol}, from the ${sender}`, async () => {
          const { url, options } = PROTOCOLS[protocol];
          const errors: unknown[] = [];
          const onError = (error: unknown): unknown => errors.push(error);
          const received: string[] = [];
          let all!: () => void;
          const done = new Promise<void>((resolve) => {
            all = resolve;
          });
          const send = (connection: Connection): void => {
            for (let count = 0; count < MESSAGES; count += 1) void connection.send(`${count}`.padEnd(size, "."));
          };
          const take = async (connection: Connection): Promise<void> => {
            for await (const message of connection) if (received.push(String(message)) === MESSAGES) all();
          };
          await using server = await listen(url, { ...options, onError }, async (connection) => {
            if (sender === "client") return take(connection);
            send(connection);
            await take(connection);
          });
          await using connection = await connect(`${url.slice(0, -1)}${portOf(server)}`, { ...options, onError });
          if (sender === "client") send(connection as Connection);
          else void take(connection as Connection);
          await done;
          assert.deepEqual(
            received,
            Array.from({ length: MESSAGES }, (_, count) => `${count}`.padEnd(size, ".")),
          );
          assert.deepEqual([connection.refusedMessages, connection.droppedMessages, errors], [0, 0, []]);
        });
      }
    }
  }
});

/** A blocked connection with room for two more messages, and two waiting calls. */
async function full(options: ConnectionOptions = {}): Promise<{ connection: Connection; errors: unknown[] }> {
  const errors: unknown[] = [];
  const { connection } = await blocked({
    maxQueuedMessages: 3,
    onError: (error) => errors.push(error),
    writeTimeout: Infinity,
    ...options,
  });
  for (let count = 0; count < 5; count += 1) connection.send("x").catch(() => undefined);
  assert.equal(connection.refusedMessages, 0);
  return { connection, errors };
}

describe("S5-4: a refused message of send", () => {
  it("S5-4: is counted, and reported once for the connection with their number, if nothing handles its promise", async () => {
    const { connection, errors } = await full();
    for (let count = 0; count < 3; count += 1) void connection.send("lost");
    assert.equal(connection.refusedMessages, 3);
    assert.deepEqual(errors, [], "not before the end of the turn");
    await turnsOver();
    assert.equal(errors.length, 1);
    const [error] = errors as LimitError[];
    assert.ok(error instanceof LimitError);
    assert.match(error.message, /3 messages were refused/);
    assert.deepEqual([error.limit, error.maximum], ["maxQueuedMessages", 3]);
    assert.equal((error.cause as LimitError).returned, "lost");
    for (let count = 0; count < 3; count += 1) void connection.send("lost");
    await turnsOver();
    assert.equal(errors.length, 1);
    assert.equal(connection.refusedMessages, 6);
    assert.equal(connection.droppedMessages, 0);
    connection.terminate();
  });

  const HANDLED: Readonly<Record<string, (send: () => Promise<void>) => unknown>> = {
    await: async (send) => {
      try {
        await send();
      } catch {}
    },
    "await after some microtasks": async (send) => {
      const sent = send();
      for (let count = 0; count < 10; count += 1) await null;
      await sent.catch(() => undefined);
    },
    catch: (send) => send().catch(() => undefined),
    "then with two handlers": (send) => send().then(undefined, () => undefined),
    finally: (send) =>
      send()
        .finally(() => undefined)
        .catch(() => undefined),
    "Promise.all": (send) => Promise.all([send(), send()]).catch(() => undefined),
    "Promise.allSettled": (send) => Promise.allSettled([send(), send()]),
    "Promise.race": (send) => Promise.race([send()]).catch(() => undefined),
    "Promise.resolve": (send) => Promise.resolve(send()).catch(() => undefined),
    "an async function that returns it": (send) => (async () => send())().catch(() => undefined),
    "a stream's write": (send) =>
      new WritableStream({ write: () => send() })
        .getWriter()
        .write(1)
        .catch(() => undefined),
  };
  for (const [how, handle] of Object.entries(HANDLED)) {
    it(`S5-4: is not reported if it is handled, by ${how}`, async () => {
      const { connection, errors } = await full();
      handle(() => connection.send("back"));
      await turnsOver();
      assert.ok(connection.refusedMessages > 0);
      assert.deepEqual(errors, []);
      // A later one is.
      void connection.send("lost");
      await turnsOver();
      assert.equal(errors.length, 1);
      connection.terminate();
    });
  }

  it("S5-4: counts only those that are not handled", async () => {
    const { connection, errors } = await full();
    for (let count = 0; count < 10; count += 1) {
      const sent = connection.send("x");
      if (count % 2 === 0) sent.catch(() => undefined);
    }
    await turnsOver();
    assert.match(String(errors), /5 messages were refused/);
    assert.equal(connection.refusedMessages, 10);
    connection.terminate();
  });

  it("S5-4: is a LimitError like any other, with the message", async () => {
    const { connection } = await full();
    await assert.rejects(connection.send("back"), (error: LimitError) => {
      assert.deepEqual([error.name, error.code, error.returned], ["LimitError", "LIMIT", "back"]);
      return true;
    });
    connection.terminate();
  });

  it("S5-4: under reject, drop-oldest without room and coalesce without room is reported, too", async () => {
    for (const overflow of ["reject", "drop-oldest", "coalesce"] as const) {
      const errors: unknown[] = [];
      const { connection } = await blocked({ maxQueuedMessages: 1, onError: (error) => errors.push(error) });
      void connection.send("lost", { overflow, key: "k" });
      await turnsOver();
      assert.equal(errors.length, 1, overflow);
      connection.terminate();
    }
  });

  it("S5-4: under a policy that reports losses it is only counted", async () => {
    const { connection, errors } = await full();
    void connection.send("lost", { overflow: "drop-newest" });
    // For this message two queued ones are dropped, and then two that had waited.
    void connection.send("newer", { overflow: "drop-oldest" });
    await turnsOver();
    assert.deepEqual([errors, connection.droppedMessages, connection.refusedMessages], [[], 5, 0]);
    connection.terminate();
  });

  it("S5-4: of trySend and of a group is counted, and its result is the report", async () => {
    const { connection, errors } = await full();
    assert.equal(connection.trySend("x"), "refused");
    await turnsOver();
    assert.deepEqual([errors, connection.refusedMessages], [[], 1]);
    connection.terminate();
  });

  it("S5-4: as a part of a writer is reported, too", async () => {
    const errors: unknown[] = [];
    const { connection } = await blocked({ maxQueuedBytes: 4_096, onError: (error) => errors.push(error) });
    const writer = connection.writer("text");
    for (let count = 0; count < 9; count += 1) void writer.write("x".repeat(100));
    await turnsOver();
    assert.match(String(errors), /3 messages were refused/);
    connection.terminate();
  });

  it("S5-4: does not end the process, on real sockets, whatever is handled", async () => {
    const program = `
      const { connect, listen } = await import(${JSON.stringify(new URL("../../src/index.js", import.meta.url).href)});
      const server = await listen("ws://127.0.0.1:0", {}, (connection) => connection.closed);
      const errors = [];
      const options = { maxQueuedBytes: 1_024, maxQueuedMessages: 10, onError: (error) => errors.push(error.message) };
      const connection = await connect(server.url.replace("0.0.0.0", "127.0.0.1"), options);
      for (let count = 0; count < 100; count += 1) void connection.send("x".repeat(100));
      await connection.drain();
      await connection.close();
      await server.close();
      (await import("node:worker_threads")).parentPort.postMessage([errors, connection.refusedMessages]);
    `;
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(program)}`));
    const [[errors, refused]] = (await once(worker, "message")) as [[string[], number]];
    assert.equal(errors.length, 1);
    assert.match(errors[0] as string, new RegExp(`^Cannot send: ${refused} messages were refused`));
    await worker.terminate();
  });
});

describe("S5-4: the memory of waiting calls", () => {
  it("S5-4: is bounded for calls that wait for room, in bytes", async () => {
    const { connection } = await blocked({ maxQueuedBytes: 100_000, writeTimeout: Infinity, onError: () => undefined });
    const outcomes = await new Promise<number>((resolve) => {
      for (let count = 0; count < 400; count += 1) void connection.send("x".repeat(10_000));
      resolve(connection.refusedMessages);
    });
    // The first message and nine in the queue, of 10,512 bytes each, and as many waiting calls as 32 times the bound holds.
    assert.equal(outcomes, 400 - 9 - Math.floor(3_200_000 / 10_512));
    connection.terminate();
  });

  it("S5-4: accepts a message of maxQueuedBytes into an empty queue, and no larger one", async () => {
    const { connection } = wired({ connection: { maxQueuedBytes: 100_000, overflow: "reject" } });
    const sent = connection.send("x".repeat(100_000));
    await assert.rejects(connection.send("x".repeat(100_001)), { limit: "maxQueuedBytes", maximum: 100_000 });
    await sent;
    connection.terminate();
  });
});
