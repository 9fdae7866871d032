/** What the kernel knows of TCP sockets: its table, joined to the descriptors of a process, and what has stood still since it was first asked. */

import { between, type Clock, type Instant } from "../base/time.js";
import { systemClock } from "../transport/clock.js";
import { address } from "../transport/socket.js";
import type { SocketRow, SocketState, SocketTimer } from "../transport/socket-table.js";
import { holders, type KernelProcess, LINUX, tables } from "./proc.js";

/** One socket, as it was when it was last looked at. */
export interface KernelSocket {
  readonly state: SocketState;
  /** `127.0.0.1:9000`, `[::1]:9000`. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly localPort: number;
  /** Bytes that the peer has not acknowledged; our FIN counts as one. */
  readonly sendQueue: number;
  /** Bytes that have arrived and were not read, the peer's FIN counting as one; of a LISTEN, connections that wait to be accepted. */
  readonly receiveQueue: number;
  /** What the kernel waits for. */
  readonly timer: SocketTimer;
  /** How often what is unacknowledged has been sent again without an answer. */
  readonly retransmits: number;
  /** Keepalive or zero window probes that were not answered. */
  readonly probes: number;
  /** Milliseconds in which it has been seen in this state, from when this reader first did. The kernel keeps no such time. */
  readonly stateFor: number;
  /** Milliseconds in which its send queue was seen to hold the same, more than nothing. */
  readonly sendStalledFor: number;
  /** Milliseconds in which its receive queue was seen to hold the same, more than nothing. */
  readonly receiveStalledFor: number;
  /** The processes that hold it, as far as they may be seen. */
  readonly pids: readonly number[];
}

/** What could be seen. */
export interface KernelReport {
  readonly supported: true;
  readonly sockets: readonly KernelSocket[];
  /** The processes in question, and their descriptors. */
  readonly processes: readonly KernelProcess[];
  /** What may not be seen without privileges, in a sentence each. */
  readonly hidden: readonly string[];
}

/** Why nothing can be seen here. */
export interface KernelUnsupported {
  readonly supported: false;
  readonly reason: string;
}

export interface KernelSocketsOptions {
  /** Whose sockets: a process's, or with `"any"` all of this network namespace. @default this process */
  readonly pid?: number | "any";
  /** Only sockets whose own port is this. */
  readonly port?: number;
  /** Whose time is counted. @default the system's */
  readonly clock?: Clock;
}

interface Memory {
  readonly inode: number;
  readonly state: SocketState;
  readonly stateSince: Instant;
  readonly sendQueue: number;
  readonly sendSince: Instant;
  readonly receiveQueue: number;
  readonly receiveSince: Instant;
}

/**
 * Reads Linux's `/proc`, and remembers what it read: lengths of time are told as far as this reader has seen them itself.
 * It works on any process; of another user's it may see little, and says so.
 */
export class KernelSockets {
  readonly #pid: number | "any";
  readonly #port: number | undefined;
  readonly #clock: Clock;
  #seen: Map<string, Memory> = new Map();

  /** RangeError for what is no process or port. */
  constructor({ pid = process.pid, port, clock = systemClock }: KernelSocketsOptions = {}) {
    if (pid !== "any" && !(Number.isInteger(pid) && pid > 0)) {
      throw new RangeError(`Cannot use pid ${pid}: expected a process's number, or "any"`);
    }
    if (port !== undefined && !(Number.isInteger(port) && port > 0 && port < 65_536)) {
      throw new RangeError(`Cannot use port ${port}: expected a whole number from 1 to 65535`);
    }
    this.#pid = pid;
    this.#port = port;
    this.#clock = clock;
  }

  /** Looks once. Rejects with a TransportError, ESRCH, if there is no such process. */
  async read(): Promise<KernelReport | KernelUnsupported> {
    if (!LINUX) return { supported: false, reason: "the kernel's view of sockets is in /proc, which only Linux has" };
    const wanted = (localPort: number): boolean => this.#port === undefined || localPort === this.#port;
    // Descriptors first: a socket that is opened in between is left out, and none is taken for one that nobody holds.
    const { byInode, processes, hidden } = await holders(this.#pid);
    const rows = await tables(this.#pid, wanted);
    const now = this.#clock.now();
    const seen = new Map<string, Memory>();
    const sockets: KernelSocket[] = [];
    for (const row of rows) {
      const pids = byInode.get(row.inode) ?? [];
      if (this.#pid !== "any" && pids.length === 0) continue;
      const key = `${row.localHost}|${row.localPort}|${row.remoteHost}|${row.remotePort}`;
      const memory = remember(this.#seen.get(key), row, now);
      seen.set(key, memory);
      sockets.push(socketOf(row, memory, pids, now));
    }
    // What is gone is forgotten, so that the memory is never larger than the table.
    this.#seen = seen;
    const held = new Set(sockets.flatMap(({ pids }) => pids));
    return {
      ...{ supported: true, sockets, hidden },
      processes: this.#pid === "any" ? processes.filter(({ pid }) => held.has(pid)) : processes,
    };
  }
}

function remember(before: Memory | undefined, row: SocketRow, now: Instant): Memory {
  const { inode, state, sendQueue, receiveQueue } = row;
  // The same addresses may be another connection's by now. One that its process has closed lives on without a number.
  const same = before !== undefined && (before.inode === inode || inode === 0) ? before : undefined;
  return {
    ...{ inode, state, sendQueue, receiveQueue },
    stateSince: same?.state === state ? same.stateSince : now,
    sendSince: same?.sendQueue === sendQueue ? same.sendSince : now,
    receiveSince: same?.receiveQueue === receiveQueue ? same.receiveSince : now,
  };
}

function socketOf(row: SocketRow, memory: Memory, pids: readonly number[], now: Instant): KernelSocket {
  const { state, localHost, localPort, remoteHost, remotePort, sendQueue, receiveQueue } = row;
  return {
    ...{ state, localPort, sendQueue, receiveQueue, pids },
    ...{ timer: row.timer, retransmits: row.retransmits, probes: row.probes },
    localAddress: address(localHost, localPort),
    remoteAddress: address(remoteHost, remotePort),
    stateFor: between(memory.stateSince, now),
    sendStalledFor: sendQueue === 0 ? 0 : between(memory.sendSince, now),
    receiveStalledFor: receiveQueue === 0 ? 0 : between(memory.receiveSince, now),
  };
}
