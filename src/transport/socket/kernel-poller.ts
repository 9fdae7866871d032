/** Queries the kernel for facts that Node does not report: a FIN behind unread bytes, and whether the peer acknowledges bytes. */

import type { Socket } from "node:net";
import { performance } from "node:perf_hooks";
import { clearTimeout, setTimeout } from "../timers.ts";
import { readSocketTables, type SocketRow } from "./socket-table.ts";

/** The addresses and ports that identify a socket in the kernel's table. */
export type SocketAddresses = Pick<Socket, "localAddress" | "localPort" | "remoteAddress" | "remotePort">;

/** An entry of a paused transport. */
export interface PausedEntry {
  readonly socket: SocketAddresses;
  /** The kernel has the peer's FIN. Called once, and not again until the next `addPaused`. */
  finSeen(): void;
  /** The kernel has no such socket, so it may have been reset. Called at each query. */
  missing(): void;
}

/** An entry of a transport whose peer does not answer. */
export interface UnansweredEntry {
  readonly socket: SocketAddresses;
  /**
   * The peer's TCP has acknowledged bytes since the last query. Called when the kernel's send queue is shorter than before. Bytes
   * that are written between two queries can hide it.
   */
  acknowledged(): void;
}

/** An entry of a transport that waits until the peer has acknowledged all but `atMost` of the written bytes. */
export interface AwaitedEntry {
  readonly socket: SocketAddresses;
  readonly atMost: number;
  /** The length of the kernel's send queue, which is at most `atMost`. Called once. */
  acknowledgedAllBut(bytes: number): void;
}

/** Interval of the queries, in milliseconds. A pause or a wait that is shorter than this is never queried. */
const INTERVAL = 1_000;

/** Least interval while an acknowledgement is awaited, in milliseconds. */
const AWAITED_INTERVAL = 10;

// The table is long on a machine with many sockets. The pause after a query is at least this many times its duration, so queries
// take at most a twentieth of the time.
const PAUSE_FACTOR = 20;

// The same while an acknowledgement is awaited. Where the kernel's hash table is large, a query takes 10 ms of a thread of the
// pool even if it has few sockets. The interval also grows with the wait: a peer that acknowledges nothing costs ever less.
const AWAITED_PAUSE_FACTOR = 4;
const AWAITED_SHARE = 1 / 8;

/**
 * One periodic reading of the kernel's table for all entries, and none while there are no entries. The table covers the network
 * namespace of this process. Only Linux has it: on other systems no event is ever reported.
 */
export class KernelPoller {
  readonly #interval: number;
  readonly #paused: Set<PausedEntry> = new Set();
  /** Entries with the length of their send queue at the last query. */
  readonly #unanswered: Map<UnansweredEntry, number | undefined> = new Map();
  /** Entries with the time since which they wait. */
  readonly #awaited: Map<AwaitedEntry, number> = new Map();
  #timer: NodeJS.Timeout | undefined;
  /** When the timer expires. */
  #dueAt = Infinity;
  #polling = false;
  /** Duration of the last query. */
  #duration = 0;
  /** When the last query ended. */
  #polledAt = Number.NEGATIVE_INFINITY;
  #unsupported: boolean;

  constructor(interval: number = INTERVAL, platform: string = process.platform) {
    this.#interval = interval;
    this.#unsupported = platform !== "linux";
  }

