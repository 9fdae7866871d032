/** What has arrived and was not taken: in order, bounded by pausing the peer, and there for whoever asks. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Connection, ConnectionEvent, ConnectionOptions, Data } from "../../src/index.js";
import { pair, settled, type Wired, wired } from "../../src/testing/index.js";
import { joined, KEY, peerFrame } from "../engine/peer-frames.js";
import { runs } from "../random.js";
import { SPEECHES, type Speech } from "../requirements/speech.js";

const binary = (size: number, fill = 0): Uint8Array =>
  peerFrame({ opcode: 2, payload: new Uint8Array(size).fill(fill), key: KEY });

interface Traced extends Wired {
  /** `pause` and `resume`, each with the number of messages that had been read by then. */
  readonly pauses: string[];
}

/** How often reading paused, as only somebody who watches can tell. */
function traced({ protocol, options }: Speech, connection: ConnectionOptions = {}): Traced {
  const pauses: string[] = [];
  let messages = 0;
  const observe = (event: ConnectionEvent): void => {
    if (event.type === "frame" && event.direction === "in" && event.opcode <= 2) messages += 1;
    if (event.type === "pause" || event.type === "resume") pauses.push(`${event.type} at ${messages}`);
  };
  return { ...wired({ protocol, ...options, connection: { ...connection, observe } }), pauses };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`);

async function take(connection: Connection, count: number): Promise<Data[]> {
  const taken: Data[] = [];
  while (taken.length < count) taken.push(await connection.receive());
  return taken;
}

describe("reading", () => {
  for (const speech of SPEECHES) {
    const { name, message } = speech;

    it(`pauses at 256 messages, goes on at 128, and loses none, on ${name}`, async () => {
      const { connection, wire, pauses } = traced(speech);
      const sent = numbers(600);
      wire.write(joined(...sent.map((text) => message(text))));
      await settled();
      assert.deepEqual(pauses, ["pause at 256"]);
      const received = await take(connection, 127);
      assert.deepEqual(pauses, ["pause at 256"]);
      received.push(...(await take(connection, 1)));
      // 128 are left, and 128 more find room.
      assert.deepEqual(pauses, ["pause at 256", "resume at 256", "pause at 384"]);
      received.push(...(await take(connection, sent.length - received.length)));
      assert.deepEqual(received, sent);
      await settled();
      assert.equal(pauses.at(-1)?.split(" ")[0], "resume");
    });

    it(`pauses at 256 KiB, with the message that reached the line, on ${name}`, async () => {
      const { connection, wire, pauses } = traced(speech);
      // A text is charged with two bytes for each character, which is what it may take.
      const sent = numbers(12).map((text) => text.repeat(32_768 / text.length));
      for (const text of sent) wire.write(message(text));
      await settled();
      assert.deepEqual(pauses, ["pause at 4"]);
      assert.deepEqual(await take(connection, 12), sent);
    });

    it(`takes a single message that is larger than the bound, on ${name}`, async () => {
      const { connection, wire, pauses } = traced(speech, { maxInboxBytes: 1_000 });
      const large = "x".repeat(100_000);
      wire.write(joined(message(large), message("next")));
      await settled();
      assert.deepEqual(pauses, ["pause at 1"]);
      assert.deepEqual(await take(connection, 2), [large, "next"]);
    });

    it(`takes one message at a time with room for one, on ${name}`, async () => {
      const { connection, wire, pauses } = traced(speech, { maxInboxMessages: 1 });
      const sent = numbers(5);
      wire.write(joined(...sent.map((text) => message(text))));
      await settled();
      for (const [index, text] of sent.entries()) {
        assert.equal(pauses.at(-1), `pause at ${index + 1}`);
        assert.equal(await connection.receive(), text);
      }
    });

    it(`never pauses for somebody who waits already, on ${name}`, async () => {
      const { connection, wire, pauses } = traced(speech, { maxInboxMessages: 2 });
      const waiting = numbers(20).map(() => connection.receive());
      wire.write(joined(...numbers(20).map((text) => message(text))));
      assert.deepEqual(await Promise.all(waiting), numbers(20));
      assert.deepEqual(pauses, []);
    });

    it(`that has paused holds the peer's sends back, on ${name}`, async () => {
      const { protocol, options } = speech;
      const { client, server } = pair({
        ...{ protocol, ...options, capacity: 1_000 },
        client: { maxQueuedBytes: 1_000 },
        server: { maxInboxBytes: 1_000 },
      });
      const text = "x".repeat(100);
      let sent = 0;
      const sending = (async () => {
        for (; sent < 200; sent += 1) await client.send(text);
      })();
      for (let before = -1; before !== sent; await settled()) before = sent;
      // The inbox, the kernels, and what the chunk held that filled the inbox.
      assert.ok(sent < 40, `${sent} messages of 100 bytes`);
      await take(server, 200);
      await sending;
    });
  }

  it("counts the bytes of binary messages as they are", async () => {
    const { connection, wire, pauses } = traced(SPEECHES[0] as Speech);
    for (let count = 0; count < 6; count += 1) wire.write(binary(65_536, count));
    await settled();
    assert.deepEqual(pauses, ["pause at 4"]);
    const taken = (await take(connection, 6)) as Uint8Array[];
    assert.deepEqual(
      taken.map(({ length, 0: first }) => [length, first]),
      [0, 1, 2, 3, 4, 5].map((fill) => [65_536, fill]),
    );
  });

  it("goes on when the end has begun, since the peer's Close stands behind what nobody takes", async () => {
    const { connection, wire } = traced(SPEECHES[0] as Speech, { maxInboxMessages: 1 });
    wire.write(joined(binary(1), binary(1), peerFrame({ opcode: 8, payload: Uint8Array.of(3, 232), key: KEY })));
    wire.end();
    await settled();
    const { wasClean, code } = await connection.close();
    assert.deepEqual([wasClean, code], [true, 1000]);
  });

  it("keeps every message and their order, whatever the bounds, the cuts and the pace of the reader", async () => {
    const script = fc.record({
      sizes: fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 60 }),
      cut: fc.integer({ min: 1, max: 200 }),
      paces: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 10 }),
      maxInboxMessages: fc.integer({ min: 1, max: 8 }),
      maxInboxBytes: fc.integer({ min: 1, max: 300 }),
    });
    await fc.assert(
      fc.asyncProperty(script, async ({ sizes, cut, paces, maxInboxMessages, maxInboxBytes }) => {
        const { connection, wire } = traced(SPEECHES[0] as Speech, { maxInboxMessages, maxInboxBytes });
        const stream = joined(...sizes.map((size, index) => binary(size, index)));
        for (let at = 0; at < stream.length; at += cut) wire.write(stream.subarray(at, at + cut));
        const received: Data[] = [];
        for (let step = 0; received.length < sizes.length; step += 1) {
          for (let turn = paces[step % paces.length] ?? 0; turn > 0; turn -= 1) await new Promise(setImmediate);
          received.push(await connection.receive());
        }
        assert.deepEqual(
          received,
          sizes.map((size, index) => new Uint8Array(size).fill(index)),
        );
      }),
      runs(60),
    );
  });
});

