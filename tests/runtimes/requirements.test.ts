/** Runs the requirement tests on Bun and Deno, with their own test runners, against the same compiled files as on Node. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { BUN, DENO, needed } from "../kit/foreign-programs.ts";
import { BUN_LACKS, DENO_LACKS, LONG, NODE_ONLY } from "./left-out.ts";

const FOLDER = fileURLToPath(new URL("../requirements/", import.meta.url));
const WRAPPER = new URL("./node-test.js", import.meta.url).href;
const FILES = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".test.js"))
  .filter((file) => ![...LONG, ...Object.keys(NODE_ONLY)].includes(file.slice(0, -".test.js".length)));

const scratch = mkdtempSync(join(tmpdir(), "holdfast-"));
after(() => rmSync(scratch, { recursive: true }));

/** Everything but the wrapper itself gets the wrapper. */
const importMap = join(scratch, "imports.json");
writeFileSync(
  importMap,
  JSON.stringify({ imports: { "node:test": WRAPPER }, scopes: { [WRAPPER]: { "node:test": "node:test" } } }),
);

const RUNNERS = [
  {
    program: BUN,
    args: (file: string) => [
      "test",
      "--timeout",
      "30000",
      "--test-name-pattern",
      patternWithout(Object.keys(BUN_LACKS)),
      file,
    ],
    env: {},
  },
  {
    program: DENO,
    args: (file: string) => ["test", "--allow-all", "--no-check", "--import-map", importMap, file],
    env: { HOLDFAST_LEFT_OUT: JSON.stringify(Object.keys(DENO_LACKS)), NO_COLOR: "1" },
  },
];

for (const { program, args, env } of RUNNERS) {
  describe(`the requirement tests on ${program.name}`, { concurrency: 2 }, () => {
    for (const file of FILES) {
      it(file, async (t) => {
        const runner = needed(t, program);
        if (runner === undefined) return;
        const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
        const options = { cwd: FOLDER, env: { ...inherited, ...env }, timeout: 60_000, maxBuffer: 2 ** 26 };
        const output = await new Promise<string>((resolve) => {
          // On success nothing is compared, else all that was printed.
          execFile(runner, args(`./${file}`), options, (error, stdout, stderr) =>
            resolve(error === null ? "" : `${error.signal ?? error.code}\n${stdout}\n${stderr}`),
          );
        });
        assert.equal(output, "");
      });
    }
  });
}

/** A pattern for the names of all other tests. Bun matches it against the names of the groups and of the test. */
function patternWithout(names: readonly string[]): string {
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return escaped.length === 0 ? "" : `^(?!.*(?:${escaped.join("|")}))`;
}
