/** Messages whose size is known before their payload, cut and stopped at any place. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { Codec } from "../../../src/engine/framing/framing.ts";
import { FixedWidthPrefix, type LengthPrefix, VarintPrefix } from "../../../src/engine/framing/prefix.ts";
import { FixedEncoder, PrefixedEncoder, SizedDecoder } from "../../../src/engine/framing/sized.ts";
import {
  bytesOf,
  carries,
  deliver,
  encoded,
  Listener,
  received,
  STREAMING,
  survives,
  utf8,
  WHOLE,
} from "./cut-stream.ts";

const prefixedBy = (prefix: LengthPrefix, text = false): Codec => ({
  decoder: (limits) => new SizedDecoder(prefix, text, limits),
  encoder: () => new PrefixedEncoder(prefix),
});

const fixedAt = (size: number, text = false): Codec => ({
  decoder: (limits) => new SizedDecoder(size, text, limits),
  encoder: () => new FixedEncoder(size),
});

const TWO = new FixedWidthPrefix(2, "big");
const EIGHT = new FixedWidthPrefix(8, "big");
const VARINT = new VarintPrefix();

const asText = (sent: string | Uint8Array) => Buffer.from(bytesOf(sent)).toString();

describe("messages behind a length", () => {
  it("arrive unchanged", () => {
    const bytes = fc.uint8Array({ maxLength: 255 });
    for (const width of [1, 2, 4, 8] as const) {
      carries(prefixedBy(new FixedWidthPrefix(width, "big")), bytes, (sent) => sent, width);
      carries(prefixedBy(new FixedWidthPrefix(width, "little")), bytes, (sent) => sent, width);
    }
    carries(prefixedBy(VARINT), bytes, (sent) => sent, 2);
  });

  it("arrive as strings with `text`, and as bytes without, however they were sent", () => {
    const data = fc.string({ unit: "grapheme" }).chain((text) => fc.constantFrom(text, utf8(text)));
    carries(prefixedBy(VARINT, true), data, asText, 2);
    carries(prefixedBy(VARINT, false), data, bytesOf, 2);
  });

  it("arrive the same wherever hostile bytes are cut", () => {
    for (const prefix of [TWO, new FixedWidthPrefix(4, "little"), EIGHT, VARINT]) {
      survives(prefixedBy(prefix), fc.constantFrom(0, 1, 2, 0x80));
      survives(prefixedBy(prefix, true), fc.constantFrom(0, 1, 2, 0x61, 0xc3));
    }
  });

  it("are refused with both sizes as soon as their size is announced", () => {
    const decoder = prefixedBy(TWO).decoder({ ...WHOLE, maxMessageSize: 258 });
    const listener = new Listener();
    deliver(decoder, new Uint8Array([1, 3]), [1], listener);
    assert.deepEqual(listener.violations, [
      {
        closeCode: 1009,
        clause: "length-prefix framing",
        problem: "a message of 259 bytes was announced, and maxMessageSize is 258",
        limit: { name: "maxMessageSize", maximum: 258, actual: 259 },
      },
    ]);
    assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
  });

  it("may have maxMessageSize bytes", () => {
    const limits = { ...WHOLE, maxMessageSize: 3 };
    assert.deepEqual(received(prefixedBy(TWO).decoder(limits), new Uint8Array([0, 3, 1, 2, 3])).messages, [
      new Uint8Array([1, 2, 3]),
    ]);
  });

  it("may announce 2^64 - 1 bytes, which cause no overflow", () => {
    const wire = new Uint8Array(8).fill(0xff);
    const [bounded] = received(prefixedBy(EIGHT).decoder(WHOLE), wire).violations;
    assert.deepEqual(bounded?.limit, { name: "maxMessageSize", maximum: 1_000, actual: 2 ** 64 });
    for (const limits of [STREAMING, { ...WHOLE, maxMessageSize: Infinity }]) {
      const [violation] = received(prefixedBy(EIGHT).decoder(limits), wire).violations;
      assert.deepEqual([violation?.closeCode, violation?.reason], [1009, "uncountable-length"]);
      assert.match(violation?.problem ?? "", /cannot be counted/);
    }
  });

  it("may be of any length when they stream", () => {
    const decoder = prefixedBy(EIGHT).decoder({ ...STREAMING, maxMessageSize: 1 });
    const listener = new Listener();
    deliver(decoder, new Uint8Array([0, 0, 1, 0, 0, 0, 0, 0, 7, 7, 7]), [5], listener);
    assert.deepEqual(decoder.partial, { received: 11, expected: 2 ** 40 + 8 });
    assert.equal(listener.unfinished, 3);
    const most = received(
      prefixedBy(EIGHT).decoder(STREAMING),
      new Uint8Array([0, 0x1f, 255, 255, 255, 255, 255, 255]),
    );
    assert.deepEqual(most.violations, []);
  });

  it("violate the protocol with an invalid varint", () => {
    const { violations, messages } = received(prefixedBy(VARINT).decoder(WHOLE), new Uint8Array([0, 0x80, 0, 5]), [1]);
    assert.deepEqual(messages, [new Uint8Array()]);
    assert.deepEqual(violations, [
      {
        closeCode: 1002,
        reason: "invalid-framing",
        clause: "length-prefix framing",
        problem: "a varint takes 2 bytes and needs fewer",
      },
    ]);
  });

  it("report how much has arrived of how much, with the prefix", () => {
    const decoder = prefixedBy(TWO).decoder(WHOLE);
    const told: unknown[] = [];
    for (const byte of [0, 2, 7, 7, 0, 0]) {
      deliver(decoder, new Uint8Array([byte]), [], new Listener());
      told.push([decoder.partial.received, decoder.partial.expected]);
    }
    assert.deepEqual(told, [
      [1, undefined],
      [2, 4],
      [3, 4],
      [0, undefined],
      [1, undefined],
      [0, undefined],
    ]);
  });

  it("are complete with their last byte, although the visitor stops at each piece", () => {
    const decoder = prefixedBy(TWO).decoder(STREAMING);
    const listener = new Listener([true]);
    deliver(decoder, new Uint8Array([0, 3, 1, 2, 3]), [4], listener);
    assert.deepEqual(listener.messages, [new Uint8Array([1, 2, 3])]);
  });

  it("fail with 1007 when a text is not UTF-8, at once or at its end", () => {
    for (const bytes of [
      [0, 4, 0x61, 0xff],
      [0, 2, 0x61, 0xff],
      [0, 2, 0x61, 0xc3],
    ]) {
      for (const limits of [WHOLE, STREAMING]) {
        for (const sizes of [[1], [100]]) {
          const { messages, violations } = received(
            prefixedBy(TWO, true).decoder(limits),
            new Uint8Array(bytes),
            sizes,
          );
          assert.deepEqual(messages, []);
          assert.deepEqual(
            violations.map(({ closeCode }) => closeCode),
            [1007],
          );
        }
      }
    }
  });
});

describe("messages of a fixed size", () => {
  const four = fc.uint8Array({ minLength: 4, maxLength: 4 });

  it("arrive unchanged", () => {
    carries(fixedAt(4), four, (sent) => sent);
    carries(fixedAt(1), fc.constantFrom("a", "b"), bytesOf);
    carries(fixedAt(4, true), fc.constantFrom("abcd", "éé", "a€", "🙂"), (sent) => sent);
  });

  it("arrive the same wherever hostile bytes are cut", () => {
    survives(fixedAt(4), fc.nat(255));
    survives(fixedAt(3, true), fc.constantFrom(0x61, 0xc3, 0xa9));
  });

  it("report how much has arrived of how much", () => {
    const decoder = fixedAt(4).decoder(WHOLE);
    deliver(decoder, utf8("abcde"), [], new Listener());
    assert.deepEqual(decoder.partial, { received: 1, expected: 4 });
  });

  it("are refused at their first byte if maxMessageSize is smaller", () => {
    const { violations } = received(fixedAt(4).decoder({ ...WHOLE, maxMessageSize: 3 }), utf8("a"));
    assert.deepEqual(
      violations.map(({ closeCode, clause, limit }) => [closeCode, clause, limit]),
      [[1009, "fixed framing", { name: "maxMessageSize", maximum: 3, actual: 4 }]],
    );
  });
});

describe("a length-prefix encoder", () => {
  it("writes the size in bytes before each message", () => {
    const encoder = new PrefixedEncoder(TWO);
    assert.deepEqual(encoded(encoder, "é"), new Uint8Array([0, 2, 0xc3, 0xa9]));
    assert.deepEqual(encoded(encoder, new Uint8Array()), new Uint8Array([0, 0]));
    assert.equal(encoder.overhead, 2);
    assert.equal(new PrefixedEncoder(VARINT).overhead, 10);
  });

  it("refuses messages above the maximum of its prefix, measured in UTF-8", () => {
    const encoder = new PrefixedEncoder(new FixedWidthPrefix(1, "big"));
    for (const data of ["a".repeat(255), "é".repeat(127), new Uint8Array(255)])
      assert.equal(encoder.payload(data), data);
    for (const data of ["a".repeat(256), "é".repeat(128), new Uint8Array(256)]) {
      assert.throws(() => encoder.payload(data), {
        name: "RangeError",
        message: "Cannot send 256 bytes: the length prefix of this framing goes up to 255",
      });
    }
  });

  it("writes no parts, because their total must be known first", () => {
    assert.equal(new PrefixedEncoder(TWO).streams, false);
  });
});

describe("a fixed encoder", () => {
  it("writes messages of its size unchanged", () => {
    const encoder = new FixedEncoder(2);
    assert.deepEqual(encoded(encoder, "é"), utf8("é"));
    assert.deepEqual(encoded(encoder, utf8("ab")), utf8("ab"));
    assert.deepEqual([encoder.overhead, encoder.streams], [0, false]);
  });

  it("refuses every other size, measured in UTF-8", () => {
    const encoder = new FixedEncoder(2);
    for (const data of ["", "a", "€", new Uint8Array(3)]) {
      const size = bytesOf(data).length;
      assert.throws(() => encoder.payload(data), {
        name: "RangeError",
        message: `Cannot send ${size} bytes: every message of this framing has 2`,
      });
    }
  });
});
