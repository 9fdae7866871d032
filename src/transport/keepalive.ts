/** TCP keepalive, as far as the running Node lets it be set. */

import type { Socket } from "node:net";

// Newer Nodes take the interval and the count as further arguments, which the types of the oldest supported do not know.
type SetKeepAlive = (enable: boolean, delay: number, interval?: number, count?: number) => Socket;

/** Turns the kernel's probes on. `Infinity` as the delay leaves them off. */
export function setKeepAlive(socket: Socket, delay: number, interval: number = 1_000, count: number = 10): void {
  if (delay === Infinity) return;
  (socket.setKeepAlive as SetKeepAlive).call(socket, true, wholeSeconds(delay), wholeSeconds(interval), count);
}

// TCP counts in seconds, and Node rounds down: without this half a second would be none, and so the kernel's two hours.
const wholeSeconds = (length: number): number => Math.ceil(length / 1_000) * 1_000;
