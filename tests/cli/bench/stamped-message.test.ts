/** The messages of a bench: what is stamped is read again, and damage is found. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { STAMP_SIZE, StampedMessages } from "../../../src/cli/bench/stamped-message.ts";
import { runs } from "../../kit/random.ts";

const stamps = fc.record({
  sender: fc.nat(2 ** 24 - 1),
  number: fc.nat({ max: 2 ** 40 - 1 }),
  time: fc.double({ min: 0, max: 1e9, noNaN: true }),
  size: fc.integer({ min: STAMP_SIZE, max: 300 }),
  tag: fc.nat(4_095),
  text: fc.boolean(),
});

const copy = (message: Uint8Array | string): Uint8Array | string =>
  typeof message === "string" ? message : Uint8Array.from(message);

describe("a stamped message", () => {
  it("has its size, and is read as it was stamped, as text and as bytes", () => {
    fc.assert(
      fc.property(stamps, ({ sender, number, time, size, tag, text }) => {
        const messages = new StampedMessages({ size, text, tag });
        const message = messages.stamped(sender, number, time);
        assert.equal(typeof message === "string", text);
        assert.equal(message.length, size);
        // A server may send a text back as bytes, and the other way round.
        for (const form of [
          message,
          typeof message === "string" ? Buffer.from(message) : Buffer.from(message).toString(),
        ]) {
          assert.equal(messages.read(form), "ok");
          assert.deepEqual([messages.sender, messages.number], [sender, number]);
          assert.ok(Math.abs(messages.time - time) <= 1e-6);
        }
      }),
      runs(200),
    );
  });

  it("is changed if any byte behind the stamp is another, or if it is longer or shorter", () => {
    // A short message and a long one are compared in different ways.
    for (const size of [40, 300]) {
      for (const text of [true, false]) {
        const messages = new StampedMessages({ size, text, tag: 1 });
        const whole = Buffer.from(copy(messages.stamped(1, 2, 3)) as Uint8Array);
        const form = (bytes: Buffer): Uint8Array | string => (text ? bytes.toString("latin1") : bytes);
        for (let at = STAMP_SIZE; at < size; at++) {
          const damaged = Buffer.from(whole);
          damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
          assert.equal(messages.read(form(damaged)), "changed", `byte ${at} of ${size}`);
        }
        assert.equal(messages.read(form(whole.subarray(0, size - 1))), "changed");
        assert.equal(messages.read(form(Buffer.concat([whole, Buffer.of(97)]))), "changed");
        assert.equal(messages.read(form(whole)), "ok");
      }
    }
  });

  it("is foreign with another tag, with a stamp of other characters, or without one", () => {
    const messages = new StampedMessages({ size: 40, text: true, tag: 1 });
    const other = new StampedMessages({ size: 40, text: true, tag: 2 });
    for (const message of [other.stamped(1, 2, 3), "hello", "", "x".repeat(40), new Uint8Array(40), "é".repeat(40)]) {
      assert.equal(messages.read(message), "foreign");
    }
  });
});
