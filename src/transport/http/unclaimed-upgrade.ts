/** Detects upgrade requests that no listener has claimed, on a server with several upgrade listeners. */

import type { Duplex } from "node:stream";
import { after, type Clock } from "../../base/time.ts";

// A listener that keeps a socket must listen for its errors at least: without an error listener, a reset by the client would end
// the process.
const LISTENED_EVENTS = ["error", "data", "readable"] as const;

/**
 * Calls `unclaimed` after `timeout` milliseconds if no listener has used the socket by then. A socket counts as used if it was
 * destroyed or ended, if bytes were written to it, if it is being read or was paused, or if it has more listeners for `error`,
 * `data` or `readable` than now. So this must be called before the other upgrade listeners run.
 */
export function watchUnclaimed(socket: Duplex, clock: Clock, timeout: number, unclaimed: () => void): void {
  const listeners = LISTENED_EVENTS.map((name) => socket.listenerCount(name));
  const written = writtenBy(socket);
  const timer = clock.wakeAt(after(clock.now(), timeout), () => {
    socket.off("close", cancel);
    const used =
      socket.destroyed ||
      socket.writableEnded ||
      writtenBy(socket) !== written ||
      socket.readableFlowing !== null ||
      LISTENED_EVENTS.some((name, index) => socket.listenerCount(name) !== listeners[index]);
    if (!used) unclaimed();
  });
  const cancel = (): void => timer.cancel();
  socket.once("close", cancel);
}

function writtenBy(socket: Duplex): number {
  const { bytesWritten = 0 } = socket as { readonly bytesWritten?: number };
  return bytesWritten + socket.writableLength;
}
