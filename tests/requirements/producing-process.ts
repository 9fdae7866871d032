/** A process of its own: how fast one producer sends, and how fast many do that share a connection of the kind with this name. */

import type { Connection } from "../../src/index.js";
import { Joined, KINDS } from "./joined.js";

/** Messages per millisecond. */
export interface Round {
  readonly alone: number;
  readonly together: number;
}

const MESSAGES = 4_000;
const UNDER_WAY = 100;
const ROUNDS = 30;
const MESSAGE = "x".repeat(64);

/** One producer, which nobody else gets in the way of, with as many sends under way as the others together. */
async function alone(connection: Connection): Promise<void> {
  for (let sent = 0; sent < MESSAGES; sent += UNDER_WAY) {
    await Promise.all(Array.from({ length: UNDER_WAY }, () => connection.send(MESSAGE)));
  }
}

/** Producers that share the connection, and each wait for their own send. */
async function together(connection: Connection): Promise<void> {
  const producer = async (): Promise<void> => {
    for (let sent = 0; sent < MESSAGES; sent += UNDER_WAY) await connection.send(MESSAGE);
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, producer));
}

let left = 0;
let arrived: () => void = () => undefined;
const message = (): void => {
  left -= 1;
  if (left === 0) arrived();
};

const kind = KINDS.find(({ name }) => name === process.argv[2])!;
await using ends = await Joined.open(kind, { server: { message } });

/** Throughput as it is on a machine with nothing else to do: messages by the time that this process computes and waits. */
async function rate(produce: (connection: Connection) => Promise<void>): Promise<number> {
  left = MESSAGES;
  const all = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const [cpu, loop] = [process.cpuUsage(), performance.eventLoopUtilization()];
  await Promise.all([produce(ends.client), all]);
  const { user, system } = process.cpuUsage(cpu);
  return MESSAGES / ((user + system) / 1_000 + performance.eventLoopUtilization(loop).idle);
}

const rounds: Round[] = [];
while (rounds.length < ROUNDS) {
  // In turns, since whoever comes second has the garbage of the first to collect.
  if (rounds.length % 2 === 0) rounds.push({ alone: await rate(alone), together: await rate(together) });
  else {
    const second = await rate(together);
    rounds.push({ alone: await rate(alone), together: second });
  }
}
process.send?.(rounds);
