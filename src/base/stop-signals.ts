/** Distinguishes a second request to stop from the copy of the first one. */

// Two signals within this time, in milliseconds, count as one. No user presses Ctrl+C twice in so short a time.
const COPY_WITHIN = 250;

/** Counts the signals that request the end of a process. */
export class StopSignals {
  #firstAt: number | undefined;

  /**
   * Counts a signal that was received at `now`, in milliseconds. A copy: a terminal sends Ctrl+C to npm and to this process, and
   * npm passes it on, so one key press causes two signals.
   */
  receive(now: number): "first" | "copy" | "second" {
    if (this.#firstAt === undefined) {
      this.#firstAt = now;
      return "first";
    }
    return now - this.#firstAt < COPY_WITHIN ? "copy" : "second";
  }
}
