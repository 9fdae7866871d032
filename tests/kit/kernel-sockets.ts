/** The kernel's view of the sockets of a process: how many there are, and their states. */

import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { turns } from "./loop-turns.ts";

/** Why sockets cannot be counted here; false where they can. For the `skip` of a test that does nothing else. */
export const SOCKETS_SKIP: false | string =
  process.platform === "linux" ? false : "sockets are counted in /proc, which only Linux has";

/**
 * How many sockets this process holds, or another one, of any kind; 0 where they cannot be counted, so that nothing is ever
 * missing.
 */
export function openSockets(pid: number | "self" = "self"): number {
  if (SOCKETS_SKIP) return 0;
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => isSocket(`/proc/${pid}/fd/${fd}`)).length;
}

/** Waits until this process holds no more sockets than `count`. */
export async function socketsDownTo(count: number): Promise<void> {
  while (openSockets() > count) await new Promise(setImmediate);
}

function isSocket(path: string): boolean {
  try {
    return readlinkSync(path).startsWith("socket:");
  } catch {
    // The descriptor by which the directory was read, which is closed by now.
    return false;
  }
}

// include/net/tcp_states.h of Linux, from 1 on.
const STATES =
  "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING".split(" ");

/** One TCP socket as the kernel sees it. */
export interface KernelSocket {
  /** The port of its peer. A client's own port may at the same time be that of others, to other servers. */
  readonly peerPort: number;
  readonly state: string;
  /** Bytes that the peer has not acknowledged. */
  readonly unacknowledged: number;
  /** Bytes that have arrived and were not read. */
  readonly unread: number;
  /** The timer that runs: 0 none, 1 retransmission, 2 keepalive, 3 TIME_WAIT, 4 zero window probe. */
  readonly timer: number;
  /** Milliseconds until that timer expires. */
  readonly expires: number;
}

/** The sockets with the local port `port`, without the listening one, and without those in TIME_WAIT. */
export function socketsOf(port: number): KernelSocket[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
    readFileSync(table, "latin1")
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
      .filter(([, local = ""]) => Number.parseInt(local.split(":")[1] ?? "", 16) === port)
      .map(([, , remote = "", state = "", queues = "", timer = ""]) => {
        const [unacknowledged = 0, unread = 0] = queues.split(":").map((hex) => Number.parseInt(hex, 16));
        const [running = 0, jiffies = 0] = timer.split(":").map((hex) => Number.parseInt(hex, 16));
        // The table counts in USER_HZ, which is 100 everywhere.
        const expires = jiffies * 10;
        return {
          peerPort: Number.parseInt(remote.split(":")[1] ?? "", 16),
          state: STATES[Number.parseInt(state, 16) - 1] ?? state,
          unacknowledged,
          unread,
          timer: running,
          expires,
        };
      })
      .filter(({ state }) => state !== "LISTEN" && state !== "TIME_WAIT"),
  );
}

/** Resolves once the kernel's view of the sockets on `port` is as `condition` wants it. */
export async function untilSockets(
  port: number,
  condition: (sockets: readonly KernelSocket[]) => boolean,
): Promise<void> {
  // There is no event for a socket that changes its state. With pauses, because reading the table may be slow.
  while (!condition(socketsOf(port))) {
    await pause(5);
    // While several waits read, the timer of one is due before the others are done. Node would run timers only, and no other event.
    await turns(1);
  }
}
