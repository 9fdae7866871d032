/** The manual pages: their form, and what colours them. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { COMMANDS } from "../../src/cli/commands.ts";
import { type HelpForm, helpText } from "../../src/cli/help.ts";
import { flagsOf, type Manual } from "../../src/cli/manual.ts";

const SAMPLE: Manual = {
  name: "sample",
  description: ["Does something for a while, and then something else.", "Lines:", "  one  as it is", "  two  as it is"],
  operands: [{ name: "URL", text: "the address" }],
  flags: {
    port: { type: "string", value: "PORT", default: "9000", required: true, text: "the port" },
    header: { type: "string", short: "H", value: "FIELD", multiple: true, text: "a field of the request" },
    way: { type: "string", value: "WAY", choices: ["up", "down"], section: "Ways", text: "the direction" },
    "a-name-that-is-long": { type: "string", value: "LONG-VALUE", text: "begins on the next line" },
  },
  notes: { Notes: ["A note."] },
  statuses: { 0: "well", 2: "wrong use" },
  examples: [{ text: "One", line: "holdfast sample x --port 1" }],
};

describe("a manual page", () => {
  it("has the sections of a manual page, each flag with its default, and the examples", () => {
    assert.equal(
      helpText(SAMPLE),
      `SYNOPSIS
  holdfast sample URL --port PORT [flags]

DESCRIPTION
  Does something for a while, and then something else.

  Lines:
    one  as it is
    two  as it is

ARGUMENTS
  URL  the address

FLAGS
  --port PORT         the port (default 9000; required)
  --header, -H FIELD  a field of the request (may be repeated)
  --a-name-that-is-long LONG-VALUE
                      begins on the next line
  --help, -h          print this manual

WAYS
  --way WAY  the direction (one of up, down)

NOTES
  A note.

EXIT STATUS
  0  well
  2  wrong use

EXAMPLES
  One:
    holdfast sample x --port 1
`,
    );
  });

  it("fits the width of the terminal, but no line of an example is broken", () => {
    const widest = (columns: number): number => {
      const lines = helpText(SAMPLE, { columns }).split("\n");
      return Math.max(...lines.filter((line) => !line.includes("holdfast sample")).map(({ length }) => length));
    };
    assert.ok(widest(40) <= 40);
    assert.ok(widest(10) <= 40);
    assert.ok(widest(1_000) <= 110);
  });

  it("has bold titles where there are colours", () => {
    const form: HelpForm = { style: (tone, text) => `<${tone}>${text}</${tone}>` };
    assert.match(helpText(SAMPLE, form), /^<bold>SYNOPSIS<\/bold>\n/);
  });
});

describe("the manual of each command", async () => {
  const manuals = await Promise.all(
    Object.entries(COMMANDS).map(async ([name, { load }]) => [name, await load()] as const),
  );
  for (const [name, { manual }] of manuals) {
    it(`is complete: ${name}`, () => {
      assert.equal(manual.name, name);
      assert.ok(manual.examples.length > 0);
      for (const { line } of manual.examples) assert.match(line, new RegExp(`\\bholdfast ${name}\\b`));
      assert.equal(manual.statuses[2]?.startsWith("wrong use"), true);
      for (const [flag, { type, value, text }] of Object.entries(flagsOf(manual))) {
        assert.match(flag, /^[a-z][a-z0-9-]*$/);
        assert.equal(value === undefined, type === "boolean", `${flag} has a name for its value if it has a value`);
        assert.doesNotMatch(text, /\.$/, flag);
      }
      const names = Object.values(flagsOf(manual)).flatMap(({ short }) => short ?? []);
      assert.equal(new Set(names).size, names.length, "a short name twice");
    });
  }

  it("is in the list of all commands by a phrase", () => {
    for (const { summary } of Object.values(COMMANDS)) assert.match(summary, /^[a-z].*[^.]$/);
  });
});
