/** Turns TCP keepalive on, with the settings that the running version of Node supports. */

import { Socket } from "node:net";
import type { Duplex } from "node:stream";

// Newer versions of Node accept the interval and the count as further arguments. The types of the oldest supported version lack
// them.
type SetKeepAlive = (enable: boolean, delay: number, interval?: number, count?: number) => Socket;

/**
 * Turns on the kernel's keepalive probes. `delay` and `interval` are in milliseconds. With `delay` `Infinity`, and on a stream
 * that is no socket, the probes stay off.
 */
export function setKeepAlive(socket: Duplex, delay: number, interval: number, count: number): void {
  if (delay === Infinity || !(socket instanceof Socket)) return;
  (socket.setKeepAlive as SetKeepAlive).call(socket, true, wholeSeconds(delay), wholeSeconds(interval), count);
}

// TCP keepalive counts in seconds, and Node rounds down. Without this, half a second would become 0, which means the default of
// the kernel: two hours.
const wholeSeconds = (length: number): number => Math.ceil(length / 1_000) * 1_000;
