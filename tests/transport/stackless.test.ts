import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { stackless } from "../../src/transport/stackless.js";

describe("an error without a stack", () => {
  it("has its sentence only, and those that follow have stacks again", () => {
    assert.equal(stackless(() => new TypeError("Cannot read: ECONNRESET")).stack, "TypeError: Cannot read: ECONNRESET");
    assert.match(new Error("another").stack ?? "", /\n {4}at /);
  });

  it("leaves the limit as it was when making it throws", () => {
    const { stackTraceLimit } = Error;
    assert.throws(() =>
      stackless(() => {
        throw new RangeError("no error");
      }),
    );
    assert.equal(Error.stackTraceLimit, stackTraceLimit);
  });

  it("has one where the limit cannot be changed", () => {
    const { stackTraceLimit } = Error;
    Object.defineProperty(Error, "stackTraceLimit", { writable: false });
    try {
      assert.match(stackless(() => new Error("frozen")).stack ?? "", /\n {4}at /);
    } finally {
      Object.defineProperty(Error, "stackTraceLimit", { writable: true, value: stackTraceLimit });
    }
  });
});
