/** Received messages that are not taken: stored in order, limited by a pause of reading, and available to later calls. */

import assert from "node:assert/strict";
import { describe, it, mock } from "node:test";
import fc from "fast-check";
import { Inbox } from "../../../src/connection/read/inbox.ts";
import type { Connection, ConnectionEvent, ConnectionOptions, Message } from "../../../src/index.ts";
import { pair, settled, type Wired, wired } from "../../../src/testing/index.ts";
import { joined, KEY, peerFrame } from "../../kit/frames.ts";
import { runs } from "../../kit/random.ts";
import { WIRE_PROTOCOLS, type WireProtocol } from "../../kit/wire-protocols.ts";

const binary = (size: number, fill = 0): Uint8Array =>
  peerFrame({ opcode: 2, payload: new Uint8Array(size).fill(fill), key: KEY });

interface Traced extends Wired {
  /** `pause` and `resume`, each with the number of messages read before it. */
  readonly pauses: string[];
}

/** The number of pauses of reading, counted by the observer. */
function traced({ protocol, options }: WireProtocol, connection: ConnectionOptions = {}): Traced {
  const pauses: string[] = [];
  mock.restoreAll();
  const { mock: pushes } = mock.method(Inbox.prototype, "push");
  const observe = (event: ConnectionEvent): void => {
    if (event.type === "pause" || event.type === "resume") pauses.push(`${event.type} at ${pushes.callCount()}`);
  };
  return { ...wired({ kind: protocol, ...options, connection: { ...connection, observe } }), pauses };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => `${index}`);

async function take(connection: Connection, count: number): Promise<Message[]> {
  const taken: Message[] = [];
  while (taken.length < count) taken.push(await connection.receive());
  return taken;
}

