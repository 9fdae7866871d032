/** Copies of waiting messages: their bytes stay the same while in use, and their memory is reused afterwards. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { settle } from "../../../src/connection/options.ts";
import type { OutgoingMessage } from "../../../src/connection/write/outgoing-message.ts";
import { outgoingOf } from "../../../src/connection/write/outgoing-message.ts";
import { MIN_RETAINED, RetainedCopies, RetainedCopy } from "../../../src/connection/write/retained-copies.ts";
import { SendQueue } from "../../../src/connection/write/send-queue.ts";
import { WebSocketEncoder } from "../../../src/engine/websocket/encoder.ts";
import type { Overflow } from "../../../src/index.ts";
import { ManualClock } from "../../../src/testing/index.ts";
import { charged } from "../../kit/blocked-connection.ts";
import { arrayBytes } from "../../kit/memory.ts";

const KB = 1_024;

/** A copy and the content that it must have at every check. */
interface Held {
  readonly copy: RetainedCopy;
  readonly which: number;
  readonly expected: Buffer;
}

const size = fc.oneof(fc.integer({ min: MIN_RETAINED, max: 4 * KB }), fc.integer({ min: 4 * KB, max: 64 * KB }));
const act = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constant("take" as const), which: fc.nat(11) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("give back" as const), which: fc.nat(60) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant("renew" as const), which: fc.nat(11), size, text: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("change" as const), which: fc.nat(11) }) },
);

const sizeOf = (data: string | Uint8Array): number => Buffer.byteLength(data);

describe("copies", () => {
  it("hold the copied content until they are released, in any order", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120, size: "max" }), (acts) => {
        const copies = new RetainedCopies();
        let held: Held[] = [];
        let count = 0;
        const fresh = (size: number, text: boolean): string | Buffer => {
          count += 1;
          const bytes = Buffer.alloc(size, `${count}, `);
          return text ? bytes.toString() : bytes;
        };
        const given = Array.from({ length: 12 }, (_, index) => fresh(MIN_RETAINED + 700 * index, index % 2 > 0));
        for (const one of acts) {
          const data = given[one.which] ?? "";
          if (one.do === "take") {
            held.push({ copy: copies.acquire(data, sizeOf(data)), which: one.which, expected: Buffer.from(data) });
          } else if (one.do === "give back") {
            const [gone] = held.splice(one.which % Math.max(1, held.length), 1);
            if (gone !== undefined) copies.release(gone.copy);
          } else if (one.do === "renew") {
            // A different message now. Copies of the earlier one must keep its content.
            given[one.which] = fresh(one.size, one.text);
            held = held.map((former) => (former.which === one.which ? { ...former, which: -1 } : former));
          } else if (typeof data !== "string") {
            // The program changes the memory too early. Messages that were already copied must not change.
            count += 1;
            data.fill(`${count}, `);
          }
          for (const { copy, expected } of held) {
            assert.ok(expected.equals(copy.bytes));
            assert.ok(copy.memory.length <= 1.5 * expected.length, "no more than a third lies idle");
          }
          const last = held.at(-1);
          const original = last?.copy.toData();
          if (original !== undefined) assert.ok(last?.expected.equals(Buffer.from(original)));
        }
      }),
    );
  });

  it("are shared by messages with the same data while one is in use", () => {
    const copies = new RetainedCopies();
    const messages = Array.from({ length: 32 }, (_, index) => Buffer.alloc(600 + index));
    const first = messages.map((message) => copies.acquire(message, message.length));
    const again = messages.map((message) => copies.acquire(message, message.length));
    assert.deepEqual(
      again.map((copy, index) => copy === first[index]),
      messages.map(() => true),
    );
  });

  it("return a text as the peer would decode it", () => {
    const copies = new RetainedCopies();
    const text = "é€😀\ud800".repeat(100);
    assert.equal(copies.acquire(text, Buffer.byteLength(text)).toData(), Buffer.from(text).toString());
  });

  it("reuse released memory, unless it is much too large", () => {
    const copies = new RetainedCopies();
    const first = copies.acquire(Buffer.alloc(6_000), 6_000);
    copies.release(first);
    const taken = [3_999, 6_001, 4_000].map((size) => copies.acquire(Buffer.alloc(size), size));
    assert.deepEqual(
      taken.map(({ memory }) => memory === first.memory),
      [false, false, true],
    );
  });

  it("retain at most 2 MiB of unused memory", async () => {
    const copies = new RetainedCopies();
    const before = await arrayBytes();
    const use = (size: number): void => {
      const held = Array.from({ length: 500 }, () => copies.acquire(Buffer.allocUnsafeSlow(size), size));
      for (const copy of held) copies.release(copy);
    };
    for (const size of [64 * KB, 600, 30_000]) use(size);
    const left = (await arrayBytes()) - before;
    assert.ok(left <= 2_048 * KB, `${left} bytes`);
    assert.ok(left > 0, "it is kept for those to come");
  });
});

