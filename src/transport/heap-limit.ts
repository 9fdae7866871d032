/** The size to which this process's heap may grow. */

import { getHeapStatistics } from "node:v8";

// Other runtimes may report nothing.
const UNKNOWN = 1_073_741_824;

/** In bytes: what `--max-old-space-size` sets, or what the runtime derives from the machine's memory. */
export function heapLimit(): number {
  const { heap_size_limit: limit } = getHeapStatistics();
  return Number.isFinite(limit) && limit > 0 ? limit : UNKNOWN;
}
