/**
 * Simulates whole systems, each from a seed: `npm run simulate -- 100000 [--from SEED] [--workers 2]`. A failing seed is made smaller,
 * and its timeline is printed and written to .cache/simulate as a page. Fails if a seed fails, or if one of the wanted events
 * (tests/simulation/wanted.ts) occurs in fewer than 1 of 1,000 runs.
 *
 * `npm run simulate -- --mutants [N]` breaks the built library in one line at a time, and prints how many seeds each breakage
 * survives; N is the most, 2,000 unless given. `--only TEXT` takes the breakages whose name has that text.
 *
 * With `--topics` it simulates hubs on several hosts and a broker that fails, and breaks the hub.
 */

import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { commit, record, recording } from "./proof-results.mjs";
import { ready, root } from "./ready.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    from: { type: "string", default: "0" },
    workers: { type: "string", default: "1" },
    mutants: { type: "boolean", default: false },
    only: { type: "string" },
    record: { type: "boolean", default: false },
    topics: { type: "boolean", default: false },
  },
});
// Seeds that one process runs.
const CHUNK = 2_500;
/** Of a breakage: after how many seeds its process shows that it continues, and how long that may take, in milliseconds. */
const PROGRESS = 50;
const PATIENCE = 60_000;
const count = Number(positionals[0] ?? 2_000);
const [from, workers] = [Number(values.from), Number(values.workers)];
if (![count, from, workers].every((one) => Number.isInteger(one) && one >= 0) || workers < 1) {
  console.error("npm run simulate: expected a number of seeds, --from SEED and --workers N");
  process.exit(2);
}
// The argument of a campaign, and the name of what is recorded.
const kind = values.topics ? "topics" : "systems";
const named = (name) => (values.topics ? `topics-${name}` : name);
await ready({ tests: true });
const load = (name) => import(pathToFileURL(join(root, `.build/tests/simulation/${name}.js`)).href);
if (values.mutants) await mutants();
else await campaign();

async function campaign() {
  const began = performance.now();
  const size = Math.min(CHUNK, Math.ceil(count / workers));
  const chunks = Array.from({ length: Math.ceil(count / size) }, (_, index) => ({
    ...{ start: from + index * size, many: Math.min(size, count - index * size) },
    ...{ failing: [], reach: {}, complete: false },
  }));
  const { WANTED } = await load(values.topics ? "topics/wanted" : "wanted");
  let done = 0;
  let next = 0;
  const worker = async () => {
    while (next < chunks.length) {
      const chunk = chunks[next++];
      await run(chunk);
      chunk.complete = true;
      // A campaign that is stopped leaves the results of its first seeds.
      if (recording) record(named("simulation"), summary());
    }
  };
  const run = async (chunk) => {
    for await (const line of lines([".build/tests/simulation/campaign.js", chunk.start, chunk.many, 500, kind])) {
      done += line.done ?? 0;
      if (line.reach !== undefined) chunk.reach = line.reach;
      if (line.seed !== undefined) {
        chunk.failing.push(line.seed);
        report(line);
      }
      const rate = (done / (performance.now() - began)) * 60_000;
      if (process.stderr.isTTY || done % 5_000 === 0)
        console.error(`${done} of ${count} seeds, ${Math.round(rate)} a minute`);
    }
  };
  const report = ({ seed, violations, list, text, page }) => {
    mkdirSync(join(root, ".cache/simulate"), { recursive: true });
    const path = join(root, `.cache/simulate/${named(seed)}.html`);
    writeFileSync(path, page);
    console.log(`\nseed ${seed} fails: ${violations.map(({ rule, what }) => `${rule}: ${what}`).join("\n")}`);
    const chosen = list.filter((choice) => choice !== 0).length;
    console.log(
      `${list.length} choices, ${chosen} of them not the plainest: ${JSON.stringify(list)}\n${text}\n${path}`,
    );
  };
  /** The results of all chunks in front of the first that is not complete. */
  const summary = () => {
    const open = chunks.findIndex(({ complete }) => !complete);
    const complete = open === -1 ? chunks : chunks.slice(0, open);
    const seeds = complete.reduce((sum, { many }) => sum + many, 0);
    const reach = {};
    for (const chunk of complete)
      for (const [name, times] of Object.entries(chunk.reach)) reach[name] = (reach[name] ?? 0) + times;
    // A few seeds cannot reach everything.
    const rare = seeds < 1_000 ? [] : WANTED.filter((name) => (reach[name] ?? 0) < seeds / 1_000);
    return {
      ...{ workers, seeds, from, failing: complete.flatMap(({ failing }) => failing) },
      ...{ seconds: Math.round((performance.now() - began) / 1_000), wanted: WANTED.length, rare },
      reach: Object.fromEntries(Object.entries(reach).sort(([one], [other]) => (one < other ? -1 : 1))),
    };
  };
  await Promise.all(Array.from({ length: workers }, worker));
  const { seeds, failing, seconds, rare, reach } = summary();
  console.log(`${seeds} seeds from ${from} at ${commit()}: ${failing.length} failed, in ${seconds} s.`);
  if (count >= 1_000)
    console.log(
      `${WANTED.length - rare.length} of ${WANTED.length} wanted events occurred in at least 1 of 1,000 runs.`,
    );
  for (const name of rare) console.log(`  too rare: ${name} (${reach[name] ?? 0})`);
  if (failing.length > 0 || (rare.length > 0 && count >= 10_000)) process.exitCode = 1;
}

