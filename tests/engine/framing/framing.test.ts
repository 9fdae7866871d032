/** The framing option: what it means, and what is refused at the door. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Framing, resolveFraming } from "../../../src/engine/framing/framing.js";
import type { Data } from "../../../src/engine/protocol.js";
import { encoded, received, utf8, WHOLE } from "./wire.js";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** What "hi" becomes on the wire, and what comes of that. */
function roundTrip(option: Framing | undefined): [wire: string, arrived: Data | undefined] {
  const { decoder, encoder } = resolveFraming(option);
  const wire = encoded(encoder(), "hi");
  return [hex(wire), received(decoder(WHOLE), wire).messages[0]];
}

const refuses = (option: unknown, name: "TypeError" | "RangeError", message: string | RegExp): void => {
  assert.throws(() => resolveFraming(option as Framing), { name, message });
};

describe("the framing option", () => {
  it("means what it says", () => {
    assert.deepEqual(roundTrip("raw"), ["6869", utf8("hi")]);
    assert.deepEqual(roundTrip("lines"), ["68690a", "hi"]);
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

  it("is raw when left out", () => {
    assert.deepEqual(roundTrip(undefined), roundTrip("raw"));
  });

  it("gives each connection a decoder and an encoder of its own", () => {
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

  it("keeps a delimiter that is written to afterwards", () => {
    const delimiter = new Uint8Array([1]);
    const { encoder } = resolveFraming({ delimiter });
    delimiter[0] = 2;
    assert.equal(hex(encoded(encoder(), "hi")), "686901");
  });

  it("refuses what is no framing", () => {
    const expected = 'expected "raw", "lines" or an object with delimiter, lengthPrefix, fixed, or encode and decode';
    refuses("line", "RangeError", `Cannot use framing "line": ${expected}`);
    refuses(null, "TypeError", `Cannot use framing null: ${expected}`);
    refuses(4, "TypeError", `Cannot use framing 4: ${expected}`);
    refuses({}, "TypeError", `Cannot use framing object: ${expected}`);
  });

  it("refuses a delimiter that is none", () => {
    refuses({ delimiter: "" }, "RangeError", "Cannot use a delimiter of 0 bytes: expected 1 to 64");
    refuses({ delimiter: "é".repeat(33) }, "RangeError", "Cannot use a delimiter of 66 bytes: expected 1 to 64");
    refuses({ delimiter: 10 }, "TypeError", "Cannot use delimiter 10: expected a string or a Uint8Array");
    assert.doesNotThrow(() => resolveFraming({ delimiter: new Uint8Array(64) }));
  });

  it("refuses a length prefix that is none", () => {
    const expected = 'expected 1, 2, 4, 8 or "varint"';
    refuses({ lengthPrefix: 3 }, "RangeError", `Cannot use lengthPrefix 3: ${expected}`);
    refuses({ lengthPrefix: "uint32" }, "RangeError", `Cannot use lengthPrefix "uint32": ${expected}`);
    refuses({ lengthPrefix: true }, "TypeError", `Cannot use lengthPrefix boolean: ${expected}`);
    refuses(
      { lengthPrefix: 2, endian: "middle" },
      "RangeError",
      'Cannot use endian "middle": expected "big" or "little"',
    );
    refuses({ lengthPrefix: 2, endian: 1 }, "TypeError", 'Cannot use endian 1: expected "big" or "little"');
    refuses({ lengthPrefix: "varint", endian: "big" }, "RangeError", /^Cannot use endian with lengthPrefix "varint"/);
  });

  it("refuses a fixed size that is none", () => {
    for (const fixed of [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53]) {
      refuses({ fixed }, "RangeError", `Cannot use fixed ${fixed}: expected a whole number of bytes, at least 1`);
    }
    assert.doesNotThrow(() => resolveFraming({ fixed: 1 }));
    refuses({ fixed: "4" }, "TypeError", 'Cannot use fixed "4": expected a whole number of bytes, at least 1');
  });

  it("refuses half a custom framing", () => {
    refuses({ encode: () => utf8("x") }, "TypeError", "Cannot use decode undefined: expected a function");
    refuses({ decode: () => undefined }, "TypeError", "Cannot use encode undefined: expected a function");
    refuses({ encode: 1, decode: 1 }, "TypeError", "Cannot use encode 1: expected a function");
  });

  it("refuses a text flag that is neither true nor false", () => {
    for (const framing of [{ delimiter: "x" }, { lengthPrefix: 2 }, { fixed: 2 }]) {
      refuses({ ...framing, text: "yes" }, "TypeError", 'Cannot use text "yes": expected true or false');
      assert.doesNotThrow(() => resolveFraming({ ...framing, text: undefined } as unknown as Framing));
    }
  });

  it("refuses names it does not know, and two framings in one object", () => {
    refuses(
      { lengthPrefix: 2, endain: "big" },
      "TypeError",
      /^Cannot use endain in a framing with lengthPrefix: expected nothing but/,
    );
    refuses({ delimiter: "x", fixed: 4 }, "TypeError", /^Cannot use fixed in a framing with delimiter: /);
    refuses({ fixed: 4, endian: "big" }, "TypeError", /^Cannot use endian in a framing with fixed: /);
  });
});
