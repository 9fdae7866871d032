/** Framings of the application, valid and invalid. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CustomDecoder, CustomEncoder, type CustomFraming } from "../../../src/engine/framing/custom.ts";
import type { Codec } from "../../../src/engine/framing/framing.ts";
import type { MessageContent } from "../../../src/engine/protocol.ts";
import { arrayBytes } from "../../kit/memory.ts";
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

const codecOf = (framing: CustomFraming): Codec => ({
  decoder: (limits) => new CustomDecoder(framing, limits),
  encoder: () => new CustomEncoder(framing),
});

/** Type, length, value: both types of message are kept. */
const TLV: CustomFraming = {
  encode(message) {
    const bytes = bytesOf(message);
    return new Uint8Array([typeof message === "string" ? 0x74 : 0x62, bytes.length, ...bytes]);
  },
  decode(pending) {
    const [type, length] = pending;
    if (length === undefined || pending.length < length + 2) return undefined;
    const bytes = pending.subarray(2, length + 2);
    return { message: type === 0x74 ? Buffer.from(bytes).toString() : bytes, size: length + 2 };
  },
};

/** Messages that end where the next one begins: two bytes after the end of a message must be read to detect it. */
const LOOKING_AHEAD: CustomFraming = {
  encode: (message) => bytesOf(`${message};;`),
  decode(pending) {
    const text = Buffer.from(pending).toString("latin1");
    const [found] = /^[^;]+;(?=;.)|^;(?=[^;])/s.exec(text) ?? [];
    return found === undefined ? undefined : { message: pending.subarray(0, found.length), size: found.length };
  },
};

const answering = (answer: unknown): Codec =>
  codecOf({ encode: () => answer as Uint8Array, decode: () => answer as ReturnType<CustomFraming["decode"]> });