async function mutants() {
  const { MUTANTS, prepare } = await load("mutants");
  const { TOPIC_MUTANTS } = await load("topics/mutants");
  const most = Number(positionals[0] ?? 2_000);
  const results = [];
  for (const mutant of (values.topics ? TOPIC_MUTANTS : MUTANTS).filter(({ name }) =>
    name.includes(values.only ?? ""),
  )) {
    const place = prepare(mutant, root);
    let caught;
    let rule;
    const env = { HOLDFAST_FIRST: "1", HOLDFAST_SHRINK: "0" };
    const args = [join(place, "tests/simulation/campaign.js"), from, most, PROGRESS, kind];
    for await (const line of lines(args, env, PATIENCE)) {
      if (line.seed === undefined) continue;
      caught = line.seed - from + 1;
      rule = line.violations[0].rule;
    }
    results.push({ name: mutant.name, caught: caught ?? null, rule: rule ?? null });
    console.log(
      `${caught === undefined ? `survives ${most}` : String(caught).padStart(8)}  ${mutant.name}${rule === undefined ? "" : ` (${rule})`}`,
    );
  }
  const survivors = results.filter(({ caught }) => caught === null);
  console.log(`${results.length - survivors.length} of ${results.length} breakages caught within ${most} seeds.`);
  if (survivors.length > 0) process.exitCode = 1;
  if (recording && values.only === undefined) record(named("mutants"), { most, results });
}

/** The JSON lines that a program prints. */
async function* lines(args, env = {}, patience = undefined) {
  const child = spawn(process.execPath, args.map(String), {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let trouble = "";
  child.stderr.on("data", (chunk) => {
    if (trouble.length < 4_000) trouble += chunk;
  });
  const ended = new Promise((resolve) => child.once("close", resolve));
  let done = 0;
  let incomplete;
  // A breakage may make an endless loop.
  const silence = patience && setTimeout(() => child.kill("SIGKILL"), patience);
  for await (const text of createInterface(child.stdout)) {
    silence?.refresh();
    if (!text.startsWith("{")) continue;
    const line = parsed(text);
    if (line === undefined) {
      incomplete = text;
      continue;
    }
    done += line.done ?? 0;
    yield line;
  }
  clearTimeout(silence);
  const status = await ended;
  // A breakage may end the whole process, for example at start.
  const rule = status === null ? "a seed does not end" : "the process ended";
  // A process that is killed while it prints leaves a part of a line. One that ends in order does not.
  if (status === 0 && incomplete !== undefined)
    throw new Error(`Cannot read a line of ${incomplete.length} characters: it is not complete`);
  if (status !== 0)
    yield { seed: from + done, violations: [{ rule, what: trouble }], list: [], text: trouble, page: "" };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
