/**
 * Runs the tests: `npm test`, or some of them: `npm test -- engine/mask "refuses a control frame"`.
 *
 * An argument that occurs in the path of a test file picks that file; any other is a pattern for names of tests.
 * HOLDFAST_SEED repeats what a property test drew, and HOLDFAST_RUNS=10 draws ten times as much (tests/random.ts).
 * With HOLDFAST_REQUIRE_ALL=1 a skipped test fails the run. A test that is yet to be written (`todo`) never does.
 */

import { join } from "node:path";
import { spec } from "node:test/reporters";
import { pathToFileURL } from "node:url";
import { filesIn, ready, root } from "./ready.mjs";
import { suiteOf } from "./suite.mjs";

await ready({ tests: true });

const all = filesIn(".build/tests").filter((path) => path.endsWith(".test.js"));
const inPath = (given) => (path) => path.includes(given.replace(/\.ts$/, ""));
const given = process.argv.slice(2);
const picks = given.filter((one) => all.some(inPath(one)));
const names = given.filter((one) => !picks.includes(one));
const picked = picks.length === 0 ? all : all.filter((path) => picks.some((one) => inPath(one)(path)));
const files = picked.map((path) => join(root, path));

const { HOLDFAST_SEED, HOLDFAST_RUNS, NODE_OPTIONS = "" } = process.env;
if ((HOLDFAST_SEED ?? HOLDFAST_RUNS) !== undefined) {
  // For the property tests of every file.
  const preload = pathToFileURL(join(root, ".build/tests/random.js")).href;
  process.env.NODE_OPTIONS = `${NODE_OPTIONS} --import=${preload}`;
}

const suite = suiteOf(files, {
  ...(names.length > 0 && { testNamePatterns: names.map((name) => new RegExp(name)) }),
});
suite.compose(new spec()).pipe(process.stdout);

let ran = 0;
const empty = [];
const skipped = [];
suite.on("test:pass", ({ name, skip, details }) => {
  // The runner reports a file in which it found no test as a test that passed.
  if (files.includes(name)) empty.push(name);
  else if (skip !== undefined) skipped.push(skip === true ? name : `${name} (${skip})`);
  else if (details.type !== "suite") ran++;
});
suite.on("test:fail", ({ todo }) => {
  ran++;
  if (todo === undefined || todo === false) process.exitCode ||= 1;
});
suite.once("end", () => {
  if (ran === 0) fail("no test was run", given);
  // With a pattern, Node 20 calls skipped, and later ones empty, what the pattern leaves out.
  if (names.length > 0) return;
  if (empty.length > 0) fail("there is no test in", empty);
  if (process.env.HOLDFAST_REQUIRE_ALL === "1" && skipped.length > 0) {
    fail("HOLDFAST_REQUIRE_ALL is set, and these were skipped", skipped);
  }
});

function fail(reason, list) {
  console.error(`npm test: ${[reason, ...list].join("\n  ")}`);
  process.exitCode ||= 1;
}
