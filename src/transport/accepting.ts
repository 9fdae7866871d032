/** Notices when the process has run out of descriptors, of which a listening socket says nothing. */

import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { devNull } from "node:os";
import type { TransportError } from "../base/errors.js";
import { after, type Clock, type Instant, reached, type Wakeup } from "../base/time.js";
import { transportError } from "./socket.js";

// As Go's net/http waits between two attempts to accept.
const FIRST_PAUSE = 5;
const LONGEST_PAUSE = 1_000;

/**
 * Without a free descriptor libuv accepts whoever waits with one that it keeps back, and drops him: nobody is told. And if
 * another thread takes that one at the wrong moment, the event loop turns without rest until descriptors are free again.
 *
 * So this looks for itself: once a second, and while there is none, after 5 ms and from then on twice as long each time up
 * to 1 s, with one report a look. It keeps a descriptor back too, out of which libuv's can be made anew.
 */
export class Accepting {
  readonly #clock: Clock;
  readonly #report: (error: TransportError) => void;
  #reserve: number | undefined;
  #pause = 0;
  #quietUntil: Instant;
  #wakeup: Wakeup | undefined;

  constructor(clock: Clock, report: (error: TransportError) => void) {
    this.#clock = clock;
    this.#report = report;
    this.#quietUntil = clock.now();
    this.#look();
  }

  /** The server could not accept and said so, as on Windows. Reported no more often than its own findings. */
  failed(error: NodeJS.ErrnoException): void {
    const now = this.#clock.now();
    if (!reached(this.#quietUntil, now)) return;
    this.#pause = Math.min(Math.max(this.#pause * 2, FIRST_PAUSE), LONGEST_PAUSE);
    this.#quietUntil = after(now, this.#pause);
    this.#report(transportError(error));
  }

  stop(): void {
    this.#wakeup?.cancel();
    this.#release();
  }

  readonly #look = (): void => {
    const shortage = this.#shortage();
    if (shortage === undefined) {
      if (reached(after(this.#quietUntil, LONGEST_PAUSE), this.#clock.now())) this.#pause = 0;
    } else {
      this.failed(Object.assign(shortage, { syscall: "accept" }));
      this.#renewReserveOfLibuv();
    }
    const pause = shortage === undefined ? LONGEST_PAUSE : this.#pause;
    this.#wakeup = this.#clock.wakeAt(after(this.#clock.now(), pause), this.#look);
  };

  /** The error of one who wants a descriptor, if there is none. */
  #shortage(): NodeJS.ErrnoException | undefined {
    try {
      this.#keep();
      closeSync(openSync(devNull, "r"));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Where nothing may be opened for another reason, nothing can be known.
      if (code === "EMFILE" || code === "ENFILE") return error as NodeJS.ErrnoException;
    }
    return undefined;
  }

  /** libuv opens the descriptor that it keeps back, if it has lost it, with the next handle that is made. */
  #renewReserveOfLibuv(): void {
    this.#release();
    // The handle is made at once, and the connection attempted in the next tick: by then the socket is destroyed.
    new Socket().connect({ host: "127.0.0.1", port: 9 }).destroy();
    try {
      // If libuv had not lost it, ours is free: somebody would be accepted with it, and when libuv loses its own there were none.
      this.#keep();
    } catch {
      // Libuv has it, or somebody was faster.
    }
  }

  #keep(): void {
    this.#reserve ??= openSync(devNull, "r");
  }

  #release(): void {
    if (this.#reserve !== undefined) closeSync(this.#reserve);
    this.#reserve = undefined;
  }
}
