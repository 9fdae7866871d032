/** The kernel's table of TCP sockets, joined to the processes that hold them, with durations measured between reads. */

import { judgeNumber, PORT } from "../base/judge.ts";
import { between, type Clock, type Instant } from "../base/time.ts";
import { systemClock } from "../transport/clock.ts";
import type { SocketRow, SocketState, SocketTimer } from "../transport/socket/socket-table.ts";
import { type KernelProcess, LINUX, readHolders, readTables } from "./processes.ts";

/** One socket at the time of the last read. */
export interface KernelSocket {
  readonly state: SocketState;
  /** The IP address, such as `127.0.0.1` or `::1`. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly remoteAddress: string;
  /** 0 in LISTEN. */
  readonly remotePort: number;
  /** Bytes that the peer has not acknowledged. This side's FIN counts as one byte. */
  readonly sendQueue: number;
  /** Received bytes that the process has not read; the peer's FIN counts as one byte. In LISTEN: connections not yet accepted. */
  readonly receiveQueue: number;
  /** The kernel timer that is running. */
  readonly timer: SocketTimer;
  /** Number of retransmissions of the unacknowledged bytes that got no answer. */
  readonly retransmits: number;
  /** Number of keepalive or zero-window probes that got no answer. */
  readonly probes: number;
  /** Milliseconds in this state, counted from the first read that saw it. The kernel keeps no such time. */
  readonly stateFor: number;
  /** Milliseconds for which each read saw the same size of the send queue; 0 while it is empty. */
  readonly sendStalledFor: number;
  /** Milliseconds for which each read saw the same size of the receive queue; 0 while it is empty. */
  readonly receiveStalledFor: number;
  /** Number of the socket, which the links in `/proc/PID/fd` name. 0 if no process holds it, for example before it is accepted. */
  readonly inode: number;
  /** Ids of the processes that hold it, as far as this user may read them. */
  readonly pids: readonly number[];
}

/** The result of a read where the kernel's tables are readable. */
export interface KernelReport {
  readonly supported: true;
  readonly sockets: readonly KernelSocket[];
  /** The process of `pid`; with `"any"` the processes that hold one of `sockets`. */
  readonly processes: readonly KernelProcess[];
  /** Facts that need more privileges to read, one text each. */
  readonly unreadable: readonly string[];
}

/** The result on a system without these tables (all but Linux). */
export interface KernelUnsupported {
  readonly supported: false;
  readonly reason: string;
}

export interface KernelSocketsOptions {
  /** The process whose sockets are read, or `"any"` for all sockets of this network namespace. @default this process */
  readonly pid?: number | "any" | undefined;
  /** Reads only sockets with this local port. All ports if omitted. */
  readonly port?: number | undefined;
  /** The clock that measures durations. @default the system's */
  readonly clock?: Clock | undefined;
}

interface Observation {
  readonly inode: number;
  readonly state: SocketState;
  readonly stateSince: Instant;
  readonly sendQueue: number;
  readonly sendSince: Instant;
  readonly receiveQueue: number;
  readonly receiveSince: Instant;
}

/**
 * Reads the kernel's table of TCP sockets from Linux's `/proc`. It keeps the last read, so that durations count from the first
 * read that saw a state. It works on any process; for a process of another user it may read little, and `unreadable` lists the
 * rest.
 */
export class KernelSockets {
  readonly #pid: number | "any";
  readonly #port: number | undefined;
  readonly #clock: Clock;
  #previous: Map<string, Observation> = new Map();

  /** Throws TypeError or RangeError if `pid` or `port` is not valid. `pid` is the number of a process, or `"any"`. */
  constructor({ pid = process.pid, port, clock = systemClock }: KernelSocketsOptions = {}) {
    if (pid !== "any") judgeNumber("pid", pid, { least: 1, whole: true });
    if (port !== undefined) judgeNumber("port", port, PORT);
    this.#pid = pid;
    this.#port = port;
    this.#clock = clock;
  }

  /** Reads the tables once. Rejects with TransportError, `errno` ESRCH, if the process does not exist. */
  async read(): Promise<KernelReport | KernelUnsupported> {
    if (!LINUX)
      return { supported: false, reason: "the kernel's tables of sockets are in /proc, which only Linux has" };
    const wanted = (localPort: number): boolean => this.#port === undefined || localPort === this.#port;
    // Descriptors first: a socket opened between the two reads is left out. The other order would report one that is closed in
    // between as a socket without a process.
    const { byInode, processes, unreadable } = await readHolders(this.#pid);
    const rows = await readTables(this.#pid, wanted);
    const now = this.#clock.now();
    const observations = new Map<string, Observation>();
    const sockets: KernelSocket[] = [];
    for (const row of rows) {
      const pids = byInode.get(row.inode) ?? [];
      if (this.#pid !== "any" && pids.length === 0) continue;
      const key = `${row.localHost}|${row.localPort}|${row.remoteHost}|${row.remotePort}`;
      const observation = observe(this.#previous.get(key), row, now);
      observations.set(key, observation);
      sockets.push(socketOf(row, observation, pids, now));
    }
    // Keeps only sockets of this read, so that the memory is never larger than the table.
    this.#previous = observations;
    const held = new Set(sockets.flatMap(({ pids }) => pids));
    return {
      ...{ supported: true, sockets, unreadable },
      processes: this.#pid === "any" ? processes.filter(({ pid }) => held.has(pid)) : processes,
    };
  }
}

function observe(before: Observation | undefined, row: SocketRow, now: Instant): Observation {
  const { inode, state, sendQueue, receiveQueue } = row;
  // The same addresses may belong to another connection by now, with another inode. After close() by its process a socket lives
  // on with inode 0.
  const same = before !== undefined && (before.inode === inode || inode === 0) ? before : undefined;
  return {
    ...{ inode, state, sendQueue, receiveQueue },
    stateSince: same?.state === state ? same.stateSince : now,
    sendSince: same?.sendQueue === sendQueue ? same.sendSince : now,
    receiveSince: same?.receiveQueue === receiveQueue ? same.receiveSince : now,
  };
}

function socketOf(row: SocketRow, observation: Observation, pids: readonly number[], now: Instant): KernelSocket {
  const { state, localHost: localAddress, localPort, remoteHost: remoteAddress, remotePort } = row;
  const { sendQueue, receiveQueue } = row;
  return {
    ...{ state, localAddress, localPort, remoteAddress, remotePort, sendQueue, receiveQueue, pids },
    ...{ timer: row.timer, retransmits: row.retransmits, probes: row.probes, inode: row.inode },
    stateFor: between(observation.stateSince, now),
    sendStalledFor: sendQueue === 0 ? 0 : between(observation.sendSince, now),
    receiveStalledFor: receiveQueue === 0 ? 0 : between(observation.receiveSince, now),
  };
}
