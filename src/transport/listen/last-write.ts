/** Ends a socket with a last answer, without a reset that could overtake the answer. */

import { after, type Clock } from "../../base/time.ts";
import type { Duplex } from "../node-types.ts";

/** How long a socket may take to end. */
export interface LastWriteLimit {
  readonly clock: Clock;
  /** In milliseconds. */
  readonly linger: number;
}

/** Writes `bytes` and a FIN. Further bytes of the peer are discarded. The socket is destroyed after `linger` at the latest. */
export function endWith(socket: Duplex, bytes: Uint8Array, { clock, linger }: LastWriteLimit): void {
  // An error of a socket that is being closed has no receiver, and without a listener it would end the process.
  socket.on("error", () => undefined);
  const timer = clock.wakeAt(after(clock.now(), linger), () => socket.destroy());
  socket.once("close", () => timer.cancel());
  socket.end(bytes);
  // Closing with unread input would send a reset, which can arrive before the answer (RFC 9293 section 3.6.1).
  socket.resume();
}
