/** Messages sent in any way to a peer that reads at any time: each send settles, and its result is true. */

import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { LimitError, type Overflow, type SendResult } from "../../src/index.ts";
import { settled, wired } from "../../src/testing/index.ts";
import { type CallState, charged, observedOverflows, stateOf } from "../kit/blocked-connection.ts";
import { FrameReader, messagesIn } from "../kit/frames.ts";
import { runs } from "../kit/random.ts";

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce"];
const LIMITS = { maxQueuedBytes: charged(300, 4), maxQueuedMessages: 6 };

const how = fc.record({
  timeout: fc.option(fc.integer({ min: 0, max: 60 })),
  /** The number of further steps after which the signal of the call aborts. */
  aborted: fc.option(fc.integer({ min: 1, max: 8 })),
  overflow: fc.constantFrom(...POLICIES),
  key: fc.option(fc.constantFrom("k", "l")),
  size: fc.oneof(fc.nat(40), fc.constant(299), fc.constant(charged(301, 4))),
});

const act = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant("send" as const), how }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("try" as const), how }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("parts" as const), how }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("pause" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("resume" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("time" as const), length: fc.nat(40) }) },
);
type Act = typeof act extends fc.Arbitrary<infer T> ? T : never;
const ends = fc.constantFrom("drain" as const, "close" as const, "terminate" as const, "reset" as const);

/** One connection, the messages sent on it, and their results. */
class Run {
  readonly #watched = observedOverflows();
  readonly scene = wired({
    capacity: 50,
    connection: { ...LIMITS, writeTimeout: Infinity, observe: this.#watched.observe },
  });
  readonly sends = new Map<string, CallState>();
  readonly tries = new Map<string, SendResult>();
  refusedWriters = 0;
  #aborts: { in: number; abort: AbortController }[] = [];

  async do(act: Act, index: number): Promise<void> {
    const { connection, peer, clock } = this.scene;
    if (act.do === "pause") peer.pause();
    else if (act.do === "resume") peer.resume();
    else if (act.do === "time") await clock.advance(act.length);
    else {
      const { timeout, aborted, overflow, key, size } = act.how;
      const text = `${index}:`.padEnd(size, "x");
      const policy = { overflow, ...(key !== null && { key }) };
      const abort = new AbortController();
      if (aborted !== null) this.#aborts.push({ in: aborted, abort });
      const bounds = { signal: abort.signal, ...(timeout !== null && { timeout }) };
      if (act.do === "try") this.tries.set(text, connection.trySend(text, policy));
      else if (act.do === "send") this.sends.set(text, stateOf(connection.send(text, { ...policy, ...bounds })));
      // Both parts have room.
      else this.#parts(text.slice(0, 301));
    }
    for (const waiting of this.#aborts) {
      waiting.in -= 1;
      if (waiting.in === 0) waiting.abort.abort("stop");
    }
    const { queuedBytes, queuedMessages } = connection;
    assert.ok(queuedBytes <= LIMITS.maxQueuedBytes, `${queuedBytes} bytes`);
    assert.ok(queuedMessages <= LIMITS.maxQueuedMessages, `${queuedMessages} messages`);
  }

  get delivered(): string[] {
    return messagesIn(new FrameReader().push(this.scene.peer.received)).map(String);
  }

  /** The number of messages that exceeded a limit, counted by events: all, and the lost ones. */
  get overflows(): { readonly all: number; readonly lost: number } {
    const { events } = this.#watched;
    return { all: events.length, lost: events.filter(({ policy }) => policy !== "reject").length };
  }

  #parts(text: string): void {
    try {
      const writer = this.scene.connection.writer("text");
      writer.write(text.slice(0, 2)).catch(() => undefined);
      this.sends.set(text, stateOf(writer.end(text.slice(2))));
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      this.refusedWriters += 1;
    }
  }
}

it("each send settles, no limit is exceeded, lost messages are counted, and the results match the delivered messages", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 40 }), ends, async (acts, end) => {
      const run = new Run();
      const { connection, peer, clock } = run.scene;
      for (const [index, one] of acts.entries()) await run.do(one, index);

      // A limit that expired while half a message was written has ended the connection.
      const open = connection.state === "OPEN";
      peer.resume();
      if (open && end === "drain") await connection.drain();
      if (open && end === "close") void connection.close();
      if (open && end === "terminate") connection.terminate();
      if (open && end === "reset") peer.reset();
      if (open && end === "close") {
        await peer.until(({ received }) => new FrameReader().push(received).at(-1)?.opcode === 8);
        // The peer does not answer.
        await clock.advance(5_000);
      }
      for (let turn = 0; turn < 8; turn += 1) await settled();

      const delivered = run.delivered;
      const has = new Set(delivered);
      assert.equal(has.size, delivered.length, "nothing arrives twice");
      const outcomes = [...run.sends];
      assert.deepEqual(
        outcomes.filter(([, { state }]) => state === "pending"),
        [],
      );
      const refused = outcomes.filter(([, { error }]) => error instanceof LimitError);
      for (const [text, { error }] of refused) {
        assert.equal((error as LimitError).returned, text);
        assert.equal(has.has(text), false, "what was handed back has not been sent");
      }
      const notTaken = [...run.tries].filter(([, result]) => result === "refused");
      for (const [text] of notTaken) assert.equal(has.has(text), false);
      assert.equal(connection.droppedMessages, run.overflows.lost);

      if (open && (end === "drain" || end === "close")) {
        for (const [text, { state }] of outcomes) if (state === "resolved") assert.ok(has.has(text));
        const vanished = [...run.tries].filter(([text, result]) => result !== "refused" && !has.has(text));
        const accounted = refused.length + notTaken.length + vanished.length + run.refusedWriters;
        assert.equal(run.overflows.all, accounted, "each message that went beyond a bound is told of, and no other");
      }

      // The order is that of the calls, except for a message that replaced another one.
      const mayMove = (text: string): boolean => {
        const one = acts[Number(text.split(":")[0])];
        return one !== undefined && "how" in one && one.how.overflow === "coalesce" && one.how.key !== null;
      };
      const order = delivered.filter((text) => !mayMove(text)).map((text) => Number(text.split(":")[0]));
      assert.deepEqual(
        order,
        [...order].sort((one, other) => one - other),
      );
    }),
    runs(400),
  );
});
