/** The stalls of the server in `stalling-server.ts`, in milliseconds. */

/** How long the server does nothing. */
export const STALL = 1_000;
/** From the start of a stall to the start of the next. */
export const PERIOD = 10_000;

/**
 * The latency of a percentile by arithmetic, for messages at equal intervals over whole periods: a message that is due u ms after the
 * start of a stall is answered at its end, after STALL - u ms. All others are answered at once. So the latency x is exceeded by the
 * messages of the first STALL - x ms of each stall, which are (STALL - x) / PERIOD of all. `stall`: how long a stall was, where a busy
 * machine made it longer.
 */
export function stalledPercentile(percent: number, stall: number = STALL): number {
  return stall - ((100 - percent) / 100) * PERIOD;
}
