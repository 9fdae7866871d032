/**
 * Fuzzes one target with Jazzer.js, led by coverage: `npm run fuzz -- frames 60`. Without arguments it lists the targets. With
 * `--record` the run is added to the results of docs/proof.md.
 *
 * Begins with what is in tests/fuzz/corpus and what earlier runs have kept in .cache/fuzz. An input that breaks a promise is
 * made as small as it can be and written beside the seeds, to be committed with its mending: `npm test` tries it ever after.
 *
 * The fuzzer is fetched once, into .cache, when it is first wanted: it brings a hundred packages and a library for each
 * system, which nobody needs who only builds and tests.
 */

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";
import { loosen } from "./fuzz-addon.mjs";
import { record, recorded, recording } from "./proof-results.mjs";
import { ended, ready, root, runNpm } from "./ready.mjs";

const JAZZER = "@jazzer.js/core@4.0.0";
const home = join(root, ".cache", "jazzer-4.0.0");
const at = (...path) => join(home, "node_modules", "@jazzer.js", ...path);

const [name, given = "60", ...more] = process.argv.slice(2).filter((word) => word !== "--record");
const seconds = Number(given);
await ready({ tests: true });
const { TARGETS } = await import(pathToFileURL(join(root, ".build/tests/fuzz/targets.js")).href);

if (name === undefined) list();
else if (!Object.hasOwn(TARGETS, name)) misuse(`there is no target ${name}: npm run fuzz lists them`);
else if (!(seconds >= 1 && seconds < 1e6) || more.length > 0) misuse("expected a target and a number of seconds");
else await fuzz(TARGETS[name]);

function list() {
  const longest = Math.max(...Object.keys(TARGETS).map(({ length }) => length));
  for (const [target, { tries }] of Object.entries(TARGETS)) console.log(`${target.padEnd(longest)}  ${tries}`);
}

function misuse(problem) {
  console.error(`npm run fuzz: ${problem}`);
  process.exitCode = 2;
}

