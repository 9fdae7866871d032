/** What it costs to count, and to look: echo with and without counting, with a scrape, with a viewer; and idle connections. */

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { ready, root } from "../tools/ready.mjs";
import { spread } from "./figures.mjs";
import { peerNamed } from "./peers.mjs";
import { generate, startServer } from "./process.mjs";

const USAGE = `Usage: node bench/watching.mjs WORK [flags]

Compares the server's processor time for a message, in pairs of runs, and adds the result to bench/results/watching.json. Linux only.

  counting           echo with nobody looking, against the same build without counting
  group              broadcasts, against the same build without what groups count
  small-groups       a broadcast to one member at a time, against the same build without what groups count
  scrape             echo, with a scrape of /metrics at intervals against none, in turns at one server
  viewer             echo, with the dashboard, an open viewer of it and the scrape, against none of them, in turns at one server
  idle               memory of an idle connection, against the same build without counting

  --connections N    default: 1000 (group: 1000; small-groups: 1; idle: 5000)
  --interval N       seconds between two scrapes; default: 5
  --seconds N        length of a measurement; default: 1, and an interval with a scrape
  --warmup N         load before it, in seconds; default: 1
  --runs N           pairs of runs; default: 10
  --out FILE         where the result goes; default: bench/results/watching.json
`;

const WARMING = 100;

/** Seconds in which a load opens its connections. */
const OPENING = 2;
/** Seconds after each change that are not measured. */
const SETTLING = 1;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    connections: { type: "string" },
    interval: { type: "string", default: "5" },
    seconds: { type: "string" },
    warmup: { type: "string", default: "1" },
    runs: { type: "string", default: "10" },
    out: { type: "string", default: "bench/results/watching.json" },
    help: { type: "boolean", default: false },
  },
});

const [name = ""] = positionals;
const counted = peerNamed("holdfast");

/** Each has the two servers or situations that are compared: the first costs `cost` more than the second. */
const WORKS = {
  counting: () => ({ role: "echo", kind: "echo", load: { connections: 1000, size: 64 }, than: uncounted(true) }),
  group: () => ({
    role: "broadcast",
    kind: "broadcast",
    load: { connections: 1000, size: 64, burst: 16 },
    than: uncounted(false),
  }),
  "small-groups": () => ({
    role: "broadcast",
    kind: "broadcast",
    load: { connections: 1, size: 64, burst: 1 },
    than: uncounted(false),
  }),
  scrape: () => watched({ viewer: false }),
  viewer: () => watched({ viewer: true }),
  idle: () => ({ role: "idle", kind: "idle", load: { connections: 5000 }, than: uncounted(true), memory: true }),
};

function watched(watch) {
  return { role: "echo", kind: "echo", load: { connections: 1000, size: 64 }, watch };
}

if (values.help || WORKS[name] === undefined) {
  process.stderr.write(USAGE);
  process.exitCode = values.help ? 0 : 2;
} else await compare(WORKS[name]());

async function compare(work) {
  await ready();
  const interval = Number(values.interval);
  const seconds = Number(values.seconds ?? (work.watch === undefined ? 1 : interval));
  const load = { ...work.load, ...(values.connections && { connections: Number(values.connections) }) };
  const given = { ...load, seconds, warmup: Number(values.warmup) };
  const settings = {
    unit: work.memory ? "live bytes of a connection" : "microseconds of processor time for a message",
    ...given,
    ...(work.watch && { ...work.watch, interval, turns: true }),
    node: process.versions.node,
  };
  const runs = Number(values.runs);
  let text = "";
  const pairDone = (round, pair) => {
    process.stderr.write(`${round + 1} of ${runs}: ${pair.with.toFixed(3)} and ${pair.without.toFixed(3)}\n`);
    text = keep(settings, pair);
  };
  if (work.watch === undefined) await comparePairs(work, given, runs, pairDone);
  else await compareTurns(work, given, interval, runs, pairDone);
  process.stdout.write(`${text}\n`);
}

/** Two servers, one after the other. */
async function comparePairs(work, given, runs, pairDone) {
  for (let round = 0; round < runs; round++) {
    const pair = {};
    // The first of a pair finds a machine that is colder, so they take turns.
    for (const which of round % 2 === 0 ? ["with", "without"] : ["without", "with"])
      pair[which] = await measured(work, which === "with" ? counted : work.than, given);
    pairDone(round, pair);
  }
}

/** Adds to what earlier calls have written: pairs of one work with the same settings on the same Node count together. */
function keep(settings, pair) {
  const path = resolve(root, values.out);
  mkdirSync(dirname(path), { recursive: true });
  const all = known(path);
  const before = all[name];
  const same = Object.entries(settings).every(([key, value]) => before?.[key] === value);
  const pairs = [...(same ? before.pairs : []), pair];
  const difference = (one) => (name === "idle" ? one.with - one.without : one.with / one.without - 1);
  const cost = spread(pairs.map(difference));
  all[name] = { ...settings, date: new Date().toISOString().slice(0, 10), cost, pairs };
  writeFileSync(path, `${JSON.stringify(all, null, 2)}\n`);
  const shown = (value) => (name === "idle" ? `${value.toFixed(1)} B` : `${(100 * value).toFixed(2)} %`);
  return `${name}: ${shown(cost.median)} (${shown(cost.least)} to ${shown(cost.most)}) in ${pairs.length} pairs`;
}

function known(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return {};
  }
}

