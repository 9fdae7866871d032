/** Runs every check of a checkout, as CI does: `npm run ok`. Stops at the first that fails. `--tested` leaves out the tests. */

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready, run, runNpm } from "./ready.mjs";

const node = (path, ...args) => run(process.execPath, [path, ...args]);
const tests = (...args) =>
  run(process.execPath, ["--enable-source-maps", "tools/test.mjs", ...args], { stdio: "inherit" });
// Biome colours what it prints into a file as well.
const colors = `--colors=${process.stderr.isTTY ? "force" : "off"}`;

const STEPS = {
  "install and build": () => ready({ tests: true }),
  "format and lint": () => node("node_modules/@biomejs/biome/bin/biome", "ci", "--error-on-warnings", colors, "."),
  types: () => node("node_modules/typescript/bin/tsc", "-p", "tsconfig.json", "--noEmit"),
  tests: () => tests("--set=all"),
  package: checkPackage,
};

const { values } = parseArgs({ options: { tested: { type: "boolean", default: false } } });
if (values.tested) delete STEPS.tests;

for (const [name, step] of Object.entries(STEPS)) {
  const begun = performance.now();
  console.error(`\n▶ ${name}`);
  process.once("exit", failed);
  await step();
  process.off("exit", failed);
  console.error(`✔ ${name} (${((performance.now() - begun) / 1000).toFixed(1)} s)`);

  function failed() {
    console.error(`✖ ${name}`);
  }
}

/** What would be published: that its manifest fits its files, and that its types resolve. */
async function checkPackage() {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  await runNpm(["pack", "--ignore-scripts", "--pack-destination", folder]);
  const tarball = join(folder, readdirSync(folder)[0]);
  await node("node_modules/publint/src/cli.js", "run", tarball, "--strict");
  await node(
    "node_modules/@arethetypeswrong/cli/dist/index.js",
    tarball,
    "--profile",
    "strict",
    "--ignore-rules",
    "cjs-resolves-to-esm",
  );
}
