/** Asks the kernel for those who have paused: Node tells nothing of a FIN or a reset that stands behind bytes nobody reads. */

import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { endianness } from "node:os";
import { type SocketRow, socketRows } from "./socket-table.js";

/** One who has paused. */
export interface Paused {
  readonly socket: Pick<Socket, "localAddress" | "localPort" | "remoteAddress" | "remotePort">;
  /** The peer's FIN is here. Said once, and not again until `add`. */
  finSeen(): void;
  /** The kernel has no such socket: it may have been reset. Said at each look. */
  missing(): void;
}

/** How often it looks, in milliseconds. Who pauses for less is never looked at. */
const INTERVAL = 1_000;

// On a machine with very many sockets the table is long: looking takes no more than a twentieth of the time.
const REST = 20;

const LITTLE_ENDIAN = endianness() === "LE";

/**
 * One reading of the kernel's table for all who are paused, and none while nobody is. The table is of this process's
 * network namespace. Only Linux has one; elsewhere nothing is ever seen.
 */
export class Lookout {
  readonly #interval: number;
  readonly #paused: Set<Paused> = new Set();
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

  #arm(): void {
    if (this.#timer !== undefined || this.#looking || this.#paused.size === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      // They may all have gone on since.
      if (this.#paused.size > 0) void this.#look();
    }, this.#pace).unref();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    const since = performance.now();
    // Whoever comes while the table is being read may have been passed by already.
    const asked = new Map(Array.from(this.#paused, (paused) => [keyOf(paused), paused]));
    const ports = new Set(Array.from(asked.values(), ({ socket }) => pairOf(socket.localPort, socket.remotePort)));
    try {
      const rows = await readTables((local, remote) => ports.has(pairOf(local, remote)));
      this.#tell(asked, rows);
    } catch {
      // A kernel that does not say it now will not say it later.
      this.#blind = true;
      this.#paused.clear();
    } finally {
      this.#looking = false;
      this.#pace = Math.max(this.#interval, REST * (performance.now() - since));
      this.#arm();
    }
  }

  #tell(asked: ReadonlyMap<string, Paused>, rows: readonly SocketRow[]): void {
    const states = new Map(rows.map((row) => [rowKey(row), row.state]));
    for (const [key, paused] of asked) {
      if (!this.#paused.has(paused)) continue;
      const state = states.get(key);
      if (state === undefined) paused.missing();
      else if (state === "CLOSE_WAIT") {
        this.#paused.delete(paused);
        paused.finSeen();
      }
    }
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

function keyOf({ socket: { localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 } }: Paused): string {
  // The zone of a link-local address is not in the table.
  return [localAddress.replace(/%.*/, ""), localPort, remoteAddress.replace(/%.*/, ""), remotePort].join("|");
}

/** The one for all connections of this process. */
export const lookout: Lookout = new Lookout();
