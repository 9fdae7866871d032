/** The table of `holdfast top`: order, filter, columns that fit, and what each key does. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { plain } from "../../../src/cli/terminal.ts";
import { behindKey, type TopState } from "../../../src/cli/top/keys.ts";
import { arranged, type TopColumn, type TopRow, type TopView, tableLines } from "../../../src/cli/top/table.ts";

const COLUMNS: readonly TopColumn[] = [
  { name: "remote", title: "REMOTE", unit: "text", width: 12, text: "" },
  { name: "queue", title: "QUEUE", unit: "bytes", width: 6, text: "" },
  { name: "age", title: "AGE", unit: "milliseconds", width: 7, text: "" },
  { name: "rate", title: "RATE", unit: "count per second", width: 6, text: "" },
];

const ROWS: readonly TopRow[] = [
  { remote: "10.0.0.9:80", queue: 0, age: 500, rate: undefined },
  { remote: "10.0.0.10:80", queue: 2_048, age: 90_000, rate: 12_345 },
  { remote: "[::1]:9", queue: 100, age: 7_500_000, rate: 3 },
];

const VIEW: TopView = { sort: "queue", reverse: false, filter: "" };

const order = (view: Partial<TopView>): unknown[] => arranged(ROWS, { ...VIEW, ...view }).map(({ remote }) => remote);

describe("the rows of a table", () => {
  it("are sorted: the largest number first, a text from A with its numbers as numbers, and the unknown last", () => {
    assert.deepEqual(order({}), ["10.0.0.10:80", "[::1]:9", "10.0.0.9:80"]);
    assert.deepEqual(order({ reverse: true }), ["10.0.0.9:80", "[::1]:9", "10.0.0.10:80"]);
    assert.deepEqual(order({ sort: "remote" }), ["[::1]:9", "10.0.0.9:80", "10.0.0.10:80"]);
    assert.equal(order({ sort: "rate" }).at(-1), "10.0.0.9:80");
    assert.equal(order({ sort: "rate", reverse: true }).at(-1), "10.0.0.9:80");
  });

  it("are those with the text of the filter", () => {
    assert.deepEqual(order({ filter: "::1" }), ["[::1]:9"]);
    assert.deepEqual(arranged([{ state: "CLOSE_WAIT" }], { ...VIEW, filter: "close" }).length, 1);
    assert.deepEqual(order({ filter: "none" }), []);
  });

  it("are printed in columns, in short numbers, with a mark at the column of the order", () => {
    const lines = tableLines(arranged(ROWS, VIEW), { columns: COLUMNS, view: VIEW, width: 80, style: plain });
    assert.deepEqual(lines, [
      "REMOTE       QUEUEv     AGE   RATE",
      "10.0.0.10:80   2.0k   1m30s    12k",
      "[::1]:9         100   2h05m      3",
      "10.0.0.9:80       0   500ms      -",
    ]);
  });

  it("fit the width: columns at the end are left out, but not that of the order", () => {
    const view = { ...VIEW, sort: "rate" };
    for (const width of [5, 12, 20, 30, 40]) {
      const lines = tableLines(ROWS, { columns: COLUMNS, view, width, style: plain });
      assert.ok(lines.every(({ length }) => length <= width));
    }
    const [heading] = tableLines(ROWS, { columns: COLUMNS, view, width: 20, style: plain });
    assert.equal(heading, "REMOTE        RATEv");
  });

  it("cannot control the terminal", () => {
    const lines = tableLines([{ remote: "\u001b[2J\n" }], { columns: COLUMNS, view: VIEW, width: 80, style: plain });
    assert.equal(lines[1]?.startsWith("\\x1b[2J\\n  "), true);
  });
});

const STATE: TopState = { ...VIEW, offset: 0, typing: false };

function keys(...names: readonly string[]): TopState | "quit" {
  let state: TopState | "quit" = STATE;
  for (const name of names) {
    if (state === "quit") return state;
    const text = name.length === 1 ? name : undefined;
    state = behindKey(state, text, { name }, COLUMNS, 10);
  }
  return state;
}

describe("a key", () => {
  it("changes the column of the order, round the table", () => {
    assert.equal((keys("right") as TopState).sort, "age");
    assert.equal((keys("left") as TopState).sort, "remote");
    assert.equal((keys("left", "left") as TopState).sort, "rate");
    assert.equal((keys(">", "<") as TopState).sort, "queue");
  });

  it("reverses the order, scrolls, and ends", () => {
    assert.equal((keys("r") as TopState).reverse, true);
    assert.equal((keys("down", "down", "up") as TopState).offset, 1);
    assert.equal((keys("pagedown") as TopState).offset, 10);
    assert.equal((keys("up") as TopState).offset, 0);
    assert.equal(keys("q"), "quit");
    assert.equal(behindKey({ ...STATE, typing: true }, "\u0003", { name: "c", ctrl: true }, COLUMNS, 10), "quit");
  });

  it("is a part of the filter while that is typed", () => {
    assert.deepEqual(keys("/", "q", "r", "x", "backspace", "return"), { ...STATE, filter: "qr" });
    assert.deepEqual(keys("/", "q", "escape"), STATE);
    assert.deepEqual(keys("/", "q", "return", "escape"), STATE);
    assert.deepEqual(keys("/", "\u0007", "é", "return"), STATE);
  });
});
