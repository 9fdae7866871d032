/** Ends a socket with a last answer, without a reset that could overtake the answer. */

import { after, type Clock } from "../../base/time.ts";
import type { Duplex } from "../node-types.ts";
import type { PendingOpenings } from "./pending-openings.ts";

/** How long a socket may take to end. */
export interface LastWriteLimit {
  readonly clock: Clock;
  /** In milliseconds. */
  readonly linger: number;
  /** Bounds the number of sockets that are being ended, together with those of half-done handshakes. */
  readonly pending?: PendingOpenings | undefined;
}

/** Writes `bytes` and a FIN. Further bytes of the peer are discarded. The socket is destroyed after `linger` at the latest. */
export function endWith(socket: Duplex, bytes: Uint8Array, { clock, linger, pending }: LastWriteLimit): void {
  // An error of a socket that is being closed has no receiver, and without a listener it would end the process.
  socket.on("error", () => undefined);
  const timer = clock.wakeAt(after(clock.now(), linger), () => socket.destroy());
  socket.once("close", () => timer.cancel());
  socket.end(bytes);
  // Closing with unread input would send a reset, which can arrive before the answer (RFC 9293 section 3.6.1).
  socket.resume();
  pending?.addSocket(socket);
}
