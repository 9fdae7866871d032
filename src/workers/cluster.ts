/** The part of Node's cluster module that is used to run one program in several processes. */

import cluster, { type Worker } from "node:cluster";
import { availableParallelism } from "node:os";
import type { Signals } from "../transport/node-types.ts";

// The environment variable of a worker process that this library started. Applications can use the cluster module too: their
// workers do not have this variable.
const WORKER_VARIABLE = "HOLDFAST_WORKER";

/**
 * Sends a message to another process. Order is kept. `posted` is called when the message has left this process, or cannot leave
 * any more.
 */
export type Post = (message: unknown, posted: () => void) => void;

/** A process that this process has started. */
export interface Child {
  /** Undefined if the system could not create the process. */
  readonly pid: number | undefined;
  readonly post: Post;
  /** SIGTERM requests the end, and the process may still finish its work. SIGKILL ends the process immediately. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

export interface ChildEvents {
  message(message: unknown): void;
  /** Called once. Both arguments are null if the process could not be created. */
  ended(exitCode: number | null, signal: string | null): void;
}

/** The process that started this one. */
export interface Parent {
  /** The number of this worker, from 1. */
  readonly worker: number;
  readonly post: Post;
  listen(message: (message: unknown) => void): void;
}

export function processors(): number {
  return availableParallelism();
}

/** True if this process can start workers. A worker cannot, whichever library or application started it. */
export function isPrimary(): boolean {
  return cluster.isPrimary;
}

/** Starts this program again as worker `id`. The worker shares its listening ports with the other workers. */
export function fork(id: number, events: ChildEvents): Child {
  // `advanced` sends binary data as it is. The default is JSON.
  cluster.setupPrimary({ serialization: "advanced" });
  let hasEnded = false;
  const ended = (exitCode: number | null, signal: string | null): void => {
    if (hasEnded) return;
    hasEnded = true;
    events.ended(exitCode, signal);
  };
  let worker: Worker;
  try {
    worker = cluster.fork({ [WORKER_VARIABLE]: String(id) });
  } catch {
    process.nextTick(ended, null, null);
    return { pid: undefined, post: (_, posted) => process.nextTick(posted), kill: () => undefined };
  }
  worker.on("message", (message) => events.message(message));
  worker.on("exit", (exitCode: number | null, signal: string | null) => ended(exitCode, signal));
  worker.on("error", () => {
    if (worker.process.pid === undefined) ended(null, null);
  });
  return {
    pid: worker.process.pid,
    post: (message, posted) => void worker.process.send(message as object, () => posted()),
    kill: (signal) => void worker.process.kill(signal),
  };
}

/** Returns the parent if this library started this process as a worker. Otherwise undefined. */
export function parent(): Parent | undefined {
  const id = Number(process.env[WORKER_VARIABLE]);
  const send = process.send?.bind(process) as ((message: unknown, ...rest: unknown[]) => boolean) | undefined;
  if (!cluster.isWorker || !(id > 0) || send === undefined) return undefined;
  return {
    worker: id,
    post: (message, posted) => void send(message, undefined, undefined, () => posted()),
    listen: (listener) => void process.on("message", listener),
  };
}

/** Calls the matching listener for each received signal, until the returned function is called. */
export function onSignals(listeners: Readonly<Partial<Record<Signals, () => void>>>): () => void {
  const entries = Object.entries(listeners) as [Signals, () => void][];
  // On Windows, SIGHUP means that the console window was closed, and the process cannot prevent its end.
  const available = entries.filter(([signal]) => process.platform !== "win32" || signal !== "SIGHUP");
  for (const [signal, listener] of available) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of available) process.off(signal, listener);
  };
}

/** Ends this process. */
export function exitProcess(status: number): never {
  process.exit(status);
}
