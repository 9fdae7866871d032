/** Texts of a peer in a line of a log. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { quoted, quotedIfNeeded } from "../../src/base/log.ts";
import { runs } from "../kit/random.ts";

describe("a text of a peer in a log", () => {
  it("is in quotation marks, with escapes for what could end it", () => {
    assert.equal(quoted('a "b" \\'), '"a \\"b\\" \\\\"');
    assert.equal(quoted("a\nb\r\tc\u0000"), '"a\\nb\\r\\tc\\u0000"');
    assert.equal(quoted("\u001b[31m\u202ered\u2028\u009b\ufeff"), '"\\u001b[31m\\u202ered\\u2028\\u009b\\ufeff"');
  });

  it("keeps the characters of other scripts, and is cut after 256", () => {
    assert.equal(quoted("Grüße 你好 🎉"), '"Grüße 你好 🎉"');
    assert.equal(quoted("x".repeat(257)), `"${"x".repeat(256)}…"`);
    assert.equal(quoted(`${"x".repeat(255)}🎉`), `"${"x".repeat(255)}\\ud83c…"`);
  });

  it("needs no quotation marks as a simple path", () => {
    assert.equal(quotedIfNeeded("/rooms/a-b_c.d/~e:@!$&'()*+,;%20"), "/rooms/a-b_c.d/~e:@!$&'()*+,;%20");
    for (const path of ["/a b", '/"', "/a=b", "/ü", ""]) assert.equal(quotedIfNeeded(path), JSON.stringify(path));
  });

  it("has no character that ends a line or steers a terminal, whatever it is", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        for (const shown of [quoted(text), quotedIfNeeded(text)]) {
          assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
          if (shown.startsWith('"')) assert.equal(typeof JSON.parse(shown), "string");
          else assert.doesNotMatch(shown, /[\s="]/);
        }
      }),
      runs(500),
    );
  });
});
