/** The system's monotonic clock, the same for all processes of the machine, at the cost of `performance.now()`. */

import { performance } from "node:perf_hooks";
import type { Milliseconds } from "./plan.ts";

const TRIES = 20;
const NANOSECONDS = 1e6;

// `performance.now()` counts from the start of the process, `hrtime` from a moment that all processes share. The two are compared
// where they were read in the shortest time: the first readings include the compilation of the code.
const OFFSET: Milliseconds = Array.from({ length: TRIES }, () => {
  const before = performance.now();
  const shared = Number(process.hrtime.bigint()) / NANOSECONDS;
  const after = performance.now();
  return { took: after - before, offset: shared - (before + after) / 2 };
}).reduce((best, one) => (one.took < best.took ? one : best)).offset;

export function machineNow(): Milliseconds {
  return performance.now() + OFFSET;
}
