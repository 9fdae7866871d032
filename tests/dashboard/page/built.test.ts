/** The page of the dashboard as the build writes it. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";

describe("the built page of the dashboard", () => {
  const page = readFileSync(new URL("../../../src/dashboard/page.html", import.meta.url));
  const html = page.toString();

  it("is below 100 kB, and below 40 kB when it is compressed", () => {
    assert.ok(page.length < 100_000, `${page.length} bytes`);
    const compressed = gzipSync(page, { level: 9 }).length;
    assert.ok(compressed < 40_000, `${compressed} bytes`);
  });

  it("loads nothing, and its policy has the hashes of its script and its style, and nothing else that could run", () => {
    const [, policy = ""] = /http-equiv="Content-Security-Policy" content="([^"]+)"/.exec(html) ?? [];
    for (const kind of ["script", "style"]) {
      const elements = Array.from(html.matchAll(new RegExp(`<${kind}([^>]*)>([\\s\\S]*?)</${kind}>`, "g")));
      assert.deepEqual(
        elements.map(([, attributes]) => attributes),
        [""],
      );
      const hash = createHash("sha256")
        .update(elements[0]?.[2] ?? "")
        .digest("base64");
      assert.match(policy, new RegExp(`${kind}-src 'sha256-${hash.replace(/[+/]/g, "\\$&")}';`));
    }
    assert.match(policy, /^default-src 'none';.* connect-src 'self';.* require-trusted-types-for 'script'/);
    const markup = html.replace(/<(script|style)>[\s\S]*?<\/\1>/g, "");
    assert.doesNotMatch(markup, /\b(src|href|on\w+|style)=/);
  });

  it("has the licence of what it contains", () => assert.match(html, /Permission is hereby granted/));

  it("has no code that makes markup from a text", () => {
    // Preact knows the name of its own way to do so, which the page does not use, and the policy forbids.
    const [, script = ""] = /<script>([\s\S]*)<\/script>/.exec(html) ?? [];
    assert.doesNotMatch(script, /insertAdjacentHTML|outerHTML|document\.write|\beval\(|new Function/);
  });
});