describe("messages", () => {
  for (const speech of SPEECHES) {
    const { name, message } = speech;

    it(`that come before anybody listens are kept, on ${name}`, async () => {
      const { connection, wire, clock } = traced(speech);
      wire.write(joined(message("one"), message("two")));
      await clock.advance(10_000);
      assert.deepEqual(await take(connection, 2), ["one", "two"]);
    });

    it(`go to those who wait in the order of their calls, on ${name}`, async () => {
      const { connection, wire } = traced(speech);
      const order: string[] = [];
      const waiting = ["a", "b", "c"].map((who) =>
        connection.receive().then((message) => void order.push(`${who} has ${message}`)),
      );
      for (const text of ["1", "2", "3"]) {
        wire.write(message(text));
        await settled();
      }
      await Promise.all(waiting);
      assert.deepEqual(order, ["a has 1", "b has 2", "c has 3"]);
    });

    it(`go past a call that has given up, on ${name}`, async () => {
      const { connection, wire, clock } = traced(speech);
      const first = connection.receive();
      const impatient = assert.rejects(connection.receive({ timeout: 10 }), { code: "TIMEOUT" });
      const cancelled = new AbortController();
      const gone = assert.rejects(connection.receive({ signal: cancelled.signal }), { name: "AbortError" });
      const last = connection.receive();
      await clock.advance(10);
      cancelled.abort();
      await Promise.all([impatient, gone]);
      wire.write(joined(message("1"), message("2")));
      assert.deepEqual([await first, await last], ["1", "2"]);
    });

    it(`are the same whichever of the four views asks, on ${name}`, async () => {
      const { connection, wire } = traced(speech);
      wire.write(joined(...numbers(8).map((text) => message(text))));
      const stream = connection.readable.getReader();
      const iterator = connection[Symbol.asyncIterator]();
      for (const round of [0, 4]) {
        assert.equal(await connection.receive(), `${round}`);
        assert.deepEqual(await iterator.next(), { done: false, value: `${round + 1}` });
        assert.equal((await stream.read()).value, `${round + 2}`);
        const reader = await connection.reader();
        assert.equal(Buffer.from((await reader.read()) as Uint8Array).toString(), `${round + 3}`);
        assert.equal(await reader.read(), undefined);
      }
    });
  }
});

