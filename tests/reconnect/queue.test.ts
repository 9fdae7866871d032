/** Messages that a reconnecting connection gets while it has no connection: the same rules as the queue of one connection. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { connect, LimitError, listen, ReconnectingConnection, type ReconnectingOptions } from "../../src/index.ts";
import { settled } from "../../src/testing/index.ts";
import { QueueModel, type Sent } from "../connection/write/queue-model.ts";
import { blocked, charged, stateOf } from "../kit/blocked-connection.ts";
import { runs } from "../kit/random.ts";
import { portOf } from "../kit/raw-peer.ts";

/** One that never has a connection. */
function alone(options: ReconnectingOptions): ReconnectingConnection {
  return new ReconnectingConnection(() => new Promise<never>(() => undefined), options);
}

const LIMITS = { mostBytes: charged(400, 4), mostMessages: 6 };

const POLICIES = ["wait", "wait", "wait", "reject", "drop-newest", "drop-oldest", "drop-oldest", "coalesce"] as const;
const message = fc.record({
  size: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 4, max: 90 }) },
    fc.constantFrom(300, 301, LIMITS.mostBytes, LIMITS.mostBytes + 1),
  ),
  overflow: fc.constantFrom(...POLICIES),
  key: fc.constantFrom(undefined, undefined, "k", "l"),
  binary: fc.boolean(),
});
const act = fc.oneof(
  { weight: 6, arbitrary: message.map((given) => ({ do: "send" as const, ...given })) },
  { weight: 4, arbitrary: message.map((given) => ({ do: "try" as const, ...given })) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("withdraw" as const), which: fc.nat(30) }) },
);

describe("messages without a connection", () => {
  it("is kept, dropped, refused and withdrawn as a list would be, and goes back in order at the end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 40, size: "max" }), async (acts) => {
        const { mostBytes: maxQueuedBytes, mostMessages: maxQueuedMessages } = LIMITS;
        const connection = alone({ maxQueuedBytes, maxQueuedMessages, onError: () => undefined });
        const model = new QueueModel(LIMITS);
        const all: { sent: Sent; abort: AbortController }[] = [];
        const back: string[] = [];
        for (const [index, one] of acts.entries()) {
          if (one.do === "withdraw") {
            const may = all.filter(({ sent }) => sent.outcome !== undefined && sent.fate === "delivered");
            const chosen = may[one.which % Math.max(1, may.length)];
            if (chosen === undefined) continue;
            chosen.abort.abort("enough");
            model.withdraw(chosen.sent);
          } else {
            const text = `${index}:`.padEnd(one.size, "x");
            const given = one.binary ? Buffer.from(text) : text;
            const { overflow, key } = one;
            const how = { overflow, ...(key !== undefined && { key }) };
            const abort = new AbortController();
            const promise = one.do === "send" ? connection.send(given, { ...how, signal: abort.signal }) : undefined;
            promise?.catch((error: unknown) => {
              if (!(error instanceof LimitError) && error !== "enough") back.push(text);
            });
            const outcome = promise && stateOf(promise);
            const sent: Sent = { given, text, key, outcome, fate: "delivered" };
            all.push({ sent, abort });
            const expected = model.add(sent, overflow);
            if (promise === undefined) assert.equal(connection.trySend(given, how), expected, text);
          }
          const { queuedBytes, queuedMessages, droppedMessages, refusedMessages } = connection;
          assert.deepEqual(
            [queuedBytes, queuedMessages, droppedMessages, refusedMessages],
            [model.bytes, model.messages, model.dropped, model.refused],
          );
        }
        connection.terminate();
        await connection.closed;
        await settled();
        const kept = [...model.queue, ...model.waiting].filter(({ outcome }) => outcome !== undefined);
        assert.deepEqual(
          back,
          kept.map(({ text }) => text),
        );
        for (const { sent } of all) {
          if (sent.outcome === undefined) continue;
          const { error } = sent.outcome;
          assert.equal(error instanceof LimitError, sent.fate === "handed back", sent.text);
          if (error instanceof LimitError) assert.equal(Buffer.from(error.returned as Buffer).toString(), sent.text);
        }
      }),
      runs(150),
    );
  });

  it("with room for two, two queued and a call that waits, loses the oldest to drop-oldest, as on one connection", async () => {
    const reconnecting = alone({ maxQueuedMessages: 2, onError: () => undefined });
    // The plug of a blocked connection takes one place more.
    const { connection } = await blocked({ maxQueuedMessages: 3 });
    for (const one of [reconnecting, connection]) {
      const outcomes = ["a", "b", "waits"].map((text) => stateOf(one.send(text)));
      const before = one.queuedMessages;
      assert.equal(one.trySend("new", { overflow: "drop-oldest" }), "queued");
      await settled();
      assert.deepEqual(
        outcomes.map(({ state }) => state),
        ["rejected", "rejected", "pending"],
      );
      assert.deepEqual([one.queuedMessages, one.droppedMessages, one.refusedMessages], [before, 2, 0]);
      one.terminate();
    }
  });

  it("S5-4: has room for five thousand short sends without await", async () => {
    const received: string[] = [];
    let all!: () => void;
    const done = new Promise<void>((resolve) => {
      all = resolve;
    });
    await using server = await listen("ws://127.0.0.1:0", {}, async (connection) => {
      for await (const data of connection) if (received.push(String(data)) === 5_000) all();
    });
    const errors: unknown[] = [];
    const onError = (error: unknown): unknown => errors.push(error);
    await using connection = new ReconnectingConnection(`ws://127.0.0.1:${portOf(server)}`, { onError });
    for (let count = 0; count < 5_000; count += 1) void connection.send(`${count}`.padEnd(100));
    await done;
    assert.deepEqual(
      received.map(Number),
      Array.from({ length: 5_000 }, (_, count) => count),
    );
    assert.deepEqual([errors, connection.refusedMessages], [[], 0]);
  });

  it("S5-4: reports refusals that nothing handles, once and with their number", async () => {
    const errors: unknown[] = [];
    const connection = alone({ maxQueuedMessages: 1, onError: (error) => errors.push(error) });
    for (let count = 0; count < 5; count += 1) void connection.send("x");
    await settled();
    assert.equal(errors.length, 1);
    assert.match(String(errors), /3 messages were refused/);
    assert.equal(connection.refusedMessages, 3);
    connection.terminate();
  });

  it("closes with what a connection closes with: a code that is no number is a TypeError, one not for the wire a RangeError", async () => {
    await using server = await listen("ws://127.0.0.1:0", {}, (connection) => connection.closed.then(() => undefined));
    await using one = await connect(`ws://127.0.0.1:${portOf(server)}`);
    const other = alone({});
    for (const connection of [one, other]) {
      const failure = async (code: unknown, reason: unknown): Promise<unknown> => {
        try {
          await connection.close(code as number, reason as string);
        } catch (error) {
          return (error as Error).name;
        }
        return undefined;
      };
      assert.deepEqual(
        [
          await failure(1000.5, ""),
          await failure("1000", ""),
          await failure(1006, ""),
          await failure(1000, "x".repeat(124)),
        ],
        ["RangeError", "TypeError", "RangeError", "RangeError"],
      );
    }
    other.terminate();
  });
});
