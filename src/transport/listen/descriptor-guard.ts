/** Detects that the process has no free file descriptor, which a listening socket does not report. */

import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { devNull } from "node:os";
import type { TransportError } from "../../base/errors.ts";
import { after, type Clock, type Instant, reached, type Wakeup } from "../../base/time.ts";
import { ACCEPT_PAUSES, Backoff, NO_JITTER } from "../../engine/time/backoff.ts";
import { transportError } from "../socket/socket.ts";

// Milliseconds between two checks without a shortage.
const CHECK_INTERVAL = ACCEPT_PAUSES.cap;

/**
 * If no descriptor is free, libuv closes its reserve descriptor, accepts the waiting connection with it and drops the
 * connection. Nothing reports this. If another thread takes the reserve at the wrong moment, the event loop spins until a
 * descriptor is free again.
 *
 * So this class checks for a shortage itself: once a second, and during a shortage after 5 ms, then after twice the pause each
 * time up to 1 s, with one report per check. It also keeps a reserve descriptor of its own, from which the reserve of libuv can
 * be renewed.
 */
export class DescriptorGuard {
  readonly #clock: Clock;
  readonly #report: (error: TransportError) => void;
  #reserve: number | undefined;
  readonly #backoff = new Backoff(ACCEPT_PAUSES, NO_JITTER);
  /** The last pause. */
  #pause = 0;
  #quietUntil: Instant;
  #wakeup: Wakeup | undefined;

  constructor(clock: Clock, report: (error: TransportError) => void) {
    this.#clock = clock;
    this.#report = report;
    this.#quietUntil = clock.now();
    this.#check();
  }

  /**
   * Call this if the server reports a failed accept, as on Windows. Such errors are reported no more often than the shortages
   * that this class finds itself.
   */
  failed(error: NodeJS.ErrnoException): void {
    const now = this.#clock.now();
    if (!reached(this.#quietUntil, now)) return;
    this.#pause = this.#backoff.next();
    this.#quietUntil = after(now, this.#pause);
    this.#report(transportError(error));
  }

  stop(): void {
    this.#wakeup?.cancel();
    this.#closeReserve();
  }

  readonly #check = (): void => {
    const shortage = this.#shortage();
    if (shortage === undefined) {
      if (reached(after(this.#quietUntil, CHECK_INTERVAL), this.#clock.now())) this.#backoff.reset();
    } else {
      this.failed(Object.assign(shortage, { syscall: "accept" }));
      this.#renewReserveOfLibuv();
    }
    const pause = shortage === undefined ? CHECK_INTERVAL : this.#pause;
    this.#wakeup = this.#clock.wakeAt(after(this.#clock.now(), pause), this.#check);
  };

  /** Returns the error of opening a file if no descriptor is free. */
  #shortage(): NodeJS.ErrnoException | undefined {
    try {
      this.#openReserve();
      closeSync(openSync(devNull, "r"));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // If opening fails for another reason (such as permissions), nothing is known about descriptors.
      if (code === "EMFILE" || code === "ENFILE") return error as NodeJS.ErrnoException;
    }
    return undefined;
  }

  /** libuv opens its reserve descriptor again, if it has lost it, when the next handle is created. */
  #renewReserveOfLibuv(): void {
    this.#closeReserve();
    // `connect` creates the handle immediately, but starts the connection attempt in the next tick. By then the socket is
    // destroyed.
    new Socket().connect({ host: "127.0.0.1", port: 9 }).destroy();
    try {
      // If libuv had not lost its reserve, our descriptor is free now, so it must be taken back. Otherwise the next connection
      // would be accepted with it, and none would be left when libuv does lose its reserve.
      this.#openReserve();
    } catch {
      // libuv has the descriptor, or another thread has taken it.
    }
  }

  #openReserve(): void {
    this.#reserve ??= openSync(devNull, "r");
  }

  #closeReserve(): void {
    if (this.#reserve !== undefined) closeSync(this.#reserve);
    this.#reserve = undefined;
  }
}
