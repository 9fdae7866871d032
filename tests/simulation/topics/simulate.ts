/** One run of topics: hubs on several hosts, a server that fails, then no more faults, then the judgement. */

import "../replaceable-timers.ts";
import assert from "node:assert/strict";
import { type Client, textOf } from "../../hub/clients.ts";
import { judgeFollowed } from "../../hub/promises.ts";
import { Entropy } from "../entropy.ts";
import { VirtualLoop } from "../loop.ts";
import { Oracle } from "../oracle.ts";
import { Reach } from "../reach.ts";
import { FIXED, type Outcome, PER_STEP, type Settings } from "../simulate.ts";
import { Trace } from "../trace.ts";
import { unhandled } from "../unhandled.ts";
import { exactGaps, newestIsThere, readAll } from "./exact-gaps.ts";
import { STEPS } from "./steps.ts";
import { type Host, TopicWorld } from "./world.ts";

const WAITS = [0, 5, 30, 120, 400, 2_000, 7_000] as const;

/** Runs a world of topics. Resolves after one macrotask, in which all of it happens. */
export function simulateTopics(
  source: number | readonly number[],
  { kept = false, reach = new Reach() }: Settings = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(run(source, kept, reach));
      } catch (error) {
        reject(error);
      }
    });
  });
}

function run(source: number | readonly number[], kept: boolean, reach: Reach): Outcome {
  reach.nextRun();
  const trace = new Trace(kept);
  const wrong = (error: unknown): void => oracle.wrong("T6 uncaught", (error as Error)?.stack ?? String(error));
  const loop = new VirtualLoop(wrong);
  const oracle = new Oracle(loop, trace, reach);
  unhandled.report = wrong;
  return loop.rule(() => {
    const entropy = new Entropy(source, FIXED, PER_STEP);
    const world = new TopicWorld(loop, oracle, entropy);
    const forward = (length: number): void => {
      if (oracle.violations.length === 0) loop.run(length);
    };
    fail(world, entropy, forward, reach);
    heal(world, forward);
    if (oracle.violations.length === 0) finish(world, reach);
    for (const { member } of world.clients) void member?.close();
    for (const { hub } of world.hosts) void hub.close();
    loop.run(120_000);
    unhandled.report = undefined;
    return { hash: trace.hash, violations: oracle.violations, choices: entropy.choices, events: trace.events };
  });
}

function fail(world: TopicWorld, entropy: Entropy, forward: (length: number) => void, reach: Reach): void {
  const { clients, hosts, oracle } = world;
  forward(1_000);
  for (const [index, client] of clients.entries()) world.join(client, hosts[index % hosts.length] as Host, 1_000);
  forward(200);
  while (entropy.more && oracle.violations.length === 0) {
    const chosen = STEPS[entropy.pick(STEPS.length)] as (typeof STEPS)[number];
    const a = entropy.pick(60);
    const b = entropy.pick(60);
    const wait = WAITS[entropy.pick(WAITS.length)] as number;
    const step = chosen.forgets && !world.forgets ? (STEPS[0] as (typeof STEPS)[number]) : chosen;
    oracle.note("step", `${step.name} ${a} ${b}`);
    reach.saw(`topics: ${step.name}`);
    step.run(world, hosts[a % hosts.length] as Host, clients[b % clients.length] as Client, a + b);
    forward(wait);
  }
}

