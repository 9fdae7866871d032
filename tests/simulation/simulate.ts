/** One run: a world from a seed or from a list of choices, its steps, then no more faults, then quiet, then the judgement. */

import "./replaceable-timers.ts";
import { memoryBudget } from "../../src/index.ts";
import { Client } from "./clients.ts";
import { Entropy } from "./entropy.ts";
import { VirtualLoop } from "./loop.ts";
import { Oracle } from "./oracle.ts";
import { restartIfDead, thawAll } from "./processes.ts";
import { Reach } from "./reach.ts";
import { PATHS, serve, serve2 } from "./server-roles.ts";
import { STEPS, waitOf } from "./steps.ts";
import { Trace, type TracedEvent } from "./trace.ts";
import { unhandled } from "./unhandled.ts";
import { watchWires } from "./wire.ts";
import { World } from "./world.ts";

/** Choices in front of the steps. */
export const FIXED = 4;
/** Choices of each step. */
export const PER_STEP = 4;
const SWEEP = 100;

export interface Outcome {
  readonly hash: string;
  readonly violations: readonly { readonly rule: string; readonly what: string; readonly at: number }[];
  readonly choices: readonly number[];
  readonly events: readonly TracedEvent[] | undefined;
}

export interface Settings {
  /** Keeps the events for a timeline. */
  readonly kept?: boolean;
  readonly reach?: Reach;
  /** Breaks a rule on purpose, for the test of shrinking. */
  readonly broken?: boolean;
}

/** Runs a world. Resolves after one macrotask, in which all of it happens. */
export function simulate(
  source: number | readonly number[],
  { kept = false, reach = new Reach(), broken = false }: Settings = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run(source, kept, reach, broken));
      } catch (error) {
        reject(error);
      }
    });
  });
}

function run(source: number | readonly number[], kept: boolean, reach: Reach, broken: boolean): Outcome {
  reach.nextRun();
  const trace = new Trace(kept);
  const loop = new VirtualLoop((error) =>
    oracle.wrong("I8 uncaught", error instanceof Error ? (error.stack ?? error.message) : String(error)),
  );
  const oracle = new Oracle(loop, trace, reach);
  oracle.broken = broken;
  unhandled.report = (error) =>
    oracle.wrong("I8 unhandled rejection", error instanceof Error ? (error.stack ?? "") : String(error));
  watchWires(loop);
  return loop.rule(() => inLoop(loop, oracle, source));
}

