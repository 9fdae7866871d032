import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { runInNewContext } from "node:vm";
import {
  isAbortSignal,
  isDate,
  isError,
  isObject,
  isUrl,
  kindOf,
  present,
  reasonOf,
  throwIfAborted,
} from "../../src/base/forms.ts";

const foreign = (code: string): unknown => runInNewContext(code);
const NONE = [undefined, null, 0, "", "x", true, {}, [], () => undefined];

describe("a value's kind", () => {
  it("is named for messages", () => {
    const kinds: [unknown, string][] = [
      [null, "null"],
      [undefined, "undefined"],
      [5, "number"],
      ["x", "string"],
      [() => undefined, "function"],
      [[], "an array"],
      [{}, "an object"],
      [Object.create(null), "an object"],
      [new Map(), "an object of class Map"],
      [{ constructor: 5 }, "an object"],
    ];
    for (const [value, kind] of kinds) assert.equal(kindOf(value), kind);
  });
});

describe("a form is recognised in every realm", () => {
  it("of an object", () => {
    for (const value of [{}, [], new Map(), foreign("({})")]) assert.equal(isObject(value), true);
    for (const value of [null, undefined, 5, "x", () => undefined]) assert.equal(isObject(value), false);
  });

  it("of a Date", () => {
    for (const value of [new Date(), foreign("new Date()")]) assert.equal(isDate(value), true);
    for (const value of [...NONE, Object.create(Date.prototype), Date]) assert.equal(isDate(value), false);
  });

  it("of an Error", () => {
    class Own extends TypeError {}
    const errors = [new Error("x"), new Own(), new DOMException("x"), foreign("new RangeError('x')")];
    for (const value of errors) assert.equal(isError(value), true);
    for (const value of [...NONE, { name: "Error", message: "x" }]) assert.equal(isError(value), false);
  });

  it("of an AbortSignal", () => {
    const form = { aborted: false, addEventListener: () => undefined, removeEventListener: () => undefined };
    for (const value of [AbortSignal.abort(), form]) {
      assert.equal(isAbortSignal(value), true);
    }
    const wrong = [...NONE.slice(1), new AbortController(), { ...form, aborted: 1 }];
    for (const part of ["addEventListener", "removeEventListener"]) wrong.push({ ...form, [part]: undefined });
    for (const value of wrong) {
      assert.equal(isAbortSignal(value), false);
    }
  });

  it("of a URL", () => {
    for (const value of [new URL("ws://x"), { href: "ws://x", protocol: "ws:" }]) assert.equal(isUrl(value), true);
    for (const value of [...NONE, { href: "ws://x" }, { protocol: "ws:" }]) assert.equal(isUrl(value), false);
  });
});

describe("the reason of an aborted signal", () => {
  it("is the signal's own, or an AbortError if it has none", () => {
    const reason = new Error("enough");
    assert.equal(reasonOf(AbortSignal.abort(reason)), reason);
    assert.equal((reasonOf({ reason: undefined } as AbortSignal) as Error).name, "AbortError");
  });

  it("is thrown only if it has aborted", () => {
    throwIfAborted(undefined);
    throwIfAborted(new AbortController().signal);
    const reason = new Error("enough");
    assert.throws(
      () => throwIfAborted(AbortSignal.abort(reason)),
      (error) => error === reason,
    );
  });
});

describe("options", () => {
  it("that are undefined are absent", () => {
    assert.deepEqual(present({ a: 1, b: undefined, c: null, d: false }), { a: 1, c: null, d: false });
  });
});
