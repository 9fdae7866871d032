/** Lines are written so that they can be read again. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LinesEncoder } from "../../../src/engine/framing/lines.ts";
import { encoded, joined, utf8 } from "./cut-stream.ts";

describe("a lines encoder", () => {
  it("writes a newline after each message", () => {
    const encoder = new LinesEncoder("\n");
    assert.deepEqual(encoded(encoder, "abc"), utf8("abc\n"));
    assert.deepEqual(encoded(encoder, utf8("abc")), utf8("abc\n"));
    assert.deepEqual(encoded(encoder, ""), utf8("\n"));
    assert.equal(encoder.overhead, 1);
  });

  it("writes a carriage return, too, if that is its line end", () => {
    const encoder = new LinesEncoder("\r\n");
    assert.deepEqual(encoded(encoder, "abc"), utf8("abc\r\n"));
    assert.deepEqual(encoded(encoder, ""), utf8("\r\n"));
    assert.equal(encoder.overhead, 2);
    assert.throws(() => encoder.payload("a\r", "whole"), RangeError);
    const parts = [encoded(encoder, "a", "first"), encoded(encoder, "b", "middle"), encoded(encoder, "", "last")];
    assert.deepEqual(joined(parts), utf8("ab\r\n"));
  });

  it("refuses a newline anywhere in a message", () => {
    for (const text of ["\n", "a\n", "\nb", "a\nb", "a\r\nb"]) {
      for (const data of [text, utf8(text)]) {
        for (const part of ["whole", "first", "middle", "last"] as const) {
          assert.throws(() => new LinesEncoder("\n").payload(data, part), {
            name: "RangeError",
            message: "Cannot send a line that contains a newline",
          });
        }
      }
    }
  });

  it("refuses a carriage return at the end, which would be removed", () => {
    for (const data of ["\r", "a\r", "a\r\r", utf8("a\r")]) {
      assert.throws(() => new LinesEncoder("\n").payload(data, "whole"), {
        name: "RangeError",
        message: /^Cannot send a line that ends in a carriage return/,
      });
    }
  });

  it("sends a carriage return anywhere else", () => {
    assert.deepEqual(encoded(new LinesEncoder("\n"), "\ra\rb"), utf8("\ra\rb\n"));
  });

  it("writes a line in parts, with one newline at its end", () => {
    const encoder = new LinesEncoder("\n");
    assert.equal(encoder.streams, true);
    const parts = [encoded(encoder, "a\r", "first"), encoded(encoder, "b", "middle"), encoded(encoder, "c", "last")];
    assert.deepEqual(joined(parts), utf8("a\rbc\n"));
  });

  it("refuses a line whose last part leaves a carriage return at its end", () => {
    const encoder = new LinesEncoder("\n");
    encoder.payload("a\r", "first");
    encoder.payload("", "middle");
    assert.throws(() => encoder.payload("", "last"), RangeError);
    assert.throws(() => encoder.payload("\r", "last"), RangeError);
    assert.equal(encoder.payload("b", "last"), "b");
  });

  it("separates a line in parts from a whole one between them, and from the one before", () => {
    const encoder = new LinesEncoder("\n");
    encoder.payload("a\r", "first");
    assert.equal(encoder.payload("", "whole"), "");
    assert.throws(() => encoder.payload("", "last"), RangeError);
    encoder.payload("", "first");
    assert.equal(encoder.payload("", "last"), "");
  });
});
