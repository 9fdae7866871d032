/** Tests of the Sec-WebSocket-Extensions field. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Extension, formatExtensions, parseExtensions } from "../../../src/engine/handshake/extension.ts";
import { runs } from "../../kit/random.ts";

const MEGABYTE = 1 << 20;

type Plain = readonly [name: string, params: Readonly<Record<string, string | true>>];

const plain = (value: string): Plain[] | undefined =>
  parseExtensions(value)?.map(({ name, params }) => [name, Object.fromEntries(params)]);

describe("an extension list", () => {
  const good: readonly (readonly [value: string, extensions: readonly Plain[]])[] = [
    ["foo", [["foo", {}]]],
    [
      "foo, bar",
      [
        ["foo", {}],
        ["bar", {}],
      ],
    ],
    ["permessage-deflate; client_max_window_bits", [["permessage-deflate", { client_max_window_bits: true }]]],
    [
      "permessage-deflate; client_max_window_bits=15; server_no_context_takeover, permessage-deflate",
      [
        ["permessage-deflate", { client_max_window_bits: "15", server_no_context_takeover: true }],
        ["permessage-deflate", {}],
      ],
    ],
    ['foo;a="10";b="x-y"', [["foo", { a: "10", b: "x-y" }]]],
    ['foo;a="1\\0"', [["foo", { a: "10" }]]],
    // RFC 2616 allows white space around separators, and empty elements.
    [
      ' foo\t; a = 1 ; b\t=\t"2" , bar ',
      [
        ["foo", { a: "1", b: "2" }],
        ["bar", {}],
      ],
    ],
    [
      ",, foo,,bar ,",
      [
        ["foo", {}],
        ["bar", {}],
      ],
    ],
  ];
  for (const [value, extensions] of good) {
    it(`is ${JSON.stringify(value)}`, () => {
      assert.deepEqual(plain(value), extensions);
    });
  }

  const bad = [
    "",
    " ",
    ",",
    ";",
    "foo;",
    "foo;;a",
    "foo; ;a",
    "foo;a=",
    "foo;=1",
    "foo;a==1",
    "foo;a=1=2",
    "foo a",
    "foo;a b",
    "foo;a=1 2",
    "foo=1",
    "=",
    '"foo"',
    'foo;"a"',
    'foo;a="',
    'foo;a="1',
    'foo;a="1\\"',
    'foo;a=""',
    'foo;a="1,2"',
    'foo;a="1 "',
    'foo;a="\\""',
    'foo;a="1"2',
    'foo;a=1"2"',
    "foo,bar;",
    "foo;a=é",
    "foo\n",
    "foo;a/b",
  ];
  for (const value of bad) {
    it(`is not ${JSON.stringify(value)}`, () => {
      assert.equal(parseExtensions(value), undefined);
    });
  }

  it("reports a repeated parameter, and keeps the first", () => {
    const [first, second] = parseExtensions("foo; a=1; b; a=2, foo; a=3; b") ?? [];
    assert.equal(first?.repeated, true);
    assert.equal(first.params.get("a"), "1");
    assert.equal(second?.repeated, false);
    assert.equal(second.params.get("a"), "3");
  });

  it("treats names of Object.prototype as plain names", () => {
    const [first] = parseExtensions("constructor; __proto__=toString; hasOwnProperty; toString") ?? [];
    assert.equal(first?.name, "constructor");
    assert.equal(first.repeated, false);
    assert.deepEqual(
      [...first.params],
      [
        ["__proto__", "toString"],
        ["hasOwnProperty", true],
        ["toString", true],
      ],
    );
    assert.equal(first.params.get("valueOf"), undefined);
    assert.equal(({} as Record<string, unknown>)["toString"], Object.prototype.toString);
  });

  it("is parsed without an exception, for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...' \t,;="\\/a1é\n'), maxLength: 30 }), (value) => {
        const extensions = parseExtensions(value);
        assert.notEqual(extensions?.length, 0);
      }),
      runs(2_000),
    );
  });

  it("is parsed in one pass: a megabyte of anything ends", () => {
    for (const value of [
      " ".repeat(MEGABYTE),
      ",".repeat(MEGABYTE),
      ";".repeat(MEGABYTE),
      '"'.repeat(MEGABYTE),
      `foo;a="${"\\".repeat(MEGABYTE)}`,
      `foo;a="${" ".repeat(MEGABYTE)}"`,
      `foo;a=${'"b"'.repeat(MEGABYTE / 4)}`,
      `foo${" ".repeat(MEGABYTE)}bar`,
      "foo;".repeat(MEGABYTE / 4),
    ]) {
      assert.equal(parseExtensions(value), undefined);
    }
    assert.equal(parseExtensions("f,".repeat(1 << 16))?.length, 1 << 16);
    assert.equal(parseExtensions(`foo${";a".repeat(MEGABYTE / 2)}`)?.[0]?.repeated, true);
    assert.equal(plain(`foo;a="${"b".repeat(MEGABYTE)}"`)?.[0]?.[1]["a"], "b".repeat(MEGABYTE));
  });
});

describe("writing an extension list", () => {
  const extension = (name: string, params: readonly (readonly [string, string | true])[] = []): Extension => ({
    name,
    params: new Map(params),
  });

  it("writes names, parameters and values", () => {
    assert.equal(
      formatExtensions([
        extension("permessage-deflate", [
          ["client_max_window_bits", true],
          ["server_max_window_bits", "10"],
        ]),
        extension("foo"),
      ]),
      "permessage-deflate; client_max_window_bits; server_max_window_bits=10, foo",
    );
  });

  it("writes what is read again as the same", () => {
    const token = fc.string({ unit: fc.constantFrom(..."!#$az09-_~"), minLength: 1 });
    const params = fc.uniqueArray(fc.tuple(token, fc.oneof(token, fc.constant(true as const))), {
      selector: ([key]) => key,
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(token, params), { minLength: 1 }), (list) => {
        const extensions = list.map(([name, pairs]) => extension(name, pairs));
        assert.deepEqual(
          parseExtensions(formatExtensions(extensions)),
          extensions.map((one) => ({ ...one, repeated: false })),
        );
      }),
    );
  });

  it("refuses anything but a token, in any position", () => {
    for (const text of ["", "a b", "a,b", 'a"', "a;b", "a=b", "a\r\nX: y", "é"]) {
      for (const wrong of [extension(text), extension("foo", [[text, true]]), extension("foo", [["a", text]])]) {
        assert.throws(() => formatExtensions([wrong]), TypeError, JSON.stringify(text));
      }
    }
  });
});
