/** Tests of header fields. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  FieldCursor,
  fieldLines,
  includesToken,
  isFieldValue,
  isToken,
  joinedLines,
  parseTokens,
  parseUpgrade,
  receivedFields,
} from "../../../src/engine/handshake/header.ts";

// RFC 9110 section 5.6.2, written independently.
const TCHARS = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const CODES = Array.from({ length: 0x180 }, (_, code) => String.fromCharCode(code));
const MEGABYTE = 1 << 20;

describe("a token", () => {
  it("is made of the 77 token characters and no other", () => {
    for (const character of CODES) {
      const expected = TCHARS.includes(character);
      assert.equal(isToken(character), expected, JSON.stringify(character));
      assert.equal(isToken(`a${character}b`), expected, JSON.stringify(character));
      assert.deepEqual(parseTokens(`a${character}`)?.[0]?.length === 2, expected, JSON.stringify(character));
    }
  });

  it("is not empty", () => {
    assert.equal(isToken(""), false);
  });
});

describe("a field value", () => {
  it("has no control character but the tab, and no character outside of latin1", () => {
    for (const [code, character] of CODES.entries()) {
      const expected = code === 9 || (code >= 0x20 && code !== 0x7f && code <= 0xff);
      assert.equal(isFieldValue(`a${character}b`), expected, `0x${code.toString(16)}`);
    }
  });

  it("may be empty", () => {
    assert.equal(isFieldValue(""), true);
  });
});

describe("a list of tokens", () => {
  const cases: readonly (readonly [value: string, tokens: readonly string[] | undefined])[] = [
    ["a", ["a"]],
    ["a,b", ["a", "b"]],
    ["a, b,c ,\td\t", ["a", "b", "c", "d"]],
    ["keep-alive, Upgrade", ["keep-alive", "Upgrade"]],
    // Empty elements are ignored.
    ["", []],
    [" \t ", []],
    [",", []],
    [",a", ["a"]],
    ["a,", ["a"]],
    ["a,,b", ["a", "b"]],
    [" , ,a, , ,b, ", ["a", "b"]],
    // White space does not separate elements.
    ["a b", undefined],
    ["a b, c", undefined],
    ["a\u00a0", undefined],
    ["a\n", undefined],
    ["a\u000b", undefined],
    ["a;b", undefined],
    ["a=b", undefined],
    ["a/b", undefined],
    ['"a"', undefined],
    ["a, (b)", undefined],
    ["a, é", undefined],
    ["a, b\u0080", undefined],
    ["constructor, __proto__, toString", ["constructor", "__proto__", "toString"]],
  ];

  for (const [value, tokens] of cases) {
    it(`${tokens === undefined ? "is not" : "is"} ${JSON.stringify(value)}`, () => {
      assert.deepEqual(parseTokens(value), tokens);
    });
  }

  it("is the result of tokens joined with commas and white space", () => {
    const token = fc.string({ unit: fc.constantFrom(...TCHARS), minLength: 1 });
    const space = fc.string({ unit: fc.constantFrom(" ", "\t"), maxLength: 3 });
    const comma = fc.array(space, { minLength: 2, maxLength: 4 }).map((spaces) => spaces.join(","));
    fc.assert(
      fc.property(fc.array(fc.tuple(token, comma)), space, (parts, before) => {
        const value = before + parts.map(([text, separator]) => text + separator).join("");
        assert.deepEqual(
          parseTokens(value),
          parts.map(([text]) => text),
        );
      }),
    );
  });

  it("is parsed without an exception, for any text", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.oneof(fc.constantFrom(...' \t,;="\\/a'), fc.constantFrom(...CODES)) }),
        (value) => {
          for (const token of parseTokens(value) ?? []) assert.ok(isToken(token));
          parseUpgrade(value);
        },
      ),
    );
  });

  // A parser with backtracking, as in many regular expressions, would not finish these.
  it("is parsed in one pass: a megabyte of anything ends", () => {
    assert.deepEqual(parseTokens(" ".repeat(MEGABYTE)), []);
    assert.deepEqual(parseTokens(",".repeat(MEGABYTE)), []);
    assert.deepEqual(parseTokens(" ,".repeat(MEGABYTE / 2)), []);
    assert.deepEqual(parseTokens(`a${" ".repeat(MEGABYTE)}b`), undefined);
    assert.deepEqual(parseTokens("a ".repeat(MEGABYTE / 2)), undefined);
    assert.deepEqual(parseTokens('"'.repeat(MEGABYTE)), undefined);
    assert.deepEqual(parseTokens("a".repeat(MEGABYTE)), ["a".repeat(MEGABYTE)]);
    assert.deepEqual(parseTokens(`${"a".repeat(MEGABYTE)}"`), undefined);
    assert.equal(parseTokens("a,".repeat(MEGABYTE / 2))?.length, MEGABYTE / 2);
    assert.equal(isToken(`${"a".repeat(MEGABYTE)} `), false);
    assert.equal(isFieldValue(`${" ".repeat(MEGABYTE)}\n`), false);
  });
});

describe("a cursor", () => {
  it("reads each character a bounded number of times", () => {
    // A string that counts: the cursor uses only its length, its characters by index, and slices.
    const reads = (size: number): number => {
      let count = 0;
      const text = `${"a ,".repeat(size)}"`;
      const value = new Proxy<object>(Object(text), {
        get: (_, key) => {
          if (key === "length") return text.length;
          if (key === "slice") return text.slice.bind(text);
          count += 1;
          if (key === "charCodeAt") return text.charCodeAt.bind(text);
          return text[Number(String(key))];
        },
      }) as unknown as string;
      assert.equal(parseTokens(value), undefined);
      return count;
    };
    const once = reads(1_000);
    assert.ok(once >= 3_000);
    assert.ok(reads(2_000) <= 2 * once && reads(4_000) <= 4 * once);
  });

  it("reads the content of a quoted-string", () => {
    const cases: readonly (readonly [value: string, text: string | undefined])[] = [
      ['"', ""],
      ['abc"', "abc"],
      ['a b,c;"', "a b,c;"],
      ['a\\"b"', 'a"b'],
      ['\\\\"', "\\"],
      ['\\a\\b"', "ab"],
      ["", undefined],
      ["abc", undefined],
      ['abc\\"', undefined],
      ["abc\\", undefined],
    ];
    for (const [value, text] of cases) assert.equal(new FieldCursor(value).quoted(), text, value);
  });

  it("is at the closing quote's next character afterwards", () => {
    const cursor = new FieldCursor('a\\"b"c');
    assert.equal(cursor.quoted(), 'a"b');
    assert.equal(cursor.token(), "c");
    assert.ok(cursor.ended);
  });

  it("reads a quoted-string in one pass", () => {
    assert.equal(new FieldCursor(`${'\\"'.repeat(MEGABYTE / 2)}"`).quoted(), '"'.repeat(MEGABYTE / 2));
    assert.equal(new FieldCursor("\\".repeat(MEGABYTE)).quoted(), undefined);
    assert.equal(new FieldCursor(" ".repeat(MEGABYTE)).quoted(), undefined);
  });
});

describe("an Upgrade field", () => {
  it("lists protocols with or without a version", () => {
    assert.deepEqual(parseUpgrade("websocket"), ["websocket"]);
    assert.deepEqual(parseUpgrade("h2c/1.0, WebSocket,IRC/6.9"), ["h2c/1.0", "WebSocket", "IRC/6.9"]);
    assert.deepEqual(parseUpgrade(""), []);
  });

  it("is malformed if a name or a version is missing, or there is one too many", () => {
    for (const value of ["/", "/1", "h2c/", "h2c/1/2", "h2c /1", "web socket", "websocket;", "é", "a, /"]) {
      assert.equal(parseUpgrade(value), undefined, value);
    }
  });
});

describe("names", () => {
  it("finds a word in any case, and only the whole word", () => {
    assert.equal(includesToken(["keep-alive", "UpGrAdE"], "upgrade"), true);
    assert.equal(includesToken(["keep-alive", "upgrades"], "upgrade"), false);
    assert.equal(includesToken([], "upgrade"), false);
  });
});

describe("the fields of a message", () => {
  const RAW = ["Host", "a", "X-One", "1", "HOST", "b", "x-one", "2", "__proto__", "p", "constructor", "c"];

  it("are found by their names in lower case, line by line and in order", () => {
    const lines = fieldLines(RAW);
    assert.ok(lines);
    assert.deepEqual(lines.get("host"), ["a", "b"]);
    assert.deepEqual(lines.get("x-one"), ["1", "2"]);
    assert.equal(lines.get("tostring"), undefined);
    assert.deepEqual([...lines.keys()], ["host", "x-one", "__proto__", "constructor"]);
  });

  it("are joined with a comma, as the Headers of fetch are", () => {
    const lines = fieldLines(RAW);
    assert.ok(lines);
    assert.equal(joinedLines(lines, "host"), "a, b");
    assert.equal(joinedLines(lines, "constructor"), "c");
    assert.equal(joinedLines(lines, "hasownproperty"), undefined);
  });

  it("become an object in which every name is a plain name", () => {
    const { headers: record } = receivedFields(fieldLines(RAW) ?? new Map());
    assert.equal(Object.getPrototypeOf(record), null);
    assert.deepEqual(Object.entries(record), [
      ["host", "a, b"],
      ["x-one", "1, 2"],
      ["__proto__", "p"],
      ["constructor", "c"],
    ]);
    assert.equal("toString" in record, false);
    assert.equal(({} as Record<string, unknown>)["p"], undefined);
  });

  it("keep each line of Set-Cookie, and join those of Cookie with a semicolon", () => {
    const raw = ["Set-Cookie", "a=1; Expires=Wed, 09 Jun 2027", "Cookie", "a=1", "set-cookie", "b=2", "cookie", "b=2"];
    const { headers, setCookie } = receivedFields(fieldLines(raw) ?? new Map());
    assert.deepEqual(setCookie, ["a=1; Expires=Wed, 09 Jun 2027", "b=2"]);
    assert.deepEqual(Object.entries(headers), [["cookie", "a=1; b=2"]]);
  });

  it("are refused if a name is no token, or a value has a line break", () => {
    for (const raw of [
      ["", "a"],
      ["Host ", "a"],
      ["Ho st", "a"],
      ["Höst", "a"],
      ["Host", "a\r\nX: y"],
      ["Host", "a\n"],
      ["Host", "a\r"],
      ["Host", "\0"],
      ["Host", "a", "X", "\u0100"],
    ]) {
      assert.equal(fieldLines(raw), undefined, JSON.stringify(raw));
    }
  });

  it("may be empty, and a name without a value is invalid", () => {
    assert.equal(fieldLines([])?.size, 0);
    assert.deepEqual([...(fieldLines(["Host", "a", "X"])?.keys() ?? [])], ["host"]);
  });
});