  addPaused(paused: PausedEntry): void {
    if (this.#unsupported) return;
    this.#paused.add(paused);
    this.#arm();
  }

  deletePaused(paused: PausedEntry): void {
    this.#paused.delete(paused);
  }

  addUnanswered(unanswered: UnansweredEntry): void {
    if (this.#unsupported || this.#unanswered.has(unanswered)) return;
    this.#unanswered.set(unanswered, undefined);
    // The second query is compared with the first one, so the first one is made as early as the pause permits.
    this.#arm(Math.max(this.#polledAt + this.#pause - performance.now(), 0));
  }

  /** Returns false if the kernel cannot be queried: then nothing is ever reported. */
  addAwaited(awaited: AwaitedEntry): boolean {
    if (this.#unsupported) return false;
    this.#awaited.set(awaited, performance.now());
    this.#arm(Math.max(this.#polledAt + this.#pause - performance.now(), 0));
    return true;
  }

  deleteAwaited(awaited: AwaitedEntry): void {
    this.#awaited.delete(awaited);
  }

  deleteUnanswered(unanswered: UnansweredEntry): void {
    this.#unanswered.delete(unanswered);
  }

  get #idle(): boolean {
    return this.#paused.size === 0 && this.#unanswered.size === 0 && this.#awaited.size === 0;
  }

  get #pause(): number {
    const usual = Math.max(this.#interval, PAUSE_FACTOR * this.#duration);
    if (this.#awaited.size === 0) return usual;
    const shortest = performance.now() - Math.max(...this.#awaited.values());
    return Math.min(usual, Math.max(AWAITED_INTERVAL, AWAITED_PAUSE_FACTOR * this.#duration, AWAITED_SHARE * shortest));
  }

  #arm(delay: number = this.#pause): void {
    if (this.#polling || this.#idle) return;
    const dueAt = performance.now() + delay;
    if (this.#timer !== undefined) {
      if (this.#dueAt <= dueAt) return;
      clearTimeout(this.#timer);
    }
    this.#dueAt = dueAt;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // All entries may have been removed since.
      if (!this.#idle) void this.#poll();
    }, delay).unref();
  }

  async #poll(): Promise<void> {
    this.#polling = true;
    const startedAt = performance.now();
    // A snapshot: the reading may already have passed the row of an entry that is added during it.
    const paused = [...this.#paused];
    const unanswered = [...this.#unanswered.keys()];
    const awaited = [...this.#awaited.keys()];
    const sockets = [...paused, ...unanswered, ...awaited].map(({ socket }) => socket);
    const ports = new Set(sockets.map(({ localPort, remotePort }) => portPair(localPort, remotePort)));
    const families = new Set(sockets.map(({ localAddress = "" }) => (localAddress.includes(":") ? 6 : 4)));
    try {
      const found = await readSocketTables("self", (local, remote) => ports.has(portPair(local, remote)), families);
      const rows = new Map(found.map((row) => [rowKey(row), row]));
      for (const entry of paused) this.#notifyPaused(entry, rows.get(keyOf(entry.socket)));
      for (const one of unanswered) this.#notifyUnanswered(one, rows.get(keyOf(one.socket)));
      for (const one of awaited) this.#notifyAwaited(one, rows.get(keyOf(one.socket)));
    } catch {
      // A kernel that cannot be queried now will not become readable later.
      this.#unsupported = true;
      this.#paused.clear();
      this.#unanswered.clear();
      // The transport does not know what is acknowledged. It must not wait for ever.
      for (const one of [...this.#awaited.keys()]) this.#settleAwaited(one, 0);
    } finally {
      this.#polling = false;
      this.#polledAt = performance.now();
      this.#duration = performance.now() - startedAt;
      this.#arm();
    }
  }

  #notifyPaused(paused: PausedEntry, row: SocketRow | undefined): void {
    if (!this.#paused.has(paused)) return;
    if (row === undefined) paused.missing();
    else if (row.state === "CLOSE_WAIT") {
      this.#paused.delete(paused);
      paused.finSeen();
    }
  }

  #notifyUnanswered(unanswered: UnansweredEntry, row: SocketRow | undefined): void {
    if (!this.#unanswered.has(unanswered)) return;
    const before = this.#unanswered.get(unanswered);
    this.#unanswered.set(unanswered, row?.sendQueue);
    if (before !== undefined && row !== undefined && row.sendQueue < before) unanswered.acknowledged();
  }

  #notifyAwaited(awaited: AwaitedEntry, row: SocketRow | undefined): void {
    if (row !== undefined && row.sendQueue <= awaited.atMost) this.#settleAwaited(awaited, row.sendQueue);
  }

  #settleAwaited(awaited: AwaitedEntry, bytes: number): void {
    if (this.#awaited.delete(awaited)) awaited.acknowledgedAllBut(bytes);
  }
}

const portPair = (local = 0, remote = 0): number => local * 65_536 + remote;

const rowKey = ({ localHost, localPort, remoteHost, remotePort }: SocketRow): string =>
  `${localHost}|${localPort}|${remoteHost}|${remotePort}`;

function keyOf({ localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 }: SocketAddresses): string {
  // The table does not contain the zone of a link-local address.
  return [localAddress.replace(/%.*/, ""), localPort, remoteAddress.replace(/%.*/, ""), remotePort].join("|");
}

/** The instance for all connections of this process. */
export const kernelPoller: KernelPoller = new KernelPoller();
