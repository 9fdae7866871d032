/** Tests of the fields that have a say in an upgrade: what the pass over them finds is what a look for each would. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { fieldLines, joined } from "../../src/engine/header.js";
import { type UpgradeFields, upgradeFields } from "../../src/engine/upgrade-fields.js";
import { runs } from "../random.js";

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
  it("are found by their names in any case, and lines of one are a list", () => {
    const raw = entries.flatMap(([place, name]) => [name.toUpperCase(), place, name.toLowerCase(), "again"]);
    const fields = upgradeFields(raw);
    for (const [place] of entries) assert.equal(fields?.[place], `${place}, again`);
    assert.equal(fields?.hosts, 2);
  });

  it("are undefined where there is none, and one of the same length is another", () => {
    const raw = entries.flatMap(([, name]) => ["X".repeat(name.length), "a"]);
    const fields = upgradeFields(raw);
    for (const [place] of entries) assert.equal(fields?.[place], undefined);
    assert.equal(fields?.hosts, 0);
  });

  it("are what a look at each field finds, whatever the request is", () => {
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
        for (const [place, of] of entries) assert.equal(fields[place], joined(lines, of.toLowerCase()));
        assert.equal(fields.hosts, lines.get("host")?.length ?? 0);
      }),
      runs(500),
    );
  });
});
