/** The options and events of `startWorkers`, and the types of a worker's function. */

import type { WorkerError } from "../base/errors.ts";
import { guarded } from "../base/events.ts";
import { type Complete, present } from "../base/forms.ts";
import { COUNT, DURATION, judgeBoolean, judgeFunction, judgeNames, judgeNumber, judgeOptions } from "../base/judge.ts";
import type { Broker } from "../broker/broker.ts";
import { LOG_STORE_DEFAULTS } from "../broker/log-store.ts";
import type { DrainOptions } from "../core.ts";
import type { MetricsSnapshot } from "../metrics/snapshot.ts";
import { printError, printLine } from "../transport/error-report.ts";
import type { CountingExchange } from "./exchange.ts";

/** An event of a worker. */
export type WorkerEvent =
  | { readonly type: "serving"; readonly worker: number; readonly pid: number | undefined }
  /** The worker did not start to serve. */
  | { readonly type: "failed"; readonly worker: number; readonly pid: number | undefined; readonly error: WorkerError }
  /** The worker took too long to start or to stop, or a second signal requested its immediate end. Its `ended` follows. */
  | { readonly type: "killed"; readonly worker: number; readonly pid: number | undefined; readonly reason: string }
  | {
      readonly type: "ended";
      readonly worker: number;
      readonly pid: number | undefined;
      readonly exitCode: number | null;
      readonly signal: string | null;
      /**
       * True if this library had stopped or killed the worker, or if it has failed to start (`failed`). If false, the worker had
       * served, and another process replaces it, unless all workers are being stopped.
       */
      readonly expected: boolean;
    }
  /**
   * The worker did not get `messages` messages of its groups, because too many were waiting for it. Sent when that begins and
   * when it is over.
   */
  | { readonly type: "missed"; readonly worker: number; readonly pid: number | undefined; readonly messages: number };

export interface WorkersOptions {
  /** The number of worker processes. @default os.availableParallelism() */
  readonly workers?: number | undefined;
  /**
   * How long a worker may take until it serves, in milliseconds. After that it is killed. If the first process is stopped meanwhile, the
   * time starts again when it continues. @default 30_000
   */
  readonly startTimeout?: number | undefined;
  /**
   * How long a worker may take to end, in milliseconds. This includes the close of its servers (`drain` of `Server.close`). After
   * that it is killed. If the first process is stopped meanwhile, the time starts again when it continues. @default 30_000
   */
  readonly stopTimeout?: number | undefined;
  /**
   * The maximum of bytes of messages on their way to or from one worker. Further messages are refused or missed, and counted.
   * @default 16_777_216
   */
  readonly maxQueuedBytes?: number | undefined;
  /** The maximum number of these messages. @default 65_536 */
  readonly maxQueuedMessages?: number | undefined;
  /**
   * Most memory that the logs of topics use in the first process, in bytes: see `maxBytes` of `memoryBroker`. @default 268_435_456
   */
  readonly maxLogBytes?: number | undefined;
  /** Most topics that have a log in the first process: see `maxTopics` of `memoryBroker`. @default 1_000_000 */
  readonly maxLogTopics?: number | undefined;
  /**
   * Whether the first process and the workers handle signals. SIGHUP restarts the workers one by one. SIGTERM and SIGINT stop all
   * workers; if one of these is received again, the workers are killed. @default true
   */
  readonly signals?: boolean | undefined;
  /** Called with each event of a worker. @default writes to stderr each event that was not expected */
  readonly observe?: ((event: WorkerEvent) => void) | undefined;
}

/** The default of each option of `startWorkers` that has a plain value. */
export const WORKER_DEFAULTS: Complete<Omit<WorkersOptions, "workers" | "observe">> = Object.freeze({
  startTimeout: 30_000,
  stopTimeout: 30_000,
  maxQueuedBytes: 16_777_216,
  maxQueuedMessages: 65_536,
  maxLogBytes: LOG_STORE_DEFAULTS.maxBytes,
  maxLogTopics: LOG_STORE_DEFAULTS.maxTopics,
  signals: true,
});

export type SettledWorkers = Complete<WorkersOptions>;

/** The argument of a worker's function. */
export interface WorkerScope {
  /** The number of the worker, from 1. A process that replaces it has the same number. */
  readonly id: number;
  /** Carries messages to the other workers: `new Group({ name, exchange })`. */
  readonly exchange: CountingExchange;
  /**
   * Connects the topics of all workers: `new Hub({ broker })`. Its logs are in the first process, so they survive the end of a
   * worker.
   */
  readonly broker: Broker;
  /**
   * The metrics of all processes of the program, as `metrics` of `Workers` in the first process: for the answer of the worker that
   * happens to get the request for `/metrics`. Rejects with a TimeoutError if the first process does not answer within 3 s.
   */
  readonly metrics: () => Promise<MetricsSnapshot>;
}

/** A `Server`, or any other object that can be closed. */
export interface WorkerServer {
  readonly url?: string;
  /** Called when the worker ends, with the options for `close` of a `Server`. */
  close(options: DrainOptions): Promise<unknown>;
}

/** The function of a worker: starts to serve, and returns the objects that are closed when the worker ends. */
export type WorkerFunction = (worker: WorkerScope) => Promise<WorkerServer | readonly WorkerServer[]>;

/** Validates the options and adds the defaults. Throws TypeError or RangeError for an invalid option. */
export function settleWorkers(all: WorkersOptions, processors: () => number): SettledWorkers {
  judgeOptions(all);
  const given = present(all);
  const known = [...Object.keys(WORKER_DEFAULTS), "workers", "observe"];
  judgeNames(Object.keys(given), (name) => known.includes(name));
  const options = { ...WORKER_DEFAULTS, workers: given.workers ?? processors(), observe: printEvent, ...given };
  judgeNumber("workers", options.workers, { least: 1, whole: true });
  for (const name of ["maxQueuedBytes", "maxQueuedMessages", "maxLogBytes", "maxLogTopics"] as const)
    judgeNumber(name, options[name], COUNT);
  for (const name of ["startTimeout", "stopTimeout"] as const) judgeNumber(name, options[name], DURATION);
  judgeBoolean("signals", options.signals);
  judgeFunction("observe", options.observe);
  return { ...options, observe: guarded(options.observe, reportObserverError) };
}

/** Reports an error of the observer. The workers continue. */
function reportObserverError(error: unknown): void {
  printError(error, { place: "observe", connection: undefined });
}

function printEvent(event: WorkerEvent): void {
  if (event.type === "failed") {
    printError(event.error, { place: "worker", connection: undefined });
    return;
  }
  const text = problemOf(event);
  if (text !== undefined) printLine(text);
}

function problemOf(event: Exclude<WorkerEvent, { readonly type: "failed" }>): string | undefined {
  const name = `Worker ${event.worker} (process ${event.pid})`;
  if (event.type === "killed") return `${name} is killed: ${event.reason}`;
  if (event.type === "missed")
    return `${name} missed ${event.messages} messages of its groups: too much was waiting for it`;
  if (event.type === "serving" || event.expected) return undefined;
  return `${name} ended by ${event.signal ?? `itself with status ${event.exitCode}`}, and is replaced`;
}
