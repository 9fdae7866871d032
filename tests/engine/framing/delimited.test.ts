/** Delimited messages and lines, cut and stopped at any place. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { DelimitedDecoder, DelimitedEncoder } from "../../../src/engine/framing/delimited.ts";
import { ExactDelimiter, LineEnd } from "../../../src/engine/framing/delimiter.ts";
import type { Codec } from "../../../src/engine/framing/framing.ts";
import { type EndOfLine, LinesEncoder } from "../../../src/engine/framing/lines.ts";
import type { DecoderLimits } from "../../../src/engine/protocol.ts";
import { runs } from "../../kit/random.ts";
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
} from "./cut-stream.ts";

const delimitedBy = (delimiter: string | Uint8Array, text = false): Codec => ({
  decoder: (limits) => new DelimitedDecoder(new ExactDelimiter(bytesOf(delimiter)), text, limits),
  encoder: () => new DelimitedEncoder(bytesOf(delimiter)),
});

const linesWith = (eol: EndOfLine, endCompletes: boolean): Codec => ({
  decoder: (limits) => new DelimitedDecoder(new LineEnd(), true, limits, endCompletes),
  encoder: () => new LinesEncoder(eol),
});
const LINES = linesWith("\n", false);

/** The result of these chunks and the end of the stream. */
function ended(codec: Codec, chunks: readonly (string | Uint8Array)[], limits: DecoderLimits = WHOLE) {
  const decoder = codec.decoder(limits);
  const listener = new Listener();
  for (const chunk of chunks) deliver(decoder, bytesOf(chunk), [], listener);
  decoder.end?.(listener);
  const { received } = decoder.partial;
  decoder.end?.(listener);
  const codes = listener.violations.map(({ closeCode }) => closeCode);
  return { messages: listener.messages, codes, received };
}

const sendable = (codec: Codec) => (data: string | Uint8Array) => {
  try {
    codec.encoder().payload(data, "whole");
    return true;
  } catch {
    return false;
  }
};