async function measured({ role, kind, memory }, peer, given) {
  const server = await startServer(peer, role, { flags: memory ? ["--expose-gc"] : [] });
  try {
    if (memory) return await memoryOf(server, peer, given);
    const { messages, server: used } = await generate(kind, peer, server, given);
    return ((used.user + used.system) * 1e6) / messages;
  } finally {
    await server.stop();
  }
}

async function memoryOf(server, peer, given) {
  const { connections } = given;
  await generate("idle", peer, server, { connections: WARMING, seconds: 0.1, warmup: 0 });
  const before = await server.memory();
  const { held } = await generate("idle", peer, server, { ...given, connections }, () => server.memory());
  return (held.live - before.live) / connections;
}

/**
 * One server under one load is watched and not watched in turns. Two servers differ by more than what is measured, by the addresses of
 * their objects and by what else the machine does meanwhile.
 */
async function compareTurns({ watch, load, ...work }, given, interval, runs, pairDone) {
  const server = await startServer(counted, work.role, { env: { HOLDFAST_SERVED: "watched" } });
  try {
    const seconds = 2 * runs * (given.seconds + SETTLING + 1) + SETTLING;
    const loaded = generate(work.kind, counted, server, { ...given, seconds });
    // `await loaded` below reports a failure. Without this handler, an earlier failure would end the process.
    loaded.catch(() => undefined);
    await pause((given.warmup + OPENING) * 1_000);
    for (let round = 0; round < runs; round++) {
      const pair = {};
      for (const which of round % 2 === 0 ? ["with", "without"] : ["without", "with"]) {
        const stop = which === "with" ? await look(server, watch, interval) : async () => undefined;
        await pause(SETTLING * 1_000);
        const before = await server.ask("usage");
        await pause(given.seconds * 1_000);
        const after = await server.ask("usage");
        await stop();
        pair[which] = ((after.cpu - before.cpu) * 1e6) / (after.messages - before.messages);
      }
      pairDone(round, pair);
    }
    await loaded;
  } finally {
    await server.stop();
  }
}

/** Scrapes, and holds a viewer of the dashboard open, until the returned function is called. */
async function look(server, { viewer }, interval) {
  const { port } = await server.ask(viewer ? "dashboard" : "metrics");
  const scrape = () => void fetch(`http://127.0.0.1:${port}/metrics`).then((answer) => answer.text());
  const timer = setInterval(scrape, interval * 1_000);
  const end = viewer ? await view(`ws://127.0.0.1:${port}/dashboard/feed`) : undefined;
  return async () => {
    clearInterval(timer);
    await end?.();
    await server.ask("nothing");
  };
}

/**
 * As the page does: asks for the next update, with what it has already. The server answers once a second. Returns a function that ends it,
 * and rejects if there was no update.
 */
async function view(url) {
  const { connect } = await import("../dist/index.js");
  const connection = await connect(url, { maxMessageSize: 16_777_216, idleTimeout: Infinity });
  const have = { type: "next" };
  let updates = 0;
  const ask = () => connection.trySend(JSON.stringify(have));
  const follow = async () => {
    for await (const message of connection) {
      const { type, samples, ended } = JSON.parse(message);
      if (type !== "update") continue;
      updates += 1;
      have.second = samples.at(-1)?.[0] ?? have.second;
      have.ended = ended.at(-1)?.number ?? have.ended;
      ask();
    }
  };
  follow().catch(() => undefined);
  ask();
  return async () => {
    await connection.close();
    if (updates === 0) throw new Error("the dashboard has sent no update");
  };
}

/**
 * A copy of the build in which counting has no code: what is called for each chunk, message, write and end, and of a group, does
 * nothing; without `all` only that of a group. Throws an Error if the build has none of the code that is to be taken out, so that
 * nothing is compared with itself.
 */
function uncounted(all) {
  const folder = join(root, ".cache/bench/uncounted");
  rmSync(folder, { recursive: true, force: true });
  for (const part of ["dist", "bench/peers/holdfast.mjs", "bench/peers/serving.mjs", "package.json"])
    cpSync(join(root, part), join(folder, part), { recursive: true });
  const edit = (file, ...edits) => {
    const path = join(folder, "dist", file);
    let text = readFileSync(path, "utf8");
    for (const [from, to] of edits) {
      const edited = text.replace(from, to);
      if (edited === text) throw new Error(`${file} has no ${from}: adapt bench/watching.mjs`);
      text = edited;
    }
    writeFileSync(path, text);
  };
  edit(
    "connection/write/fan-out.js",
    ["this.#burstAt ??= scheduled ? scheduledAt() : systemClock.now();", ""],
    ...(all
      ? [
          ["counters.writes += 1;", ""],
          ["counters.bytesOut += batch.bytes.length;", ""],
          ["counters.messagesOut += messages;", ""],
        ]
      : []),
  );
  edit("group/group.js", ["groupCounters.sends += 1;", ""], ["groupCounters.deliveries += delivered.taken;", ""]);
  if (all) {
    const emptied = (call) => [new RegExp(`(function ${call}\\([^\\n]*\\) \\{)`), "$1 return;"];
    const calls = ["countReceived", "countMessage", "countWrite", "countSent", "countQueue", "countPause"];
    edit("connection/counting.js", ...calls.map(emptied));
    const method = (call) => [new RegExp(`(\\n    ${call}\\([^\\n]*\\) \\{)`), "$1 return;"];
    edit("connection/counters.js", ...["connectionEnded", "handshakeDone", "closeSent", "writeWaited"].map(method));
    edit("connection/reports.js", ["options.counters.opened += 1;", ""]);
  }
  return peerNamed(join(folder, "bench/peers/holdfast.mjs"));
}
