/** The framing option: its meaning, and invalid values. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Framing, resolveFraming } from "../../../src/engine/framing/framing.ts";
import type { MessageContent } from "../../../src/engine/protocol.ts";
import { encoded, received, utf8, WHOLE } from "./cut-stream.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The encoded form of "hi", and what is decoded from it. */
function roundTrip(option: Framing | undefined): [wire: string, arrived: MessageContent | undefined] {
  const { decoder, encoder } = resolveFraming(option);
  const wire = encoded(encoder(), "hi");
  return [hex(wire), received(decoder(WHOLE), wire).messages[0]];
}

const refuses = (option: unknown, name: "TypeError" | "RangeError", message: string | RegExp): void => {
  assert.throws(() => resolveFraming(option as Framing), { name, message });
};

describe("the framing option", () => {
  it("selects an encoder and a decoder", () => {
    assert.deepEqual(roundTrip("raw"), ["6869", utf8("hi")]);
    assert.deepEqual(roundTrip("lines"), ["68690a", "hi"]);
    assert.deepEqual(roundTrip({ eol: "\n" }), ["68690a", "hi"]);
    assert.deepEqual(roundTrip({ eol: "\r\n" }), ["68690d0a", "hi"]);
    assert.deepEqual(roundTrip({ lastLine: "deliver" }), ["68690a", "hi"]);
    assert.deepEqual(roundTrip({ delimiter: "\r\n" }), ["68690d0a", utf8("hi")]);
    assert.deepEqual(roundTrip({ delimiter: new Uint8Array([0]), text: true }), ["686900", "hi"]);
    assert.deepEqual(roundTrip({ lengthPrefix: 1, text: false }), ["026869", utf8("hi")]);
    assert.deepEqual(roundTrip({ lengthPrefix: 2 }), ["00026869", utf8("hi")]);
    assert.deepEqual(roundTrip({ lengthPrefix: 4, endian: "big", text: true }), ["000000026869", "hi"]);
    assert.deepEqual(roundTrip({ lengthPrefix: 8, endian: "little" }), ["02000000000000006869", utf8("hi")]);
    assert.deepEqual(roundTrip({ lengthPrefix: "varint", text: true }), ["026869", "hi"]);
    assert.deepEqual(roundTrip({ fixed: 2 }), ["6869", utf8("hi")]);
    assert.deepEqual(roundTrip({ fixed: 2, text: true }), ["6869", "hi"]);
    const custom = { encode: () => utf8("?"), decode: () => ({ message: "!", size: 1 }) };
    assert.deepEqual(roundTrip(custom), ["3f", "!"]);
  });

  it("is raw by default", () => {
    assert.deepEqual(roundTrip(undefined), roundTrip("raw"));
  });

  it("gives each connection its own decoder and encoder", () => {
    const options: Framing[] = ["raw", "lines", { delimiter: "x" }, { lengthPrefix: 2 }, { fixed: 2 }];
    for (const option of options) {
      const codec = resolveFraming(option);
      assert.notEqual(codec.decoder(WHOLE), codec.decoder(WHOLE));
      assert.notEqual(codec.encoder(), codec.encoder());
      const decoder = codec.decoder(WHOLE);
      received(decoder, utf8("\x00"));
      assert.equal(codec.decoder(WHOLE).partial.received, 0);
    }
  });

  it("copies a delimiter, which the caller may change afterwards", () => {
    const delimiter = new Uint8Array([1]);
    const { encoder } = resolveFraming({ delimiter });
    delimiter[0] = 2;
    assert.equal(hex(encoded(encoder(), "hi")), "686901");
  });

  it("refuses an invalid framing", () => {
    const expected =
      'expected "raw", "lines" or an object with eol, lastLine, delimiter, lengthPrefix, fixed, or encode and decode';
    refuses("line", "RangeError", `Cannot use framing "line": ${expected}`);
    refuses(null, "TypeError", `Cannot use framing null: ${expected}`);
    refuses(4, "TypeError", `Cannot use framing 4: ${expected}`);
    refuses({}, "TypeError", `Cannot use framing an object: ${expected}`);
  });

  it("refuses an invalid line end and last line", () => {
    refuses({ eol: "\r" }, "RangeError", 'Cannot use eol "\\r": expected "\\n" or "\\r\\n"');
    refuses({ eol: 10 }, "TypeError", 'Cannot use eol 10: expected "\\n" or "\\r\\n"');
    refuses({ lastLine: "drop" }, "RangeError", 'Cannot use lastLine "drop": expected one of deliver, refuse');
    refuses({ lastLine: true }, "TypeError", "Cannot use lastLine: expected a string, got boolean");
    refuses({ eol: "\n", text: true }, "TypeError", /^Cannot use text in a framing with eol: expected nothing but/);
  });

  it("refuses an invalid delimiter", () => {
    refuses({ delimiter: "" }, "RangeError", "Cannot use a delimiter of 0 bytes: expected 1 to 64");
    refuses({ delimiter: "é".repeat(33) }, "RangeError", "Cannot use a delimiter of 66 bytes: expected 1 to 64");
    refuses({ delimiter: 10 }, "TypeError", "Cannot use delimiter 10: expected a string or a Uint8Array");
    assert.doesNotThrow(() => resolveFraming({ delimiter: new Uint8Array(64) }));
  });

  it("refuses an invalid length prefix", () => {
    const expected = 'expected 1, 2, 4, 8 or "varint"';
    refuses({ lengthPrefix: 3 }, "RangeError", `Cannot use lengthPrefix 3: ${expected}`);
    refuses({ lengthPrefix: "uint32" }, "RangeError", `Cannot use lengthPrefix "uint32": ${expected}`);
    refuses({ lengthPrefix: true }, "TypeError", `Cannot use lengthPrefix boolean: ${expected}`);
    refuses(
      { lengthPrefix: 2, endian: "middle" },
      "RangeError",
      'Cannot use endian "middle": expected one of big, little',
    );
    refuses({ lengthPrefix: 2, endian: 1 }, "TypeError", "Cannot use endian: expected a string, got number");
    refuses({ lengthPrefix: "varint", endian: "big" }, "RangeError", /^Cannot use endian with lengthPrefix "varint"/);
  });

  it("refuses an invalid fixed size", () => {
    for (const fixed of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      refuses(
        { fixed },
        "RangeError",
        `Cannot use fixed ${fixed}: expected a whole number from 1 to ${Number.MAX_SAFE_INTEGER}`,
      );
    }
    assert.doesNotThrow(() => resolveFraming({ fixed: 1 }));
    refuses({ fixed: "4" }, "TypeError", "Cannot use fixed: expected a number, got string");
  });

  it("refuses an incomplete custom framing", () => {
    refuses({ encode: () => utf8("x") }, "TypeError", "Cannot use decode: expected a function, got undefined");
    refuses({ decode: () => undefined }, "TypeError", "Cannot use encode: expected a function, got undefined");
    refuses({ encode: 1, decode: 1 }, "TypeError", "Cannot use encode: expected a function, got number");
  });

  it("refuses a text flag that is neither true nor false", () => {
    for (const framing of [{ delimiter: "x" }, { lengthPrefix: 2 }, { fixed: 2 }]) {
      refuses({ ...framing, text: "yes" }, "TypeError", "Cannot use text: expected true or false, got string");
      assert.doesNotThrow(() => resolveFraming({ ...framing, text: undefined } as unknown as Framing));
    }
  });

  it("refuses unknown names, and two framings in one object", () => {
    refuses(
      { lengthPrefix: 2, endain: "big" },
      "TypeError",
      /^Cannot use endain in a framing with lengthPrefix: expected nothing but/,
    );
    refuses({ delimiter: "x", fixed: 4 }, "TypeError", /^Cannot use fixed in a framing with delimiter: /);
    refuses({ fixed: 4, endian: "big" }, "TypeError", /^Cannot use endian in a framing with fixed: /);
  });
});
