/** Raw framing: chunks are messages. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { RawDecoder, RawEncoder } from "../../../src/engine/framing/raw.ts";
import { deliver, encoded, joined, Listener, received, STREAMING, sizes, stops, utf8, WHOLE } from "./cut-stream.ts";

describe("raw framing", () => {
  it("makes a binary message of each chunk", () => {
    const { messages } = received(new RawDecoder(WHOLE), utf8("abcde"), [2]);
    assert.deepEqual(messages, [utf8("ab"), utf8("cd"), utf8("e")]);
  });

  it("cuts a chunk that is longer than maxMessageSize, because it is no violation", () => {
    const { messages, violations } = received(new RawDecoder({ ...WHOLE, maxMessageSize: 2 }), utf8("abcde"));
    assert.deepEqual(messages, [utf8("ab"), utf8("cd"), utf8("e")]);
    assert.deepEqual(violations, []);
  });

  it("delivers a chunk of any length in one piece with streaming", () => {
    const { messages } = received(new RawDecoder({ ...STREAMING, maxMessageSize: 2 }), utf8("abcde"));
    assert.deepEqual(messages, [utf8("abcde")]);
  });

  it("is always at a message boundary", () => {
    const decoder = new RawDecoder(WHOLE);
    received(decoder, utf8("abc"));
    assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
  });

  it("loses no byte and adds none, wherever it is cut and stopped", () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        sizes,
        stops,
        fc.constantFrom(1, 7, Infinity),
        (bytes, cuts, stopping, maxMessageSize) => {
          const listener = new Listener(stopping);
          deliver(new RawDecoder({ ...WHOLE, maxMessageSize }), bytes, cuts, listener);
          assert.deepEqual(joined(listener.messages as Uint8Array[]), bytes);
          for (const { length } of listener.messages) assert.ok(length > 0 && length <= maxMessageSize);
        },
      ),
    );
  });

  it("sends strings as UTF-8, and bytes unchanged", () => {
    const encoder = new RawEncoder();
    assert.deepEqual(encoded(encoder, "é"), utf8("é"));
    assert.deepEqual(encoded(encoder, new Uint8Array([0, 10])), new Uint8Array([0, 10]));
    assert.equal(encoder.overhead, 0);
  });

  it("refuses an empty message, which has no encoded form", () => {
    const encoder = new RawEncoder();
    for (const empty of ["", new Uint8Array()]) {
      assert.throws(() => encoder.payload(empty, "whole"), {
        name: "RangeError",
        message: /^Cannot send an empty message/,
      });
    }
  });

  it("writes messages in parts, of which each may be empty", () => {
    const encoder = new RawEncoder();
    assert.equal(encoder.streams, true);
    const parts = [encoded(encoder, "a", "first"), encoded(encoder, "", "middle"), encoded(encoder, "", "last")];
    assert.deepEqual(joined(parts), utf8("a"));
  });
});
