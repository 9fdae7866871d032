/**
 * The budget of the property tests. fast-check draws a new seed each time and prints it with what failed. To repeat a run set
 * HOLDFAST_SEED to that number; to try longer set HOLDFAST_RUNS to how many times the usual number of runs there shall be.
 * Where one of them is set, `npm test` loads this before each test file.
 */

import fc from "fast-check";

const { HOLDFAST_SEED: SEED, HOLDFAST_RUNS: TIMES = "1" } = process.env;
// What fast-check does where nothing else is said.
const USUAL = 100;

/** Parameters for `fc.assert`, with the usual number of runs of this test. */
export function runs(usual: number): { readonly numRuns: number } {
  return { numRuns: Math.max(1, Math.round(usual * Number(TIMES))) };
}

fc.configureGlobal({ ...runs(USUAL), ...(SEED !== undefined && { seed: Number(SEED) }) });
