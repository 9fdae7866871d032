/**
 * Runs tests on every Node that is supported: `npm run test:matrix`, with the arguments of `npm test`.
 *
 * Without arguments, the oldest runs every test, the newest those of its set, and the others those that can differ by Node
 * (tools/tiers.mjs).
 * `--others` leaves out the Node that runs this. Those that are missing are fetched once, into .cache. All of them run the same
 * build, one after the other: tests that bound time or memory would fail beside another suite.
 */

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { ended, ready, root, runNpm } from "./ready.mjs";

const SUPPORTED = [20, 22, 24, 26];
const COUNTS = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"];

const given = process.argv.slice(2);
const own = Number(process.versions.node.split(".")[0]);
const majors = given.includes("--others") ? SUPPORTED.filter((major) => major !== own) : SUPPORTED;
const SETS = new Map([
  [Math.min(...SUPPORTED), "all"],
  [Math.max(...SUPPORTED), "newest"],
]);
const filters = given.filter((one) => one !== "--others");

await ready({ tests: true });
const total = Object.fromEntries(COUNTS.map((name) => [name, 0]));
for (const major of majors) {
  const node = major === own ? process.execPath : await fetched(major);
  const { version, output, status } = await suiteOn(
    node,
    filters.length > 0 ? filters : [`--set=${SETS.get(major) ?? "node"}`],
  );
  const counts = closing(output);
  for (const name of COUNTS) total[name] += counts[name] ?? 0;
  const passed = status === 0 && counts.pass > 0;
  if (!passed) {
    process.exitCode = 1;
    console.log(output);
  }
  const said = COUNTS.slice(0, -1).map((name) => `${name} ${counts[name] ?? "?"}`);
  console.log(`${passed ? "✔" : "✖"} Node ${version}: ${said.join(", ")} (${seconds(counts.duration_ms ?? 0)})`);
}
for (const name of COUNTS) console.log(`ℹ ${name} ${total[name]}`);

/** The binary of the newest release of that line: a package without dependencies or install scripts. */
async function fetched(major) {
  const { platform, arch } = process;
  // The names that the package `node` installs from.
  const prefix = platform === "darwin" && arch === "arm64" ? "node-bin" : "node";
  const name = `${prefix}-${platform === "win32" ? "win" : platform}-${arch}`;
  const home = join(root, ".cache", `node-${major}`);
  const binary = join(home, "node_modules", name, "bin", platform === "win32" ? "node.exe" : "node");
  if (!existsSync(binary)) {
    const quiet = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund"];
    await runNpm(["install", "--prefix", home, ...quiet, `${name}@${major}`]);
  }
  return binary;
}

async function suiteOn(node, args) {
  const version = (await outputOf(node, ["--version"])).output.trim();
  // First on the path, so that what the tests start runs on it too.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` };
  return { version, ...(await outputOf(node, ["--enable-source-maps", "tools/test.mjs", ...args], env)) };
}

async function outputOf(command, args, env = process.env) {
  const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
  const status = await ended(child);
  return { status, output };
}

/** The counts that node's runner prints last. */
function closing(output) {
  const lines = output.matchAll(/^(?:ℹ|#) ([a-z_]+) ([\d.]+)$/gm);
  return Object.fromEntries(Array.from(lines, ([, name, count]) => [name, Number(count)]));
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}
