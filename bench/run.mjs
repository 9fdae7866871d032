/** One run of one work against one server: fresh process, warm-up, measurement, and what came out as plain figures. */

import { generate, residentOf, startServer } from "./process.mjs";

/** A generator that is busier than this is what was measured. */
const SATURATED = 0.95;

/** Connections that open and close before memory is looked at, so that code and caches are not counted. */
const WARMING = 100;

/** Figures of one run, or `{ lacks }` if the peer has no such thing. */
export async function runOnce(work, peer, { seconds, warmup }) {
  const kind = work.kind ?? "echo";
  const memory = kind === "idle" || kind === "stalled";
  const once = { env: { ...work.env, ...(work.load.tls && { BENCH_TLS: "1" }) }, flags: memory ? ["--expose-gc"] : [] };
  const role = work.role ?? kind;
  const beside = work.beside === undefined ? undefined : await on({ ...work.load, ...work.beside });
  const figures = await on(work.load);
  if (beside?.figures !== undefined && figures.figures !== undefined) {
    figures.figures.beside = beside.figures;
    figures.figures.tail = figures.figures.p99 / beside.figures.p99;
  }
  return figures;

  async function on(flags) {
    const server = await startServer(peer, role, once);
    try {
      if (server.lacks !== undefined) return { lacks: server.lacks };
      const given = { ...flags, seconds: work.seconds ?? seconds, warmup: work.warmup ?? warmup };
      const measure = memory ? MEMORY[kind] : plainly;
      return { version: server.version, figures: await measure(work, peer, server, given) };
    } finally {
      await server.stop();
    }
  }
}

async function plainly(work, peer, server, flags) {
  const told = await generate(work.kind ?? "echo", peer, server, flags);
  const { messages, seconds, latency, server: used } = told;
  const each = (of) => (of * 1e6) / messages;
  return {
    ...shared(told),
    messages,
    rate: messages / seconds,
    cpu: each(used.user + used.system),
    user: each(used.user),
    system: each(used.system),
    p50: latency.p50,
    p99: latency.p99,
    p999: latency.p999,
    slowEnded: told.slowEnded,
  };
}

/** What every kind of run tells. */
function shared({ connections, asked, seconds, generatorCpu, server, lost, opened }) {
  return {
    connections,
    ...(asked !== connections && { asked }),
    seconds,
    lost,
    opening: opened.seconds,
    share: (server.user + server.system) / seconds,
    generatorCpu,
    saturated: generatorCpu > SATURATED,
    resident: server.resident,
    peak: server.peak,
  };
}

/** The flags of the generator without which no connection opens. */
function openingOf({ load: { tls, path } }) {
  return { ...(tls && { tls }), ...(path && { path }) };
}

const MEMORY = { idle, stalled };

/** What a connection keeps in memory while nothing happens on it, and what the server does meanwhile. */
async function idle(work, peer, server, flags) {
  await generate("idle", peer, server, { ...openingOf(work), connections: WARMING, seconds: 0.1, warmup: 0 });
  const before = await server.memory();
  const told = await generate("idle", peer, server, flags, () => server.memory());
  const { connections, held: after } = told;
  const grown = (name) => (after[name] - before[name]) / connections;
  return { ...shared(told), memory: grown("resident"), live: after.live === null ? null : grown("live") };
}

/** How much a sender at full speed makes the server grow when nobody reads. */
async function stalled(work, peer, server, flags) {
  await generate("idle", peer, server, { ...openingOf(work), connections: 1, slow: 1, seconds: 0.1, warmup: 0 });
  await server.memory();
  const before = residentOf(server.pid);
  const told = await generate("idle", peer, server, { ...flags, warmup: 0 });
  const grown = Math.max(told.server.peak, told.server.resident) - before;
  return { ...shared(told), grown, growth: grown / work.bound };
}
