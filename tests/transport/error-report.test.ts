/** Tests of the report of an error: what it holds, and what a peer cannot make of it. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { HandshakeError } from "../../src/base/errors.ts";
import { describeError } from "../../src/transport/error-report.ts";

const MESSAGE = { place: "message", connection: undefined } as const;
const text = (error: unknown): string => describeError(error, MESSAGE);

describe("the report of an error", () => {
  it("names the place, and the connection without the query of its URL", () => {
    const connection = { id: 7, url: "ws://a.example/room?token=secret", remoteAddress: "127.0.0.1", remotePort: 1 };
    assert.match(
      describeError(new Error("no"), { place: "handler", connection }),
      /^the handler of connection 7 \(ws:\/\/a\.example\/room, peer 127\.0\.0\.1:1\) failed: Error: no\n {4}at /,
    );
  });

  it("has the current name and message, and the code", () => {
    const error = Object.assign(new Error("first"), { code: "E_ODD" });
    error.name = "OddError";
    error.message = "second";
    assert.match(text(error), /^the message hook failed: OddError \[E_ODD\]: second\n {4}at /);
    const ours = new HandshakeError({ problem: "no", phase: "upgrade" });
    assert.match(text(ours), /^the message hook failed: HandshakeError \[HANDSHAKE\]: Cannot connect: no .*\n/);
  });

  it("contains no terminal control character, and no line that looks like another report", () => {
    const report = text(new Error("a\x1b[2J\r\u202eb\nholdfast: forged\n\u2028c"));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    assert.doesNotMatch(report, /[\0-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]/);
    assert.match(report, /a\\u\{1b\}\[2J\\u\{d\}\\u\{202e\}b\n {4}holdfast: forged\n {4}\\u\{2028\}c/);
  });

  it("is bounded, whatever the error contains", () => {
    const long = text(new Error("x".repeat(1_000_000)));
    assert.match(long, /\(\d+ more characters\)$/);
    assert.ok(long.length < 17_000);
    const circle = new Error("circle");
    circle.cause = circle;
    assert.ok(text(circle).length < 17_000);
    const wide = new AggregateError(Array.from({ length: 10_000 }, () => new Error("leaf")));
    wide.errors.fill(wide, 0, 8);
    assert.ok(text(wide).length < 17_000);
    assert.ok(text({ bytes: new Uint8Array(1_000_000), words: "x".repeat(1_000_000) }).length < 17_000);
  });

  it("is made from any value", () => {
    const hostile = new Proxy(new Error("no"), {
      get: () => {
        throw new Error("never");
      },
    });
    for (const value of [undefined, null, 0, "", Symbol("s"), Object.create(null), () => undefined, hostile]) {
      assert.match(text(value), /^the message hook failed: ./);
    }
    const odd = new Error("no");
    Object.defineProperty(odd, "stack", { value: undefined });
    assert.equal(text(odd), "the message hook failed: Error: no");
  });
});
