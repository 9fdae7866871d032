/** What a blocked connection does with what is sent on it: the same as a list that is kept by the rules of the options. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LimitError, type Overflow } from "../../src/index.js";
import { settled, type WiredOptions } from "../../src/testing/index.js";
import { KEY, peerFrame } from "../engine/peer-frames.js";
import { type Frame, FrameReader } from "../frames.js";
import { runs } from "../random.js";
import { blocked, type Outcome, outcomeOf, PLUG } from "./blocked.js";

/** Of large messages, more waits than leaves with one write. */
const SCALES = {
  small: { factor: 1, mostBytes: 400, mostMessages: 7, mostActs: 40, usualRuns: 150 },
  large: { factor: 400, mostBytes: 320_000, mostMessages: 30, mostActs: 80, usualRuns: 40 },
};
const MOST_CONTROLS = 16;

interface Sent {
  readonly given: string | Buffer;
  readonly text: string;
  readonly key: string | undefined;
  /** A `send`, whose promise tells what became of it; a `trySend` is told at once. */
  readonly outcome: Outcome | undefined;
  /** What it must come to. */
  fate: "delivered" | "handed back" | "withdrawn";
}

/** The rules, kept by hand: what has a place, and which calls wait for one. */
class Model {
  queue: Sent[] = [];
  waiting: Sent[] = [];
  dropped = 0;
  readonly #mostBytes: number;
  readonly #mostMessages: number;
  /** The message that is half with the kernel stands before all others. */
  readonly plug = PLUG.length;

  constructor({ mostBytes, mostMessages }: { mostBytes: number; mostMessages: number }) {
    this.#mostBytes = mostBytes;
    this.#mostMessages = mostMessages;
  }

  get bytes(): number {
    return this.plug + this.queue.reduce((sum, { text }) => sum + text.length, 0);
  }

  get messages(): number {
    return 1 + this.queue.length;
  }

  add(sent: Sent, overflow: Overflow): "queued" | "refused" {
    const older = overflow === "coalesce" && sent.key !== undefined && this.queue.find(({ key }) => key === sent.key);
    if (older && this.bytes - older.text.length + sent.text.length <= this.#mostBytes) {
      this.queue[this.queue.indexOf(older)] = sent;
      this.#drop(older);
      return "queued";
    }
    while (overflow === "drop-oldest" && !this.#fits(sent) && this.plug + sent.text.length <= this.#mostBytes) {
      const oldest = this.queue.shift();
      if (oldest === undefined) break;
      this.#drop(oldest);
      this.admit();
    }
    if (this.#fits(sent)) {
      this.queue.push(sent);
      return "queued";
    }
    const awaited = sent.outcome !== undefined && overflow === "wait" && sent.text.length <= this.#mostBytes;
    if (awaited && this.waiting.length < this.#mostMessages) {
      this.waiting.push(sent);
      return "queued";
    }
    if (overflow === "drop-newest") this.dropped += 1;
    sent.fate = "handed back";
    return "refused";
  }

  withdraw(sent: Sent): void {
    const here = (one: Sent): boolean => one === sent;
    if (![...this.queue, ...this.waiting].some(here)) return;
    this.queue = this.queue.filter((one) => one !== sent);
    this.waiting = this.waiting.filter((one) => one !== sent);
    sent.fate = "withdrawn";
    this.admit();
  }

  /** Those who wait get places in their order, as far as there is room. */
  admit(): void {
    for (let [first] = this.waiting; first !== undefined && this.#hasRoom(first); [first] = this.waiting) {
      this.queue.push(first);
      this.waiting.shift();
    }
  }

  #fits(sent: Sent): boolean {
    return this.waiting.length === 0 && this.#hasRoom(sent);
  }

  #hasRoom({ text }: Sent): boolean {
    return this.bytes + text.length <= this.#mostBytes && this.messages < this.#mostMessages;
  }

  #drop(sent: Sent): void {
    sent.fate = "handed back";
    this.dropped += 1;
  }
}

/** The control frames that wait: pongs beyond the most of them give way, the newest but one first. */
function pongsFor(pings: readonly string[]): string[] {
  return pings.length <= MOST_CONTROLS ? [...pings] : [...pings.slice(0, MOST_CONTROLS - 1), pings.at(-1) as string];
}

