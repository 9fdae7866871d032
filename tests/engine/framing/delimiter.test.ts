/** Delimiters are found wherever the network cut them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Delimiter, ExactDelimiter, LineEnd } from "../../../src/engine/framing/delimiter.ts";
import { runs } from "../../kit/random.ts";
import { sizes, utf8 } from "./cut-stream.ts";

/** The payloads between the delimiters, and the rest, as found by `find`. */
function split(delimiter: Delimiter, bytes: Uint8Array, cuts: readonly number[]): string[] {
  const found: string[] = [];
  let payload = "";
  for (let at = 0, turn = 0; at < bytes.length; turn += 1) {
    const chunk = bytes.subarray(at, at + (cuts[turn % cuts.length] as number));
    at += chunk.length;
    for (let index = 0; index < chunk.length; ) {
      const { pendingSize: held } = delimiter;
      const end = delimiter.find(chunk, index);
      const opening = Buffer.from(delimiter.pendingBytes).toString("latin1", 0, held);
      const virtual = opening + Buffer.from(chunk).toString("latin1", index);
      payload += virtual.slice(0, held + delimiter.payloadEnd - index);
      if (end === -1) break;
      assert.equal(delimiter.pendingSize, 0);
      found.push(payload);
      payload = "";
      index = end;
    }
  }
  return [...found, payload + Buffer.from(delimiter.pendingBytes).toString("latin1", 0, delimiter.pendingSize)];
}

describe("an exact delimiter", () => {
  it("is found at its first position even inside a partial match", () => {
    assert.deepEqual(split(new ExactDelimiter(utf8("aab")), utf8("aaaab!"), [1]), ["aa", "!"]);
    assert.deepEqual(split(new ExactDelimiter(utf8("abcabd")), utf8("abcabcabd"), [4]), ["abc", ""]);
  });

  it("holds back no more than what may still become a delimiter", () => {
    const delimiter = new ExactDelimiter(utf8("\r\n--"));
    assert.equal(delimiter.find(utf8("text\r\n-"), 0), -1);
    assert.deepEqual([delimiter.payloadEnd, delimiter.pendingSize], [4, 3]);
    assert.equal(delimiter.find(utf8("x"), 0), -1);
    assert.deepEqual([delimiter.payloadEnd, delimiter.pendingSize], [1, 0]);
  });

  it("cuts as String.split does, wherever the network cuts", () => {
    const few = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 40 });
    const delimiters = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 5 });
    fc.assert(
      fc.property(few, delimiters, sizes, (text, delimiter, cuts) => {
        assert.deepEqual(split(new ExactDelimiter(utf8(delimiter)), utf8(text), cuts), text.split(delimiter));
      }),
      runs(500),
    );
  });

  it("is compared once per byte, however often the bytes begin it", () => {
    const delimiter = new ExactDelimiter(utf8(`${"a".repeat(63)}b`));
    let reads = 0;
    const chunk = new Proxy(utf8("a".repeat(1_000)), {
      get(bytes, name) {
        if (typeof name === "string" && /^\d+$/.test(name)) reads += 1;
        const value: unknown = Reflect.get(bytes, name, bytes);
        return typeof value === "function" ? value.bind(bytes) : value;
      },
    });
    assert.equal(delimiter.find(chunk, 0), -1);
    assert.equal(delimiter.pendingSize, 63);
    assert.ok(reads <= 1_000, `${reads} reads`);
  });
});

describe("the end of a line", () => {
  it("is a newline, and one carriage return before it is removed", () => {
    for (const cuts of [[1], [2], [3], [100]]) {
      assert.deepEqual(split(new LineEnd(), utf8("a\nb\r\n\n\r\nc\rd\r\r\ne"), cuts), [
        "a",
        "b",
        "",
        "",
        "c\rd\r",
        "e",
      ]);
    }
  });

  it("holds back a carriage return until the next byte is known", () => {
    const end = new LineEnd();
    assert.equal(end.find(utf8("a\r"), 0), -1);
    assert.deepEqual([end.payloadEnd, end.pendingSize], [1, 1]);
    assert.equal(end.find(utf8("\n"), 0), 1);
    assert.deepEqual([end.payloadEnd, end.pendingSize], [-1, 0]);
  });

  it("cuts as a regular expression does, wherever the network cuts", () => {
    const few = fc.string({ unit: fc.constantFrom("a", "\r", "\n"), maxLength: 30 });
    fc.assert(
      fc.property(few, sizes, (text, cuts) => {
        assert.deepEqual(split(new LineEnd(), utf8(text), cuts), text.split(/\r?\n/));
      }),
      runs(500),
    );
  });
});
