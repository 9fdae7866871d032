/** The limits of the wait of one call: its timeout, deadline and signal. */

import { isDate } from "../../base/forms.ts";
import { judgeNumber, judgeOptions, judgeSignal, type NumberRange } from "../../base/judge.ts";
import { after, type Clock, type Deadline, dateOf, earlier, type Instant, instantOf } from "../../base/time.ts";

/** Limits of the wait of one call. The first one reached applies. */
export interface WaitOptions {
  /** Longest wait, in milliseconds. `Infinity` means no limit. @default Infinity */
  readonly timeout?: number | undefined;
  /**
   * Time by which the call must be complete: a Date, or `{ in: 5_000 }`, which here is the same as `timeout: 5_000`. If it has
   * already passed, the call fails before anything is read or written.
   */
  readonly deadline?: Deadline | undefined;
  /** Ends the wait when it aborts: the call rejects with the reason of the signal, and the connection is not affected. */
  readonly signal?: AbortSignal | undefined;
}

const TIMEOUT: NumberRange = { least: 0, unit: "ms", infinity: "no limit" };

/**
 * The instant at which the limits of a call that began at `since` end it. Throws TypeError or RangeError for an invalid limit, also
 * for an invalid signal.
 */
export function callEnd(options: WaitOptions, since: Instant, clock: Clock): Instant {
  judgeOptions(options);
  const { timeout = Infinity, deadline, signal } = options;
  judgeSignal(signal);
  judgeNumber("timeout", timeout, TIMEOUT);
  const byTimeout = after(since, timeout);
  return deadline === undefined ? byTimeout : earlier(byTimeout, instantOf(deadline, since, clock));
}

/** The limit that determines `end`, the result of `callEnd`. For the TimeoutError of the call. */
export function callLimit(
  options: WaitOptions | undefined,
  since: Instant,
  end: Instant,
  clock: Clock,
): { readonly limit: "timeout" | "deadline"; readonly bound: number | Date } {
  const { timeout = Infinity, deadline } = options ?? {};
  // Added as in `callEnd`: a subtraction would not return `timeout` exactly, because instants are fractions.
  return deadline === undefined || after(since, timeout) === end
    ? { limit: "timeout", bound: timeout }
    : { limit: "deadline", bound: isDate(deadline) ? deadline : dateOf(end, clock) };
}
