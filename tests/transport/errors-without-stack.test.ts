import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { withoutStack } from "../../src/transport/errors-without-stack.ts";

describe("an error without a stack", () => {
  it("has only its message, and later errors have stacks again", () => {
    assert.equal(
      withoutStack(() => new TypeError("Cannot read: ECONNRESET")).stack,
      "TypeError: Cannot read: ECONNRESET",
    );
    assert.match(new Error("another").stack ?? "", /\n {4}at /);
  });

  it("leaves the stack limit unchanged if the constructor throws", () => {
    const { stackTraceLimit } = Error;
    assert.throws(() =>
      withoutStack(() => {
        throw new RangeError("no error");
      }),
    );
    assert.equal(Error.stackTraceLimit, stackTraceLimit);
  });

  it("has a stack if the limit cannot be changed", () => {
    const { stackTraceLimit } = Error;
    Object.defineProperty(Error, "stackTraceLimit", { writable: false });
    try {
      assert.match(withoutStack(() => new Error("frozen")).stack ?? "", /\n {4}at /);
    } finally {
      Object.defineProperty(Error, "stackTraceLimit", { writable: true, value: stackTraceLimit });
    }
  });
});
