/** Runs a plan in its processes: starts them, begins at the same time in all, and collects what they have measured. */

import { Histogram } from "../../engine/histogram.ts";
import { LastDeliveries } from "./last-deliveries.ts";
import type { LoadChannel, StartLoad } from "./load-channel.ts";
import { machineNow } from "./machine-clock.ts";
import {
  type LastDelivery,
  type LoadResult,
  type Milliseconds,
  type Notice,
  type Order,
  type Plan,
  SCHEMA,
} from "./plan.ts";
import type { Measured } from "./result.ts";

/**
 * Time between the opening of the last connection and the start: for the orders to arrive, and for servers that add a member to a
 * broadcast a moment after they have answered it.
 */
const SETTLING = 250;

/** How far a run is. */
export type RunProgress =
  | { readonly phase: "opening" }
  | {
      readonly phase: "running";
      /** Since the start of the warm-up. */
      readonly elapsed: Milliseconds;
      /** Received messages per second of the measured time so far. */
      readonly rate: number;
      /** The latest latencies. */
      readonly recent: Histogram;
    };

export interface RunOptions {
  readonly progress: (progress: RunProgress) => void;
  /** When it aborts, the measurement ends at once, and the run resolves with what was measured. */
  readonly signal: AbortSignal;
  /** Called after the measured time, while the connections are open. */
  readonly beforeEnd?: () => Promise<void>;
  /** Starts a process of the load. */
  readonly start: StartLoad;
}

/** Rejects if not all connections could be opened, or if a process has failed. */
export async function run(plan: Plan, { progress, signal, beforeEnd, start }: RunOptions): Promise<Measured> {
  progress({ phase: "opening" });
  const processes = Array.from({ length: plan.processes }, () => new LoadProcess(start));
  const order = (given: Order): void => {
    for (const process of processes) process.order(given);
  };
  const stop = (): void => order({ type: "stop" });
  try {
    for (const [index, process] of processes.entries()) process.order({ type: "open", plan, index });
    await opened(plan, processes);
    const at = machineNow() + SETTLING;
    const startedAt = new Date(Date.now() + SETTLING);
    const deliveries = plan.work === "broadcast" ? new LastDeliveries(plan) : undefined;
    for (const process of processes) {
      process.onDeliveries = (some) => deliveries?.add(some);
      process.onProgress = () => progress(joined(plan, processes, machineNow() - at));
    }
    order({ type: "start", at });
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    const sent = await Promise.all(processes.map((process) => process.notice("sent")));
    await beforeEnd?.();
    order({ type: "finish", published: Math.max(...sent.map(({ published }) => published)) });
    const results = await Promise.all(processes.map((process) => process.notice("result")));
    const until = Math.max(...sent.map((one) => one.until));
    return {
      results: results.map(({ result }): LoadResult => result),
      last: deliveries?.histogram,
      duration: until - plan.warmup,
      startedAt,
    };
  } finally {
    signal.removeEventListener("abort", stop);
    for (const process of processes) process.end();
  }
}

async function opened({ connections, work, url }: Plan, processes: readonly LoadProcess[]): Promise<void> {
  const notices = await Promise.all(processes.map((process) => process.notice("opened")));
  const failure = notices.find((notice) => notice.failure !== undefined)?.failure;
  if (failure === undefined) return;
  const count = notices.reduce((sum, notice) => sum + notice.opened, 0);
  const wanted = connections + (work === "broadcast" ? 1 : 0);
  throw new Error(`cannot open more than ${count} of ${wanted} connections to ${url}: ${failure}`);
}

function joined({ warmup, duration }: Plan, processes: readonly LoadProcess[], elapsed: Milliseconds): RunProgress {
  const recent = new Histogram(SCHEMA);
  for (const { last } of processes) if (last !== undefined) recent.merge(last.latency);
  const received = processes.reduce((sum, { last }) => sum + (last?.received ?? 0), 0);
  const time = Math.min(elapsed - warmup, duration);
  return { phase: "running", elapsed, rate: time > 0 ? (received * 1_000) / time : 0, recent };
}

type NoticeOf<Type extends Notice["type"]> = Extract<Notice, { readonly type: Type }>;

/** One process of the load. */
class LoadProcess {
  readonly #channel: LoadChannel;
  readonly #notices: Notice[] = [];
  #wake: () => void = () => undefined;
  #failure: Error | undefined;
  onDeliveries: (deliveries: readonly LastDelivery[]) => void = () => undefined;
  onProgress: () => void = () => undefined;
  /** The last progress that it has reported. */
  last: NoticeOf<"progress"> | undefined;

  constructor(start: StartLoad) {
    this.#channel = start(
      (notice) => this.#received(notice),
      (error) => this.#failed(error),
    );
  }

  order(order: Order): void {
    this.#channel.send(order);
  }

  /** The next notice of this type. Rejects if the process ends before. */
  async notice<Type extends Notice["type"]>(type: Type): Promise<NoticeOf<Type>> {
    for (;;) {
      const at = this.#notices.findIndex((notice) => notice.type === type);
      if (at !== -1) return this.#notices.splice(at, 1)[0] as NoticeOf<Type>;
      if (this.#failure !== undefined) throw this.#failure;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  end(): void {
    this.#channel.close();
  }

  #received(notice: Notice): void {
    if (notice.type === "last") this.onDeliveries(notice.deliveries);
    else if (notice.type === "progress") {
      this.last = notice;
      this.onProgress();
    } else {
      this.#notices.push(notice);
      this.#wake();
    }
  }

  #failed(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }
}
