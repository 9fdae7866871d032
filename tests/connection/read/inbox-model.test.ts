/** Which call gets which message, and when reading pauses: compared with a model of two plain lists. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ConnectionEvent, type Message, TimeoutError } from "../../../src/index.ts";
import { settled, wired } from "../../../src/testing/index.ts";
import { type CallState, stateOf } from "../../kit/blocked-connection.ts";
import { runs } from "../../kit/random.ts";
import { WIRE_PROTOCOLS } from "../../kit/wire-protocols.ts";

interface Call {
  got: string | "nothing yet" | "gave up";
}

/** The model: the rules as plain code. */
class Model {
  readonly events: string[] = [];
  #coming: string[] = [];
  #stored: string[] = [];
  #line: Call[] = [];
  #paused = false;
  readonly #maxBytes: number;
  readonly #maxMessages: number;

  constructor(maxBytes: number, maxMessages: number) {
    this.#maxBytes = maxBytes;
    this.#maxMessages = maxMessages;
  }

  come(messages: readonly string[]): void {
    this.#coming.push(...messages);
    this.#read();
  }

  take(call: Call): void {
    const message = this.#stored.shift();
    if (message === undefined) {
      this.#line.push(call);
      return;
    }
    call.got = message;
    if (!this.#paused || this.#bytes * 2 > this.#maxBytes || this.#stored.length * 2 > this.#maxMessages) return;
    this.#paused = false;
    this.events.push("resume");
    this.#read();
  }

  giveUp(call: Call): void {
    if (!this.#line.includes(call)) return;
    this.#line = this.#line.filter((one) => one !== call);
    call.got = "gave up";
  }

  get left(): readonly string[] {
    return [...this.#stored, ...this.#coming];
  }

  // A text counts two bytes for each character, the most that V8 may use.
  get #bytes(): number {
    return this.#stored.reduce((sum, text) => sum + text.length * 2, 0);
  }

  #read(): void {
    while (!this.#paused) {
      const message = this.#coming.shift();
      if (message === undefined) return;
      const call = this.#line.shift();
      if (call !== undefined) call.got = message;
      else this.#stored.push(message);
      if (this.#bytes < this.#maxBytes && this.#stored.length < this.#maxMessages) continue;
      this.#paused = true;
      this.events.push("pause");
    }
  }
}

const act = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("come" as const), sizes: fc.array(fc.nat(60), { maxLength: 5 }) }),
  },
  { weight: 7, arbitrary: fc.record({ do: fc.constant("take" as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("take for a while" as const), length: fc.integer({ min: 1, max: 50 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("abort" as const), which: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("time" as const), length: fc.integer({ min: 1, max: 40 }) }) },
);
const bounds = fc.record({
  maxInboxBytes: fc.integer({ min: 1, max: 300 }),
  maxInboxMessages: fc.integer({ min: 1, max: 8 }),
});

/** Asserts that the call received this message. Checks before it awaits, so that a call without a message fails at once. */
async function got(taken: Promise<Message>, outcome: CallState, text: string): Promise<void> {
  await settled();
  assert.equal(outcome.state, "resolved", `${text}: ${outcome.error}`);
  assert.equal(await taken, text);
}

describe("received messages", () => {
  for (const { name, protocol, options, message } of WIRE_PROTOCOLS) {
    it(`go to the oldest pending call, stay in order, and pause reading at the limits, on ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: 40 }), bounds, async (acts, bounds) => {
          const events: string[] = [];
          const observe = ({ type }: ConnectionEvent): void => {
            if (type === "pause" || type === "resume") events.push(type);
          };
          const { connection, peer, clock } = wired({ kind: protocol, ...options, connection: { ...bounds, observe } });
          const model = new Model(bounds.maxInboxBytes, bounds.maxInboxMessages);
          const calls: {
            call: Call;
            due: number;
            abort: AbortController;
            taken: Promise<Message>;
            outcome: CallState;
          }[] = [];
          let now = 0;

          for (const [index, one] of acts.entries()) {
            if (one.do === "come") {
              const texts = one.sizes.map((size, count) => `${index}.${count}`.padEnd(size, "x"));
              if (texts.length > 0) peer.write(Buffer.concat(texts.map((text) => message(text))));
              await settled();
              model.come(texts);
            } else if (one.do === "take" || one.do === "take for a while") {
              const call: Call = { got: "nothing yet" };
              const abort = new AbortController();
              const bound = one.do === "take" ? {} : { timeout: one.length };
              const taken = connection.receive({ signal: abort.signal, ...bound });
              const waiting = {
                call,
                abort,
                due: one.do === "take" ? Infinity : now + one.length,
                taken,
                outcome: stateOf(taken),
              };
              calls.push(waiting);
              model.take(call);
              await settled();
            } else if (one.do === "abort") {
              const may = calls.filter(({ call }) => call.got === "nothing yet");
              const chosen = may[one.which % Math.max(1, may.length)];
              chosen?.abort.abort("enough");
              if (chosen !== undefined) model.giveUp(chosen.call);
            } else {
              await clock.advance(one.length);
              now += one.length;
              for (const { call, due } of calls) if (due <= now) model.giveUp(call);
            }
            assert.deepEqual(events, model.events);
          }

          await settled();
          for (const { call, taken, outcome, due } of calls) {
            const { state, error } = outcome;
            if (call.got === "nothing yet") assert.equal(state, "pending");
            else if (call.got === "gave up")
              assert.ok(error === "enough" || (error instanceof TimeoutError && due <= now));
            else await got(taken, outcome, call.got);
          }
          // Messages that no call has taken are not lost.
          for (const { abort } of calls) abort.abort();
          for (const text of model.left) {
            const taken = connection.receive();
            await got(taken, stateOf(taken), text);
          }
          connection.terminate();
        }),
        runs(150),
      );
    });
  }
});