function inLoop(loop: VirtualLoop, oracle: Oracle, source: number | readonly number[]): Outcome {
  const { trace, reach } = oracle;
  // What processes that were killed in earlier runs hold is still counted.
  const heldBefore = memoryBudget.heldBytes;
  memoryBudget.limit = Infinity;
  const entropy = new Entropy(source, FIXED, PER_STEP);
  const world = new World(loop, oracle, entropy);
  // On such a link a write of 64 KiB takes longer than writeTimeout.
  oracle.faulty = world.slow;
  oracle.prompt = world.latency <= 60;
  const forward = (length: number): void => {
    for (let passed = 0; passed < length && oracle.violations.length === 0; passed += SWEEP) {
      loop.run(Math.min(SWEEP, length - passed));
      world.sweep();
    }
  };

  const mask =
    entropy.pick(8) === 0 ? 0 : (Math.floor(world.noise() * 2 ** 31) | Math.floor(world.noise() * 2 ** 31)) >>> 0;
  const clients = Array.from({ length: 1 + entropy.pick(4) }, (_, index) => new Client(world, `client${index}`));
  void serve(world);
  void serve2(world);
  forward(1);
  for (const [index, client] of clients.entries()) void client.open(`ws://server/${PATHS[index % 3]}`);
  forward(SWEEP);

  // Chaos.
  while (entropy.more && oracle.violations.length === 0) {
    const number = entropy.pick(STEPS.length);
    const a = entropy.pick(60);
    const b = entropy.pick(60);
    const wait = entropy.pick(6);
    const chosen = STEPS[number]!;
    // A run has only some of the kinds of faults, and some runs have none.
    const step = chosen.fault && (mask & (1 << (number % 31))) === 0 ? STEPS[0]! : chosen;
    oracle.faulty ||= step.fault === true;
    // What slows a link stays.
    const until = /slow|cut|partition/.test(step.name) ? Infinity : loop.time;
    const disturb = (name: string, at: number): void =>
      void world.disturbed.set(name, Math.max(at, world.disturbed.get(name) ?? 0));
    if (step.fault) disturb(clients[b % clients.length]!.name, until);
    // These may hit any connection of the server.
    if (/^server (closes|terminates)/.test(step.name)) for (const { name } of clients) disturb(name, loop.time);
    oracle.note("step", `${step.name} ${a} ${b}`);
    reach.saw(`step ${step.name}`);
    step.run(world, clients, clients[b % clients.length]!, a, b);
    forward(waitOf(wait));
  }

  // No more faults.
  oracle.note("step", "no more faults");
  world.healed = true;
  world.net.heal();
  thawAll(world);
  for (const machine of [...world.machines.values()]) restartIfDead(world, machine);
  for (const client of clients) {
    client.pace = 0;
    const link = world.net.link("server", client.name);
    link.rate = Infinity;
    link.latency = 2;
  }
  forward(9_000);
  // A connection of before may have ended just now, for example by messageTimeout on what was a slow link.
  const closed = (): readonly Client[] => clients.filter((client) => notOpen(world, client));
  if (closed().length > 0) forward(4_000);
  for (const { name, reconnecting } of closed())
    oracle.wrong("I10 not open again", `${name}: ${reconnecting?.connection.state.name}`);

  // Quiet.
  oracle.note("step", "quiet");
  for (const client of clients) {
    for (const { connection, process } of client.ends) if (process.alive) void connection.close();
    if (client.reconnecting?.machine.alive) client.reconnecting.close();
  }
  forward(1_000);
  // Timers and memory of a process that was killed stay with it.
  const everyProcessLives = (): boolean =>
    [...world.machines.values()].every(({ restarts }) => restarts === 0) &&
    oracle.ends.every(({ process }) => process.alive);
  if (
    everyProcessLives() &&
    !oracle.faulty &&
    world.openings.size === 0 &&
    oracle.ends.every(({ closedAt }) => closedAt !== undefined) &&
    loop.armed > 0
  )
    oracle.wrong("I7 armed timers", `${loop.armed} although all connections have ended`);
  forward(2_000);
  oracle.faulty = true;
  world.ending = true;
  for (const server of [world.server, world.hookServer, world.lineServer]) void server?.close({ drain: 1_000 });
  for (const server of [...world.feeds, ...world.faultyServers])
    server.then((started) => started.close({ drain: 1_000 })).catch(() => undefined);
  forward(6_000);
  loop.run(25_000);
  world.sweep();
  if (oracle.violations.length === 0) finish(world, clients);
  const held = memoryBudget.heldBytes - heldBefore;
  if (everyProcessLives() && held !== 0) oracle.wrong("I7 memory budget", `${held} bytes although all have ended`);
  unhandled.report = undefined;
  return { hash: trace.hash, violations: oracle.violations, choices: entropy.choices, events: trace.events };
}

/** True if the client connects again and again, and is neither connected nor at its end. */
function notOpen(world: World, { reconnecting }: Client): boolean {
  // Without a heartbeat its connections end by idleTimeout.
  if (reconnecting === undefined || world.limits.heartbeat === false || world.draining) return false;
  const { name } = reconnecting.connection.state;
  return reconnecting.machine.alive && name !== "open" && name !== "ended";
}

function finish(world: World, clients: readonly Client[]): void {
  const { oracle } = world;
  oracle.finish();
  for (const { since, process } of world.openings)
    if (process.alive) oracle.wrong("I7 connect never settled", `${process.name}: since ${since}`);
  for (const { reconnecting } of clients) {
    if (reconnecting?.machine.alive !== true) continue;
    if (reconnecting.pending > 0)
      oracle.wrong("I2 never settled", `${reconnecting.pending} sends of a reconnecting client`);
    if (reconnecting.closes !== 1) oracle.wrong("I10 close hook", `${reconnecting.closes} calls`);
  }
  if (world.group.size > 0 && world.machine("server").alive)
    oracle.wrong("I7 member in a group", `${world.group.size}`);
}
