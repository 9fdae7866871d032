/** Who gets which message, and when reading pauses: the same as a list with a line of people before it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type ConnectionEvent, type Data, TimeoutError } from "../../src/index.js";
import { settled, wired } from "../../src/testing/index.js";
import { runs } from "../random.js";
import { SPEECHES } from "../requirements/speech.js";
import { type Outcome, outcomeOf } from "./blocked.js";

interface Taker {
  got: string | "nothing yet" | "gave up";
}

/** The rules, kept by hand. */
class Model {
  readonly events: string[] = [];
  #coming: string[] = [];
  #stored: string[] = [];
  #line: Taker[] = [];
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

  take(taker: Taker): void {
    const message = this.#stored.shift();
    if (message === undefined) {
      this.#line.push(taker);
      return;
    }
    taker.got = message;
    if (!this.#paused || this.#bytes * 2 > this.#maxBytes || this.#stored.length * 2 > this.#maxMessages) return;
    this.#paused = false;
    this.events.push("resume");
    this.#read();
  }

  giveUp(taker: Taker): void {
    if (!this.#line.includes(taker)) return;
    this.#line = this.#line.filter((one) => one !== taker);
    taker.got = "gave up";
  }

  get left(): readonly string[] {
    return [...this.#stored, ...this.#coming];
  }

  // A text counts for what it may take: two bytes for each character.
  get #bytes(): number {
    return this.#stored.reduce((sum, text) => sum + text.length * 2, 0);
  }

  #read(): void {
    while (!this.#paused) {
      const message = this.#coming.shift();
      if (message === undefined) return;
      const taker = this.#line.shift();
      if (taker !== undefined) taker.got = message;
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

/** That this message has been got: looked at before it is waited for, so that who got nothing fails and does not wait. */
async function got(taken: Promise<Data>, outcome: Outcome, text: string): Promise<void> {
  await settled();
  assert.equal(outcome.state, "resolved", `${text}: ${outcome.error}`);
  assert.equal(await taken, text);
}

describe("what arrives", () => {
  for (const { name, protocol, options, message } of SPEECHES) {
    it(`goes to whoever has asked first, is kept in order, and pauses its sender at the bounds, on ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: 40 }), bounds, async (acts, bounds) => {
          const events: string[] = [];
          const observe = ({ type }: ConnectionEvent): void => {
            if (type === "pause" || type === "resume") events.push(type);
          };
          const { connection, wire, clock } = wired({ protocol, ...options, connection: { ...bounds, observe } });
          const model = new Model(bounds.maxInboxBytes, bounds.maxInboxMessages);
          const takers: {
            taker: Taker;
            due: number;
            abort: AbortController;
            taken: Promise<Data>;
            outcome: Outcome;
          }[] = [];
          let now = 0;

          for (const [index, one] of acts.entries()) {
            if (one.do === "come") {
              const texts = one.sizes.map((size, count) => `${index}.${count}`.padEnd(size, "x"));
              if (texts.length > 0) wire.write(Buffer.concat(texts.map((text) => message(text))));
              await settled();
              model.come(texts);
            } else if (one.do === "take" || one.do === "take for a while") {
              const taker: Taker = { got: "nothing yet" };
              const abort = new AbortController();
              const bound = one.do === "take" ? {} : { timeout: one.length };
              const taken = connection.receive({ signal: abort.signal, ...bound });
              const waiting = {
                taker,
                abort,
                due: one.do === "take" ? Infinity : now + one.length,
                taken,
                outcome: outcomeOf(taken),
              };
              takers.push(waiting);
              model.take(taker);
              await settled();
            } else if (one.do === "abort") {
              const may = takers.filter(({ taker }) => taker.got === "nothing yet");
              const chosen = may[one.which % Math.max(1, may.length)];
              chosen?.abort.abort("enough");
              if (chosen !== undefined) model.giveUp(chosen.taker);
            } else {
              await clock.advance(one.length);
              now += one.length;
              for (const { taker, due } of takers) if (due <= now) model.giveUp(taker);
            }
            assert.deepEqual(events, model.events);
          }

          await settled();
          for (const { taker, taken, outcome, due } of takers) {
            const { state, error } = outcome;
            if (taker.got === "nothing yet") assert.equal(state, "pending");
            else if (taker.got === "gave up")
              assert.ok(error === "enough" || (error instanceof TimeoutError && due <= now));
            else await got(taken, outcome, taker.got);
          }
          // Nobody has lost what nobody took.
          for (const { abort } of takers) abort.abort();
          for (const text of model.left) {
            const taken = connection.receive();
            await got(taken, outcomeOf(taken), text);
          }
          connection.terminate();
        }),
        runs(150),
      );
    });
  }
});
