/**
 * What happens at the end of a run, when all is well: it is known exactly what is lost then, so each reader must have exactly that gap,
 * and get all that follows.
 */

import type { GapReason } from "../../../src/index.ts";
import type { Client } from "../../hub/clients.ts";
import type { Host, TopicWorld } from "./world.ts";

type Forward = (length: number) => void;

/** Longer than all that a hub does when its connection is cut, in milliseconds. */
const HEALING = 2_000;
/** More than a member gets at once when it is behind. */
const MANY = 80;

interface Expected {
  readonly reason: GapReason;
  readonly to: number;
  readonly count?: number;
}

/** All readers are at the newest entry, and all hosts are alive. */
export function exactGaps(world: TopicWorld, forward: Forward): void {
  if (world.noise() < 0.3) clientReturns(world, forward);
  if (!world.forgets) return;
  logIsRolledBack(world, forward);
  // Otherwise the hubs do not know which entries are new.
  if (world.remembers) logIsEmptied(world, forward);
}

/** Each member reads what its connection has. */
export function readAll(world: TopicWorld, forward: Forward): void {
  for (let turn = 0; turn < 3 && world.oracle.violations.length === 0; turn += 1) {
    for (const client of world.clients) world.read(client);
    forward(20);
  }
}

export function newestIsThere(world: TopicWorld, rule: string): void {
  const { server, oracle } = world;
  for (const { name, last } of readersOf(world))
    if (last !== server.tip && oracle.violations.length === 0)
      oracle.wrong(rule, `${name} has entry ${last?.offset}, and the newest is ${server.tip?.offset}`);
}

/** A client was away for more messages than a member gets at once, and returns to a host that has just started. */
function clientReturns(world: TopicWorld, forward: Forward): void {
  const { clients, hosts, messages, loop } = world;
  const [client] = clients as [Client];
  const [host] = hosts as [Host];
  const from = client.position?.offset ?? 0;
  void client.member?.close();
  for (let index = 0; index < MANY; index += 1)
    loop.after(2 * index, () => world.publish(hosts[index % hosts.length] as Host));
  forward(HEALING);
  readAll(world, forward);
  world.die(host);
  world.restart(host);
  forward(500);
  const to = Math.max(from + MANY - messages, from);
  expect(
    world,
    [client],
    "T4 a client that returns",
    to > from ? { reason: "trimmed", to, count: to - from } : undefined,
    () => {
      for (const one of clients) if (one.member?.signal.aborted) world.join(one, host, 1_000);
      forward(500);
      // It is behind now, with room in its send queue.
      for (const each of hosts) world.publish(each);
      forward(500);
      // The rest of what it has missed may have to be read again.
      for (let turn = 0; turn < 3; turn += 1) {
        readAll(world, forward);
        forward(300);
      }
      readAll(world, forward);
    },
  );
}

/** The server loses its newest entries, and gets others before the hubs are there again. */
function logIsRolledBack(world: TopicWorld, forward: Forward): void {
  const { server, hosts, loop, noise } = world;
  for (let index = 0; index < 6; index += 1)
    loop.after(2 * index, () => world.publish(hosts[index % hosts.length] as Host));
  forward(HEALING);
  readAll(world, forward);
  const lost = 1 + Math.floor(noise() * 4);
  const others = [0, 2, 6][Math.floor(noise() * 3)] as number;
  const to = (server.tip?.offset ?? 0) - lost;
  expect(world, readersOf(world), "T4 a rollback", { reason: "fork", to }, () => {
    server.forget(lost);
    world.publishElsewhere(others);
    forward(HEALING);
    world.publish(hosts[0] as Host);
    forward(HEALING);
    readAll(world, forward);
  });
}

/** The server loses all entries: first it gets others before the hubs are there again, then it gets none. */
function logIsEmptied(world: TopicWorld, forward: Forward): void {
  const { server, hosts, messages } = world;
  const empty = (others: number, to: number): void =>
    expect(world, readersOf(world), "T4 an emptied log", { reason: "epoch", to }, () => {
      server.empty();
      world.publishElsewhere(others);
      forward(HEALING);
      if (others > 0) world.publish(hosts[0] as Host);
      forward(HEALING);
      readAll(world, forward);
    });
  const oldest = Math.max((server.tip?.offset ?? 0) - messages, 0) + 1;
  // An entry with an offset before those that the history had may be one that members have had.
  empty(3, oldest > 3 ? 3 : oldest - 1);
  empty(0, 0);
  empty(3, 0);
  newestIsThere(world, "T3 behind an emptied log");
}

/** Each of `readers` has exactly this gap, once, when `happens` is over. */
function expect(
  world: TopicWorld,
  readers: readonly Client[],
  rule: string,
  expected: Expected | undefined,
  happens: () => void,
): void {
  const { oracle, server } = world;
  const before = readers.map(({ gaps, position }) => ({ gaps, from: position?.offset }));
  happens();
  for (const [index, { name, gaps, lastGap, last }] of readers.entries()) {
    if (oracle.violations.length > 0) return;
    const { gaps: had, from } = before[index] as (typeof before)[number];
    if (gaps - had !== (expected === undefined ? 0 : 1)) oracle.wrong(rule, `${name} has ${gaps - had} gaps`);
    else if (expected !== undefined) {
      const { reason, to, count } = lastGap as NonNullable<typeof lastGap>;
      if (
        reason !== expected.reason ||
        lastGap?.from.offset !== from ||
        to.offset !== expected.to ||
        count !== expected.count
      )
        oracle.wrong(rule, `${name}: ${JSON.stringify(lastGap)}, expected ${JSON.stringify({ from, ...expected })}`);
    }
    if (last !== server.tip && server.tip !== undefined)
      oracle.wrong(rule, `${name} has entry ${last?.offset}, and the newest is ${server.tip.offset}`);
  }
}

function readersOf({ clients, hosts }: TopicWorld): readonly Client[] {
  return [...clients, ...hosts.map(({ follower }) => follower)];
}
