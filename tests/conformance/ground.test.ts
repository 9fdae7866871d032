/** Checks that the tables are complete: each case of Autobahn|Testsuite's sections, and each row of the RFC's table. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { CASES } from "./deflate/cases.ts";
import { CLOSING } from "./sections/closing.ts";
import { FRAGMENTATION } from "./sections/fragmentation.ts";
import { FRAMING } from "./sections/framing.ts";
import { OPCODES } from "./sections/opcodes.ts";
import { PINGS } from "./sections/pings.ts";
import { ACCEPTANCES, REFUSALS } from "./sections/requests.ts";
import { RESERVED_BITS } from "./sections/reserved-bits.ts";
import { RFC_FRAMES } from "./sections/rfc-frames.ts";
import { sizes } from "./sections/sizes.ts";
import { UTF8 } from "./sections/utf8.ts";

/** The number of cases in each group of the testsuite. */
const GROUPS: Readonly<Record<string, number>> = {
  ...{ "1.1": 8, "1.2": 8, "2": 11, "3": 7, "4.1": 5, "4.2": 5, "5": 20 },
  ...{ "6.1": 3, "6.2": 4, "6.3": 2, "6.4": 4, "6.5": 5, "6.6": 11, "6.7": 4, "6.8": 2, "6.9": 4, "6.10": 3 },
  ...{ "6.11": 5, "6.12": 8, "6.13": 5, "6.14": 10, "6.15": 1, "6.16": 3, "6.17": 5, "6.18": 5, "6.19": 5 },
  ...{ "6.20": 7, "6.21": 8, "6.22": 34, "6.23": 7 },
  ...{ "7.1": 6, "7.3": 6, "7.5": 1, "7.7": 13, "7.9": 9, "7.13": 2 },
  ...{ "9.1": 6, "9.2": 6, "9.3": 9, "9.4": 9, "9.5": 6, "9.6": 6, "9.7": 6, "9.8": 6, "10.1": 1 },
  ...{ "12.1": 18, "12.2": 18, "12.3": 18, "12.4": 18, "12.5": 18 },
  ...{ "13.1": 18, "13.2": 18, "13.3": 18, "13.4": 18, "13.5": 18, "13.6": 18, "13.7": 18 },
};

const TABLES = [FRAMING, PINGS, RESERVED_BITS, OPCODES, FRAGMENTATION, UTF8, CLOSING, sizes(true), CASES].flat();
const SOURCES = ["rfc.test.ts", "deflate/negotiation.test.ts", "deflate/rows.test.ts"];

describe("the tables", () => {
  it("have each of the 517 cases of the testsuite", () => {
    const wanted = Object.entries(GROUPS).flatMap(([group, count]) =>
      Array.from({ length: count }, (_, index) => `${group}.${index + 1}`),
    );
    assert.equal(wanted.length, 517);
    const ids = new Set(TABLES.map(({ id }) => id));
    assert.deepEqual(
      wanted.filter((id) => !ids.has(id)),
      [],
    );
  });

  it("have each of the 32 rows of what is most often broken", () => {
    const rows = new Set([...REFUSALS, ...ACCEPTANCES].map(([row]) => row));
    for (const { id } of RFC_FRAMES) rows.add(Number(/^row (\d+)$/.exec(id)?.[1]));
    for (const file of SOURCES) {
      const source = readFileSync(new URL(`../../../tests/conformance/${file}`, import.meta.url), "utf8");
      for (const [, row] of source.matchAll(/\b(?:describe|it)\(\s*["`]row (\d+)/g)) rows.add(Number(row));
    }
    const wanted = Array.from({ length: 32 }, (_, index) => index + 1);
    assert.deepEqual(
      wanted.filter((row) => !rows.has(row)),
      [],
    );
  });
});
