/**
 * Plays every case of conformance, and prints how it went, by section and peer: `npm run test:conformance`.
 *
 * What came out is written to conformance/results, so that a change of it is seen in review; with `--check` it is compared
 * with what is there instead. A case that fails fails the run, and so does, with `--check`, one that passed and is not there
 * any more. What needs a peer that is not here is named; then nothing is written, and with HOLDFAST_REQUIRE_ALL=1 it fails.
 */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { placeOf } from "./conformance-places.mjs";
import { filesIn, ready, root } from "./ready.mjs";
import { suiteOf } from "./suite.mjs";

const RESULTS = join(root, "conformance/results");
// Milliseconds for one file, on a machine that has much else to do.
const PATIENCE = 1_200_000;
const STATES = ["passed", "failed", "todo"];
const { compare } = new Intl.Collator("en", { numeric: true });

// Every case; "all" repeats each of them as often as Autobahn|Testsuite does.
process.env.HOLDFAST_CONFORMANCE ??= "cases";
await ready({ tests: true });

/** By area, section and peer. */
const groups = new Map();
const versions = {};
const skipped = [];
const failures = [];
const files = filesIn(".build/tests").filter((path) =>
  /^\.build\/tests\/(conformance|interop)\/.*\.test\.js$/.test(path),
);
// The long ones first: some files last as long as all others together.
const queue = files.sort((a, b) => Number(b.includes("/sections")) - Number(a.includes("/sections")));
await Promise.all(
  Array.from({ length: availableParallelism() }, async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) await play(file);
  }),
);

const sorted = [...groups.values()].sort((a, b) => compare(keyOf(a), keyOf(b)));
const table = sorted.map(({ section, peer, cases }) => {
  const count = (state) => cases.filter((one) => one.state === state).length;
  return { section, peer, cases: cases.length, passed: count("passed"), failed: count("failed"), todo: count("todo") };
});
print(table);
for (const line of failures) console.log(line);
for (const line of skipped) console.log(`skipped: ${line}`);
if (failures.length > 0) process.exitCode = 1;
if (skipped.length > 0) {
  console.log("conformance/results is left as it is: not every case was played");
  if (process.env.HOLDFAST_REQUIRE_ALL === "1") process.exitCode = 1;
}
if (process.argv.includes("--check")) check();
else if (skipped.length === 0 && process.exitCode === undefined) write();

async function play(file) {
  const short = file.replace(/^\.build\/tests\/|\.test\.js$/g, "");
  const begun = performance.now();
  const path = [];
  let count = 0;
  let complaint = "";
  for await (const { type, data } of suiteOf([join(root, file)], { timeout: PATIENCE })) {
    const version = type === "test:diagnostic" && /^version of (.*): (.*)$/.exec(data.message);
    if (version) versions[version[1]] = version[2];
    // What a file that cannot be loaded has to say.
    if (type === "test:stderr") complaint = (complaint + data.message).slice(0, 2_000);
    if (type === "test:start") path.splice(data.nesting, Infinity, data.name);
    if (type !== "test:pass" && type !== "test:fail") continue;
    const { nesting, name, details, todo, skip } = data;
    const names = [...path.slice(0, nesting), name === join(root, file) ? short : name];
    const isSuite = details.type === "suite";
    if (skip !== undefined && skip !== false) skipped.push(`${names.join(" › ")}: ${skip}`);
    else if (type === "test:pass" ? !isSuite : !isSuite || details.error?.failureType !== "subtestsFailed") {
      const state = todo !== undefined && todo !== false ? "todo" : type === "test:pass" ? "passed" : "failed";
      note(short, names, state, nesting === 0 && complaint !== "" ? complaint : details.error);
      count += 1;
    }
  }
  console.error(`${short}: ${count} cases (${((performance.now() - begun) / 1000).toFixed(1)} s)`);
}

function note(file, names, state, error) {
  const { area, section, peer, name } = placeOf(file, names);
  const key = keyOf({ area, section, peer });
  if (!groups.has(key)) groups.set(key, { area, section, peer, cases: [] });
  groups.get(key).cases.push({ name, state });
  if (state === "failed")
    failures.push(`failed: ${section}, ${peer}: ${name}\n  ${error?.cause?.message ?? error?.message ?? error}`);
}

function keyOf({ area, section, peer }) {
  // Sections first, as they are numbered; then the rest.
  return `${area === "sections" ? 0 : 1} ${area} ${section}\0${peer}`;
}

function print(rows) {
  const lines = [["section", "peer", "cases", ...STATES], ...rows.map((row) => Object.values(row).map(String))];
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  lines.push(["all", "", String(sum("cases")), ...STATES.map((state) => String(sum(state)))]);
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
  for (const line of lines) {
    console.log(line.map((cell, at) => (at < 2 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]))).join("  "));
  }
}

/** What is written: one file for each area with its cases by name, and the table. */
function results() {
  const out = {};
  for (const { area, section, peer, cases } of sorted) {
    const named = (state) =>
      cases
        .filter((one) => one.state === state)
        .map(({ name }) => name)
        .sort(compare);
    out[`${area}.json`] ??= [];
    out[`${area}.json`].push({ section, peer, ...Object.fromEntries(STATES.map((state) => [state, named(state)])) });
  }
  return out;
}

function write() {
  mkdirSync(RESULTS, { recursive: true });
  const json = (value) => `${JSON.stringify(value, null, 1)}\n`;
  for (const [name, value] of Object.entries(results())) writeFileSync(join(RESULTS, name), json(value));
  const peers = Object.fromEntries(Object.entries(versions).sort(([a], [b]) => compare(a, b)));
  // A line for each row, as it is read.
  const rows = table.map((row) => `  ${JSON.stringify(row)}`).join(",\n");
  writeFileSync(join(RESULTS, "table.json"), `{\n "peers": ${JSON.stringify(peers)},\n "table": [\n${rows}\n ]\n}\n`);
}

function check() {
  const now = new Set(
    sorted.flatMap(({ area, section, peer, cases }) =>
      cases.map(({ name, state }) => [area, section, peer, name, state].join("\0")),
    ),
  );
  const lost = [];
  let known = 0;
  for (const area of new Set(sorted.map(({ area }) => area))) {
    const path = join(RESULTS, `${area}.json`);
    const noted = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
    for (const { section, peer, passed } of noted) {
      for (const name of passed) {
        known += 1;
        if (!now.has([area, section, peer, name, "passed"].join("\0"))) lost.push(`${section}, ${peer}: ${name}`);
      }
    }
  }
  if (skipped.length > 0) return;
  for (const one of lost) console.log(`passed before, and does not now: ${one}`);
  if (lost.length > 0) process.exitCode = 1;
  const fresh = table.reduce((total, { passed }) => total + passed, 0) - (known - lost.length);
  if (fresh > 0) console.log(`${fresh} that pass are not in conformance/results: npm run test:conformance notes them`);
}
