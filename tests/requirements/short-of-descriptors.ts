/** A program that listens, and uses up its descriptors on request. s3-accept.test.ts runs it with a low limit. */

import { closeSync, open, openSync } from "node:fs";
import { devNull } from "node:os";
import { isConnectionError, listen } from "../../src/index.ts";
import { loopTurns } from "../kit/loop-turns.ts";

/** The orders of its parent process. */
export type Order = "exhaust" | "steal" | "measure" | "release" | "close";

/** How busy the program was for a while. */
export interface Busyness {
  /** The measured milliseconds. */
  readonly spent: number;
  /** Milliseconds of processor time. */
  readonly cpu: number;
  /** Turns of the event loop. */
  readonly turns: number;
}

/** The reports. */
export interface Answer {
  readonly port?: number;
  /** The measurements of two seconds. */
  readonly busyness?: Busyness;
  /** The number of descriptors that were free. */
  readonly taken?: number;
  /** The errors of onError since the last report. */
  readonly errors: readonly string[];
  /** The reasons and the peers of refused openings since the last report. */
  readonly refusals?: readonly string[];
}

const [, , url = ""] = process.argv;
const errors: string[] = [];
const refusals: string[] = [];
const server = await listen(
  url,
  {
    ...(url.startsWith("tcp") && { framing: "lines" }),
    observe: (event) => event.type === "refused" && refusals.push(`${event.reason} ${event.remoteAddress}`),
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

/** A thread that opens any descriptor that becomes free, such as the one that libuv closes for a moment. */
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
  process.send?.({ errors: errors.splice(0), refusals: refusals.splice(0), ...facts });
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
