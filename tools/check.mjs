/**
 * Checks what a change to the sources most often breaks, in less than 30 seconds: `npm run check`. The steps are types, format and
 * lint, and the tests that tools/tiers.mjs lists. Prints a line for each step, and the output of what failed.
 */

import { spawn } from "node:child_process";
import { join, relative } from "node:path";
import { inspect } from "node:util";
import { ended, ready, root } from "./ready.mjs";
import { suiteOf } from "./suite.mjs";
import { testFiles } from "./tiers.mjs";

// Source maps for the processes of the tests, which inherit the flags of this one.
process.execArgv.push("--enable-source-maps");

await step("types", async () => {
  // Ends the process if there is an error, which the compiler has printed.
  const failed = () => console.log("✖ types");
  process.once("exit", failed);
  await ready({ tests: true });
  process.off("exit", failed);
  return [];
});
await Promise.all([step("format and lint", lint), step("tests", test)]);

/** Runs one step, which returns the output of what failed. */
async function step(name, run) {
  const begun = performance.now();
  const failures = await run();
  const passed = failures.length === 0;
  if (!passed) process.exitCode = 1;
  console.log(`${passed ? "✔" : "✖"} ${name} (${((performance.now() - begun) / 1_000).toFixed(1)} s)`);
  for (const failure of failures) console.log(`\n${failure}\n`);
}

async function lint() {
  const colors = `--colors=${process.stdout.isTTY ? "force" : "off"}`;
  const args = ["node_modules/@biomejs/biome/bin/biome", "ci", "--error-on-warnings", colors, "."];
  const child = spawn(process.execPath, args, { cwd: root, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  return (await ended(child)) === 0 ? [] : [output.trim()];
}

async function test() {
  const files = testFiles("check").map((path) => join(root, path));
  const failures = [];
  let ran = 0;
  const stderr = new Map();
  const suite = suiteOf(files);
  suite.on("test:stderr", ({ file, message }) => stderr.set(file, (stderr.get(file) ?? "") + message));
  suite.on("test:pass", ({ details }) => {
    if (details.type !== "suite") ran++;
  });
  suite.on("test:fail", ({ name, file, details, todo }) => {
    const { error } = details;
    // The failure of a suite or a file is that of the tests in it.
    if (error.failureType === "subtestsFailed" || todo) return;
    const place = relative(root, file ?? name).replace(/^\.build\W/, "");
    const cause = error.cause ?? error;
    // The message of an assertion has the difference of the two values that it also keeps whole.
    const shown = cause.code === "ERR_ASSERTION" ? cause.stack : inspect(cause);
    failures.push([`${place}: ${name}`, shown, (stderr.get(file) ?? "").trim()].join("\n").trim());
  });
  suite.resume();
  await new Promise((resolve) => suite.once("end", resolve));
  if (ran === 0 && failures.length === 0) failures.push("no test was run");
  return failures;
}
