/** Memory in use after a garbage collection. */

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as (options?: { type: "minor" }) => void;

/** Collects only garbage of the young generation. */
export const collectYoung = (): void => gc({ type: "minor" });

/** What `read` answers when it falls no more: arrays are freed beside the program, some collections after they were dropped. */
export async function settledMemory(read: () => number): Promise<number> {
  let least = Infinity;
  for (let calm = 0; calm < 3; ) {
    gc();
    await new Promise(setImmediate);
    const now = read();
    calm = now < least ? 0 : calm + 1;
    least = Math.min(least, now);
  }
  return least;
}

/** Bytes of arrays in use. */
export const arrayBytes = (): Promise<number> => settledMemory(() => process.memoryUsage().arrayBuffers);