/** No more faults. All that is missing must come in time. */
function heal(world: TopicWorld, forward: (length: number) => void): void {
  const { clients, hosts, oracle, server } = world;
  const everyoneReads = (): void => readAll(world, forward);
  oracle.note("step", "no more faults");
  world.calm = true;
  world.losing = 0;
  server.failing = false;
  void server.faults.thaw();
  void server.faults.heal();
  for (const host of hosts) world.restart(host);
  forward(20_000);
  slowMembersCatchUp(world, forward);
  for (const [index, client] of clients.entries()) world.join(client, hosts[(index + 1) % 3] as Host, 1_000);
  forward(5_000);
  everyoneReads();
  // Messages that come while a hub verifies are passed on with the result, and not by a later verification.
  for (const { node } of hosts) server.suspect(node);
  const reads = hosts.map(({ hub }) => hub.stats.reads);
  for (const [index, host] of hosts.entries()) world.loop.after(10 * index, () => world.publish(host));
  forward(2_000);
  everyoneReads();
  newestIsThere(world, "T3 during a verification");
  for (const [index, { name, hub }] of hosts.entries())
    if (hub.stats.reads - (reads[index] as number) > 3)
      oracle.wrong("T5 reads", `${name}: ${hub.stats.reads - (reads[index] as number)} for one false alarm`);
  // The newest message is lost on the way to all hubs, without a sign: they find it by themselves.
  world.losing = 1;
  world.publish(hosts[0] as Host);
  forward(2_000);
  world.losing = 0;
  forward(62_000);
  everyoneReads();
  newestIsThere(world, "T3 after a silent loss");
  exactGaps(world, forward);
}

/** Turns in which each member reads what is in its send queue. */
const TURNS = 2_000;

/** The members that are still there get the newest entry, however small their send queues are. */
function slowMembersCatchUp(world: TopicWorld, forward: (length: number) => void): void {
  const { clients, hosts, server, oracle } = world;
  const here = clients.filter(({ member }) => hosts.some(({ topic }) => member && topic.members.includes(member)));
  const behind = (): readonly Client[] => here.filter(({ position }) => position?.offset !== server.tip?.offset);
  if (server.tip === undefined) return;
  for (let turn = 0; turn < TURNS && behind().length > 0 && oracle.violations.length === 0; turn += 1) {
    for (const client of here) world.read(client);
    forward(1);
  }
  for (const { name, position } of behind())
    if (oracle.violations.length === 0)
      oracle.wrong(
        "T3 a slow member",
        `${name} is at ${position?.offset}, and the newest entry is ${server.tip.offset}`,
      );
}

function finish(world: TopicWorld, reach: Reach): void {
  const { hosts, clients, server, oracle, confirmed } = world;
  const texts: string[] = [];
  for (let entry = server.tip; entry !== undefined; entry = entry.parent)
    texts.unshift(`${entry.offset} ${textOf(entry)}`);
  const log = texts.slice(-world.messages);
  const newest = textOf(server.tip as NonNullable<typeof server.tip>);
  const expected = world.lossless ? confirmed : undefined;
  for (const { followed } of hosts)
    world.check("T4 what a follower has", () => judgeFollowed(followed, { log, newest, confirmed: expected }));
  world.check("T4 once in the log", () => {
    const messages = texts.map((text) => text.slice(text.indexOf(" ") + 1));
    assert.equal(new Set(messages).size, messages.length, "a message with an id is in the log twice");
  });
  for (const { name, gaps } of clients)
    if (world.lossless && gaps > 0) oracle.wrong("T4 gap", `${name} has ${gaps} gaps, and nothing was lost`);
  if (server.renewed.size > server.losses)
    oracle.wrong("T5 renewals", `${server.renewed.size} after ${server.losses} losses of the server`);
  if (world.pending > 0) oracle.wrong("T6 never settled", `${world.pending} publications`);
  for (const { name, hub } of hosts) {
    const { behind, members, publishing, holes, healedHoles, toldHoles, endedHoles, gaps } = hub.stats;
    if (behind > 0 || publishing > 0) oracle.wrong("T5 stats", `${name}: ${JSON.stringify(hub.stats)}`);
    if (members > clients.length) oracle.wrong("T5 members", `${name}: ${members}`);
    if (holes !== healedHoles + toldHoles + endedHoles)
      oracle.wrong("T5 holes", `${name}: ${JSON.stringify(hub.stats)}`);
    if (healedHoles > 0) reach.saw("topics: hole healed");
    if (endedHoles > 0) reach.saw("topics: hole ended");
    for (const [reason, count] of Object.entries(gaps)) if (count > 0) reach.saw(`topics: gap ${reason}`);
  }
}
