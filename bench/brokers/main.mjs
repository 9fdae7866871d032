/** `npm run bench:brokers`: topics over Redis, measured in pairs with what others offer. Ends with status 1 if a run failed. */

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ready, root } from "../../tools/ready.mjs";
import { median } from "../figures.mjs";
import { WORKS } from "./works.mjs";

const USAGE = `Usage: npm run bench:brokers -- [flags]

Measures topics through Redis against Centrifugo and Socket.IO, in pairs of runs: ours, theirs, ours, theirs. Writes
bench/results/brokers. Linux only; needs redis-server, taskset, and go for Centrifugo.

  --work NAME,...    ${Object.keys(WORKS).join(", ")}; default: all
  --peer NAME,...    against whom; default: all that the work has
  --seconds N        length of a measurement; default: 6
  --runs N           pairs of runs with each peer; default: 3
  --help
`;

const OURS = "holdfast";
const FOLDER = join(root, "bench/results/brokers");

const BOUNDS = { atMost: "at most", atLeast: "at least" };
const TITLES = {
  cpu: "CPU µs/delivery",
  bytes: "bytes/message",
  deliveries: "deliveries/s",
  share: "share of its core",
  driver: "the load's share of its core",
  publisher: "the publishing node's share",
  p50: "p50 µs",
  p99: "p99 µs",
};

const { values: flags } = parseArgs({
  options: {
    work: { type: "string", default: Object.keys(WORKS).join(",") },
    peer: { type: "string" },
    seconds: { type: "string", default: "6" },
    runs: { type: "string", default: "3" },
    help: { type: "boolean", default: false },
  },
});
if (flags.help) process.stdout.write(USAGE);
else await bench();

async function bench() {
  await ready();
  for (const name of flags.work.split(",")) {
    const work = WORKS[name];
    if (work === undefined) throw new Error(`there is no work ${name}`);
    const result = await measured(name, work);
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(join(FOLDER, `${name}.json`), `${JSON.stringify(result, null, 2)}\n`);
    if (result.failed.length > 0) process.exitCode = 1;
    process.stdout.write(`\n${tableOf(result)}\n`);
  }
  const results = readdirSync(FOLDER).filter((file) => file.endsWith(".json"));
  const read = (file) => JSON.parse(readFileSync(join(FOLDER, file), "utf8"));
  const known = Object.keys(WORKS).filter((name) => results.includes(`${name}.json`));
  writeFileSync(join(FOLDER, "table.md"), documentOf(known.map((name) => read(`${name}.json`))));
}

async function measured(name, work) {
  const options = { seconds: Number(flags.seconds) };
  const failed = [];
  const attempt = async (who) => {
    process.stderr.write(`${name}: ${who}\n`);
    try {
      return await (work.alias?.[who]?.(OURS, options) ?? work.run(who, options));
    } catch (error) {
      failed.push(`${who}: ${error.message}`);
      process.stderr.write(`${name}: ${who}: ${error.message}\n`);
      return undefined;
    }
  };
  const peers = work.peers.filter((peer) => flags.peer === undefined || flags.peer.split(",").includes(peer));
  const runs = { [OURS]: [] };
  const ratios = {};
  for (let round = 0; round < Number(flags.runs); round++) {
    if (peers.length === 0) runs[OURS].push(await attempt(OURS));
    for (const peer of peers) {
      const order = round % 2 === 0 ? [OURS, peer] : [peer, OURS];
      const pair = {};
      for (const who of order) pair[who] = await attempt(who);
      if (pair[OURS] === undefined || pair[peer] === undefined) continue;
      runs[OURS].push(pair[OURS]);
      runs[peer] = [...(runs[peer] ?? []), pair[peer]];
      ratios[peer] = [...(ratios[peer] ?? []), work.compared.ratio(pair[OURS], pair[peer])];
    }
  }
  const [processor] = cpus();
  return {
    work: name,
    title: work.title,
    method: { seconds: options.seconds, runs: Number(flags.runs) },
    machine: { processor: processor?.model, cores: cpus().length, node: process.versions.node },
    date: new Date().toISOString().slice(0, 10),
    figures: work.figures,
    systems: Object.fromEntries(Object.entries(runs).map(([who, all]) => [who, summary(all.filter(Boolean))])),
    compared: work.compared?.title,
    against: Object.fromEntries(
      Object.entries(ratios).map(([peer, all]) => {
        const goal = work.goals?.[peer];
        const middle = median(all);
        const met = goal && (goal.atMost === undefined ? middle >= goal.atLeast : middle <= goal.atMost);
        return [peer, { median: middle, least: Math.min(...all), most: Math.max(...all), goal, met }];
      }),
    ),
    failed,
    runs,
  };
}

function summary(all) {
  const names = Object.keys(all[0] ?? {}).filter((name) => typeof all[0][name] === "number");
  return Object.fromEntries(names.map((name) => [name, median(all.map((one) => one[name]))]));
}

function tableOf({ work, title, method, figures, systems, compared, against, failed }) {
  const rows = Object.entries(systems).map(
    ([who, one]) => `| ${who} | ${figures.map((figure) => shown(one[figure])).join(" | ")} |`,
  );
  return [
    `### ${title}`,
    "",
    `\`npm run bench:brokers -- --work ${work}\`; ${method.runs} runs.`,
    "",
    `| | ${figures.map((figure) => TITLES[figure] ?? figure).join(" | ")} |`,
    `|---|${figures.map(() => "---:|").join("")}`,
    ...rows,
    "",
    ...Object.entries(against).map(([peer, { median: middle, least, most, goal, met }]) => {
      const [bound] = goal ? Object.entries(goal).map(([how, value]) => `${BOUNDS[how]} ${value}`) : [];
      const verdict = bound === undefined ? "" : `; the goal is ${bound}: ${met ? "reached" : "missed"}`;
      return `- ${compared}, ${peer}: ${shown(middle)} (${shown(least)} to ${shown(most)})${verdict}`;
    }),
    ...failed.map((line) => `- failed: ${line}`),
    "",
  ].join("\n");
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  return value >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

function documentOf(results) {
  const machines = new Set(
    results.map(({ machine, date }) => `${machine.processor}, ${machine.cores} cores, Node ${machine.node}, ${date}.`),
  );
  return [
    "# Topics through Redis",
    "",
    "Written by `npm run bench:brokers`. The node of the members has the first core; Redis, the publisher's node, the publisher and",
    "the members have the second. Ratios are between runs of the same minute: the median, the least and the most.",
    "",
    ...machines,
    "",
    ...results.map(tableOf),
  ].join("\n");
}
