/** The fields of an upgrade request: one pass over them finds what a search for each would find. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { fieldLines, joinedLines } from "../../../src/engine/handshake/header.ts";
import { type UpgradeFields, upgradeFields } from "../../../src/engine/handshake/upgrade-fields.ts";
import { runs } from "../../kit/random.ts";

const PLACES = {
  host: "Host",
  upgrade: "Upgrade",
  connection: "Connection",
  key: "Sec-WebSocket-Key",
  version: "Sec-WebSocket-Version",
  protocol: "Sec-WebSocket-Protocol",
  extensions: "Sec-WebSocket-Extensions",
  origin: "Origin",
  expect: "Expect",
  contentLength: "Content-Length",
  transferEncoding: "Transfer-Encoding",
} as const satisfies Partial<Record<keyof UpgradeFields, string>>;

const entries = Object.entries(PLACES) as [keyof typeof PLACES, string][];

describe("the fields of an upgrade request", () => {
  it("are found by their names in any case, and lines of one name are a list", () => {
    const raw = entries.flatMap(([place, name]) => [name.toUpperCase(), place, name.toLowerCase(), "again"]);
    const fields = upgradeFields(raw);
    for (const [place] of entries) assert.equal(fields?.[place], `${place}, again`);
    assert.equal(fields?.hosts, 2);
  });

  it("are undefined if absent, and another name of the same length is not found", () => {
    const raw = entries.flatMap(([, name]) => ["X".repeat(name.length), "a"]);
    const fields = upgradeFields(raw);
    for (const [place] of entries) assert.equal(fields?.[place], undefined);
    assert.equal(fields?.hosts, 0);
  });

  it("are what a search for each finds, for any request", () => {
    const name = fc.oneof(
      fc.constantFrom(...Object.values(PLACES)),
      fc.constantFrom("HOST", "oRiGiN", "Cookie", "X", "", "Ho st", "Host:", "Expec\n"),
    );
    const value = fc.oneof(
      fc.string(),
      fc.constantFrom("", "websocket", "a\tb", "\xff", "a\r\nHost: b", "\0", "\x7f", "\u0100"),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(name, value)), (pairs) => {
        const raw = pairs.flat();
        const lines = fieldLines(raw);
        const fields = upgradeFields(raw);
        assert.equal(fields === undefined, lines === undefined);
        if (fields === undefined || lines === undefined) return;
        for (const [place, of] of entries) assert.equal(fields[place], joinedLines(lines, of.toLowerCase()));
        assert.equal(fields.hosts, lines.get("host")?.length ?? 0);
      }),
      runs(500),
    );
  });
});
