/** How the dashboard's page writes numbers, sizes and times. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { csv } from "../../../src/dashboard/page/csv.ts";
import { axisLabel, type FigureKind, written } from "../../../src/dashboard/page/format.ts";
import { ticks, timeTicks } from "../../../src/dashboard/page/scale.ts";

const plain = (value: number | null, kind: FigureKind): string => written(value, kind).replace(/[\u00a0\u202f]/g, " ");

describe("a number on the page", () => {
  const figures: [number | null, FigureKind, string][] = [
    [0, "count", "0"],
    [9_877, "count", "9 877"],
    [1_234_567, "count", "1 234 567"],
    [2.345, "count", "2.35"],
    [23.45, "count", "23.4"],
    [234.5, "count", "235"],
    [0, "bytes", "0 B"],
    [999, "bytes", "999 B"],
    [999.6, "bytes", "1.00 kB"],
    [1_234, "bytes", "1.23 kB"],
    [65_536, "bytes", "65.5 kB"],
    [999_600, "bytes", "1.00 MB"],
    [5e12, "bytes", "5.00 TB"],
    [5e15, "bytes", "5000 TB"],
    [1_234, "byteRate", "1.23 kB/s"],
    [12, "rate", "12 /s"],
    [0, "ms", "0 ms"],
    [0.123, "ms", "0.12 ms"],
    [4_200, "ms", "4.20 s"],
    [60_000, "ms", "1.00 min"],
    [5_400_000, "ms", "1.50 h"],
    [86_400_000 * 3, "ms", "3.00 d"],
    [4.3, "percent", "4.30 %"],
    [null, "ms", "–"],
  ];
  for (const [value, kind, text] of figures) {
    it(`${value} as ${kind} is ${text}`, () => assert.equal(plain(value, kind), text));
  }

  const labels: [number, FigureKind, string][] = [
    [0, "ms", "0"],
    [10_000, "count", "10k"],
    [1_500, "count", "1.5k"],
    [5e6, "bytes", "5 MB"],
    [0.5, "ms", "0.5 ms"],
    [2_000, "ms", "2 s"],
    [50, "percent", "50 %"],
  ];
  for (const [value, kind, text] of labels) {
    it(`${value} as ${kind} is ${text} beside an axis`, () => assert.equal(axisLabel(value, kind), text));
  }
});

describe("the ticks of an axis", () => {
  it("are round, and the last is at least the largest value", () => {
    assert.deepEqual(ticks(9_950, 3, true), [0, 5_000, 10_000]);
    assert.deepEqual(ticks(0.7, 3, false), [0, 0.5, 1]);
    assert.deepEqual(ticks(3, 3, true), [0, 1, 2, 3]);
    assert.deepEqual(ticks(1_159, 3, true), [0, 500, 1_000, 1_500]);
  });

  it("are whole numbers where there are no parts", () => {
    assert.deepEqual(ticks(1, 3, true), [0, 1]);
    assert.deepEqual(ticks(0, 3, true), [0, 1]);
  });

  it("are few also where all values are 0", () => assert.ok(ticks(0, 3, false).length <= 4));

  it("of a time are at round times of the viewer's zone", () => {
    assert.deepEqual(timeTicks(1_000, 1_300, 120, 0), [1_080, 1_200]);
    assert.deepEqual(timeTicks(1_000, 1_300, 120, 30), [1_050, 1_170, 1_290]);
  });
});

describe("a file of CSV", () => {
  const columns = [
    { key: "path", value: ({ path }: { path: string }) => path },
    { key: "size", value: () => 1.5 },
    { key: "rtt", value: () => null },
  ];

  it("has a line of names, and one for each row", () => {
    assert.equal(csv(columns, [{ path: "/a" }]), "path,size,rtt\r\n/a,1.5,\r\n");
  });

  it("quotes what would end a cell", () => {
    assert.equal(csv(columns, [{ path: 'a,"b"\n' }]), 'path,size,rtt\r\n"a,""b""\n",1.5,\r\n');
  });

  it("has no text of a peer that a spreadsheet would compute", () => {
    for (const path of ["=1+1", "+1", "-1", "@a", "\tx"]) {
      assert.match(csv(columns, [{ path }]), /^path,size,rtt\r\n'/);
    }
  });
});