const LARGE = 40_000;
const filled = (letter: string): Buffer => Buffer.alloc(LARGE, letter);
const encoder = new WebSocketEncoder("server", () => 0);

/** The queue of a blocked connection in which two messages wait: more bytes than one write holds. */
function waiting(room: number = 3): {
  sendQueue: SendQueue;
  refused: unknown[];
  send: (data: string | Buffer) => OutgoingMessage;
} {
  const refused: unknown[] = [];
  const options = settle({ clock: new ManualClock(), maxQueuedBytes: charged(room * LARGE, room) }, "websocket");
  const sendQueue = new SendQueue(options, (_, error) => refused.push(error().returned));
  const send = (data: string | Buffer): OutgoingMessage => {
    const outgoing = outgoingOf(data, encoder, true);
    assert.equal(sendQueue.enqueue(outgoing, "drop-oldest", true), "queued");
    return outgoing;
  };
  for (const letter of "ab") send(filled(letter));
  return { sendQueue, refused, send };
}

describe("a waiting message", () => {
  for (const message of [filled("d"), "é".repeat(LARGE / 2)]) {
    it(`is returned in the error as it was sent, as ${typeof message === "string" ? "a text" : "bytes"}`, () => {
      const { refused, send } = waiting();
      assert.ok(send(message).data !== message);
      for (const letter of "efgh") send(filled(letter));
      const given = [filled("a"), filled("b"), message, filled("e")];
      assert.deepEqual(
        given.map((data, index) => Buffer.from(data).equals(Buffer.from(refused[index] as Buffer))),
        given.map(() => true),
      );
      assert.equal(typeof refused[2], typeof message);
      assert.equal(refused.length, given.length);
    });
  }

  const ends: Readonly<Record<string, (sendQueue: SendQueue, last: OutgoingMessage) => void>> = {
    "is written": (sendQueue) => {
      for (let index = 0; index < sendQueue.length; index += 1)
        (sendQueue.at(index) as OutgoingMessage).state = "written";
      sendQueue.settleWritten();
    },
    "is withdrawn": (sendQueue, last) => {
      assert.ok(sendQueue.withdraw(last));
      sendQueue.rejectAll(new Error("over"));
    },
    "is rejected because of a failure": (sendQueue) => sendQueue.rejectUnwritten(new Error("over")),
    "is rejected at the end of its connection": (sendQueue) => sendQueue.rejectAll(new Error("over")),
  };
  for (const [end, leave] of Object.entries(ends)) {
    it(`releases its memory for other messages when it ${end}`, () => {
      const { sendQueue, send } = waiting(4);
      const last = send(filled("d"));
      const { buffer } = last.data as Uint8Array;
      leave(sendQueue, last);
      assert.equal(sendQueue.length, 0);
      const next = ["e", "f", "g"].map((letter) => send(filled(letter)).data as Uint8Array);
      assert.ok(next.some((data) => data.buffer === buffer));
      for (const [index, letter] of ["e", "f", "g"].entries()) assert.ok(filled(letter).equals(next[index] as Buffer));
    });
  }

  it("is a copy of the bytes, at any size, while the kernel accepts bytes or not", () => {
    for (const size of [1, 511, 512, 65_536, 65_537, 1_048_576, 1_048_577]) {
      for (const blocked of [true, false]) {
        const data = Buffer.alloc(size, 1);
        const outgoing = outgoingOf(data, encoder, blocked);
        data.fill(2);
        assert.ok(Buffer.alloc(size, 1).equals(outgoing.data as Uint8Array), `${size} bytes`);
        assert.equal(outgoing.original instanceof RetainedCopy, size >= 512 && size <= 1_048_576);
      }
    }
  });

  it("uses no more memory than its bytes if it is small and the kernel accepts nothing", () => {
    for (const size of [1, 64, 511]) {
      const { buffer } = outgoingOf(Buffer.alloc(size), encoder, true).data as Uint8Array;
      assert.equal(buffer.byteLength, size);
    }
  });

  it("stays a string if it is a text, unless it waits long and may be dropped", () => {
    const { sendQueue } = waiting(20);
    const add = (overflow: Overflow, blocked: boolean, key?: string): boolean => {
      const text = "x".repeat(LARGE);
      const outgoing = outgoingOf(text, encoder, blocked);
      outgoing.key = key;
      assert.equal(sendQueue.enqueue(outgoing, overflow, blocked), "queued");
      return outgoing.data !== text;
    };
    assert.equal(add("drop-oldest", false), false);
    assert.deepEqual(
      (["wait", "reject", "drop-newest", "close", "coalesce"] as const).map((overflow) => add(overflow, true)),
      [false, false, false, false, false],
    );
    assert.equal(add("coalesce", true, "k"), true);
    assert.equal(add("drop-oldest", true), true);
  });
});
