/** Makes the checkout ready: installs what is missing, builds what is stale. A second run does neither. */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writePage } from "./pages.mjs";

export const root = fileURLToPath(new URL("..", import.meta.url));

/** What can be built: where the sources lie, as which configuration says, and where the output goes. */
const PACKAGE = { config: "tsconfig.dist.json", out: "dist", base: "src", from: ["src"] };
const EXAMPLES = { config: "tsconfig.examples.json", out: "examples", base: "examples", from: ["examples"] };
const TESTS = { config: "tsconfig.json", out: ".build", base: ".", from: ["src", "tests", "examples"] };

/**
 * Builds the package; with `examples` also the JavaScript of the examples, with `tests` all. Ends the process when a step fails:
 * that step has printed why.
 */
export async function ready({ tests = false, examples = tests } = {}) {
  if (!installed()) {
    // npm prints nothing until it has finished.
    console.error("holdfast: installs the packages that are missing, once (npm ci)");
    await runNpm(["ci", "--include=dev", "--no-audit", "--no-fund"]);
  }
  // The package first: the examples and the tests of its entry points import what is in dist.
  for (const target of [PACKAGE, ...(examples ? [EXAMPLES] : []), ...(tests ? [TESTS] : [])]) {
    if (stale(target)) await build(target);
  }
}

/** Runs npm: the one that runs us, if one does. */
export function runNpm(args) {
  const own = process.env.npm_execpath;
  if (own?.endsWith("npm-cli.js")) return run(process.execPath, [own, ...args]);
  // npm is a .cmd file on Windows, which only a shell can start.
  return run("npm", args, { shell: process.platform === "win32" });
}

/** Runs a program to its end, everything it prints going to stderr unless told otherwise. Its failure is ours. */
export async function run(command, args, options = {}) {
  const status = await ended(spawn(command, args, { cwd: root, stdio: ["ignore", 2, 2], ...options }));
  if (status !== 0) process.exit(status);
}

/** Waits for a child to end and returns its status. A signal to us goes to the child, and one that ends it ends us. */
export async function ended(child) {
  const forward = (signal) => child.kill(signal);
  process.on("SIGINT", forward).on("SIGTERM", forward);
  const [code, signal] = await new Promise((resolve, reject) => {
    child.on("error", reject).on("close", (...end) => resolve(end));
  });
  process.off("SIGINT", forward).off("SIGTERM", forward);
  if (signal !== null) process.kill(process.pid, signal);
  return code ?? 1;
}

// npm notes what it has installed in a lockfile of its own; a package that is not for this machine is missing there.
function installed() {
  const wanted = packagesIn("package-lock.json");
  const present = packagesIn("node_modules/.package-lock.json");
  return Object.entries(wanted).every(([path, { version, integrity, optional }]) => {
    if (path === "") return true;
    const there = present[path];
    return there === undefined ? optional === true : there.version === version && there.integrity === integrity;
  });
}

function packagesIn(lockfile) {
  const path = join(root, lockfile);
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")).packages : {};
}

const stampOf = ({ out }) => join(root, ".cache", `built-${out.replace(".", "")}`);

const infoOf = (target) => `${stampOf(target)}.tsbuildinfo`;

function stale(target) {
  const stamp = stampOf(target);
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== fingerprint(target)) return true;
  return !complete(target);
}

/** Whether every source has its output. */
function complete(target, given = sources(target)) {
  return given
    .filter((source) => !isPartOfPage(source))
    .every((source) => existsSync(join(root, outputOf(target, source))));
}

function outputOf({ base, out }, source) {
  return join(out, source.slice(base === "." ? 0 : base.length + 1)).replace(/\.ts$/, ".js");
}

const isPage = (path) => path.endsWith(".html");

/** The program of a page runs in browsers: the compiler checks it apart from the rest. It is joined into the page. */
const PAGE_PROGRAM = { config: "tsconfig.page.json", out: ".cache/page", folder: "src/dashboard/page/" };

const isPartOfPage = (path) => path.startsWith(PAGE_PROGRAM.folder);

async function build(target) {
  const before = fingerprint(target);
  const [stamp, info] = [stampOf(target), infoOf(target)];
  mkdirSync(join(root, ".cache"), { recursive: true });
  // Without a stamp, a build was killed or there was none: what the compiler has noted may not be what it has written.
  if (!existsSync(stamp)) rmSync(info, { force: true });
  await compile(target, stamp, info);
  // The compiler writes only what has changed since its last run, and does not check that the rest still exists.
  if (
    !complete(
      target,
      sources(target).filter((path) => !isPage(path)),
    )
  ) {
    rmSync(info, { force: true });
    await compile(target, stamp, info);
  }
  if (sources(target).some(isPartOfPage))
    await compile(PAGE_PROGRAM, stamp, join(root, PAGE_PROGRAM.out, "tsbuildinfo"));
  for (const page of sources(target).filter(isPage)) await writePage(root, page, outputOf(target, page));
  prune(target);
  writeFileSync(stamp, before);
}

/** There is no stamp while the compiler runs, since it also writes output when it fails. */
async function compile({ config }, stamp, info) {
  rmSync(stamp, { force: true });
  const args = ["node_modules/typescript/bin/tsc", "-p", config, "--incremental", "--tsBuildInfoFile", info];
  const status = await ended(spawn(process.execPath, args, { cwd: root, stdio: ["ignore", 2, 2] }));
  if (status === 0) return;
  writeFileSync(stamp, "failed");
  process.exit(status);
}

/** Content, not time: a checkout changes the one without the other. */
function fingerprint(target) {
  const hash = createHash("sha256");
  const all = sources(target);
  const configs = ["tsconfig.json", target.config, ...(all.some(isPartOfPage) ? [PAGE_PROGRAM.config] : [])];
  const settings = [...configs, "package.json", "package-lock.json", "tools/pages.mjs"];
  for (const path of [...settings, ...all]) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  }
  return hash.digest("hex");
}

function sources({ from }) {
  return from.flatMap((folder) => filesIn(folder).filter((path) => /\.(tsx?|css|html)$/.test(path))).sort();
}

// A test whose source was deleted would be run for ever, and a module would be published.
function prune({ base, out }) {
  for (const path of filesIn(out)) {
    const source = path.slice(out.length + 1).replace(/(\.d)?\.(ts|js)(\.map)?$/, ".ts");
    if (!existsSync(join(root, base, source))) rmSync(join(root, path));
  }
}

/** The files under a folder, relative to the root, with "/" between. */
export function filesIn(folder) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const within = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesIn(within) : [within];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ready({ examples: true });