const POLICIES = ["wait", "wait", "wait", "reject", "drop-newest", "drop-oldest", "drop-oldest", "coalesce"] as const;
const message = fc.record({
  size: fc.oneof({ weight: 6, arbitrary: fc.integer({ min: 4, max: 90 }) }, fc.constantFrom(300, 301, 400, 401)),
  overflow: fc.constantFrom(...POLICIES),
  key: fc.constantFrom(undefined, undefined, "k", "l"),
  binary: fc.boolean(),
});
const act = fc.oneof(
  { weight: 6, arbitrary: message.map((given) => ({ do: "send" as const, ...given })) },
  { weight: 4, arbitrary: message.map((given) => ({ do: "try" as const, ...given })) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("withdraw" as const), which: fc.nat(30) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant("peer pings" as const), times: fc.integer({ min: 1, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
);

/** What the peer has read, without the mask or the framing. */
type Read = (received: Uint8Array) => { readonly messages: string[]; readonly frames: readonly Frame[] };

const PROTOCOLS: Readonly<Record<string, { readonly options: WiredOptions; readonly read: Read }>> = {
  "a WebSocket server": { options: { role: "server" }, read: framesOf },
  "a WebSocket client": { options: { role: "client" }, read: framesOf },
  "framed TCP": {
    options: { protocol: "tcp", framing: "lines" },
    read: (received) => ({ messages: Buffer.from(received).toString().split("\n").slice(0, -1), frames: [] }),
  },
};

function framesOf(received: Uint8Array): ReturnType<Read> {
  const frames = new FrameReader().push(received);
  const messages = frames.filter(({ opcode }) => opcode < 8).map(({ payload }) => payload.toString());
  return { messages, frames };
}

const scenes = Object.entries(PROTOCOLS).flatMap(([name, protocol]) =>
  Object.entries(SCALES).map(([sizes, scale]) => ({ name: `${name}, in ${sizes} messages`, ...scale, ...protocol })),
);

describe("what is sent while the kernel takes nothing", () => {
  for (const { name, options, read, factor, mostBytes, mostMessages, mostActs, usualRuns } of scenes) {
    it(`is kept, dropped, refused, withdrawn and written as a list would be, by ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: mostActs, size: "max" }), async (acts) => {
          const limits = { maxQueuedBytes: mostBytes, maxQueuedMessages: mostMessages, writeTimeout: Infinity };
          const { connection, wire } = await blocked(limits, options);
          const model = new Model({ mostBytes, mostMessages });
          const all: { sent: Sent; abort: AbortController }[] = [];
          const pings: string[] = [];

          for (const [index, one] of acts.entries()) {
            if (one.do === "send" || one.do === "try") {
              const text = `${index}:`.padEnd(one.size * factor, "x");
              const given = one.binary ? Buffer.from(text) : text;
              const { overflow, key } = one;
              const how = { overflow, ...(key !== undefined && { key }) };
              const abort = new AbortController();
              if (one.do === "send") {
                const outcome = outcomeOf(connection.send(given, { ...how, signal: abort.signal }));
                const sent: Sent = { given, text, key, outcome, fate: "delivered" };
                all.push({ sent, abort });
                model.add(sent, overflow);
              } else {
                const sent: Sent = { given, text, key, outcome: undefined, fate: "delivered" };
                all.push({ sent, abort });
                assert.equal(connection.trySend(given, how), model.add(sent, overflow), `what became of ${text}`);
              }
            } else if (one.do === "withdraw") {
              // A promise that is settled hears nothing of its signal, and a `trySend` has none.
              const may = all.filter(({ sent }) => sent.outcome !== undefined && sent.fate === "delivered");
              const chosen = may[one.which % Math.max(1, may.length)];
              if (chosen === undefined) continue;
              chosen.abort.abort("enough");
              model.withdraw(chosen.sent);
            } else if (one.do === "peer pings" && connection.protocol === "websocket") {
              const payloads = Array.from({ length: one.times }, (_, count) => `${index}.${count}`);
              pings.push(...payloads);
              const key = options.role === "server" ? { key: KEY } : {};
              wire.write(Buffer.concat(payloads.map((payload) => peerFrame({ opcode: 9, payload, ...key }))));
              await settled();
            } else {
              await settled();
            }
            assert.deepEqual(
              [connection.queuedBytes, connection.queuedMessages, connection.droppedMessages],
              [model.bytes, model.messages, model.dropped],
            );
          }

          const expected = [PLUG, ...model.queue.map(({ text }) => text), ...model.waiting.map(({ text }) => text)];
          wire.resume();
          const chunks: Uint8Array[] = [];
          let missing = expected.join("").length;
          // There is no need to look before so much has come.
          await wire.until(() => {
            const chunk = wire.take();
            chunks.push(chunk);
            missing -= chunk.length;
            return missing < 0 && read(Buffer.concat(chunks)).messages.length >= expected.length;
          });
          await settled();
          const { messages, frames } = read(Buffer.concat([...chunks, wire.take()]));
          assert.deepEqual(messages, expected);
          // Control frames go before what waits, and behind the frame that was under way.
          assert.deepEqual(
            frames.filter(({ opcode }) => opcode === 10).map(({ payload }) => payload.toString()),
            pongsFor(pings),
          );
          const firstWaiting = frames.findIndex(({ opcode }, index) => index > 0 && opcode < 8);
          if (firstWaiting !== -1) assert.ok(frames.slice(firstWaiting).every(({ opcode }) => opcode < 8));

          for (const { sent } of all) {
            if (sent.outcome === undefined) continue;
            const { state, error } = sent.outcome;
            if (sent.fate === "delivered") assert.equal(state, "resolved", sent.text);
            else if (sent.fate === "withdrawn") assert.deepEqual([state, error], ["rejected", "enough"]);
            else {
              assert.ok(error instanceof LimitError);
              assert.equal(error.refused, sent.given);
            }
          }
          assert.deepEqual([connection.queuedBytes, connection.queuedMessages], [0, 0]);
          connection.terminate();
        }),
        runs(usualRuns),
      );
    });
  }
});
