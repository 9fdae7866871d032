/** What a blocked connection does with messages: compared with a plain list under the rules of the options. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { LimitError } from "../../../src/index.ts";
import { settled, type WiredOptions } from "../../../src/testing/index.ts";
import { blocked, charged, PLUG, stateOf } from "../../kit/blocked-connection.ts";
import { type Frame, FrameReader, KEY, peerFrame } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";
import { QueueModel, type Sent } from "./queue-model.ts";

/** With large messages, more bytes wait than one write holds. */
const SCALES = {
  small: { factor: 1, mostBytes: charged(400, 5), mostMessages: 7, mostActs: 40, usualRuns: 150 },
  large: { factor: 400, mostBytes: charged(320_000, 10), mostMessages: 30, mostActs: 80, usualRuns: 40 },
};
const MOST_CONTROLS = 16;

/** The waiting control frames. Above the limit, the newest waiting Pong is dropped for the next one. */
function pongsFor(pings: readonly string[]): string[] {
  return pings.length <= MOST_CONTROLS ? [...pings] : [...pings.slice(0, MOST_CONTROLS - 1), pings.at(-1) as string];
}

const POLICIES = ["wait", "wait", "wait", "reject", "drop-newest", "drop-oldest", "drop-oldest", "coalesce"] as const;
const message = fc.record({
  size: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 4, max: 90 }) },
    fc.constantFrom(300, 301, 400, 401, 2_300, 2_348, 2_349, 2_960, 2_961),
  ),
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

/** The messages that the peer has read, without mask and framing. */
type Read = (received: Uint8Array) => { readonly messages: string[]; readonly frames: readonly Frame[] };

const PROTOCOLS: Readonly<Record<string, { readonly options: WiredOptions; readonly read: Read }>> = {
  "a WebSocket server": { options: { role: "server" }, read: framesOf },
  "a WebSocket client": { options: { role: "client" }, read: framesOf },
  "framed TCP": {
    options: { kind: "tcp", framing: "lines" },
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

describe("messages sent while the kernel accepts nothing", () => {
  for (const { name, options, read, factor, mostBytes, mostMessages, mostActs, usualRuns } of scenes) {
    it(`are kept, dropped, refused, withdrawn and written as in a model with a plain list, by ${name}`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(act, { maxLength: mostActs, size: "max" }), async (acts) => {
          const limits = { maxQueuedBytes: mostBytes, maxQueuedMessages: mostMessages, writeTimeout: Infinity };
          const { connection, peer } = await blocked(limits, options);
          const model = new QueueModel({ mostBytes, mostMessages }, PLUG.length);
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
                const outcome = stateOf(connection.send(given, { ...how, signal: abort.signal }));
                const sent: Sent = { given, text, key, outcome, fate: "delivered" };
                all.push({ sent, abort });
                model.add(sent, overflow);
              } else {
                const sent: Sent = { given, text, key, outcome: undefined, fate: "delivered" };
                all.push({ sent, abort });
                assert.equal(connection.trySend(given, how), model.add(sent, overflow), `what became of ${text}`);
              }
            } else if (one.do === "withdraw") {
              // A settled promise ignores its signal, and a `trySend` has none.
              const may = all.filter(({ sent }) => sent.outcome !== undefined && sent.fate === "delivered");
              const chosen = may[one.which % Math.max(1, may.length)];
              if (chosen === undefined) continue;
              chosen.abort.abort("enough");
              model.withdraw(chosen.sent);
            } else if (one.do === "peer pings" && connection.kind === "websocket") {
              const payloads = Array.from({ length: one.times }, (_, count) => `${index}.${count}`);
              pings.push(...payloads);
              const key = options.role === "server" ? { key: KEY } : {};
              peer.write(Buffer.concat(payloads.map((payload) => peerFrame({ opcode: 9, payload, ...key }))));
              await settled();
            } else {
              await settled();
            }
            assert.deepEqual(
              [
                connection.queuedBytes,
                connection.queuedMessages,
                connection.droppedMessages,
                connection.refusedMessages,
              ],
              [model.bytes, model.messages, model.dropped, model.refused],
            );
          }

          const expected = [PLUG, ...model.queue.map(({ text }) => text), ...model.waiting.map(({ text }) => text)];
          peer.resume();
          const chunks: Uint8Array[] = [];
          let missing = expected.join("").length;
          // Parsing is not necessary before this many bytes have arrived.
          await peer.until(() => {
            const chunk = peer.take();
            chunks.push(chunk);
            missing -= chunk.length;
            return missing < 0 && read(Buffer.concat(chunks)).messages.length >= expected.length;
          });
          await settled();
          const { messages, frames } = read(Buffer.concat([...chunks, peer.take()]));
          assert.deepEqual(messages, expected);
          // Control frames are written before waiting messages, and after the frame that was being written.
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
              assert.equal(typeof error.returned, typeof sent.given);
              assert.equal(Buffer.from(error.returned as Buffer).toString(), sent.text);
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
