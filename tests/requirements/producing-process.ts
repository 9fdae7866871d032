/** A process that measures how fast one producer sends, and how fast many do that share a connection of the named kind. */

import type { Connection } from "../../src/index.ts";
import { ConnectedPair, KINDS } from "../kit/connected-pair.ts";

/** Messages per millisecond. */
export interface Round {
  readonly alone: number;
  readonly together: number;
}

const MESSAGES = 4_000;
const UNDER_WAY = 100;
const ROUNDS = 30;
const MESSAGE = "x".repeat(64);

/** One producer, with as many pending sends as the others together. */
async function alone(connection: Connection): Promise<void> {
  for (let sent = 0; sent < MESSAGES; sent += UNDER_WAY) {
    await Promise.all(Array.from({ length: UNDER_WAY }, () => connection.send(MESSAGE)));
  }
}

/** Producers that share the connection, and each await their own send. */
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
await using ends = await ConnectedPair.open(kind, { server: { message } });

/** The throughput of an otherwise idle machine: messages per millisecond of processor time and waiting of this process. */
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
  // Alternately, since the second half collects the garbage of the first.
  if (rounds.length % 2 === 0) rounds.push({ alone: await rate(alone), together: await rate(together) });
  else {
    const second = await rate(together);
    rounds.push({ alone: await rate(alone), together: second });
  }
}
process.send?.(rounds);