describe("behind the end", () => {
  const ends: Record<string, { readonly end: (wired: Wired) => void; readonly clean: (speech: Speech) => boolean }> = {
    "a FIN": { end: ({ wire }) => wire.end(), clean: ({ protocol }) => protocol === "tcp" },
    "a reset": { end: ({ wire }) => wire.reset(), clean: () => false },
    terminate: { end: ({ connection }) => connection.terminate(), clean: () => false },
    "a close of ours": { end: ({ connection }) => void connection.close(), clean: () => true },
    "the peer's goodbye": {
      end: ({ connection, wire }) => {
        if (connection.protocol === "websocket") wire.write(peerFrame({ opcode: 8, key: KEY }));
        wire.end();
      },
      clean: () => true,
    },
  };
  for (const speech of SPEECHES) {
    for (const [what, { end, clean }] of Object.entries(ends)) {
      it(`by ${what} what was stored can be taken, and then every call has the one reason, on ${speech.name}`, async () => {
        const scene = traced(speech);
        const { connection, wire } = scene;
        wire.write(joined(speech.message("one"), speech.message("two"), speech.message("three")));
        await settled();
        end(scene);
        await settled();
        assert.equal(await connection.receive(), "one");
        assert.deepEqual(await connection[Symbol.asyncIterator]().next(), { done: false, value: "two" });
        assert.equal(await connection.receive({ timeout: 5 }), "three");
        const errors = new Set<unknown>();
        for (let call = 0; call < 3; call += 1) await connection.receive().catch((error) => errors.add(error));
        assert.equal(errors.size, 1);
        const [error] = [...errors] as { wasClean?: boolean }[];
        assert.equal(error?.wasClean === true, clean(speech));
        const next = connection[Symbol.asyncIterator]().next();
        if (clean(speech)) assert.deepEqual(await next, { done: true, value: undefined });
        else assert.equal(await next.catch((thrown: unknown) => thrown), error);
      });
    }
  }

  it("of our own making nothing more is delivered, as in browsers", async () => {
    const { connection, wire } = traced(SPEECHES[0] as Speech);
    void connection.close();
    wire.write(binary(1));
    await settled();
    await assert.rejects(connection.receive(), { code: "CLOSED", by: "local" });
  });
});
