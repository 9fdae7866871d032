/** Copies of what waits: the same bytes for as long as they are held, in memory that is used again. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Backlog } from "../../src/connection/backlog.js";
import { Copies, Copy, LEAST } from "../../src/connection/copies.js";
import { settle } from "../../src/connection/options.js";
import { Outgoing } from "../../src/connection/outgoing.js";
import type { Wait } from "../../src/connection/waits.js";
import type { Overflow } from "../../src/index.js";
import { ManualClock } from "../../src/testing/index.js";
import { arrayBytes } from "../memory.js";

const KB = 1_024;

/** What was copied, and what every look at the copy must show. */
interface Held {
  readonly copy: Copy;
  readonly which: number;
  readonly expected: Buffer;
}

const size = fc.oneof(fc.integer({ min: LEAST, max: 4 * KB }), fc.integer({ min: 4 * KB, max: 64 * KB }));
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
  it("show what was copied until they are given back, in whatever order that is", () => {
    fc.assert(
      fc.property(fc.array(act, { maxLength: 120, size: "max" }), (acts) => {
        const copies = new Copies();
        let held: Held[] = [];
        let count = 0;
        const fresh = (size: number, text: boolean): string | Buffer => {
          count += 1;
          const bytes = Buffer.alloc(size, `${count}, `);
          return text ? bytes.toString() : bytes;
        };
        const given = Array.from({ length: 12 }, (_, index) => fresh(LEAST + 700 * index, index % 2 > 0));
        for (const one of acts) {
          const data = given[one.which] ?? "";
          if (one.do === "take") {
            held.push({ copy: copies.take(data, sizeOf(data)), which: one.which, expected: Buffer.from(data) });
          } else if (one.do === "give back") {
            const [gone] = held.splice(one.which % Math.max(1, held.length), 1);
            if (gone !== undefined) copies.giveBack(gone.copy);
          } else if (one.do === "renew") {
            // Another message now; the former is still held by those who have a copy.
            given[one.which] = fresh(one.size, one.text);
            held = held.map((former) => (former.which === one.which ? { ...former, which: -1 } : former));
          } else if (typeof data !== "string") {
            // By a program that does not wait until it may: what it has sent before stays as it was.
            count += 1;
            data.fill(`${count}, `);
          }
          for (const { copy, expected } of held) {
            assert.ok(expected.equals(copy.bytes));
            assert.ok(copy.memory.length <= 1.5 * expected.length, "no more than a third lies idle");
          }
          const last = held.at(-1);
          const original = last?.copy.original();
          if (original !== undefined) assert.ok(last?.expected.equals(Buffer.from(original)));
        }
      }),
    );
  });

  it("are one for a message that comes again while it is held", () => {
    const copies = new Copies();
    const messages = Array.from({ length: 32 }, (_, index) => Buffer.alloc(600 + index));
    const first = messages.map((message) => copies.take(message, message.length));
    const again = messages.map((message) => copies.take(message, message.length));
    assert.deepEqual(
      again.map((copy, index) => copy === first[index]),
      messages.map(() => true),
    );
  });

  it("do not take a message for one that measured less", () => {
    const copies = new Copies();
    class Claims extends Uint8Array {
      claimed = 600;
      override get length(): number {
        return this.claimed ?? super.length;
      }
    }
    const message = new Claims(2_000).fill(7);
    const short = copies.take(message, 600);
    message.claimed = 2_000;
    const long = copies.take(message, 2_000);
    assert.ok(Buffer.alloc(600, 7).equals(short.bytes));
    assert.ok(Buffer.alloc(2_000, 7).equals(long.bytes));
  });

  it("show zeros for what a message lacks of the size that it is said to have", () => {
    const copies = new Copies();
    const before = copies.take(Buffer.alloc(1_000, "secret"), 1_000);
    copies.giveBack(before);
    const short = copies.take(Buffer.alloc(10, "x"), 1_000);
    assert.ok(short.memory === before.memory);
    assert.ok(Buffer.concat([Buffer.alloc(10, "x")], 1_000).equals(short.bytes));
  });

  it("say of a text what the peer would have read", () => {
    const copies = new Copies();
    const text = "é€😀\ud800".repeat(100);
    assert.equal(copies.take(text, Buffer.byteLength(text)).original(), Buffer.from(text).toString());
  });

  it("take the memory of what was given back, if it is not much too large", () => {
    const copies = new Copies();
    const first = copies.take(Buffer.alloc(6_000), 6_000);
    copies.giveBack(first);
    const taken = [3_999, 6_001, 4_000].map((size) => copies.take(Buffer.alloc(size), size));
    assert.deepEqual(
      taken.map(({ memory }) => memory === first.memory),
      [false, false, true],
    );
  });

  it("leave no more than 2 MiB of memory behind", async () => {
    const copies = new Copies();
    const before = await arrayBytes();
    const use = (size: number): void => {
      const held = Array.from({ length: 500 }, () => copies.take(Buffer.allocUnsafeSlow(size), size));
      for (const copy of held) copies.giveBack(copy);
    };
    for (const size of [64 * KB, 600, 30_000]) use(size);
    const left = (await arrayBytes()) - before;
    assert.ok(left <= 2_048 * KB, `${left} bytes`);
    assert.ok(left > 0, "it is kept for those to come");
  });
});

