/** The event loop of this process: how often it has turned, and a wait of some turns. A busy loop turns all the time. */

import { performance } from "node:perf_hooks";

/** Why turns cannot be counted here; false where they can. For the `skip` of a test that does nothing else. */
export const LOOP_TURNS_SKIP: false | string =
  "uvMetricsInfo" in performance.nodeTiming ? false : "turns of the loop are counted by Node 20.18, 22.8 and later";

/** Turns of the event loop since the process began; 0 where they cannot be counted. */
export function loopTurns(): number {
  return LOOP_TURNS_SKIP ? 0 : performance.nodeTiming.uvMetricsInfo.loopCount;
}

/** Waits this many turns of the event loop. The default is enough for a wrong event to happen, where a test expects none. */
export async function turns(count = 30): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}
