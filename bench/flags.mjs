/** The command line of the benchmarks. */

import { parseArgs } from "node:util";
import { PEERS, peerNamed } from "./peers.mjs";
import { WORKS } from "./works.mjs";

export const USAGE = `Usage: npm run bench -- [flags]

Measures Holdfast and its peers by the works of bench/README.md, in pairs of runs: ours, theirs, ours, theirs. Writes
bench/results/WORK.json and bench/results/table.md. Linux only; needs cc.

  --work NAME,...    which works; default: all
  --peer NAME,...    against whom; a path is a server of your own; default: all that the work has
  --seconds N        length of a measurement; default: 3, and what the work asks for where it asks for more
  --warmup N         load before it, in seconds; default: 1.5
  --runs N           pairs of runs with each peer; default: 5
  --out FOLDER       where the results go; default: bench/results
  --json             print the results as JSON instead of a table
  --list             print the names of the works and of the peers
  --table            measure nothing; draw the table from the results that are there
  --help

Works: ${Object.keys(WORKS).join(", ")}
Peers: ${Object.keys(PEERS).join(", ")}
`;

/** What was asked for; throws an Error with a sentence for what does not exist. */
export function parseFlags(args) {
  const { values } = parseArgs({
    args,
    options: {
      work: { type: "string", multiple: true },
      peer: { type: "string", multiple: true },
      seconds: { type: "string" },
      warmup: { type: "string", default: "1.5" },
      runs: { type: "string", default: "5" },
      out: { type: "string", default: "bench/results" },
      json: { type: "boolean", default: false },
      list: { type: "boolean", default: false },
      table: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const works = listed(values.work) ?? Object.keys(WORKS);
  for (const name of works) if (!Object.hasOwn(WORKS, name)) throw new Error(`there is no work ${name}`);
  const peers = listed(values.peer);
  for (const name of peers ?? []) if (peerNamed(name) === undefined) throw new Error(`there is no peer ${name}`);
  const seconds = values.seconds === undefined ? undefined : positive("seconds", values.seconds);
  const runs = positive("runs", values.runs);
  if (!Number.isInteger(runs)) throw new Error(`cannot use --runs ${values.runs}: expected a whole number`);
  const warmup = Number(values.warmup);
  if (!(warmup >= 0)) throw new Error(`cannot use --warmup ${values.warmup}: expected seconds`);
  return { ...values, works, peers, seconds, runs, warmup };
}

function listed(given) {
  return given?.flatMap((one) => one.split(",")).filter((one) => one !== "");
}

function positive(name, text) {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`cannot use --${name} ${text}: expected more than 0`);
  return value;
}
