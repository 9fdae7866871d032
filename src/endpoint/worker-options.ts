/** What `startWorkers` can be told, what it tells, and what a worker is given. */

import type { WorkerError } from "../base/errors.js";
import { guarded } from "../base/events.js";
import type { DrainOptions } from "./roster.js";
import type { CountingExchange } from "./worker-exchange.js";

/** What happens to workers. */
export type WorkerEvent =
  | { readonly type: "serving"; readonly worker: number; readonly pid: number | undefined }
  /** It did not come to serve. */
  | { readonly type: "failed"; readonly worker: number; readonly pid: number | undefined; readonly error: WorkerError }
  /** It took too long to start or to stop, or we were told not to wait. Its `ended` follows. */
  | { readonly type: "killed"; readonly worker: number; readonly pid: number | undefined; readonly reason: string }
  | {
      readonly type: "ended";
      readonly worker: number;
      readonly pid: number | undefined;
      readonly exitCode: number | null;
      readonly signal: string | null;
      /** Whether it had been told to. If not, another one takes its place. */
      readonly expected: boolean;
    }
  /** It did not get so many messages of its groups, because too much was waiting for it. Told when that begins and when it is over. */
  | { readonly type: "missed"; readonly worker: number; readonly pid: number | undefined; readonly messages: number };

export interface WorkersOptions {
  /** How many processes. @default os.availableParallelism() */
  readonly workers?: number;
  /** How long one may take until it serves, in milliseconds. Then it is killed. @default 30_000 */
  readonly startTimeout?: number;
  /**
   * How long one may take to end, in milliseconds: closing its servers, `drain` of `Server.close` among it. Then it is
   * killed. @default 30_000
   */
  readonly stopTimeout?: number;
  /** Most bytes of messages that may wait on their way to or from one worker. More are refused or missed, and counted. @default 16_777_216 */
  readonly maxQueuedBytes?: number;
  /** The same by their number. @default 65_536 */
  readonly maxQueuedMessages?: number;
  /**
   * Whether signals are obeyed: SIGHUP restarts the workers one by one, SIGTERM and SIGINT stop them all, and come a second
   * time they kill them. @default true
   */
  readonly signals?: boolean;
  /** Told what happens to workers. @default process.emitWarning, for what was not meant to be */
  readonly observe?: (event: WorkerEvent) => void;
}

export const WORKER_DEFAULTS: Required<Omit<WorkersOptions, "workers" | "observe">> = Object.freeze({
  startTimeout: 30_000,
  stopTimeout: 30_000,
  maxQueuedBytes: 16_777_216,
  maxQueuedMessages: 65_536,
  signals: true,
});

export type SettledWorkers = Required<WorkersOptions>;

/** What a worker is told about itself. */
export interface WorkerScope {
  /** Which one, from 1. Whoever takes its place has the same number. */
  readonly id: number;
  /** Reaches the other workers: `new Group({ name, exchange })`. */
  readonly exchange: CountingExchange;
}

/** What a worker serves with: a `Server`, or anything else that can be closed. */
export interface Closable {
  readonly url?: string;
  /** Called when the worker is to end, with what a `Server` is to be told. */
  close(options: DrainOptions): Promise<unknown>;
}

/** What a worker does: starts to serve, and returns what is to be closed when the worker is to end. */
export type Work = (worker: WorkerScope) => Promise<Closable | readonly Closable[]>;

/** Judges the options. */
export function settleWorkers(given: WorkersOptions, processors: () => number): SettledWorkers {
  for (const name of Object.keys(given)) {
    if (!(name in WORKER_DEFAULTS || name === "workers" || name === "observe")) {
      throw new TypeError(`Cannot use option ${name}: there is no such option here`);
    }
  }
  const options = { ...WORKER_DEFAULTS, workers: given.workers ?? processors(), observe: warn, ...given };
  for (const name of ["workers", "maxQueuedBytes", "maxQueuedMessages"] as const) {
    const value = options[name];
    number(name, value);
    if (!(Number.isInteger(value) && value > 0) && (name === "workers" || value !== Infinity)) {
      throw new RangeError(`Cannot use ${name} ${value}: expected a whole number from 1`);
    }
  }
  for (const name of ["startTimeout", "stopTimeout"] as const) {
    number(name, options[name]);
    if (!(options[name] > 0)) throw new RangeError(`Cannot use ${name} ${options[name]}: expected more than 0 ms`);
  }
  return { ...options, observe: guarded(options.observe, broken) };
}

function number(name: string, value: unknown): void {
  if (typeof value !== "number") throw new TypeError(`Cannot use ${name}: expected a number, got ${typeof value}`);
}

/** The workers go on when whoever watches them fails. */
function broken(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}

function warn(event: WorkerEvent): void {
  const said = unmeant(event);
  if (said !== undefined) process.emitWarning(said, { type: "HoldfastWarning", code: "HOLDFAST_WORKER" });
}

function unmeant(event: WorkerEvent): string | undefined {
  const who = `Worker ${event.worker} (process ${event.pid})`;
  if (event.type === "failed") return event.error.message;
  if (event.type === "killed") return `${who} is killed: ${event.reason}`;
  if (event.type === "missed")
    return `${who} missed ${event.messages} messages of its groups: too much was waiting for it`;
  if (event.type === "serving" || event.expected) return undefined;
  return `${who} ended by ${event.signal ?? `itself with status ${event.exitCode}`}, and is replaced`;
}
