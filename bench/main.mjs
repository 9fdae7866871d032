/** `npm run bench`: measures what was asked for, keeps it, and shows it. Ends with status 1 if an answer was wrong. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";
import { join, resolve } from "node:path";
import { ready, root } from "../tools/ready.mjs";
import { load } from "./build.mjs";
import { parseFlags, USAGE } from "./flags.mjs";
import { measure } from "./pairs.mjs";
import { PEERS } from "./peers.mjs";
import { CORES } from "./process.mjs";
import { document, tableOf } from "./report.mjs";
import { WORKS } from "./works.mjs";

const SECONDS = 3;

const say = (line) => process.stderr.write(`${line}\n`);

let flags;
try {
  flags = parseFlags(process.argv.slice(2));
} catch (error) {
  say(`npm run bench: ${error.message}\n\n${USAGE}`);
  process.exit(2);
}
if (flags.help) process.stdout.write(USAGE);
else if (flags.list) list();
else if (flags.table) draw();
else await bench();

function list() {
  for (const [name, { title }] of Object.entries(WORKS)) process.stdout.write(`${name.padEnd(22)}${title}\n`);
  process.stdout.write(`\n${Object.keys(PEERS).join(", ")}\n`);
}

async function bench() {
  if (process.platform !== "linux") return refuse("it measures with epoll and /proc, and so on Linux only");
  await ready();
  try {
    await load();
  } catch (error) {
    return refuse(error.message);
  }
  if (CORES === undefined)
    say("There is but one core: server and generator share it, and the figures are worth little.");
  const results = [];
  for (const name of flags.works) {
    const work = WORKS[name];
    const method = { runs: flags.runs, seconds: flags.seconds ?? SECONDS, warmup: flags.warmup };
    const shorter = flags.seconds === undefined ? work : { ...work, seconds: flags.seconds };
    const [busy] = loadavg();
    const result = {
      busy,
      ...(await measure(name, shorter, flags.peers ?? work.peers, method, say)),
      machine: machine(),
    };
    results.push(result);
    if (Object.keys(result.failed).length > 0) process.exitCode = 1;
    if (Object.keys(result.servers).length > 0) keep(result);
    if (!flags.json) process.stdout.write(`\n${tableOf(result)}\n\n`);
  }
  if (flags.json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
}

function refuse(why) {
  say(`npm run bench: ${why}`);
  process.exitCode = 2;
}

function folder() {
  return resolve(root, flags.out);
}

function keep(result) {
  mkdirSync(folder(), { recursive: true });
  writeFileSync(join(folder(), `${result.work}.json`), `${JSON.stringify(result, null, 2)}\n`);
  draw();
}

/** From everything that is kept, in the order of the works. */
function draw() {
  const results = Object.keys(WORKS)
    .map((name) => join(folder(), `${name}.json`))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, "utf8")));
  mkdirSync(folder(), { recursive: true });
  writeFileSync(join(folder(), "table.md"), document(results));
}

function machine() {
  const all = cpus();
  return {
    processor: all[0]?.model ?? "unknown",
    cores: all.length,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: `${type()} ${release()}`,
    node: process.versions.node,
    pinned: CORES ?? null,
    date: new Date().toISOString().slice(0, 10),
  };
}
