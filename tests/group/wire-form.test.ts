/** Tests of the encoding of group messages between processes: it is reversible, and other bytes are refused. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { decodeGroupMessage, encodeGroupMessage, type GroupMessage } from "../../src/group/wire-form.ts";

const MESSAGE: fc.Arbitrary<GroupMessage> = fc.record({
  data: fc.oneof(fc.string({ unit: "grapheme" }), fc.uint8Array()),
  overflow: fc.constantFrom("close", "reject", "drop-newest", "drop-oldest", "coalesce"),
  key: fc.option(fc.string({ unit: "grapheme" }), { nil: undefined }),
  compress: fc.option(fc.boolean(), { nil: undefined }),
});

const plain = ({ data, ...rest }: GroupMessage): object => ({
  ...rest,
  data: typeof data === "string" ? data : Uint8Array.from(data),
});

describe("a message between processes", () => {
  it("is decoded to the same message", () => {
    fc.assert(
      fc.property(MESSAGE, (message) => {
        const encoded = encodeGroupMessage(message);
        assert.deepEqual(plain(decodeGroupMessage(encoded)), plain(message));
      }),
    );
  });

  it("is decoded at any offset in memory", () => {
    const encoded = encodeGroupMessage({ data: "hello", overflow: "close", key: "k", compress: true });
    const bytes = new Uint8Array(encoded.length + 7);
    bytes.set(encoded, 3);
    assert.equal(decodeGroupMessage(bytes.subarray(3, 3 + encoded.length)).data, "hello");
  });

  it("that is not a message of a group is a RangeError", () => {
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

  it("has an overflow policy that groups accept", () => {
    const overflow = "wait" as never;
    assert.throws(() => encodeGroupMessage({ data: "", overflow, key: undefined, compress: undefined }), RangeError);
  });
});
