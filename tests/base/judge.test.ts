import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import {
  COUNT,
  DURATION,
  DURATION_OR_ZERO,
  isInRange,
  judgeAtMost,
  judgeBoolean,
  judgeChoice,
  judgeFunction,
  judgeNames,
  judgeNumber,
  judgeOptions,
  judgeSignal,
  judgeString,
  type NumberRange,
  PORT,
  rangeInWords,
} from "../../src/base/judge.ts";

const foreign = (code: string): unknown => runInNewContext(code);
const typeError = (message: string) => ({ name: "TypeError", message });
const rangeError = (message: string) => ({ name: "RangeError", message });

describe("a number", () => {
  const ranges: readonly [range: NumberRange, words: string, valid: readonly number[], invalid: readonly number[]][] = [
    [DURATION, "more than 0 ms, or Infinity for never", [0.5, 1, 2 ** 40, Infinity], [0, -1, Number.NaN, -Infinity]],
    [DURATION_OR_ZERO, "0 ms or more, or Infinity for never", [0, 0.5, Infinity], [-1, Number.NaN]],
    [COUNT, "a whole number from 1, or Infinity for no limit", [1, 2, Infinity], [0, 0.5, 1.5, -1, Number.NaN]],
    [PORT, "a whole number from 1 to 65535", [1, 65_535], [0, 65_536, 1.5, Infinity, Number.NaN]],
    [{ least: 0, unit: "ms" }, "0 ms or more", [0, 5], [-1, Infinity, Number.NaN]],
    [{ least: 0, above: true, unit: "ms" }, "more than 0 ms", [0.1], [0, Infinity]],
    [{ least: 0, most: 5, unit: "ms" }, "from 0 to 5 ms", [0, 5], [-1, 6, Infinity]],
    [{ ...DURATION, most: 5 }, "more than 0 ms and at most 5 ms, or Infinity for never", [5, Infinity], [0, 6]],
    [{ least: 1, infinity: "no limit" }, "a number from 1, or Infinity for no limit", [1, 1.5, Infinity], [0.9]],
  ];
  for (const [range, words, valid, invalid] of ranges) {
    it(`is in the range "${words}" or is a RangeError`, () => {
      assert.equal(rangeInWords(range), words);
      for (const value of valid) {
        judgeNumber("x", value, range);
        assert.equal(isInRange(value, range), true);
      }
      for (const value of invalid) {
        assert.equal(isInRange(value, range), false);
        assert.throws(() => judgeNumber("x", value, range), rangeError(`Cannot use x ${value}: expected ${words}`));
      }
    });
  }

  it("of another type is a TypeError", () => {
    for (const [value, kind] of [
      ["5", "string"],
      [null, "null"],
      [undefined, "undefined"],
      [[5], "an array"],
      [5n, "bigint"],
      [Object(5), "an object of class Number"],
    ] as const) {
      assert.throws(() => judgeNumber("x", value, COUNT), typeError(`Cannot use x: expected a number, got ${kind}`));
      assert.throws(
        () => judgeNumber("x", value, DURATION),
        typeError(`Cannot use x: expected milliseconds, got ${kind}`),
      );
    }
  });

  it("is at most another option", () => {
    judgeAtMost("low", 5, "high", 5);
    assert.throws(
      () => judgeAtMost("low", 6, "high", 5),
      rangeError("Cannot use low 6: expected at most high, which is 5"),
    );
  });
});

describe("a choice", () => {
  it("is one of the listed words, another word is a RangeError, and another type a TypeError", () => {
    judgeChoice("x", "b", ["a", "b"]);
    assert.throws(() => judgeChoice("x", "c", ["a", "b"]), rangeError('Cannot use x "c": expected one of a, b'));
    assert.throws(() => judgeChoice("x", 5, ["a"]), typeError("Cannot use x: expected a string, got number"));
    assert.throws(() => judgeString("x", null), typeError("Cannot use x: expected a string, got null"));
  });
});

describe("a boolean and a function", () => {
  it("have no other type", () => {
    for (const value of [true, false]) judgeBoolean("x", value);
    assert.throws(() => judgeBoolean("x", 1), typeError("Cannot use x: expected true or false, got number"));
    judgeFunction("x", () => undefined);
    assert.throws(() => judgeFunction("x", {}), typeError("Cannot use x: expected a function, got an object"));
  });
});

describe("options", () => {
  it("are objects", () => {
    for (const options of [{}, Object.create(null), foreign("({})")]) judgeOptions(options);
    for (const wrong of [null, undefined, 5, "x", [], () => undefined]) {
      assert.throws(() => judgeOptions(wrong, "tls"), {
        name: "TypeError",
        message: /^Cannot use tls: expected an obj/,
      });
    }
  });

  it("have only known names", () => {
    const known = (name: string): boolean => name === "a";
    judgeNames(["a"], known);
    assert.throws(
      () => judgeNames(["a", "b"], known, "tls."),
      typeError("Cannot use option tls.b: there is no such option here"),
    );
  });
});

describe("a signal", () => {
  it("is absent, an AbortSignal of any realm or polyfill, or a TypeError", () => {
    const form = { aborted: false, addEventListener: () => undefined, removeEventListener: () => undefined };
    for (const value of [undefined, AbortSignal.abort(), form]) judgeSignal(value);
    for (const value of [null, 5, {}, new AbortController(), { ...form, aborted: 1 }]) {
      assert.throws(() => judgeSignal(value), TypeError);
    }
  });
});
