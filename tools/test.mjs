/**
 * Runs tests. `npm test` runs the usual ones, `npm run test:all` every one; tools/tiers.mjs says which are which.
 *
 * `npm test -- websocket/mask "refuses a control frame"` chooses among all: an argument that occurs in the path of a test file
 * picks that file; any other is a pattern for names of tests.
 *
 * - `--set=NAME` runs another set of tools/tiers.mjs.
 * - `--slowest` also prints the files that took longest, in seconds.
 *
 * HOLDFAST_SEED repeats what a property test drew, and HOLDFAST_RUNS=10 draws ten times as much (tests/kit/random.ts).
 * With HOLDFAST_REQUIRE_ALL=1 a skipped test fails the run. A test that is yet to be written (`todo`) never does.
 */

import { join, relative } from "node:path";
import { spec } from "node:test/reporters";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { ready, root } from "./ready.mjs";
import { suiteOf } from "./suite.mjs";
import { SETS, testFiles } from "./tiers.mjs";

/** How many files `--slowest` prints. */
const SLOWEST = 25;

const { values, positionals: given } = parseArgs({
  allowPositionals: true,
  options: { set: { type: "string", default: "usual" }, slowest: { type: "boolean", default: false } },
});
if (!Object.hasOwn(SETS, values.set)) {
  fail(`there is no set ${values.set}; there are`, Object.keys(SETS));
  process.exit();
}
await ready({ tests: true });

const all = testFiles("all");
const inPath = (given) => (path) => path.includes(given.replace(/\.ts$/, ""));
const picks = given.filter((one) => all.some(inPath(one)));
const names = given.filter((one) => !picks.includes(one));
const picked = all.filter((path) => picks.some((one) => inPath(one)(path)));
const astray = names.filter((one) => /^\S*\/\S*$/.test(one));
if (astray.length > 0) {
  fail("no test file has a path that contains", astray);
  process.exit();
}
const chosen = picks.length > 0 ? picked : testFiles(names.length > 0 ? "all" : values.set);
const files = chosen.map((path) => join(root, path));

const { HOLDFAST_SEED, HOLDFAST_RUNS, NODE_OPTIONS = "" } = process.env;
if ((HOLDFAST_SEED ?? HOLDFAST_RUNS) !== undefined) {
  // For the property tests of every file.
  const preload = pathToFileURL(join(root, ".build/tests/kit/random.js")).href;
  process.env.NODE_OPTIONS = `${NODE_OPTIONS} --import=${preload}`;
}

const suite = suiteOf(files, {
  ...(names.length > 0 && { testNamePatterns: names.map((name) => new RegExp(name)) }),
});
const report = suite.compose(new spec());
report.pipe(process.stdout);

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

if (values.slowest) {
  const seconds = new Map();
  suite.on("test:complete", ({ name, details }) => {
    if (files.includes(name)) seconds.set(testName(name), details.duration_ms / 1_000);
  });
  report.once("end", () => {
    const sorted = [...seconds].sort(([, one], [, other]) => other - one).slice(0, SLOWEST);
    for (const [name, took] of sorted) console.log(`${took.toFixed(1).padStart(7)}  ${name}`);
  });
}

function testName(file) {
  return relative(join(root, ".build/tests"), file).replace(/\.test\.js$/, "");
}

function fail(reason, list) {
  console.error(`npm test: ${[reason, ...list].join("\n  ")}`);
  process.exitCode ||= 1;
}
