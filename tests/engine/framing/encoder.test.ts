/** What an encoder that writes nothing of its own does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { bytesOf, FramingEncoder } from "../../../src/engine/framing/encoder.js";
import type { Data } from "../../../src/engine/protocol.js";
import { encoded, utf8 } from "./wire.js";

class Plain extends FramingEncoder {
  payload(data: Data): Data {
    return data;
  }
}

describe("a framing's encoder", () => {
  it("writes a payload and nothing around it", () => {
    assert.deepEqual(encoded(new Plain(), "abc"), utf8("abc"));
    assert.equal(new Plain().overhead, 0);
  });

  it("makes one form for all connections, because nothing is masked", () => {
    assert.equal(new Plain().shareable, true);
  });

  it("writes no parts unless it says so", () => {
    assert.equal(new Plain().streams, false);
  });
});

describe("the bytes of a message", () => {
  it("are a string's UTF-8, and a byte array itself", () => {
    const bytes = new Uint8Array([1]);
    assert.equal(bytesOf(bytes), bytes);
    assert.deepEqual(bytesOf("é"), new Uint8Array([0xc3, 0xa9]));
  });
});
