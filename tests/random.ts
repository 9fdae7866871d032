/**
 * The budget of a property test. fast-check draws a new seed each time and prints it with what failed. To repeat a run set
 * HOLDFAST_SEED to that number; to try longer set HOLDFAST_RUNS to how many times the usual number of runs there shall be.
 */

const SEED = process.env["HOLDFAST_SEED"];
const TIMES = Number(process.env["HOLDFAST_RUNS"] ?? 1);

export interface Budget {
  readonly numRuns: number;
  readonly seed?: number;
}

/** Parameters for `fc.assert`, with what is usual for this test. */
export function runs(usual: number): Budget {
  return { numRuns: Math.max(1, Math.round(usual * TIMES)), ...(SEED !== undefined && { seed: Number(SEED) }) };
}
