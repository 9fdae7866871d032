/** The common encoder of framings without a header. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FramingEncoder, utf8Bytes } from "../../../src/engine/framing/encoder.ts";
import type { Message } from "../../../src/engine/protocol.ts";
import { encoded, utf8 } from "./cut-stream.ts";

class Plain extends FramingEncoder {
  payload(data: Message): Message {
    return data;
  }
}

describe("a framing's encoder", () => {
  it("writes a payload and nothing around it", () => {
    assert.deepEqual(encoded(new Plain(), "abc"), utf8("abc"));
    assert.equal(new Plain().overhead, 0);
  });

  it("encodes once for all connections, because nothing is masked", () => {
    assert.equal(new Plain().shareable, true);
  });

  it("writes no messages in parts by default", () => {
    assert.equal(new Plain().streams, false);
  });
});

describe("the bytes of a message", () => {
  it("are a string's UTF-8, and a byte array itself", () => {
    const bytes = new Uint8Array([1]);
    assert.equal(utf8Bytes(bytes), bytes);
    assert.deepEqual(utf8Bytes("é"), new Uint8Array([0xc3, 0xa9]));
  });
});
