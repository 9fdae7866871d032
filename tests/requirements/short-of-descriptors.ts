/** A program that listens, and runs out of descriptors when it is told to. Run by s3-accept.test.ts under a lowered limit. */

import { closeSync, open, openSync } from "node:fs";
import { devNull } from "node:os";
import { isConnectionError, listen } from "../../src/index.js";
import { loopTurns } from "../loop-turns.js";

/** What the program is told to do. */
export type Order = "exhaust" | "steal" | "measure" | "release" | "close";

/** How busy the program was for a while. */
export interface Busyness {
  /** Milliseconds that the while took in the end. */
  readonly spent: number;
  /** Milliseconds of processor time. */
  readonly cpu: number;
  /** Turns of the event loop. */
  readonly turns: number;
}

/** What it answers. */
export interface Answer {
  readonly port?: number;
  /** What was measured over two seconds. */
  readonly busyness?: Busyness;
  /** How many descriptors there were to be taken. */
  readonly taken?: number;
  /** What onError was told since the last answer. */
  readonly errors: readonly string[];
}

const [, , url = ""] = process.argv;
const errors: string[] = [];
const server = await listen(
  url,
  {
    ...(url.startsWith("tcp") && { framing: "lines" }),
    onError: (error) => errors.push(isConnectionError(error) ? `${error.name}: ${error.message}` : String(error)),
  },
  async (connection) => {
    for await (const message of connection) await connection.send(message);
  },
);

const taken: number[] = [];

function exhaust(): number {
  const before = taken.length;
  try {
    for (;;) taken.push(openSync(devNull, "r"));
  } catch {
    return taken.length - before;
  }
}

/** Takes from another thread what comes free for a moment: the descriptor that libuv keeps back, when it lets go of it. */
async function steal(): Promise<void> {
  for (;;) {
    const fd = await new Promise<number | undefined>((resolve) =>
      open(devNull, "r", (error, fd) => resolve(error === null ? fd : undefined)),
    );
    if (fd === undefined) continue;
    taken.push(fd);
    return;
  }
}

async function measure(): Promise<Busyness> {
  const began = performance.now();
  const before = process.cpuUsage();
  const turned = loopTurns();
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  const { user, system } = process.cpuUsage(before);
  return { spent: performance.now() - began, cpu: (user + system) / 1_000, turns: loopTurns() - turned };
}

function answer(facts: Partial<Answer>): void {
  process.send?.({ errors: errors.splice(0), ...facts });
}

async function obey(order: Order): Promise<void> {
  switch (order) {
    case "exhaust":
      return answer({ taken: exhaust() });
    case "steal":
      await steal();
      return answer({});
    case "measure":
      return answer({ busyness: await measure() });
    case "release":
      for (const fd of taken.splice(0)) closeSync(fd);
      return answer({});
    case "close":
      await server.close({ drain: 100 });
      answer({});
      // Nothing else may keep the process alive.
      return process.disconnect();
    default:
      return order satisfies never;
  }
}

process.on("message", (order: Order) => void obey(order));
answer({ port: Number(new URL(server.url).port) });