const LARGE = 40_000;
const filled = (letter: string): Buffer => Buffer.alloc(LARGE, letter);

/** Two messages have their places, which are more than leaves with one write. */
function waiting(maxQueuedBytes: number = 3 * LARGE): {
  backlog: Backlog;
  refused: unknown[];
  send: (data: string | Buffer) => Outgoing;
} {
  const refused: unknown[] = [];
  const options = settle({ clock: new ManualClock(), maxQueuedBytes }, "websocket");
  const backlog = new Backlog(options, (_, error) => refused.push(error().refused));
  const send = (data: string | Buffer): Outgoing => {
    const outgoing = new Outgoing(data, data);
    assert.equal(backlog.add(outgoing, "drop-oldest", true), "queued");
    return outgoing;
  };
  for (const letter of "ab") send(filled(letter));
  return { backlog, refused, send };
}

describe("a message that waits as a copy", () => {
  for (const message of [filled("d"), "é".repeat(LARGE / 2)]) {
    it(`is handed back as what was given, as ${typeof message === "string" ? "a text" : "bytes"}`, () => {
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

  const ends: Readonly<Record<string, (backlog: Backlog) => void>> = {
    "was written": (backlog) => {
      for (let index = 0; index < backlog.length; index += 1) (backlog.at(index) as Outgoing).state = "written";
      backlog.written();
    },
    "was given up": (backlog) => backlog.abandon(new Error("over")),
    "has gone with its connection": (backlog) => backlog.clear(new Error("over")),
  };
  for (const [end, leave] of Object.entries(ends)) {
    it(`leaves its memory to others when it ${end}`, () => {
      const { backlog, send } = waiting(4 * LARGE);
      const copied = send(filled("d"));
      const { buffer } = copied.data as Uint8Array;
      leave(backlog);
      assert.equal(backlog.length, 0);
      for (const letter of "ef") send(filled(letter));
      const next = send(filled("g")).data as Uint8Array;
      assert.ok(next.buffer === buffer);
      assert.ok(filled("g").equals(next));
    });
  }

  it("is no copy if somebody waits with it, if it was encoded for many, or if it is very small or very large", () => {
    const { backlog } = waiting(1_000_000);
    const wait = { resolve: () => undefined, reject: () => undefined } as unknown as Wait<void>;
    const others = [LARGE, LARGE, 511, 65_537].map((size) => {
      const data = Buffer.alloc(size);
      return new Outgoing(data, data);
    });
    const [awaited, encoded] = others as [Outgoing, Outgoing];
    awaited.wait = wait;
    encoded.frame = Buffer.alloc(LARGE + 4);
    for (const outgoing of others) assert.equal(backlog.add(outgoing, "drop-oldest", true), "queued");
    assert.deepEqual(
      others.map(({ data, given }) => data === given),
      [true, true, true, true],
    );
  });

  it("is no copy while the kernel takes what is sent, before more waits than it takes at once, or if nothing may take its place", () => {
    const { backlog } = waiting(1_000_000);
    const add = (overflow: Overflow, blocked: boolean, key?: string): boolean => {
      const data = filled("x");
      const outgoing = new Outgoing(data, data);
      outgoing.key = key;
      assert.equal(backlog.add(outgoing, overflow, blocked), "queued");
      return outgoing.data !== data;
    };
    assert.equal(add("drop-oldest", false), false);
    assert.deepEqual(
      (["wait", "reject", "drop-newest", "close", "coalesce"] as const).map((overflow) => add(overflow, true)),
      [false, false, false, false, false],
    );
    assert.equal(add("coalesce", true, "k"), true);
    assert.deepEqual(
      [0, 1].map((index) => (backlog.at(index) as Outgoing).given instanceof Copy),
      [false, false],
    );
  });
});
