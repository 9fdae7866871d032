/** The target `fields`: the content of header fields, read and written. */

import assert from "node:assert/strict";
import { formatExtensions, parseExtensions } from "../../src/engine/handshake/extension.ts";
import {
  FieldCursor,
  fieldLines,
  isFieldValue,
  isToken,
  joinedLines,
  parseTokens,
  parseUpgrade,
  receivedFields,
} from "../../src/engine/handshake/header.ts";
import { authorityOf, originAllowed } from "../../src/engine/handshake/origin.ts";
import { Input, type Target } from "./target.ts";

const TOKEN = /^[\w!#$%&'*+\-.^`|~]+$/;

/** The readers of a value, by what they read. Each returns a word for the result. */
const READERS: Readonly<Record<string, (value: string) => string>> = {
  tokens(value) {
    const tokens = parseTokens(value);
    // A list of tokens has no quotes, so that a comma is always a comma.
    const parts = value.split(",").map((part) => part.replace(/^[ \t]+|[ \t]+$/g, ""));
    const expected = parts.filter((part) => part !== "");
    assert.deepEqual(tokens, expected.every((part) => TOKEN.test(part)) ? expected : undefined);
    return tokens === undefined ? "none" : "list";
  },
  upgrade(value) {
    const protocols = parseUpgrade(value);
    for (const protocol of protocols ?? []) for (const part of protocol.split("/")) assert.match(part, TOKEN);
    if (protocols === undefined) return "none";
    assert.deepEqual(parseUpgrade(protocols.join(",")), protocols);
    return "list";
  },
  extensions(value) {
    const extensions = parseExtensions(value);
    if (extensions === undefined) return "none";
    assert.ok(extensions.length > 0);
    for (const { name, params } of extensions) {
      for (const word of [name, ...params.keys(), ...params.values()]) assert.ok(word === true || TOKEN.test(word));
    }
    const written = formatExtensions(extensions);
    assert.ok(isFieldValue(written));
    const again = extensions.map((extension) => ({ ...extension, repeated: false }));
    assert.deepEqual(parseExtensions(written), again, "what is written is read as the same");
    return extensions.some(({ repeated }) => repeated) ? "repeated" : "list";
  },
  quoted(value) {
    const text = new FieldCursor(value).quoted();
    const quoted = `"${value.replace(/[\\"]/g, "\\$&")}"`;
    const cursor = new FieldCursor(quoted);
    assert.ok(cursor.skip('"'));
    assert.equal(cursor.quoted(), value, "what is quoted is read as the same");
    assert.ok(cursor.ended);
    if (text !== undefined) assert.ok(text.length < value.length);
    return text === undefined ? "none" : "text";
  },
  words(value) {
    assert.equal(isToken(value), TOKEN.test(value));
    const sendable = Array.from(value).every(
      (character) => character === "\t" || (character >= " " && character !== "\x7f"),
    );
    assert.equal(isFieldValue(value), sendable);
    return isToken(value) ? "token" : sendable ? "value" : "neither";
  },
  lines(value) {
    const raw = value.split("\n").flatMap((line) => [line.split(":")[0] ?? "", line.slice(line.indexOf(":") + 1)]);
    const lines = fieldLines(raw);
    if (lines === undefined) return "none";
    const { headers: record, setCookie } = receivedFields(lines);
    assert.equal(Object.getPrototypeOf(record), null);
    assert.equal(Object.keys(record).length, lines.size - (lines.has("set-cookie") ? 1 : 0));
    assert.deepEqual(setCookie, lines.get("set-cookie") ?? []);
    for (const name of lines.keys()) {
      if (name === "set-cookie") continue;
      const separate = lines.get(name) as readonly string[];
      // RFC 6265 5.4: cookies are joined as one line of Cookie has them.
      const joined: string | undefined = name === "cookie" ? separate.join("; ") : joinedLines(lines, name);
      assert.equal(record[name], joined);
      assert.equal(name, name.toLowerCase());
    }
    return "lines";
  },
  authority(value) {
    const found = (["http", "https", "ws", "wss"] as const).map((scheme) => {
      const authority = authorityOf(value, scheme);
      if (authority === undefined) return "none";
      // An escaped character means itself, and a host may contain some that must be escaped.
      if (!value.includes("%")) assert.equal(authorityOf(authority, scheme), authority, "what is canonical stays so");
      assert.match(authority, /^[\x21-\x7e]+$/);
      assert.ok(originAllowed(`${scheme}://${value}`, value, "same-host"));
      if (!value.includes("%"))
        assert.ok(originAllowed(`${scheme}://${authority}`, "other.example", [`${scheme}://${value}`]));
      return "host";
    });
    originAllowed(value, value, "same-host");
    originAllowed(value, "a", ["http://a", value.slice(1)]);
    assert.equal(originAllowed(value, "a", [value]), true);
    return found[0] as string;
  },
};

export const fields: Target = {
  tries: "the values of header fields",
  longest: 512,
  words: [
    '; a="b\\\\"',
    "permessage-deflate; client_max_window_bits=15",
    "websocket/13",
    "https://a:443",
    "[::1]:80",
    "%41",
  ],
  run(bytes) {
    const input = new Input(bytes);
    const [name, read] = input.one(Object.entries(READERS));
    return [`${name}: ${read(Buffer.from(input.rest()).toString("latin1"))}`];
  },
};
