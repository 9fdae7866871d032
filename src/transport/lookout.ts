/** Asks the kernel what Node does not tell: that the peer has ended, behind bytes nobody reads; that it takes bytes, and says nothing. */

import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { endianness } from "node:os";
import { type SocketRow, socketRows } from "./socket-table.js";

/** By what the kernel knows a socket. */
export type SocketEnds = Pick<Socket, "localAddress" | "localPort" | "remoteAddress" | "remotePort">;

/** One who has paused. */
export interface Paused {
  readonly socket: SocketEnds;
  /** The peer's FIN is here. Said once, and not again until `add`. */
  finSeen(): void;
  /** The kernel has no such socket: it may have been reset. Said at each look. */
  missing(): void;
}

/** One whose peer does not answer. */
export interface Unanswered {
  readonly socket: SocketEnds;
  /**
   * The peer's system has acknowledged bytes since the last look. Said of a queue that has become shorter: what is written
   * meanwhile may hide it.
   */
  acknowledged(): void;
}

/** How often it looks, in milliseconds. Who pauses, or waits, for less is never looked at. */
const INTERVAL = 1_000;

// On a machine with very many sockets the table is long: looking takes no more than a twentieth of the time.
const REST = 20;

const LITTLE_ENDIAN = endianness() === "LE";

/**
 * One reading of the kernel's table for all whom it concerns, and none while it concerns nobody. The table is of this process's
 * network namespace. Only Linux has one; elsewhere nothing is ever seen.
 */
export class Lookout {
  readonly #interval: number;
  readonly #paused: Set<Paused> = new Set();
  /** With the length of their send queues at the last look. */
  readonly #unanswered: Map<Unanswered, number | undefined> = new Map();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #pace: number;
  #blind: boolean;

  constructor(interval: number = INTERVAL, platform: string = process.platform) {
    this.#interval = interval;
    this.#pace = interval;
    this.#blind = platform !== "linux";
  }

  add(paused: Paused): void {
    if (this.#blind) return;
    this.#paused.add(paused);
    this.#arm();
  }

  delete(paused: Paused): void {
    this.#paused.delete(paused);
  }

  follow(unanswered: Unanswered): void {
    if (this.#blind || this.#unanswered.has(unanswered)) return;
    this.#unanswered.set(unanswered, undefined);
    this.#arm();
  }

  unfollow(unanswered: Unanswered): void {
    this.#unanswered.delete(unanswered);
  }

  get #idle(): boolean {
    return this.#paused.size === 0 && this.#unanswered.size === 0;
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#looking || this.#idle) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // They may all have gone on since.
      if (!this.#idle) void this.#look();
    }, this.#pace).unref();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    const since = performance.now();
    // Whoever comes while the table is being read may have been passed by already.
    const paused = [...this.#paused];
    const unanswered = [...this.#unanswered.keys()];
    const ports = new Set([...paused, ...unanswered].map(({ socket }) => pairOf(socket.localPort, socket.remotePort)));
    try {
      const found = await readTables((local, remote) => ports.has(pairOf(local, remote)));
      const rows = new Map(found.map((row) => [rowKey(row), row]));
      for (const one of paused) this.#tellPaused(one, rows.get(keyOf(one.socket)));
      for (const one of unanswered) this.#tellUnanswered(one, rows.get(keyOf(one.socket)));
    } catch {
      // A kernel that does not say it now will not say it later.
      this.#blind = true;
      this.#paused.clear();
      this.#unanswered.clear();
    } finally {
      this.#looking = false;
      this.#pace = Math.max(this.#interval, REST * (performance.now() - since));
      this.#arm();
    }
  }

  #tellPaused(paused: Paused, row: SocketRow | undefined): void {
    if (!this.#paused.has(paused)) return;
    if (row === undefined) paused.missing();
    else if (row.state === "CLOSE_WAIT") {
      this.#paused.delete(paused);
      paused.finSeen();
    }
  }

  #tellUnanswered(unanswered: Unanswered, row: SocketRow | undefined): void {
    if (!this.#unanswered.has(unanswered)) return;
    const before = this.#unanswered.get(unanswered);
    this.#unanswered.set(unanswered, row?.sendQueue);
    if (before !== undefined && row !== undefined && row.sendQueue < before) unanswered.acknowledged();
  }
}

/** Rows of both families, as far as their ports are wanted. */
async function readTables(wanted: (localPort: number, remotePort: number) => boolean): Promise<SocketRow[]> {
  const tables = await Promise.all([
    readFile("/proc/net/tcp", "latin1"),
    // A kernel without IPv6 has none.
    readFile("/proc/net/tcp6", "latin1").catch(() => ""),
  ]);
  return tables.flatMap((text) => socketRows(text, LITTLE_ENDIAN, wanted));
}

const pairOf = (local = 0, remote = 0): number => local * 65_536 + remote;

const rowKey = ({ localHost, localPort, remoteHost, remotePort }: SocketRow): string =>
  `${localHost}|${localPort}|${remoteHost}|${remotePort}`;

function keyOf({ localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 }: SocketEnds): string {
  // The zone of a link-local address is not in the table.
  return [localAddress.replace(/%.*/, ""), localPort, remoteAddress.replace(/%.*/, ""), remotePort].join("|");
}

/** The one for all connections of this process. */
export const lookout: Lookout = new Lookout();
