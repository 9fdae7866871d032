/** Tests of path patterns, and of the table that finds the most specific one. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { compareSpecificity, parsePattern } from "../../../src/engine/handshake/path-pattern.ts";
import { PathTable } from "../../../src/engine/handshake/path-table.ts";

/** Adds patterns. Each pattern is its own value. */
function tableOf(...sources: readonly string[]): PathTable<string> {
  const table = new PathTable<string>();
  for (const source of sources) {
    const pattern = parsePattern(source);
    assert.equal(table.conflictOf(pattern), undefined);
    table.add(pattern, source);
  }
  return table;
}

/** The pattern that `path` matches and its parameters. */
function matched(table: PathTable<string>, path: string): unknown {
  const match = table.match(path);
  return typeof match === "object" ? [match.value, { ...match.params }] : match;
}

describe("a path pattern", () => {
  const table = tableOf(
    "/",
    "/echo",
    "/rooms/:room",
    "/rooms/:room/log",
    "/rooms/lobby",
    "/files/*",
    "/img/*path",
    "/café",
  );
  const matches: readonly (readonly [path: string, pattern: string, params: Record<string, string>])[] = [
    ["/", "/", {}],
    ["/echo", "/echo", {}],
    ["/%65cho", "/echo", {}],
    ["/rooms/7", "/rooms/:room", { room: "7" }],
    ["/rooms/a%2Fb", "/rooms/:room", { room: "a/b" }],
    ["/rooms/%C3%A9t%C3%A9", "/rooms/:room", { room: "été" }],
    ["/rooms/7/log", "/rooms/:room/log", { room: "7" }],
    ["/rooms/lobby", "/rooms/lobby", {}],
    ["/rooms/lobby/log", "/rooms/:room/log", { room: "lobby" }],
    ["/rooms/__proto__", "/rooms/:room", { room: "__proto__" }],
    ["/files/", "/files/*", { "*": "" }],
    ["/files/a/b%20c", "/files/*", { "*": "a/b c" }],
    ["/img/a/b.png", "/img/*path", { path: "a/b.png" }],
    ["/caf%C3%A9", "/café", {}],
  ];
  for (const [path, pattern, params] of matches) {
    it(`${pattern} matches ${path}`, () => {
      assert.deepEqual(matched(table, path), [pattern, params]);
    });
  }

  it("matches no other path", () => {
    const paths = [
      "/Echo",
      "/echo/",
      "//echo",
      "/rooms",
      "/rooms/",
      "/rooms//log",
      "/rooms/7/8",
      "/files",
      "/files2/a",
      "/echo/x",
    ];
    for (const path of paths) assert.equal(matched(table, path), undefined, path);
  });

  it("matches a path in percent-encoded form the same, however it was written itself", () => {
    assert.deepEqual(matched(tableOf("/caf%c3%a9"), "/caf%C3%A9"), ["/caf%c3%a9", {}]);
  });

  it("matches no malformed percent-encoded path", () => {
    for (const path of ["/%", "/%zz", "/rooms/%E9", "/echo/%C3%28"]) assert.equal(table.match(path), "malformed", path);
  });

  it("matches everything as /*", () => {
    for (const path of ["/", "/a", "/a/b/", "//", "*"]) assert.equal(typeof tableOf("/*").match(path), "object", path);
  });

  it("is refused if it can match no path", () => {
    const wrong: Record<string, RegExp> = {
      "": /begins with \//,
      echo: /begins with \//,
      "/a?b": /no query/,
      "/a#b": /no query and no fragment/,
      "/*/a": /\* in the last segment only/,
      "/:": /a name of letters/,
      "/:a-b": /a name of letters/,
      "/:a/:a": /different names, got a twice/,
      "/%zz": /percent-encoded/,
      [`/${"a".repeat(3_000)}`]: /at most 2048 characters/,
      [`${"/a".repeat(65)}`]: /at most 64 segments/,
    };
    for (const [source, message] of Object.entries(wrong)) {
      assert.throws(() => parsePattern(source), { name: "TypeError", message }, source);
    }
  });
});

describe("two path patterns", () => {
  const conflicts: readonly (readonly [string, string])[] = [
    ["/a", "/a"],
    ["/a", "/%61"],
    ["/:a", "/:b"],
    ["/*", "/*rest"],
    ["/a/:x", "/:y/b"],
    ["/a/*", "/:x/b"],
    ["/:x/:y", "/a/*"],
  ];
  for (const [first, second] of conflicts) {
    it(`${first} and ${second} conflict, in both orders`, () => {
      for (const [before, later] of [[first, second] as const, [second, first] as const])
        assert.equal(tableOf(before).conflictOf(parsePattern(later))?.source, before);
    });
  }

  it("that are disjoint, or of which one is more specific, do not conflict", () => {
    tableOf("/*", "/:a", "/a", "/a/*", "/a/:b", "/a/b", "/b/:c", "/a/:b/c/:d", "/a/b/c/d", "/");
  });
});

const segment = fc.constantFrom("a", "b", "", ":x", "c");
const pattern = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(
    ([segments, rest]) =>
      `/${[...segments.map((one, at) => (one === ":x" ? `:x${at}` : one)), ...(rest ? ["*"] : [])].join("/")}`,
  );

describe("a path table", () => {
  it("returns the most specific of all matching patterns, whatever was added and removed before", () => {
    const path = fc
      .array(fc.constantFrom("a", "b", "", "d"), { minLength: 1, maxLength: 4 })
      .map((all) => `/${all.join("/")}`);
    fc.assert(
      fc.property(
        fc.array(pattern, { maxLength: 8 }),
        fc.array(fc.nat(7), { maxLength: 4 }),
        fc.array(path),
        (all, gone, paths) => {
          const table = new PathTable<string>();
          const held = new Set<string>();
          for (const source of all) {
            const parsed = parsePattern(source);
            const model = [...held].filter((other) => compareSpecificity(parsePattern(other), parsed) === "conflict");
            assert.equal(table.conflictOf(parsed) !== undefined, model.length > 0);
            if (model.length > 0) continue;
            table.add(parsed, source);
            held.add(source);
          }
          for (const index of gone) {
            const source = [...held][index];
            if (source === undefined) continue;
            table.remove(parsePattern(source));
            held.delete(source);
          }
          assert.deepEqual([...table.values()].sort(), [...held].sort());
          assert.equal(table.size, held.size);
          for (const one of paths) {
            const matching = [...held].filter((source) => regExpOf(source).test(one));
            const match = table.match(one);
            assert.equal(match !== undefined, matching.length > 0, one);
            if (typeof match !== "object") continue;
            for (const other of matching) {
              if (other === match.value) continue;
              assert.equal(compareSpecificity(parsePattern(match.value), parsePattern(other)), "first", one);
            }
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

/** The same rules, written independently. */
function regExpOf(source: string): RegExp {
  const parts = source.slice(1).split("/");
  return new RegExp(
    `^/${parts.map((part) => (part.startsWith(":") ? "[^/]+" : part === "*" ? ".*" : part)).join("/")}$`,
  );
}
