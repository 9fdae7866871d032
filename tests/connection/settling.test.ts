/** Whatever is sent, in whatever way, to a peer that reads when it likes: each send settles, and what it says is true. */

import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { LimitError, type Overflow, type SendResult } from "../../src/index.js";
import { settled, wired } from "../../src/testing/index.js";
import { FrameReader, messagesIn } from "../frames.js";
import { runs } from "../random.js";
import { type Outcome, outcomeOf, watched } from "./blocked.js";

const POLICIES: readonly Overflow[] = ["wait", "reject", "drop-newest", "drop-oldest", "coalesce"];
const LIMITS = { maxQueuedBytes: 300, maxQueuedMessages: 6 };

const how = fc.record({
  timeout: fc.option(fc.integer({ min: 0, max: 60 })),
  /** After how many further acts the call's signal aborts. */
  aborted: fc.option(fc.integer({ min: 1, max: 8 })),
  overflow: fc.constantFrom(...POLICIES),
  key: fc.option(fc.constantFrom("k", "l")),
  size: fc.oneof(fc.nat(40), fc.constant(299), fc.constant(301)),
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

/** One connection, what was sent on it, and what became of that. */
class Run {
  readonly #watched = watched();
  readonly scene = wired({
    capacity: 50,
    connection: { ...LIMITS, writeTimeout: Infinity, observe: this.#watched.observe },
  });
  readonly sends = new Map<string, Outcome>();
  readonly tries = new Map<string, SendResult>();
  refusedWriters = 0;
  #aborts: { in: number; abort: AbortController }[] = [];

  async do(act: Act, index: number): Promise<void> {
    const { connection, wire, clock } = this.scene;
    if (act.do === "pause") wire.pause();
    else if (act.do === "resume") wire.resume();
    else if (act.do === "time") await clock.advance(act.length);
    else {
      const { timeout, aborted, overflow, key, size } = act.how;
      const text = `${index}:`.padEnd(size, "x");
      const policy = { overflow, ...(key !== null && { key }) };
      const abort = new AbortController();
      if (aborted !== null) this.#aborts.push({ in: aborted, abort });
      const bounds = { signal: abort.signal, ...(timeout !== null && { timeout }) };
      if (act.do === "try") this.tries.set(text, connection.trySend(text, policy));
      else if (act.do === "send") this.sends.set(text, outcomeOf(connection.send(text, { ...policy, ...bounds })));
      else this.#parts(text);
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
    return messagesIn(new FrameReader().push(this.scene.wire.received)).map(String);
  }

  /** How many messages went beyond a bound, as the events tell it: in all, and those that were lost. */
  get overflows(): { readonly all: number; readonly lost: number } {
    const { events } = this.#watched;
    return { all: events.length, lost: events.filter(({ policy }) => policy !== "reject").length };
  }

  #parts(text: string): void {
    try {
      const writer = this.scene.connection.writer("text");
      writer.write(text.slice(0, 2)).catch(() => undefined);
      this.sends.set(text, outcomeOf(writer.end(text.slice(2))));
    } catch (error) {
      if (!(error instanceof LimitError)) throw error;
      this.refusedWriters += 1;
    }
  }
}

it("each settles, no bound is passed, what is lost is counted, and what arrived is what was said to have", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(act, { maxLength: 40 }), ends, async (acts, end) => {
      const run = new Run();
      const { connection, wire, clock } = run.scene;
      for (const [index, one] of acts.entries()) await run.do(one, index);

      // A bound that comes with half a message on the wire has ended the connection.
      const open = connection.state === "OPEN";
      wire.resume();
      if (open && end === "drain") await connection.drain();
      if (open && end === "close") void connection.close();
      if (open && end === "terminate") connection.terminate();
      if (open && end === "reset") wire.reset();
      if (open && end === "close") {
        await wire.until(({ received }) => new FrameReader().push(received).at(-1)?.opcode === 8);
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
        assert.equal((error as LimitError).refused, text);
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

      // Order is call order, but for a message that took the place of another.
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
