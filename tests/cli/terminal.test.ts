/** Colours only where a terminal shows them, and strings of a peer without control characters. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { nearest } from "../../src/cli/nearest.ts";
import { plain, printable, printableJson, printableLine, styleFor } from "../../src/cli/terminal.ts";

describe("a style", () => {
  it("adds nothing where there is no terminal, and where the terminal shows no colours", () => {
    assert.equal(styleFor({}), plain);
    assert.equal(styleFor({ isTTY: false, hasColors: () => true }), plain);
    assert.equal(styleFor({ isTTY: true, hasColors: () => false }), plain);
    assert.equal(plain("red", "text"), "text");
  });

  it("is that of node:util on a terminal with colours, whatever stdout is", () => {
    const style = styleFor({ isTTY: true, hasColors: () => true });
    assert.equal(style("red", "text"), "\u001b[31mtext\u001b[39m");
    assert.equal(style("bold", "text"), "\u001b[1mtext\u001b[22m");
  });
});

describe("a string of a peer", () => {
  it("loses what controls a terminal or hides text, and nothing else", () => {
    assert.equal(printable("\u001b]0;title\u0007\u001b[2J"), "\\x1b]0;title\\x07\\x1b[2J");
    assert.equal(printable("a\rb\b\u007f\u009b31m"), "a\\rb\\b\\x7f\\x9b31m");
    assert.equal(printable("\u202egnp.exe \u2066x\u2069 \u2028"), "\\u202egnp.exe \\u2066x\\u2069 \\u2028");
    assert.equal(printable("tab\tand\nnewline é 𝄞 👩‍🚀 \\x1b"), "tab\tand\nnewline é 𝄞 👩‍🚀 \\x1b");
    assert.equal(printableLine("tab\tand\nnewline"), "tab\\tand\\nnewline");
  });

  it("stays the same value in JSON", () => {
    const value = { text: "\u009b31m\u202e\u2028\u001b\\u009b" };
    const json = printableJson(JSON.stringify(value));
    assert.doesNotMatch(json, /[\p{Cc}\u202e\u2028]/u);
    assert.deepEqual(JSON.parse(json), value);
  });

  it("has no control character left, whichever it had", () => {
    for (let code = 0; code <= 0xffff; code += 1) {
      if (code === 0x09 || code === 0x0a || (code >= 0xd800 && code <= 0xdfff)) continue;
      const shown = printable(String.fromCharCode(code));
      assert.doesNotMatch(shown, /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u, code.toString(16));
    }
  });
});

describe("a mistyped name", () => {
  it("has a most similar one, unless none is similar", () => {
    const known = ["port", "tcp-port", "host", "tls", "token"];
    assert.equal(nearest("prot", known), "port");
    assert.equal(nearest("tcp_port", known), "tcp-port");
    assert.equal(nearest("tokne", known), "token");
    assert.equal(nearest("tsl", known), "tls");
    assert.equal(nearest("workers", known), undefined);
    assert.equal(nearest("x", known), undefined);
    assert.equal(nearest("", known), undefined);
  });
});
