/** How often the event loop of this process has turned: what spins turns it all the time, whatever else the machine does. */

import { performance } from "node:perf_hooks";

/** Why turns cannot be counted here; false where they can. For the `skip` of a test that does nothing else. */
export const UNTURNED: false | string =
  "uvMetricsInfo" in performance.nodeTiming ? false : "turns of the loop are counted by Node 20.18, 22.8 and later";

/** Turns of the event loop since the process began; 0 where they cannot be counted. */
export function loopTurns(): number {
  return UNTURNED ? 0 : performance.nodeTiming.uvMetricsInfo.loopCount;
}
