/** Loads in the process of the test, against servers in it: as `holdfast bench` runs them, without its processes. */

import { loadOf } from "../../../src/cli/bench/load.ts";
import type { StartLoad } from "../../../src/cli/bench/load-channel.ts";
import type { Plan } from "../../../src/cli/bench/plan.ts";
import { type BenchResult, resultOf } from "../../../src/cli/bench/result.ts";
import { run } from "../../../src/cli/bench/run.ts";
import { type Connection, Group, type ListenOptions, listen, type Message, type Server } from "../../../src/index.ts";
import { SAMPLE_PLAN } from "./sample-result.ts";

/** A server on a free port, whose messages are handled by `message`. */
export async function serving(
  message: (connection: Connection, message: Message) => void | Promise<void>,
  options: ListenOptions = {},
): Promise<Server> {
  return await listen("ws://127.0.0.1:0/", { ...options, message });
}

export function echo(connection: Connection, message: Message): void {
  connection.trySend(message);
}

/** A server that sends each message to all connections. */
export function chat(options: ListenOptions = {}): Promise<Server> {
  const group = new Group();
  return serving((_, message) => void group.send(message), {
    ...options,
    open: (connection) => void group.join(connection),
  });
}

const startHere: StartLoad = (notice) => {
  const obey = loadOf((one) => setImmediate(notice, one));
  return { send: obey, close: () => undefined };
};

/** 40 messages in 0.4 s on one connection, if the plan says nothing else. */
export async function benched(
  url: string,
  plan: Partial<Plan> = {},
  stop: AbortController = new AbortController(),
): Promise<BenchResult> {
  const brief = { connections: 1, processes: 1, rate: 100, warmup: 0, duration: 400 };
  const whole: Plan = { ...SAMPLE_PLAN, ...brief, url, ...plan };
  const measured = await run(whole, { progress: () => undefined, signal: stop.signal, start: startHere });
  return resultOf(whole, measured, null);
}
