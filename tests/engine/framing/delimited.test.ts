/** Delimited messages and lines, cut and stopped anywhere. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DelimitedDecoder, DelimitedEncoder } from "../../../src/engine/framing/delimited.js";
import { ExactDelimiter, LineEnd } from "../../../src/engine/framing/delimiter.js";
import type { Codec } from "../../../src/engine/framing/framing.js";
import { LinesEncoder } from "../../../src/engine/framing/lines.js";
import { runs } from "../../random.js";
import {
  bytesOf,
  carries,
  deliver,
  encoded,
  joined,
  Listener,
  received,
  STREAMING,
  survives,
  utf8,
  WHOLE,
} from "./wire.js";

const delimitedBy = (delimiter: string | Uint8Array, text = false): Codec => ({
  decoder: (limits) => new DelimitedDecoder(new ExactDelimiter(bytesOf(delimiter)), text, limits),
  encoder: () => new DelimitedEncoder(bytesOf(delimiter)),
});

const LINES: Codec = {
  decoder: (limits) => new DelimitedDecoder(new LineEnd(), true, limits),
  encoder: () => new LinesEncoder(),
};

const sendable = (codec: Codec) => (data: string | Uint8Array) => {
  try {
    codec.encoder().payload(data, "whole");
    return true;
  } catch {
    return false;
  }
};

describe("delimited messages", () => {
  it("arrive as they were sent", () => {
    for (const delimiter of ["\0", "\r\n", "aab", new Uint8Array([0xff, 0, 0xff])]) {
      const codec = delimitedBy(delimiter);
      const bytes = fc.uint8Array({ maxLength: 60 });
      const tempting = fc.array(fc.constantFrom(...bytesOf(delimiter), 0x61)).map((array) => new Uint8Array(array));
      carries(codec, fc.oneof(bytes, tempting).filter(sendable(codec)), (sent) => sent, bytesOf(delimiter).length - 1);
    }
  });

  it("arrive as strings when they are text", () => {
    const codec = delimitedBy("€", true);
    carries(codec, fc.string({ unit: "grapheme" }).filter(sendable(codec)), (sent) => sent, 2);
  });

  it("arrive the same wherever hostile bytes are cut", () => {
    survives(delimitedBy("aab"), fc.constantFrom(0x61, 0x62));
    survives(delimitedBy("\n", true), fc.constantFrom(0x0a, 0xc3, 0xa9));
  });

  it("may have maxMessageSize bytes without their delimiter, and not one more", () => {
    const limits = { ...WHOLE, maxMessageSize: 4 };
    for (const sizes of [[1], [3], [100]]) {
      const fits = received(delimitedBy("\r\n").decoder(limits), utf8("abcd\r\nef"), sizes);
      assert.deepEqual([fits.messages, fits.violations], [[utf8("abcd")], []]);
      const tooMany = received(delimitedBy("\r\n").decoder(limits), utf8("abcde\r\nef"), sizes);
      assert.deepEqual(tooMany.messages, []);
      assert.equal(tooMany.violations[0]?.closeCode, 1009);
    }
  });

  it("are refused with the numbers as soon as they are too long, not when they end", () => {
    const decoder = delimitedBy("\n").decoder({ ...WHOLE, maxMessageSize: 4 });
    const { violations } = received(decoder, utf8("abcdefg"), [3]);
    assert.deepEqual(violations, [
      {
        closeCode: 1009,
        clause: "delimited framing",
        problem: "a message of at least 6 bytes came, and maxMessageSize is 4",
        limit: { name: "maxMessageSize", maximum: 4, actual: 6 },
      },
    ]);
    assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
  });

  it("may be of any length when they stream", () => {
    const { messages } = received(
      delimitedBy("\n").decoder({ ...STREAMING, maxMessageSize: 2 }),
      utf8("abcdef\n"),
      [4],
    );
    assert.deepEqual(messages, [utf8("abcdef")]);
  });

  it("tell how much has arrived, the beginning of a delimiter included", () => {
    const decoder = delimitedBy("--").decoder(WHOLE);
    for (const [chunk, received] of [
      ["ab", 2],
      ["c-", 4],
      ["-", 0],
      ["-", 1],
      ["x", 2],
    ] as const) {
      deliver(decoder, utf8(chunk), [], new Listener());
      assert.deepEqual(decoder.partial, { received, expected: undefined });
    }
  });

  it("go on where the visitor stopped, inside a delimiter that was none", () => {
    const decoder = delimitedBy("aab").decoder(STREAMING);
    const listener = new Listener([true]);
    assert.equal(decoder.receive(utf8("aa"), 0, listener), 2);
    // The first "a" is payload after all and is given; the visitor stops, and the delimiter is found all the same.
    assert.equal(decoder.receive(utf8("ab"), 0, listener), 0);
    assert.deepEqual(decoder.partial, { received: 2, expected: undefined });
    listener.stopped = false;
    assert.equal(decoder.receive(utf8("ab"), 0, listener), 2);
    assert.deepEqual(listener.messages, [utf8("a")]);
  });

  it("fail with 1007 at the first byte that is not UTF-8", () => {
    for (const limits of [WHOLE, STREAMING]) {
      for (const bytes of [
        [0x61, 0xff],
        [0x61, 0xff, 0x0a],
        [0x61, 0xc3, 0x0a],
      ]) {
        for (const sizes of [[1], [100]]) {
          const { messages, violations } = received(
            delimitedBy("\n", true).decoder(limits),
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

  it("fail with 1007 when the beginning of a delimiter that was none is not UTF-8", () => {
    const codec = delimitedBy(new Uint8Array([0xff, 0x00]), true);
    const { violations } = received(codec.decoder(WHOLE), new Uint8Array([0x61, 0xff, 0x62]), [1]);
    assert.deepEqual(
      violations.map(({ closeCode }) => closeCode),
      [1007],
    );
  });
});

describe("lines", () => {
  it("arrive as they were sent", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: fc.constantFrom("a", "\r", "é") }));
    carries(LINES, text.filter(sendable(LINES)), (sent) => sent, 1);
  });

  it("arrive the same wherever hostile bytes are cut", () => {
    survives(LINES, fc.constantFrom(0x0a, 0x0d, 0x61));
  });

  it("may have maxMessageSize bytes without what is stripped", () => {
    for (const sizes of [[1], [5], [100]]) {
      const { messages, violations } = received(
        LINES.decoder({ ...WHOLE, maxMessageSize: 4 }),
        utf8("abcd\r\nabc\r\rx"),
        sizes,
      );
      assert.deepEqual(messages, ["abcd"]);
      assert.deepEqual(
        violations.map(({ limit }) => limit?.maximum),
        [4],
      );
    }
  });
});

describe("a delimited encoder", () => {
  const encoder = () => new DelimitedEncoder(utf8("aa"));

  it("writes the delimiter behind each message", () => {
    assert.deepEqual(encoded(encoder(), "xyz"), utf8("xyzaa"));
    assert.deepEqual(encoded(encoder(), new Uint8Array()), utf8("aa"));
    assert.equal(encoder().overhead, 2);
  });

  it("refuses a message that holds the delimiter", () => {
    for (const data of ["aa", "xaay", utf8("xaa")]) {
      assert.throws(() => encoder().payload(data, "whole"), {
        name: "RangeError",
        message: /^Cannot send .* holds the delimiter/,
      });
    }
  });

  it("refuses a message whose end would form the delimiter with the one behind it", () => {
    for (const data of ["xa", "a", utf8("xa")]) {
      assert.throws(() => encoder().payload(data, "whole"), {
        name: "RangeError",
        message: /^Cannot send .* too early$/,
      });
    }
  });

  it("refuses bytes of a character that are the delimiter", () => {
    assert.throws(() => new DelimitedEncoder(new Uint8Array([0xa9])).payload("é", "whole"), RangeError);
    assert.throws(() => new DelimitedEncoder(new Uint8Array([0x80])).payload("\u0100", "whole"), RangeError);
  });

  it("refuses exactly what would not arrive as it is, be it text or bytes", () => {
    const units = ["a", "b", "é", "\u0083"];
    const few = fc.string({ unit: fc.constantFrom(...units), maxLength: 8 });
    fc.assert(
      fc.property(few, few, fc.constantFrom("a", "é"), (text, behind, first) => {
        const delimiter = `${first}${behind}`;
        const codec = delimitedBy(delimiter);
        const { messages } = received(codec.decoder(WHOLE), utf8(text + delimiter));
        const arrives = messages.length === 1 && Buffer.from(messages[0] as Uint8Array).toString() === text;
        assert.equal(sendable(codec)(text), arrives);
        assert.equal(sendable(codec)(utf8(text)), arrives);
      }),
      runs(1_000),
    );
  });

  it("writes a message in parts, with one delimiter at its end", () => {
    const parts = encoder();
    assert.equal(parts.streams, true);
    const wire = [
      encoded(parts, "xa", "first"),
      encoded(parts, "", "middle"),
      encoded(parts, "y", "middle"),
      encoded(parts, "z", "last"),
    ];
    assert.deepEqual(joined(wire), utf8("xayzaa"));
  });

  it("refuses a part that completes a delimiter, and goes on as if it had not been given", () => {
    const parts = encoder();
    parts.payload("xa", "first");
    assert.throws(() => parts.payload("ay", "middle"), RangeError);
    assert.throws(() => parts.payload("", "last"), RangeError);
    assert.throws(() => parts.payload("a", "last"), RangeError);
    assert.deepEqual(parts.payload("y", "last"), utf8("y"));
  });

  it("does not confuse a message in parts with a whole one between them, nor with the one before", () => {
    const parts = encoder();
    parts.payload("xa", "first");
    assert.throws(() => parts.payload("aa", "whole"), RangeError);
    assert.equal(parts.payload("ab", "whole"), "ab");
    assert.deepEqual(parts.payload(utf8("ab"), "whole"), utf8("ab"));
    assert.throws(() => parts.payload("a", "middle"), RangeError);
    assert.deepEqual(parts.payload("ab", "first"), utf8("ab"));
  });
});