describe("reading", () => {
  for (const wire of WIRE_PROTOCOLS) {
    const { name, message } = wire;

    it(`pauses at 256 messages, continues at 128, and loses none, on ${name}`, async () => {
      const { connection, peer, pauses } = traced(wire);
      const sent = numbers(600);
      peer.write(joined(...sent.map((text) => message(text))));
      await settled();
      assert.deepEqual(pauses, ["pause at 256"]);
      const received = await take(connection, 127);
      assert.deepEqual(pauses, ["pause at 256"]);
      received.push(...(await take(connection, 1)));
      // 128 messages remain, and 128 more fit.
      assert.deepEqual(pauses, ["pause at 256", "resume at 256", "pause at 384"]);
      received.push(...(await take(connection, sent.length - received.length)));
      assert.deepEqual(received, sent);
      await settled();
      assert.equal(pauses.at(-1)?.split(" ")[0], "resume");
    });

    it(`pauses at 256 KiB, and keeps the message that reaches the limit, on ${name}`, async () => {
      const { connection, peer, pauses } = traced(wire);
      // A text counts two bytes for each character, the most that V8 may use.
      const sent = numbers(12).map((text) => text.repeat(32_768 / text.length));
      for (const text of sent) peer.write(message(text));
      await settled();
      assert.deepEqual(pauses, ["pause at 4"]);
      assert.deepEqual(await take(connection, 12), sent);
    });

    it(`accepts a single message that is larger than the limit, on ${name}`, async () => {
      const { connection, peer, pauses } = traced(wire, { maxInboxBytes: 1_000 });
      const large = "x".repeat(100_000);
      peer.write(joined(message(large), message("next")));
      await settled();
      assert.deepEqual(pauses, ["pause at 1"]);
      assert.deepEqual(await take(connection, 2), [large, "next"]);
    });

    it(`accepts one message at a time with a limit of one message, on ${name}`, async () => {
      const { connection, peer, pauses } = traced(wire, { maxInboxMessages: 1 });
      const sent = numbers(5);
      peer.write(joined(...sent.map((text) => message(text))));
      await settled();
      for (const [index, text] of sent.entries()) {
        assert.equal(pauses.at(-1), `pause at ${index + 1}`);
        assert.equal(await connection.receive(), text);
      }
    });

    it(`does not pause while calls are pending, on ${name}`, async () => {
      const { connection, peer, pauses } = traced(wire, { maxInboxMessages: 2 });
      const waiting = numbers(20).map(() => connection.receive());
      peer.write(joined(...numbers(20).map((text) => message(text))));
      assert.deepEqual(await Promise.all(waiting), numbers(20));
      assert.deepEqual(pauses, []);
    });

    it(`that is paused blocks the peer's sends, on ${name}`, async () => {
      const { protocol, options } = wire;
      const { client, server } = pair({
        ...{ kind: protocol, ...options, capacity: 1_000 },
        client: { maxQueuedBytes: 1_000 },
        server: { maxInboxBytes: 1_000 },
      });
      const text = "x".repeat(100);
      let sent = 0;
      const sending = (async () => {
        for (; sent < 200; sent += 1) await client.send(text);
      })();
      for (let before = -1; before !== sent; await settled()) before = sent;
      // The inbox, the buffers of the kernels, and the rest of the chunk that filled the inbox.
      assert.ok(sent < 40, `${sent} messages of 100 bytes`);
      await take(server, 200);
      await sending;
    });
  }

  it("counts the bytes of binary messages exactly", async () => {
    const { connection, peer, pauses } = traced(WIRE_PROTOCOLS[0] as WireProtocol);
    for (let count = 0; count < 6; count += 1) peer.write(binary(65_536, count));
    await settled();
    assert.deepEqual(pauses, ["pause at 4"]);
    const taken = (await take(connection, 6)) as Uint8Array[];
    assert.deepEqual(
      taken.map(({ length, 0: first }) => [length, first]),
      [0, 1, 2, 3, 4, 5].map((fill) => [65_536, fill]),
    );
  });

  it("continues after the end has begun, because the peer's Close is behind messages that no call takes", async () => {
    const { connection, peer } = traced(WIRE_PROTOCOLS[0] as WireProtocol, { maxInboxMessages: 1 });
    peer.write(joined(binary(1), binary(1), peerFrame({ opcode: 8, payload: Uint8Array.of(3, 232), key: KEY })));
    peer.end();
    await settled();
    const { wasClean, code } = await connection.close();
    assert.deepEqual([wasClean, code], [true, 1000]);
  });

  it("loses no message and keeps the order, for any limits, chunk boundaries and pace of the reader", async () => {
    const script = fc.record({
      sizes: fc.array(fc.integer({ min: 0, max: 60 }), { maxLength: 60 }),
      cut: fc.integer({ min: 1, max: 200 }),
      paces: fc.array(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 10 }),
      maxInboxMessages: fc.integer({ min: 1, max: 8 }),
      maxInboxBytes: fc.integer({ min: 1, max: 300 }),
    });
    await fc.assert(
      fc.asyncProperty(script, async ({ sizes, cut, paces, maxInboxMessages, maxInboxBytes }) => {
        const { connection, peer } = traced(WIRE_PROTOCOLS[0] as WireProtocol, { maxInboxMessages, maxInboxBytes });
        const stream = joined(...sizes.map((size, index) => binary(size, index)));
        for (let at = 0; at < stream.length; at += cut) peer.write(stream.subarray(at, at + cut));
        const received: Message[] = [];
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
  for (const wire of WIRE_PROTOCOLS) {
    const { name, message } = wire;

    it(`that arrive before a call are stored, on ${name}`, async () => {
      const { connection, peer, clock } = traced(wire);
      peer.write(joined(message("one"), message("two")));
      await clock.advance(10_000);
      assert.deepEqual(await take(connection, 2), ["one", "two"]);
    });

    it(`go to pending calls in the order of the calls, on ${name}`, async () => {
      const { connection, peer } = traced(wire);
      const order: string[] = [];
      const waiting = ["a", "b", "c"].map((who) =>
        connection.receive().then((message) => void order.push(`${who} has ${message}`)),
      );
      for (const text of ["1", "2", "3"]) {
        peer.write(message(text));
        await settled();
      }
      await Promise.all(waiting);
      assert.deepEqual(order, ["a has 1", "b has 2", "c has 3"]);
    });

    it(`do not go to a call that has timed out, on ${name}`, async () => {
      const { connection, peer, clock } = traced(wire);
      const first = connection.receive();
      const impatient = assert.rejects(connection.receive({ timeout: 10 }), { code: "TIMEOUT" });
      const cancelled = new AbortController();
      const gone = assert.rejects(connection.receive({ signal: cancelled.signal }), { name: "AbortError" });
      const last = connection.receive();
      await clock.advance(10);
      cancelled.abort();
      await Promise.all([impatient, gone]);
      peer.write(joined(message("1"), message("2")));
      assert.deepEqual([await first, await last], ["1", "2"]);
    });

    it(`are the same for all four ways to receive, on ${name}`, async () => {
      const { connection, peer } = traced(wire);
      peer.write(joined(...numbers(8).map((text) => message(text))));
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

describe("after the end", () => {
  const ends: Record<
    string,
    { readonly end: (wired: Wired) => void; readonly clean: (wire: WireProtocol) => boolean }
  > = {
    "a FIN": { end: ({ peer }) => peer.end(), clean: ({ protocol }) => protocol === "tcp" },
    "a reset": { end: ({ peer }) => peer.reset(), clean: () => false },
    terminate: { end: ({ connection }) => connection.terminate(), clean: () => false },
    "a close of this side": { end: ({ connection }) => void connection.close(), clean: () => true },
    "an orderly close of the peer": {
      end: ({ connection, peer }) => {
        if (connection.kind === "websocket") peer.write(peerFrame({ opcode: 8, key: KEY }));
        peer.end();
      },
      clean: () => true,
    },
  };
  for (const wire of WIRE_PROTOCOLS) {
    for (const [ending, { end, clean }] of Object.entries(ends)) {
      it(`by ${ending} the stored messages can be taken, and then every call rejects with the same reason, on ${wire.name}`, async () => {
        const scene = traced(wire);
        const { connection, peer } = scene;
        peer.write(joined(wire.message("one"), wire.message("two"), wire.message("three")));
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
        assert.equal(error?.wasClean === true, clean(wire));
        const next = connection[Symbol.asyncIterator]().next();
        if (clean(wire)) assert.deepEqual(await next, { done: true, value: undefined });
        else assert.equal(await next.catch((thrown: unknown) => thrown), error);
      });
    }
  }

  it("by a close of this side no further message is delivered, as in browsers", async () => {
    const { connection, peer } = traced(WIRE_PROTOCOLS[0] as WireProtocol);
    void connection.close();
    peer.write(binary(1));
    await settled();
    await assert.rejects(connection.receive(), { code: "CLOSED", by: "local" });
  });
});