async function fuzz(target) {
  await fetchJazzer();
  const seeds = join(root, "tests/fuzz/corpus", name);
  const earlier = join(root, ".cache/fuzz", name);
  for (const folder of [seeds, earlier]) mkdirSync(folder, { recursive: true });
  const words = join(root, ".cache/fuzz", `${name}.words`);
  writeFileSync(words, target.words.map((word) => `"${escaped(word)}"\n`).join(""));
  const before = new Set(readdirSync(seeds));

  // The reader of deflate is watched too: it shows what zlib, which is no JavaScript, does not.
  const watched = "-i .build/src/ -i .build/tests/fuzz/puff.js";
  const jazzer = `--sync --disableBugDetectors .* ${watched} .build/tests/fuzz/entry.js`.split(" ");
  const limits = `-max_total_time=${seconds} -max_len=${target.longest} -timeout=300 -report_slow_units=300`.split(" ");
  const folders = [`-dict=${words}`, `-artifact_prefix=${seeds}/`];
  const begun = performance.now();
  const cli = at("core/dist/cli.js");
  const { status, output } = await told([cli, ...jazzer, earlier, seeds, "--", ...limits, ...folders]);

  const [, runs] = /^Done (\d+) runs/m.exec(output) ?? [];
  const last = [...output.matchAll(/^#(\d+)\s.* cov: (\d+) ft: \d+ corp: (\d+)/gm)].at(-1) ?? [];
  const [, count = "no", edges = "no", corpus = "0"] = last;
  const inputs = Number(runs ?? last[1] ?? 0);
  const took = Math.round((performance.now() - begun) / 1000);
  const found = readdirSync(seeds).filter((file) => !before.has(file));
  const kept = found.flatMap((file) => settled(target, join(seeds, file)));
  const reached = `${edges} edges reached, ${corpus} inputs kept`;
  console.log(`${name}: ${runs ?? count} inputs in ${took} s, ${reached}, ${kept.length} found`);
  for (const line of kept) console.log(`  ${line}`);
  if (recording) recordRun({ inputs, seconds: took, edges: Number(last[2] ?? 0), found: kept.length });
  if (kept.length > 0) console.log("  npm test -- fuzz/corpus tells more");
  if (kept.length > 0) process.exitCode = 1;
  else if (found.length === 0 && status !== 0) {
    console.error(output);
    process.exitCode = status;
  } else if (inputs === 0) {
    // libFuzzer ends with 0 if it cannot read the dictionary.
    console.error(`${output}\nnpm run fuzz: the fuzzer has made no input`);
    process.exitCode = 1;
  }
}

/** A word as libFuzzer reads it in a dictionary. It may contain escapes of this form already. */
function escaped(word) {
  const byte = (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return word.replace(/"/g, '\\"').replace(/[^ -~]/g, byte);
}

/** Adds the run to the sum of the recorded runs of this target. */
function recordRun({ inputs, seconds: took, edges, found }) {
  const { targets = {} } = recorded("fuzz") ?? {};
  const before = targets[name] ?? { runs: 0, inputs: 0, seconds: 0, found: 0 };
  const sum = {
    runs: before.runs + 1,
    inputs: before.inputs + inputs,
    seconds: before.seconds + took,
    edges,
    found: before.found + found,
  };
  record("fuzz", { targets: { ...targets, [name]: sum } });
}

/** Puts the least input that breaks the same promise in the place of the one that was found; says in a line what it breaks. */
function settled(target, path) {
  if (basename(path).startsWith("timeout-")) {
    if (hangs(path)) return [`${relative(root, path)}: does not end`];
    // The fuzzer looks at the clock on the wall, and so does not know that a busy machine has let it wait.
    rmSync(path);
    return [];
  }
  const least = shrunk(target, readFileSync(path));
  const hash = createHash("sha1").update(least).digest("hex").slice(0, 12);
  rmSync(path);
  const place = join(dirname(path), `crash-${hash}`);
  writeFileSync(place, least);
  return [`${relative(root, place)}, ${least.length} bytes: ${failure(target, least) ?? "does not fail twice"}`];
}

function hangs(path) {
  const code = `const { fuzz } = await import(process.argv[1]); fuzz((await import("node:fs")).readFileSync(process.argv[2]));`;
  const entry = pathToFileURL(join(root, ".build/tests/fuzz/entry.js")).href;
  const env = { ...process.env, HOLDFAST_FUZZ_TARGET: name };
  const { error } = spawnSync(process.execPath, ["--input-type=module", "-e", code, entry, path], {
    env,
    timeout: 60_000,
  });
  return error?.code === "ETIMEDOUT";
}

/** Runs the fuzzer, showing how it gets on. */
async function told(args) {
  const env = { ...process.env, HOLDFAST_FUZZ_TARGET: name };
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let line = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
      const lines = (line + text).split("\n");
      line = lines.pop();
      for (const one of lines) if (/ pulse |INITED/.test(one)) console.error(one);
    });
  }
  return { status: await ended(child), output };
}

async function fetchJazzer() {
  if (!existsSync(at("core/package.json"))) {
    const quiet = ["--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"];
    await runNpm(["install", "--prefix", home, ...quiet, JAZZER]);
  }
  const addon = at("fuzzer/prebuilds", `fuzzer-${process.platform}-${process.arch}.node`);
  let problem = await loadingFails(addon);
  if (problem !== undefined && process.platform === "linux" && existsSync(addon)) {
    writeFileSync(addon, loosen(readFileSync(addon)));
    problem = await loadingFails(addon);
  }
  if (problem === undefined) return;
  console.error(`npm run fuzz: the fuzzer's library does not load on this system: ${problem}`);
  process.exit(1);
}

/** Why the library cannot be loaded; in a process of its own, which a bad one would take down. */
async function loadingFails(addon) {
  const load =
    "try { process.dlopen({ exports: {} }, process.argv[1]); } catch (e) { console.log(e.message); process.exit(1); }";
  const child = spawn(process.execPath, ["-e", load, addon], { stdio: ["ignore", "pipe", "ignore"] });
  let problem = "";
  child.stdout.setEncoding("utf8").on("data", (text) => (problem += text));
  return (await ended(child)) === 0 ? undefined : problem.trim().split("\n")[0];
}

/** The least of the input that fails still: block after block is left out, the large ones first. */
function shrunk(target, input) {
  let least = input;
  if (failure(target, least) === undefined) return least;
  for (let size = least.length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from + size <= least.length; ) {
      const without = Buffer.concat([least.subarray(0, from), least.subarray(from + size)]);
      if (failure(target, without) === undefined) from += size;
      else least = without;
    }
  }
  return least;
}

function failure(target, input) {
  try {
    target.run(Uint8Array.from(input));
    return undefined;
  } catch (error) {
    return error.message.split("\n")[0];
  }
}