describe("a custom framing", () => {
  it("carries messages unchanged", () => {
    const text = fc.string({ unit: "grapheme", maxLength: 20 });
    carries(codecOf(TLV), fc.oneof(text, fc.uint8Array({ maxLength: 60 })), (sent) => sent, "message");
  });

  it("decodes the same messages wherever hostile bytes are cut", () => {
    survives(codecOf(TLV), fc.constantFrom(0, 1, 5, 0x74));
  });

  it("may look ahead, and find that a message ended in bytes that it has seen before", () => {
    for (const sizes of [[1], [2], [3], [100]]) {
      const listener = new Listener([true, false]);
      const decoder = codecOf(LOOKING_AHEAD).decoder(WHOLE);
      deliver(decoder, utf8("one;;two;;x"), sizes, listener);
      assert.deepEqual(listener.messages, [utf8("one;"), utf8(";"), utf8("two;"), utf8(";")]);
      assert.deepEqual(decoder.partial, { received: 1, expected: undefined });
    }
  });

  it("gets all pending bytes, once for each chunk and once after each message", () => {
    const seen: string[] = [];
    const framing: CustomFraming = {
      ...TLV,
      decode(pending) {
        assert.equal(pending.constructor, Uint8Array);
        seen.push(Buffer.from(pending).toString());
        return TLV.decode(pending);
      },
    };
    const listener = new Listener();
    const decoder = codecOf(framing).decoder(WHOLE);
    for (const chunk of ["t\x03a", "b", "ct\x01dt\x01e", "t\x01f"]) deliver(decoder, utf8(chunk), [], listener);
    assert.deepEqual(seen, ["t\x03a", "t\x03ab", "t\x03abct\x01dt\x01e", "t\x01dt\x01e", "t\x01e", "t\x01f"]);
    assert.deepEqual(listener.messages, ["abc", "d", "e", "f"]);
  });

  it("copies the bytes of a slow peer a few times, and not once for each byte", () => {
    const buffers = new Set<ArrayBufferLike>();
    const decoder = codecOf({
      ...TLV,
      decode(pending) {
        buffers.add(pending.buffer);
        return undefined;
      },
    }).decoder({ ...WHOLE, maxMessageSize: 10_000 });
    const listener = new Listener();
    const byte = new Uint8Array(1);
    for (let count = 0; count < 10_000; count += 1) decoder.receive(byte, 0, listener);
    assert.equal(decoder.partial.received, 10_000);
    assert.ok(buffers.size < 15, `${buffers.size} arrays`);
  });

  it("delivers copies, unless decode made the bytes", () => {
    const made = new Uint8Array([1, 2]);
    const { messages } = received(answering({ message: made, size: 1 }).decoder(WHOLE), utf8("ab"));
    assert.deepEqual(messages, [made, made]);
    assert.equal(messages[0], made);
  });

  it("delivers a whole message as one piece with streaming", () => {
    const listener = new Listener();
    deliver(codecOf(TLV).decoder(STREAMING), utf8("t\x01ab\x01b"), [2], listener);
    assert.deepEqual(listener.messages, ["a", utf8("b")]);
  });

  it("holds nothing between messages, nor after a violation", async () => {
    const wire = TLV.encode("a".repeat(250));
    const before = await arrayBytes();
    const decoders = Array.from({ length: 1_000 }, (_, number) => {
      const decoder = codecOf(TLV).decoder({ ...WHOLE, maxMessageSize: number % 2 === 0 ? 252 : 251 });
      const listener = new Listener();
      for (const chunk of [wire.subarray(0, 200), wire.subarray(200)]) decoder.receive(chunk, 0, listener);
      assert.equal(listener.messages.length + listener.violations.length, 1);
      return decoder;
    });
    const each = ((await arrayBytes()) - before) / decoders.length;
    assert.ok(each < 50, `${each} bytes each`);
  });

  it("holds no more than maxMessageSize, streaming or not", () => {
    for (const limits of [WHOLE, STREAMING]) {
      const decoder = codecOf(TLV).decoder({ ...limits, maxMessageSize: 4 });
      const listener = new Listener();
      deliver(decoder, utf8("t\x09ab"), [1], listener);
      assert.deepEqual(listener.violations, []);
      deliver(decoder, utf8("c"), [1], listener);
      assert.deepEqual(listener.violations, [
        {
          closeCode: 1009,
          clause: "custom framing",
          problem: "a message takes 5 bytes, and maxMessageSize is 4",
          limit: { name: "maxMessageSize", maximum: 4, actual: 5 },
        },
      ]);
      assert.deepEqual(decoder.partial, { received: 0, expected: undefined });
    }
  });

  it("accepts a chunk that is larger than maxMessageSize if its messages are not", () => {
    const { messages } = received(codecOf(TLV).decoder({ ...WHOLE, maxMessageSize: 4 }), utf8("t\x02abt\x02cd"));
    assert.deepEqual(messages, ["ab", "cd"]);
  });

  it("makes no message larger than maxMessageSize of few bytes", () => {
    const limits = { ...WHOLE, maxMessageSize: 6 };
    for (const [message, actual] of [
      ["éééé", 8],
      [new Uint8Array(7), 7],
      ["éé€", 7],
    ] as const) {
      const { violations, messages } = received(answering({ message, size: 1 }).decoder(limits), utf8("a"));
      assert.deepEqual(messages, []);
      assert.deepEqual(
        violations.map(({ limit }) => limit?.actual),
        [actual],
      );
    }
    assert.deepEqual(received(answering({ message: "ééé", size: 1 }).decoder(limits), utf8("a")).messages, ["ééé"]);
  });

  it("ends the connection when decode throws, with its error", () => {
    for (const [thrown, said] of [
      [new SyntaxError("no header"), "SyntaxError: no header"],
      ["text", "string"],
    ] as const) {
      const codec = codecOf({
        ...TLV,
        decode() {
          throw thrown;
        },
      });
      const { violations } = received(codec.decoder(WHOLE), utf8("a"));
      assert.deepEqual(violations, [
        { closeCode: 1002, reason: "invalid-framing", clause: "custom framing", problem: `decode threw ${said}` },
      ]);
    }
  });

  it("ends the connection when decode returns an invalid value, and names it", () => {
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [{ message: "a", size: 0 }, /a size 0: expected 1 to 3/],
      [{ message: "a", size: 4 }, /a size 4: expected 1 to 3/],
      [{ message: "a", size: -1 }, /a size -1/],
      [{ message: "a", size: 1.5 }, /a size 1\.5/],
      [{ message: "a", size: Number.NaN }, /a size NaN/],
      [{ message: "a", size: Object.create(null) }, /a size of type object/],
      [{ message: "a" }, /a size of type undefined/],
      [{ message: 42, size: 1 }, /a message of type number: expected a string or a Uint8Array/],
      [{ message: [1], size: 1 }, /a message of type object/],
      [null, /decode threw TypeError/],
    ];
    for (const [answer, problem] of wrong) {
      const { violations, messages } = received(answering(answer).decoder(WHOLE), utf8("abc"));
      assert.deepEqual(messages, []);
      assert.equal(violations.length, 1);
      assert.equal(violations[0]?.closeCode, 1002);
      assert.match(violations[0]?.problem ?? "", problem);
    }
  });
});

describe("a custom encoder", () => {
  it("sends what encode returns, and nothing around it", () => {
    const encoder = new CustomEncoder(TLV);
    assert.deepEqual(encoded(encoder, "ab"), utf8("t\x02ab"));
    assert.deepEqual([encoder.overhead, encoder.streams], [0, false]);
  });

  it("calls encode with the framing as this", () => {
    class Stamped implements CustomFraming {
      readonly stamp = 9;
      encode(): Uint8Array {
        return new Uint8Array([this.stamp]);
      }
      decode(): { message: MessageContent; size: number } {
        return { message: new Uint8Array([this.stamp]), size: 1 };
      }
    }
    assert.deepEqual(encoded(new CustomEncoder(new Stamped()), ""), new Uint8Array([9]));
    assert.deepEqual(received(new CustomDecoder(new Stamped(), WHOLE), utf8("a")).messages, [new Uint8Array([9])]);
  });

  it("throws what encode throws", () => {
    const error = new Error("of the user");
    const encoder = new CustomEncoder({
      ...TLV,
      encode() {
        throw error;
      },
    });
    assert.throws(() => encoder.payload("a"), error);
  });

  it("refuses a result that is not bytes, or is empty", () => {
    for (const [answer, shown] of [
      ["text", "string"],
      [null, "null"],
      [undefined, "undefined"],
    ]) {
      assert.throws(() => answering(answer).encoder().payload("a", "whole"), {
        name: "TypeError",
        message: `Cannot send: encode returned ${shown}, expected a Uint8Array`,
      });
    }
    assert.throws(() => answering(new Uint8Array()).encoder().payload("a", "whole"), {
      name: "RangeError",
      message: /^Cannot send: encode returned no bytes/,
    });
  });
});
