/** Tests of what goes between processes for a group: it comes out as it went in, and anything else is refused. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeGroupMessage, encodeGroupMessage, type GroupMessage } from "../../src/endpoint/group-message.js";

const MESSAGE: fc.Arbitrary<GroupMessage> = fc.record({
  data: fc.oneof(fc.string({ unit: "grapheme" }), fc.uint8Array()),
  overflow: fc.constantFrom("close", "reject", "drop-newest", "drop-oldest", "coalesce"),
  key: fc.option(fc.string({ minLength: 1, unit: "grapheme" }), { nil: undefined }),
  compress: fc.option(fc.boolean(), { nil: undefined }),
});

const plain = ({ data, ...rest }: GroupMessage): object => ({
  ...rest,
  data: typeof data === "string" ? data : Uint8Array.from(data),
});

describe("a message between processes", () => {
  it("comes out as it went in", () => {
    fc.assert(
      fc.property(MESSAGE, (message) => {
        const encoded = encodeGroupMessage(message);
        assert.deepEqual(plain(decodeGroupMessage(encoded)), plain(message));
      }),
    );
  });

  it("is read from anywhere in memory", () => {
    const encoded = encodeGroupMessage({ data: "hello", overflow: "close", key: "k", compress: true });
    const bytes = new Uint8Array(encoded.length + 7);
    bytes.set(encoded, 3);
    assert.equal(decodeGroupMessage(bytes.subarray(3, 3 + encoded.length)).data, "hello");
  });

  it("that a group has not sent is a RangeError", () => {
    const encoded = encodeGroupMessage({ data: "hello", overflow: "coalesce", key: "key", compress: undefined });
    for (let length = 0; length < 11; length += 1) {
      assert.throws(() => decodeGroupMessage(encoded.subarray(0, length)), RangeError);
    }
    for (const [at, byte] of [
      [0, 2],
      [1, 5],
      [2, 3],
      [4, 255],
    ] as const) {
      const wrong = Uint8Array.from(encoded);
      wrong[at] = byte;
      assert.throws(() => decodeGroupMessage(wrong), RangeError);
    }
  });

  it("has an overflow that groups know", () => {
    const overflow = "wait" as never;
    assert.throws(() => encodeGroupMessage({ data: "", overflow, key: undefined, compress: undefined }), TypeError);
  });
});