describe("delimited messages", () => {
  it("arrive unchanged", () => {
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

  it("are refused with both sizes as soon as they are too long, not at their end", () => {
    const decoder = delimitedBy("\n").decoder({ ...WHOLE, maxMessageSize: 4 });
    const { violations } = received(decoder, utf8("abcdefg"), [3]);
    assert.deepEqual(violations, [
      {
        closeCode: 1009,
        clause: "delimited framing",
        problem: "a message has at least 6 bytes, and maxMessageSize is 4",
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

  it("report how much has arrived, with the beginning of a delimiter", () => {
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

  it("continue where the visitor stopped, inside bytes that looked like a delimiter", () => {
    const decoder = delimitedBy("aab").decoder(STREAMING);
    const listener = new Listener([true]);
    assert.equal(decoder.receive(utf8("aa"), 0, listener), 2);
    // The first "a" is payload and is delivered. The visitor stops, and the delimiter is still found.
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

  it("fail with 1007 when bytes that looked like a delimiter are not UTF-8", () => {
    const codec = delimitedBy(new Uint8Array([0xff, 0x00]), true);
    const { violations } = received(codec.decoder(WHOLE), new Uint8Array([0x61, 0xff, 0x62]), [1]);
    assert.deepEqual(
      violations.map(({ closeCode }) => closeCode),
      [1007],
    );
  });
});

describe("lines", () => {
  it("arrive unchanged", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: fc.constantFrom("a", "\r", "é") }));
    carries(LINES, text.filter(sendable(LINES)), (sent) => sent, 1);
  });

  it("arrive the same wherever hostile bytes are cut", () => {
    survives(LINES, fc.constantFrom(0x0a, 0x0d, 0x61));
  });

  it("may have maxMessageSize bytes without their line end", () => {
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

describe("lines that end in CR LF", () => {
  const CRLF = linesWith("\r\n", false);

  it("arrive unchanged", () => {
    const text = fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ unit: fc.constantFrom("a", "\r", "é") }));
    carries(CRLF, text.filter(sendable(CRLF)), (sent) => sent, 1);
  });

  it("are read with either line end, whichever is written", () => {
    for (const codec of [CRLF, LINES]) {
      assert.deepEqual(received(codec.decoder(WHOLE), utf8("a\nb\r\n\n\r\n")).messages, ["a", "b", "", ""]);
    }
  });
});

describe("the unterminated last line", () => {
  const DELIVER = linesWith("\n", true);

  it("is delivered when the stream ends, wherever it is cut", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "é", "\r", "\n"), maxLength: 12 });
    fc.assert(
      fc.property(text, fc.nat(24), fc.boolean(), (stream, place, streaming) => {
        const bytes = utf8(stream);
        const cut = Math.min(place, bytes.length);
        const limits = streaming ? STREAMING : WHOLE;
        // As a reader of the whole text: a line end at the end of the stream begins no line, and CR before a line end is removed.
        const lines = stream.split("\n");
        if (lines.at(-1) === "") lines.pop();
        const expected = lines.map((line) => line.replace(/\r$/, ""));
        const { messages, codes } = ended(DELIVER, [bytes.subarray(0, cut), bytes.subarray(cut)], limits);
        assert.deepEqual(messages, expected);
        assert.deepEqual(codes, []);
      }),
      runs(1_000),
    );
  });

  it("is not delivered by default, and stays the progress of a truncated message", () => {
    assert.deepEqual(ended(LINES, ["one\ntwo"]), { messages: ["one"], codes: [], received: 3 });
    assert.deepEqual(ended(DELIVER, ["one\ntwo"]), { messages: ["one", "two"], codes: [], received: 0 });
  });

  it("fails with 1007 if it ends inside a character, once", () => {
    for (const limits of [WHOLE, STREAMING]) {
      assert.deepEqual(ended(DELIVER, ["a\n", new Uint8Array([0x62, 0xc3])], limits).codes, [1007]);
      assert.deepEqual(ended(DELIVER, ["a\n", new Uint8Array([0xff])], limits).codes, [1007]);
    }
  });

  it("does not exist if nothing follows the last line end", () => {
    for (const chunks of [[], [""], ["a\n"], ["a\r\n"]]) {
      assert.deepEqual(ended(DELIVER, chunks).messages, chunks.join("") === "" ? [] : ["a"]);
    }
  });
});

describe("a delimited encoder", () => {
  const encoder = () => new DelimitedEncoder(utf8("aa"));

  it("writes the delimiter after each message", () => {
    assert.deepEqual(encoded(encoder(), "xyz"), utf8("xyzaa"));
    assert.deepEqual(encoded(encoder(), new Uint8Array()), utf8("aa"));
    assert.equal(encoder().overhead, 2);
  });

  it("refuses a message that contains the delimiter", () => {
    for (const data of ["aa", "xaay", utf8("xaa")]) {
      assert.throws(() => encoder().payload(data, "whole"), {
        name: "RangeError",
        message: /^Cannot send .* contains the delimiter/,
      });
    }
  });

  it("refuses a message whose end and the delimiter after it would contain an earlier delimiter", () => {
    for (const data of ["xa", "a", utf8("xa")]) {
      assert.throws(() => encoder().payload(data, "whole"), {
        name: "RangeError",
        message: /^Cannot send .* form an earlier delimiter$/,
      });
    }
  });

  it("refuses bytes of a character that are the delimiter", () => {
    assert.throws(() => new DelimitedEncoder(new Uint8Array([0xa9])).payload("é", "whole"), RangeError);
    assert.throws(() => new DelimitedEncoder(new Uint8Array([0x80])).payload("\u0100", "whole"), RangeError);
  });

  it("refuses exactly the messages that would not arrive unchanged, as text and as bytes", () => {
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

  it("refuses a part that completes a delimiter, and continues as if the call was not made", () => {
    const parts = encoder();
    parts.payload("xa", "first");
    assert.throws(() => parts.payload("ay", "middle"), RangeError);
    assert.throws(() => parts.payload("", "last"), RangeError);
    assert.throws(() => parts.payload("a", "last"), RangeError);
    assert.deepEqual(parts.payload("y", "last"), utf8("y"));
  });

  it("separates a message in parts from a whole one between them, and from the one before", () => {
    const parts = encoder();
    parts.payload("xa", "first");
    assert.throws(() => parts.payload("aa", "whole"), RangeError);
    assert.equal(parts.payload("ab", "whole"), "ab");
    assert.deepEqual(parts.payload(utf8("ab"), "whole"), utf8("ab"));
    assert.throws(() => parts.payload("a", "middle"), RangeError);
    assert.deepEqual(parts.payload("ab", "first"), utf8("ab"));
  });
});
