/** Counts the TCP sockets of this process by their state in the kernel, in steps that do not delay the event loop. */

import { fstatSync } from "node:fs";
import { opendir } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { readSocketTexts, type SocketState, socketKinds } from "../transport/socket/socket-table.ts";
import { setImmediate } from "../transport/timers.ts";
import { LINUX } from "./processes.ts";

/** How many sockets are in a state. A state that is missing has none. */
export type StateCounts = ReadonlyMap<SocketState, number>;

/** Milliseconds of work after which the event loop runs. */
const STEP = 1;

/** Names of descriptors that are read at a time. */
const BATCH = 128;

// A descriptor or a row takes one to three microseconds: looking at the clock at each would cost as much as some of them.
const LOOK_EVERY = 32;

/**
 * The sockets that this process holds, and those without a holder whose local port is one on which it listens: a socket in TIME_WAIT
 * belongs to no process any more. Resolves with undefined on other systems than Linux. Rejects with the error of the system.
 */
export async function countSocketStates(): Promise<StateCounts | undefined> {
  if (!LINUX) return undefined;
  const pace = new Pace();
  // Descriptors first: a socket that is opened between the two readings is left out.
  const inodes = new Set<number>();
  // In batches: a list of 10,000 names at once would delay the event loop by 10 ms.
  for await (const { name } of await opendir("/proc/self/fd", { bufferSize: BATCH })) {
    const inode = socketInode(Number(name));
    if (inode !== undefined) inodes.add(inode);
    if (pace.due) await pace.pause();
  }
  const counts = new Map<SocketState, number>();
  const listening = new Set<number>();
  /** By local port. */
  const orphans = new Map<number, SocketState[]>();
  for (const text of await readSocketTexts("self")) {
    pace.restart();
    for (const { state, localPort, inode } of socketKinds(text)) {
      // Once: a row can appear twice, because the kernel writes the table in parts.
      if (inodes.delete(inode)) {
        counts.set(state, (counts.get(state) ?? 0) + 1);
        if (state === "LISTEN") listening.add(localPort);
      } else if (inode === 0) {
        const others = orphans.get(localPort);
        if (others === undefined) orphans.set(localPort, [state]);
        else others.push(state);
      }
      if (pace.due) await pace.pause();
    }
  }
  for (const port of listening)
    for (const state of orphans.get(port) ?? []) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** The inode of a descriptor that is a socket. */
function socketInode(descriptor: number): number | undefined {
  try {
    // Synchronous: it is one system call without a path. By the thread pool it would take ten times as long, and delay others there.
    const stats = fstatSync(descriptor);
    return stats.isSocket() ? stats.ino : undefined;
  } catch {
    // It was closed meanwhile. One always is: that by which the folder was read.
    return undefined;
  }
}

/** Divides work into steps. */
class Pace {
  #until = performance.now() + STEP;
  #count = 0;

  /** True if the step has taken its time. To be read once for each piece of work. */
  get due(): boolean {
    this.#count += 1;
    return this.#count % LOOK_EVERY === 0 && performance.now() >= this.#until;
  }

  /** Lets the event loop run. */
  async pause(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.restart();
  }

  /** Begins a step: the event loop has run. */
  restart(): void {
    this.#until = performance.now() + STEP;
  }
}
