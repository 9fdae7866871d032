/** The processes that one program runs in: Node's cluster, as far as it is used. */

import cluster, { type Worker } from "node:cluster";
import { availableParallelism } from "node:os";

// Told to a worker's process when it is made. Others have a cluster too: in a worker of theirs, this is not there.
const ROLE = "HOLDFAST_WORKER";

/** Hands a message to another process, in order. `posted` is called when it has left this one, or cannot any more. */
export type Post = (message: unknown, posted: () => void) => void;

/** A process that we have started. */
export interface Child {
  /** Undefined if the system had none to give. */
  readonly pid: number | undefined;
  readonly post: Post;
  /** SIGTERM asks it to end, as it sees fit; SIGKILL ends it at once, whatever it does. */
  kill(signal: "SIGTERM" | "SIGKILL"): void;
}

export interface ChildEvents {
  message(message: unknown): void;
  /** Called once. Both are null for a process that could not be made. */
  ended(exitCode: number | null, signal: string | null): void;
}

/** The process that has started this one. */
export interface Parent {
  /** Which of its workers this is, from 1. */
  readonly worker: number;
  readonly post: Post;
  listen(message: (message: unknown) => void): void;
}

export function processors(): number {
  return availableParallelism();
}

/** Whether processes can be started from here: not from a worker, whoever has made it. */
export function mayFork(): boolean {
  return cluster.isPrimary;
}

/** Runs this program once more, as worker `id`. What it listens on, it shares with the others. */
export function fork(id: number, events: ChildEvents): Child {
  // Bytes as bytes: the default is JSON.
  cluster.setupPrimary({ serialization: "advanced" });
  let over = false;
  const ended = (exitCode: number | null, signal: string | null): void => {
    if (over) return;
    over = true;
    events.ended(exitCode, signal);
  };
  let worker: Worker;
  try {
    worker = cluster.fork({ [ROLE]: String(id) });
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

/** The process that has made this one a worker; undefined if none has. */
export function parent(): Parent | undefined {
  const id = Number(process.env[ROLE]);
  const send = process.send?.bind(process) as ((message: unknown, ...rest: unknown[]) => boolean) | undefined;
  if (!cluster.isWorker || !(id > 0) || send === undefined) return undefined;
  return {
    worker: id,
    post: (message, posted) => void send(message, undefined, undefined, () => posted()),
    listen: (listener) => void process.on("message", listener),
  };
}

/** Calls the listener of each signal that comes, until the returned function is called. */
export function onSignals(listeners: Readonly<Partial<Record<NodeJS.Signals, () => void>>>): () => void {
  const entries = Object.entries(listeners) as [NodeJS.Signals, () => void][];
  // There SIGHUP says that the window was closed, and the process has no choice.
  const heard = entries.filter(([signal]) => process.platform !== "win32" || signal !== "SIGHUP");
  for (const [signal, listener] of heard) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of heard) process.off(signal, listener);
  };
}

/** Ends this process. */
export function leave(status: number): never {
  process.exit(status);
}
