/** Compares `holdfast bench` with the generator in C: the same rate against the same server, in pairs of runs. */

import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { ready, root } from "../tools/ready.mjs";
import { load } from "./build.mjs";
import { spread } from "./figures.mjs";
import { peerNamed } from "./peers.mjs";
import { CORES, generate, startServer, told } from "./process.mjs";

const USAGE = `Usage: node bench/agreement.mjs [flags]

Sends messages at a rate to an echo server, once with bench/load and once with "holdfast bench", and compares the latencies. Linux only.

  --rate N           messages per second; default: 20000
  --connections N    default: 10
  --seconds N        length of a measurement; default: 2
  --warmup N         load before it, in seconds; default: 2
  --runs N           pairs of runs; default: 10
  --out FILE         where the result goes; default: bench/results/agreement.json
`;

const PERCENTILES = ["p50", "p99"];

/** Messages that may be under way on one connection of the generator in C: a server that stalls for a second is no failure. */
const UNDER_WAY = 100_000;

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "20000" },
    connections: { type: "string", default: "10" },
    seconds: { type: "string", default: "2" },
    warmup: { type: "string", default: "2" },
    runs: { type: "string", default: "10" },
    out: { type: "string", default: "bench/results/agreement.json" },
    help: { type: "boolean", default: false },
  },
});

if (values.help) process.stdout.write(USAGE);
else
  await compare(
    Object.fromEntries(
      ["rate", "connections", "seconds", "warmup", "runs"].map((name) => [name, Number(values[name])]),
    ),
  );

async function compare({ runs, ...given }) {
  await ready();
  const pairs = [];
  for (let round = 0; round < runs; round++) {
    const pair = {};
    // The first of a pair finds a server that is colder. Each has a server of its own, and they take turns.
    for (const name of round % 2 === 0 ? ["c", "bench"] : ["bench", "c"]) {
      pair[name] = await measured(name === "c" ? generatorLatency : benchLatency, given);
    }
    pairs.push(pair);
    process.stderr.write(
      `${round + 1} of ${runs}: ${PERCENTILES.map((name) => `${name} ${figure(pair.c[name])} in C, ${figure(pair.bench[name])}`).join("; ")}\n`,
    );
  }
  const ratios = Object.fromEntries(
    PERCENTILES.map((name) => [name, spread(pairs.map(({ c, bench }) => bench[name] / c[name]))]),
  );
  const quietest = Object.fromEntries(
    PERCENTILES.map((name) => {
      const least = (of) => Math.min(...pairs.map((pair) => pair[of][name]));
      return [name, { c: least("c"), bench: least("bench"), ratio: least("bench") / least("c") }];
    }),
  );
  const result = { unit: "us", ...given, node: process.versions.node, ratios, quietest, pairs };
  const path = resolve(root, values.out);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${JSON.stringify(result, null, 2)}\n`);
  for (const name of PERCENTILES) {
    const { median, least, most } = ratios[name];
    const { c, bench, ratio } = quietest[name];
    process.stdout.write(
      `${name}: ratio ${median.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)}); ` +
        `least of all runs ${figure(bench)} and ${figure(c)} in C, ratio ${ratio.toFixed(2)}\n`,
    );
  }
}

function figure(us) {
  return `${us.toFixed(1)} us`;
}

async function measured(latency, given) {
  const peer = peerNamed("holdfast");
  const server = await startServer(peer, "echo");
  try {
    return await latency(peer, server, given);
  } finally {
    await server.stop();
  }
}

async function generatorLatency(peer, server, { rate, connections, seconds, warmup }) {
  const flags = { rate, connections, seconds, warmup, size: 64, inflight: Math.ceil(UNDER_WAY / connections) };
  const { latency } = await generate("echo", peer, server, flags);
  return latency;
}

async function benchLatency(_, { port }, { rate, connections, seconds, warmup }) {
  const flags = ["--rate", rate, "--connections", connections, "--duration", `${seconds}s`, "--warmup", `${warmup}s`];
  const command = [process.execPath, join(root, "dist/cli/main.js"), "bench", `ws://127.0.0.1:${port}/`, ...flags];
  // On the core of the generator in C. It may then seem that there is one core only, so the pace is given.
  const pinned = CORES === undefined ? command : [await load(), "pin", CORES.generator, ...command];
  const { latency } = await told([...pinned, "--size", 64, "--pace", "spin", "--json"].map(String));
  return Object.fromEntries(PERCENTILES.map((name) => [name, latency[name] * 1_000]));
}
